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
    """Training images that are held out."""
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
    resamples: Annotated[int, Field(ge=100)] = 1000
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

    @model_validator(mode="after")
    def _metrics_for_each(self) -> "Experiment":
        if isinstance(self.metrics, dict) and set(self.metrics) != set(self.recordings):
            odd = ", ".join(sorted(set(self.metrics) ^ set(self.recordings)))
            raise ValueError(f"`metrics` and `recordings` must name the same recordings; one alone names {odd}")
        return self

    def metrics_of(self, recording: str) -> list[str]:
        """Give the metrics by which a recording is compared."""
        return self.metrics[recording] if isinstance(self.metrics, dict) else self.metrics

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
