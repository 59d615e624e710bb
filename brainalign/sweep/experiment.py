"""The experiment file: networks × tasks × rules × seeds × checkpoints × recordings × metrics."""

from collections import Counter
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from brainalign.sweep.names import (
    LayerCostName,
    MetricName,
    Network,
    OptimizerName,
    RecordingName,
    RuleName,
    TaskName,
    Weight,
    combination_fault,
)

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RuleSettings(_Section):
    """How a rule is used: ``[rules.NAME]``."""

    lr: Rate | None = None
    """Learning rate; not searched for then."""
    optimizer: OptimizerName | None = None


class Search(_Section):
    """The search for each rule's learning rate: ``[search]``.

    Every rate is tried on images held out from the training images; the one with the lowest mean loss is taken.
    """

    rates: list[Rate] = Field(min_length=2)
    steps: Count
    validation: Count
    """Training images that are held out; tasks that draw trials without end have none, and need none."""
    seeds: list[Seed] = Field(default=[0], min_length=1)


Rules = Annotated[
    Annotated[list[RuleName], Field(min_length=1), Tag("names")]
    | Annotated[dict[RuleName, RuleSettings], Field(min_length=1), Tag("tables")],
    Discriminator(lambda given: "tables" if isinstance(given, dict) else "names"),
]


MetricNames = Annotated[list[MetricName], Field(min_length=1)]

Metrics = Annotated[
    Annotated[MetricNames, Tag("names")]
    | Annotated[dict[RecordingName, MetricNames], Field(min_length=1), Tag("tables")],
    Discriminator(lambda given: "tables" if isinstance(given, dict) else "names"),
]


FEWEST_RESAMPLES = 100
"""Bootstrap samples that make an interval."""


class Full(_Section):
    """Checkpoints that are scored in full: ``[full]``, where the others are scored by cheaper means."""

    steps: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    """Checkpoints, by their steps."""
    metrics: Metrics
    """What they are compared by besides ``metrics``."""
    resamples: Annotated[int, Field(ge=FEWEST_RESAMPLES)] = 1000


class Experiment(_Section):
    """What is trained, and what it is held against."""

    name: str = Field(min_length=1)
    networks: list[Network] = Field(min_length=1)
    tasks: list[TaskName] = Field(min_length=1)
    rules: Rules
    seeds: list[Seed] = Field(default=[0], min_length=1)
    steps: Count | None = None
    epochs: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    checkpoints: Annotated[int, Field(ge=2)] = 24
    evaluate_on: Count | None = None
    """Images at most, of training and held-out ones each, on which a checkpoint is measured."""
    layer_costs: list[LayerCostName] = []
    cost_weight: Weight = "1"
    recordings: list[RecordingName] = Field(min_length=1)
    metrics: Metrics
    """For all recordings, or a table of those for each."""
    layers: list[str] | None = None
    """Names or globs; a network's blocks by default."""
    resamples: Annotated[int, Field(ge=0)] = 1000
    """Bootstrap samples behind each interval, or draws of each null of conditions; with 0 there are none."""
    match_conditions: bool = False
    """Whether conditions that a recording does not label are matched by the data themselves."""
    full: Full | None = None
    """Controls are always scored in full."""
    controls: bool = True
    """Whether pixels and the Gabor bank are scored too."""
    search: Search | None = None

    @field_validator("networks", "tasks", "rules", "seeds", "recordings", "metrics", "layers", "layer_costs")
    @classmethod
    def _once(cls, given: Any) -> Any:
        counts = Counter(list(given or []))
        twice = [str(each) for each, count in counts.items() if count > 1]
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return given

    @model_validator(mode="after")
    def _one_length(self) -> "Experiment":
        if self.steps is not None and self.epochs is not None:
            raise ValueError("`steps` and `epochs` say the same thing; leave one out")
        return self

    @field_validator("resamples")
    @classmethod
    def _none_or_many(cls, given: int) -> int:
        if 0 < given < FEWEST_RESAMPLES:
            raise ValueError(f"{given} bootstrap samples; {FEWEST_RESAMPLES} or more make an interval, 0 none")
        return given

    @model_validator(mode="after")
    def _metrics_for_each(self) -> "Experiment":
        for metrics in (self.metrics, self.full.metrics if self.full else []):
            if isinstance(metrics, dict) and set(metrics) != set(self.recordings):
                odd = ", ".join(sorted(set(metrics) ^ set(self.recordings)))
                raise ValueError(
                    f"`metrics` and `recordings` must name the same recordings; one alone names {odd}"
                )
        return self

    def metrics_of(self, recording: str, full: bool = False) -> list[str]:
        """Give the metrics by which a recording is compared, at the other checkpoints or in full."""
        found = _metrics_of(self.metrics, recording)
        if full and self.full:
            found = list(dict.fromkeys([*found, *_metrics_of(self.full.metrics, recording)]))
        return found

    def rule_settings(self) -> dict[str, RuleSettings]:
        """Give each rule with its settings."""
        return self.rules if isinstance(self.rules, dict) else {name: RuleSettings() for name in self.rules}

    def combination_faults(self) -> list[tuple[str, str]]:
        """Give each rule that cannot train a network on a task, with the reason."""
        return [
            (rule, f"{rule} on {network}, {task}: {fault}")
            for rule in self.rule_settings()
            for network in self.networks
            for task in self.tasks
            if (fault := combination_fault(network, task, rule))
        ]


def _metrics_of(metrics: Metrics, recording: str) -> list[str]:
    return metrics[recording] if isinstance(metrics, dict) else metrics
