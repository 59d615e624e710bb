"""Local prediction: each layer learns to name the category through a linear head of its own."""

from dataclasses import dataclass

from brainalign.rules.local_losses import LocalLosses, Mixture


@dataclass(frozen=True)
class LocalPred(LocalLosses):
    r"""Local prediction loss (Nøkland & Eidnes 2019, "pred"), on a stack of layers.

    .. math::
        L_l = C(V_l\, \mathrm{pool}(h_l) + c_l,\ t), \qquad
        \Delta W_l = -\eta\, \frac{\partial L_l}{\partial W_l}, \qquad
        \Delta V_l = -\eta\, \frac{\partial L_l}{\partial V_l}

    with C the task's own cost. No error goes from a layer to the one before. A feature map is averaged over
    squares until 2048 features are left. The read-out pays the task's cost for its own answer.
    """

    name = "local_pred"
    feedback = "the error of a linear head of the layer's own, through the head's weights"
    locality = "pre- and postsynaptic activity, and the error of a head beside the layer"
    passes = 2.0

    @property
    def mixture(self) -> Mixture:
        """Prediction alone."""
        return Mixture(1.0, 0.0)
