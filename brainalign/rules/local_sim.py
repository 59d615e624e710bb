"""Local similarity matching: each layer makes images as similar as their categories are."""

from dataclasses import dataclass

from brainalign.rules.local_losses import LocalLosses, Mixture


@dataclass(frozen=True)
class LocalSim(LocalLosses):
    r"""Local similarity matching (Nøkland & Eidnes 2019, "sim"), on a stack of layers.

    .. math:: L_l = \frac{1}{n^2} \lVert S(V_l * h_l) - S(Y) \rVert_F^2

    with S the cosines between the samples of a batch, each centred over its units (a feature map counts by its
    standard deviation over places), Y the labels, one for a sample's category and zero elsewhere, and V a
    linear map, or a convolution that keeps the width. No error goes from a layer to the one before. The
    read-out pays the task's cost for its own answer. On small networks V costs more than the layers do.

    Parameters
    ----------
    kernel
        Width of the convolution V, which is odd; full layers have none. 0 takes similarities of the answers
        themselves (a feature map's averaged over squares, as for a linear head), as the authors' backprop-free
        version does: V is gone, and a step costs about what one of backprop does.
    """

    kernel: int = 3

    name = "local_sim"
    feedback = "how similar the samples of a batch are, beside how similar their labels are"
    locality = "pre- and postsynaptic activity, and comparisons over the layer and the batch"
    passes = 7.0
    from_zero = frozenset({"kernel"})

    @property
    def mixture(self) -> Mixture:
        """Similarity alone."""
        return Mixture(0.0, 1.0, self.kernel)
