"""The learning rules by name, with options in brackets of the name: ``feedback_alignment:scale=0.5``."""

from dataclasses import dataclass, fields

from brainalign.names import read_options, snake_case, unknown_name
from brainalign.rules.backprop import Backprop
from brainalign.rules.direct_feedback_alignment import DirectFeedbackAlignment
from brainalign.rules.feedback_alignment import FeedbackAlignment
from brainalign.rules.rule import LearningRule
from brainalign.rules.untrained import Untrained

RULES: dict[str, type[LearningRule]] = {
    "backprop": Backprop,
    "feedback_alignment": FeedbackAlignment,
    "direct_feedback_alignment": DirectFeedbackAlignment,
    "untrained": Untrained,
}


def find_rule(name: str) -> LearningRule:
    """Make a rule from its name and options.

    Raises
    ------
    UnknownNameError
        A rule or an option that does not exist, or a value of the wrong kind.

    Examples
    --------
    >>> find_rule("feedback-alignment:scale=0.5").scale
    0.5
    """
    key, _, text = name.partition(":")
    key = snake_case(key)
    if key not in RULES:
        raise unknown_name("learning rule", key, RULES)
    rule = RULES[key]
    return rule(**read_options(key, text, {field.name: field.default for field in fields(rule)}))


def rule_name(rule: LearningRule) -> str:
    """Give a rule's name with the options that are not its defaults, as tables have it.

    Examples
    --------
    >>> rule_name(find_rule("feedback-alignment:scale=0.50"))
    'feedback_alignment:scale=0.5'
    """
    changed = [f for f in fields(rule) if getattr(rule, f.name) != f.default]
    options = ",".join(f"{f.name}={getattr(rule, f.name)}" for f in changed)
    return f"{rule.name}:{options}" if options else rule.name


@dataclass(frozen=True)
class RuleEntry:
    """What `list_rules` says of a rule."""

    name: str
    family: str
    feedback: str
    locality: str
    phases: int
    passes: float
    source: str


def list_rules() -> list[RuleEntry]:
    """Learning rules, with what tells them apart; `passes` is the cost of a step in forward passes.

    Examples
    --------
    >>> list_rules()[0].name
    'backprop'
    """
    return [
        RuleEntry(rule.name, rule.family, rule.feedback, rule.locality, rule.phases, rule.passes, rule.source)
        for rule in RULES.values()
    ]
