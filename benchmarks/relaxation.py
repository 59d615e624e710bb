"""What a step costs under a rule that settles or has phases: against its multiply-adds, and a plain loop."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.multiply_adds import multiply_adds
from benchmarks.rows import Row, require_equal, times_faster, times_floor
from benchmarks.timing import fastest
from brainalign.networks import Shape, make_network
from brainalign.networks.layered import LayeredNetwork
from brainalign.rules import LearningRule, find_rule
from brainalign.rules.equilibrium_propagation import EquilibriumPropagation
from brainalign.rules.relaxation import Activities
from brainalign.rules.rule import Update
from brainalign.rules.stdp import Visit
from brainalign.rules.stdp_pairs import STDPPairs
from brainalign.rules.symmetric_stack import SymmetricStack
from brainalign.rules.xcal import XCAL
from brainalign.tasks import Classification, ImageSet
from brainalign.tasks.task import Batch
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer

COUNTED = (
    "equilibrium_propagation",
    "stdp",
    "stdp_pairs",
    "predictive_coding",
    "prospective_configuration",
    "contrastive_hebbian",
    "generec",
    "xcal",
    "almeida_pineda",
    "boltzmann",
    "segregated_dendrites",
    "dendritic_microcircuit",
    "burstprop",
    "koerding_koenig",
    "hebb",
    "oja",
    "sanger",
    "similarity_matching",
    "krotov_hopfield",
    "softhebb",
    "boltzmann_restricted",
    "wake_sleep",
    "variational_em",
    "neuromodulated",
)
"""Rules whose steps are held against their multiply-adds."""
COUNTED_TARGET, LOOP_TARGET = 1.3, 2.0

BATCH, HIDDEN, SIZE, CATEGORIES = 256, "512-512", 28, 10

BETA, GRADIENT_TOLERANCE = 0.5, 2e-4
"""Nudge, and the largest difference of gradients, over the largest gradient of the same weights."""
FREE_STEPS, NUDGED_STEPS = 22, 15
"""Steps of the plain loop: as few as come within 1e-4 of the exact gradient, where ours comes as well."""


class XCALPhases(XCAL):
    """The two equilibria of XCAL, and nothing that synapses make of them."""

    def weight_change(self, x: list[Tensor], y: list[Tensor], average: Tensor | None) -> Tensor:
        """Give zeros."""
        return y[0].new_zeros(y[0].shape[1], x[0].shape[1])


class STDPPairsPhases(STDPPairs):
    """The free equilibrium of `stdp_pairs` and the way to the nudged one, without spikes."""

    def changes(
        self, stack: SymmetricStack, run: Callable[[Visit], Activities], generator: torch.Generator
    ) -> list[Update]:
        """Give nothing for any layer."""
        run(lambda activities: None)
        return [{} for _ in stack.layers]


PHASES = {"xcal": XCALPhases(), "stdp_pairs": STDPPairsPhases()}
"""Rules with elementwise work beyond their phases, and what they do in these alone."""


def measure(small: bool) -> list[Row]:
    """Time steps of each rule and of what it is held against, by turns."""
    return [
        *(_against_count(name, find_rule(name), f"one step of {name}", small) for name in COUNTED),
        *(
            _against_count(f"{name}_phases", rule, f"the phases of {name}", small)
            for name, rule in PHASES.items()
        ),
        _against_loop(small),
    ]


def _against_count(name: str, rule: LearningRule, what: str, small: bool) -> Row:
    batch, network = _sizes(small)
    ours, bare = _same_step(rule, batch, network), _same_step(find_rule("backprop"), batch, network, rule)
    per_step = multiply_adds(ours) / multiply_adds(bare)
    n_bare = max(1, round(per_step))  # as long as one step of ours

    def several() -> None:
        for _ in range(n_bare):
            bare()

    runs = fastest(1 if small else 9, {"ours": ours, "bare": several})
    return times_floor(
        f"relaxation_{name}",
        f"{network} on {SIZE} × {SIZE} images, batches of {batch}, {what}: "
        f"against its multiply-adds ({per_step:.2f} of backprop's) at the speed of backprop's",
        runs["ours"].seconds,
        per_step * runs["bare"].seconds / n_bare,
        COUNTED_TARGET,
    )


def _against_loop(small: bool) -> Row:
    batch, name = _sizes(small)
    rule, task = EquilibriumPropagation(variant="one_sided", beta=BETA), _task(batch, "squared_error")
    network = make_network(name, Shape(task.preprocessing, CATEGORIES, rule.activation), 0)
    assert isinstance(network, LayeredNetwork)
    shown, generator = next(task.held_out(batch)), torch.Generator()
    state = rule.init(network, task, generator)
    runs = fastest(
        1 if small else 9,
        {
            "ours": lambda: rule.update(network, task, shown, state, generator),
            "loop": lambda: _plain_loop(network, shown),
        },
    )
    for key, peer in runs["loop"].result.items():
        scale = peer.abs().max()
        require_equal(key, runs["ours"].result[key] / scale, peer / scale, GRADIENT_TOLERANCE)
    return times_faster(
        "relaxation_equilibrium_propagation_loop",
        f"{name} on {SIZE} × {SIZE} images, batches of {batch}, gradient of equilibrium propagation to "
        f"{GRADIENT_TOLERANCE:g}: against an energy that autograd differentiates at each of "
        f"{FREE_STEPS} + {NUDGED_STEPS} steps",
        runs["ours"].seconds,
        runs["loop"].seconds,
        LOOP_TARGET,
    )


def _sizes(small: bool) -> tuple[int, str]:
    return (8, "mlp:hidden=20-20") if small else (BATCH, f"mlp:hidden={HIDDEN}")


def _task(batch: int, cost: str = "cross_entropy") -> Classification:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (batch, 1, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    labels = torch.arange(batch) % CATEGORIES
    categories = tuple(map(str, range(CATEGORIES)))
    return Classification(
        ImageSet("noise", images, labels, images, labels, categories), batch_size=batch, cost_name=cost
    )


def _same_step(
    rule: LearningRule, batch: int, network: str, like: LearningRule | None = None
) -> Callable[[], None]:
    """Give a step that is the same each time, on the units and by the optimiser of `like`.

    The rate is 0, so that weights stay and activities settle in as many sweeps as were counted.
    """
    task, like = _task(batch), like or rule
    made = make_network(network, Shape(task.preprocessing, CATEGORIES, like.activation), 0)
    trainer = Trainer(made, task, rule, find_optimizer(like.optimizer).with_lr(0.0), seed=0)

    def step() -> None:
        trainer.step = 10**6  # past any steps in which only a part of the rule learns
        trainer.of_rule.manual_seed(0)
        trainer.advance()

    step()
    return step


def _plain_loop(network: LayeredNetwork, batch: Batch) -> dict[str, Tensor]:
    """Equilibrium propagation as it is published: an energy, and autograd at each step."""
    assert batch.targets is not None
    weights, x = dict(network.named_parameters()), batch.inputs.flatten(1)
    wanted = F.one_hot(batch.targets, CATEGORIES).to(x.dtype)
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]

    def energy(units: list[Tensor]) -> Tensor:
        below = [x, *units[:-1]]
        terms = [(h * layer(b)).sum() for h, b, layer in zip(units, below, linear, strict=True)]
        return -torch.stack(terms).sum()

    def settled(units: list[Tensor], steps: int, beta: float) -> list[Tensor]:
        for _ in range(steps):
            units = [each.detach().requires_grad_() for each in units]
            *hidden, outputs = (-slope for slope in torch.autograd.grad(energy(units), units))
            error = units[-1] - wanted
            moved = units[-1] + (outputs - beta * error - units[-1]) / (1 + beta)
            units = [*(torch.sigmoid(u) for u in hidden), moved]
        return [each.detach() for each in units]

    start = [x.new_zeros(len(x), layer.out_features) for layer in linear]
    free = settled(start, FREE_STEPS, 0.0)
    nudged = settled(free, NUDGED_STEPS, BETA)
    difference = (energy(nudged) - energy(free)) / (BETA * len(x))
    return dict(zip(weights, torch.autograd.grad(difference, list(weights.values())), strict=True))
