"""A recurrent network of integrate-and-fire units that adapt."""

from brainalign.networks.lif import LIF


class ALIF(LIF):
    r"""Integrate-and-fire units whose threshold rises with each spike and falls back slowly (Bellec 2018).

    As `LIF`, with the threshold :math:`A_t = \theta + \beta a_{t-1}`,
    :math:`a_t = (1 - \rho) a_{t-1} + \rho z_t`; the slope of a spike is
    :math:`\psi = \gamma \max(0, 1 - |v - A| / \theta) / \theta`.

    Parameters
    ----------
    n_inputs, n_outputs, units, alpha, threshold, refractory, readout, gain, gamma
        As of `LIF`.
    adaptation
        ρ, time step over the time constant of adaptation, above 0 and up to 1.
    beta
        β, by how much a unit that spikes at every step raises its threshold.

    Raises
    ------
    BrainalignError
        An ``alpha``, ``readout`` or ``adaptation`` above 1.

    Examples
    --------
    >>> network = ALIF(3, 2, units=10)
    >>> tuple(network.readout(network.initial(4)).shape)
    (4, 2)
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        units: int = 128,
        alpha: float = 0.2,
        threshold: float = 0.5,
        refractory: int = 0,
        readout: float = 0.2,
        gain: float = 1.2,
        gamma: float = 0.3,
        adaptation: float = 0.02,
        beta: float = 1.7,
    ):
        super().__init__(n_inputs, n_outputs, units, alpha, threshold, refractory, readout, gain, gamma)
        self._filter_spikes([readout, adaptation], [0.0, beta])
