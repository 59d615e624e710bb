"""The learning rules by name, with options in brackets of the name: ``feedback_alignment:scale=0.5``."""

from dataclasses import dataclass, fields

from brainalign.names import read_options, snake_case, unknown_name
from brainalign.rules.almeida_pineda import AlmeidaPineda
from brainalign.rules.backprop import Backprop
from brainalign.rules.boltzmann import Boltzmann
from brainalign.rules.boltzmann_restricted import BoltzmannRestricted
from brainalign.rules.bptt import BPTT
from brainalign.rules.burstprop import Burstprop
from brainalign.rules.clapp import Clapp
from brainalign.rules.contrastive_hebbian import ContrastiveHebbian
from brainalign.rules.dendritic_microcircuit import DendriticMicrocircuit
from brainalign.rules.difference_target_propagation import DifferenceTargetPropagation
from brainalign.rules.direct_feedback_alignment import DirectFeedbackAlignment
from brainalign.rules.dtp_drl import DTPWithDRL
from brainalign.rules.dtp_l_drl import DTPWithLocalDRL
from brainalign.rules.e_prop import EProp
from brainalign.rules.equilibrium_propagation import EquilibriumPropagation
from brainalign.rules.evolution_strategies import EvolutionStrategies
from brainalign.rules.feedback_alignment import FeedbackAlignment
from brainalign.rules.force import Force
from brainalign.rules.forward_forward import ForwardForward
from brainalign.rules.generec import GeneRec
from brainalign.rules.greedy_layerwise import GreedyLayerwise
from brainalign.rules.hebb import Hebb
from brainalign.rules.koerding_koenig import KoerdingKoenig
from brainalign.rules.kolen_pollack import KolenPollack
from brainalign.rules.krotov_hopfield import KrotovHopfield
from brainalign.rules.local_pred import LocalPred
from brainalign.rules.local_predsim import LocalPredsim
from brainalign.rules.local_sim import LocalSim
from brainalign.rules.neuromodulated import Neuromodulated
from brainalign.rules.node_perturbation import NodePerturbation
from brainalign.rules.oja import Oja
from brainalign.rules.pepita import Pepita
from brainalign.rules.predictive_coding import PredictiveCoding
from brainalign.rules.prospective_configuration import ProspectiveConfiguration
from brainalign.rules.reinforce import Reinforce
from brainalign.rules.reward_modulated_hebb import RewardModulatedHebb
from brainalign.rules.rflo import RFLO
from brainalign.rules.rtrl import RTRL
from brainalign.rules.rule import LearningRule
from brainalign.rules.sanger import Sanger
from brainalign.rules.segregated_dendrites import SegregatedDendrites
from brainalign.rules.sign_symmetry_batch_random import BatchRandomSignSymmetry
from brainalign.rules.sign_symmetry_fixed_random import FixedRandomSignSymmetry
from brainalign.rules.sign_symmetry_uniform import UniformSignSymmetry
from brainalign.rules.similarity_matching import SimilarityMatching
from brainalign.rules.simplified_dtp import SimplifiedDTP
from brainalign.rules.softhebb import SoftHebb
from brainalign.rules.stdp import STDP
from brainalign.rules.stdp_pairs import STDPPairs
from brainalign.rules.target_propagation import TargetPropagation
from brainalign.rules.untrained import Untrained
from brainalign.rules.variational_em import VariationalEM
from brainalign.rules.wake_sleep import WakeSleep
from brainalign.rules.weight_mirror import WeightMirror
from brainalign.rules.weight_perturbation import WeightPerturbation
from brainalign.rules.xcal import XCAL

RULES: dict[str, type[LearningRule]] = {
    "backprop": Backprop,
    "feedback_alignment": FeedbackAlignment,
    "direct_feedback_alignment": DirectFeedbackAlignment,
    "sign_symmetry_uniform": UniformSignSymmetry,
    "sign_symmetry_batch_random": BatchRandomSignSymmetry,
    "sign_symmetry_fixed_random": FixedRandomSignSymmetry,
    "weight_mirror": WeightMirror,
    "kolen_pollack": KolenPollack,
    "weight_perturbation": WeightPerturbation,
    "node_perturbation": NodePerturbation,
    "reinforce": Reinforce,
    "evolution_strategies": EvolutionStrategies,
    "target_propagation": TargetPropagation,
    "difference_target_propagation": DifferenceTargetPropagation,
    "simplified_dtp": SimplifiedDTP,
    "dtp_drl": DTPWithDRL,
    "dtp_l_drl": DTPWithLocalDRL,
    "pepita": Pepita,
    "forward_forward": ForwardForward,
    "greedy_layerwise": GreedyLayerwise,
    "local_pred": LocalPred,
    "local_sim": LocalSim,
    "local_predsim": LocalPredsim,
    "clapp": Clapp,
    "boltzmann": Boltzmann,
    "contrastive_hebbian": ContrastiveHebbian,
    "generec": GeneRec,
    "xcal": XCAL,
    "almeida_pineda": AlmeidaPineda,
    "equilibrium_propagation": EquilibriumPropagation,
    "stdp": STDP,
    "stdp_pairs": STDPPairs,
    "predictive_coding": PredictiveCoding,
    "prospective_configuration": ProspectiveConfiguration,
    "segregated_dendrites": SegregatedDendrites,
    "dendritic_microcircuit": DendriticMicrocircuit,
    "burstprop": Burstprop,
    "koerding_koenig": KoerdingKoenig,
    "hebb": Hebb,
    "oja": Oja,
    "sanger": Sanger,
    "similarity_matching": SimilarityMatching,
    "krotov_hopfield": KrotovHopfield,
    "softhebb": SoftHebb,
    "boltzmann_restricted": BoltzmannRestricted,
    "wake_sleep": WakeSleep,
    "variational_em": VariationalEM,
    "neuromodulated": Neuromodulated,
    "bptt": BPTT,
    "rtrl": RTRL,
    "rflo": RFLO,
    "e_prop": EProp,
    "force": Force,
    "reward_modulated_hebb": RewardModulatedHebb,
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
    zero = {f"{key}:{option}" for option in rule.from_zero}
    return rule(**read_options(key, text, {field.name: field.default for field in fields(rule)}, zero))


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
