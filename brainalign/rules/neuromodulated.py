"""Neuromodulation of any rule: gains of learning by layer and over time, and gates that switch circuits."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import stack_of
from brainalign.tasks.schedule import Schedule
from brainalign.tasks.task import Batch, Task

GATE = "gate."
CIRCUIT = "circuit"


@dataclass(frozen=True)
class Neuromodulated(LearningRule):
    r"""Any rule, with a neuromodulator that scales what is learnt and says which units take part.

    .. math::
        \Delta' W_l = m(t)\, m_l\, (g_l g_{l-1}^\top) \circ \Delta W_l, \qquad
        h_l \leftarrow g_l \circ h_l

    m is the gain; g, in 0 and 1, are the gates of the circuit whose turn it is. A circuit is the network
    without the units that are gated off: their weights count as 0, and stay. Circuits share the units that
    `overlap` says, and the read-out's, whose biases do not learn where there are several circuits. So what one
    circuit learns leaves the others' answers exactly as they are where nothing overlaps, under plain ``sgd``
    (momentum and weight decay go on moving what has no gradient). At an overlap of 1, the control, all gates
    are open. Gains scale updates before the optimiser: Adam divides a constant gain out again.

    Parameters
    ----------
    rule
        The rule that is modulated, with one option at most: ``hebb:normalise=false``.
    gains
        :math:`m_l`: one for all, or one for each layer with parameters, from the input, with ``/`` between:
        ``1/0.5/0``.
    over_time
        m(t): a gain, or ``STEP:GAIN`` several times with ``/`` between.
    circuits
        Circuits that there are.
    circuit
        The one that is active first, from 0.
    switch
        Steps after which the next circuit has its turn; 0 for never.
    overlap
        Share of each hidden layer's units that all circuits have, up to 1.
    """

    rule: str = "backprop"
    gains: str = "1"
    over_time: str = "1"
    circuits: int = 1
    circuit: int = 0
    switch: int = 0
    overlap: float = 0.0

    name = "neuromodulated"
    family = "neuromodulation"
    feedback = "that of the rule, and signals broadcast to layers and units"
    locality = "that of the rule, with a gain and a gate"
    phases = 1
    passes = 3.0
    source = (
        "wrapper; Marblestone, Wayne & Kording 2016, Front. Comput. Neurosci. (doi:10.3389/fncom.2016.00094)"
    )
    from_zero = frozenset({"circuit", "switch", "overlap"})

    def __post_init__(self):
        inner = self.modulated
        for fact in (
            "optimizer",
            "activation",
            "true_gradient",
            "trains_readout",
            "learns",
            "phases",
            "passes",
        ):
            object.__setattr__(self, fact, getattr(inner, fact))
        Schedule.parse(self.over_time)

    @property
    def modulated(self) -> LearningRule:
        """The rule that is modulated."""
        # The catalogue knows this file.
        from brainalign.rules.catalogue import find_rule

        return find_rule(self.rule)

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the rule can train the network, and this has what gains and circuits are of."""
        self.modulated.check(network, task)
        self.gain_of_modules(network)
        if self.circuits == 1 and self.circuit == 0:
            return
        widths = [len(layer.linear.weight) for layer in stack_of(self.name, network, hidden=1).layers[:-1]]
        if self.circuit >= self.circuits or self.overlap > 1 or min(widths) < self.circuits:
            raise NeedsError(
                f"Rule {self.name!r} was given circuits={self.circuits}, circuit={self.circuit} and "
                f"overlap={self.overlap:g}; circuits count from 0, each needs a unit of the smallest hidden "
                f"layer, which has {min(widths)}, and an overlap is 1 at most."
            )

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Make the rule's state, and draw each circuit's gates, (circuit, unit)."""
        state = self.modulated.init(network, task, generator)
        if self.circuits == 1:
            return state
        layers = stack_of(self.name, network).layers
        for layer in layers[:-1]:
            like, n = layer.linear.weight, len(layer.linear.weight)
            order = torch.randperm(n, generator=generator)
            own = order[None] % self.circuits == torch.arange(self.circuits)[:, None]
            shared = order < round(self.overlap * n)
            state[GATE + layer.name] = (own | shared).to(like.device, like.dtype)
        state[CIRCUIT] = torch.tensor(self.circuit, device=layers[0].linear.weight.device)
        return state

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the rule's updates of the circuit whose turn it is, times their gains."""
        gain, gains = Schedule.parse(self.over_time)(batch.step), self.gain_of_modules(network)
        if CIRCUIT in state:
            turns = batch.step // self.switch if self.switch else 0
            state[CIRCUIT] = torch.full_like(state[CIRCUIT], (self.circuit + turns) % self.circuits)
        masks, own = self.masks(network, state), _without_gates(state)
        active = masked(network, masks)
        for update in self.modulated.updates(active, task, batch, own, generator):
            state |= own
            yield {
                name: scaled(each, gain * gains.get(_module(name), 1.0), masks.get(name))
                for name, each in update.items()
                if not (masks and name == f"{stack_of(self.name, network).layers[-1].name}.bias")
            }
            refresh(active, network, masks)
        state |= own

    def after_update(self, network: nn.Module, state: State) -> None:
        """Do what the rule does."""
        self.modulated.after_update(network, state)

    def inference(self, network: nn.Module, state: State) -> nn.Module:
        """Give what the rule has probed, of the circuit that was active last."""
        active = masked(network, self.masks(network, state))
        return self.modulated.inference(active, _without_gates(state))

    def learning_rate_factor(self, name: str) -> float:
        """Give the rule's."""
        return self.modulated.learning_rate_factor(name)

    def gain_of_modules(self, network: nn.Module) -> dict[str, float]:
        """Give each layer's gain by the name of the module that holds its parameters.

        Raises
        ------
        NeedsError
            Gains that are no numbers of 0 or above, or not as many as layers.
        """
        modules = list(dict.fromkeys(_module(name) for name, _ in network.named_parameters()))
        try:
            gains = [float(text) for text in self.gains.split("/")]
        except ValueError:
            gains = []
        if len(gains) not in (1, len(modules)) or not all(0 <= gain < float("inf") for gain in gains):
            raise NeedsError(
                f"Rule {self.name!r} was given gains={self.gains}; write one number of 0 or above, or one for "
                f"each of the {len(modules)} layers with parameters ({', '.join(modules)}), with / between."
            )
        return dict(zip(modules, gains if len(gains) > 1 else gains * len(modules), strict=True))

    def masks(self, network: nn.Module, state: State) -> dict[str, Tensor]:
        """Give 1 for the weights and biases of the active circuit and 0 for others; nothing for one circuit."""
        if CIRCUIT not in state:
            return {}
        found, below = {}, None
        for layer in stack_of(self.name, network).layers:
            weight, gates = layer.linear.weight, state.get(GATE + layer.name)
            gate = weight.new_ones(len(weight)) if gates is None else gates[int(state[CIRCUIT])]
            mask = gate.view(-1, 1, 1).expand(-1, weight.shape[1] if below is None else len(below), 1)
            mask = mask if below is None else mask * below.view(1, -1, 1)
            # A fully connected layer takes each unit below at all its places.
            n = weight[0].numel() // mask.shape[1]
            found[f"{layer.name}.weight"] = mask.expand(-1, -1, n).reshape(weight.shape)
            found[f"{layer.name}.bias"] = below = gate
        return found


def masked(network: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    """Give a network of the weights that masks let through; without masks, the network itself."""
    if not masks:
        return network
    active = copy.deepcopy(network)
    refresh(active, network, masks)
    return active


@torch.no_grad()
def refresh(active: nn.Module, network: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Give a masked network the weights that the whole one has come to."""
    parameters = dict(network.named_parameters())
    for name, parameter in active.named_parameters() if masks else ():
        parameter.copy_(parameters[name] * masks[name])


def scaled(change: Tensor, gain: float, mask: Tensor | None) -> Tensor:
    """Give m Δ where a mask lets it through; Δ itself at a gain of 1 without a mask."""
    change = change if mask is None else change * mask
    return change if gain == 1 else gain * change


def _without_gates(state: State) -> State:
    return {name: each for name, each in state.items() if name != CIRCUIT and not name.startswith(GATE)}


def _module(name: str) -> str:
    return name.rpartition(".")[0]
