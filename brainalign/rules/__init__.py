"""Learning rules: how weights change, whatever the architecture."""

from brainalign.rules.catalogue import RULES, RuleEntry, find_rule, list_rules, rule_name
from brainalign.rules.rule import LearningRule, State, Update

__all__ = ["RULES", "LearningRule", "RuleEntry", "State", "Update", "find_rule", "list_rules", "rule_name"]
