"""Compare neural networks, layer by layer, with recordings from the brain."""

from brainalign import figures
from brainalign.compare import Evaluation, evaluate, load_scores, save_scores, score
from brainalign.data import (
    ImageFile,
    Provenance,
    Recording,
    StimulusSet,
    load_recording,
    make_rdms,
    make_responses,
)
from brainalign.errors import BrainalignError
from brainalign.metrics import find_metric
from brainalign.networks import Preprocessing, load_network
from brainalign.probing import Representation, probe

__all__ = [
    "BrainalignError",
    "Evaluation",
    "ImageFile",
    "Preprocessing",
    "Provenance",
    "Recording",
    "Representation",
    "StimulusSet",
    "evaluate",
    "figures",
    "find_metric",
    "load_network",
    "load_recording",
    "load_scores",
    "make_rdms",
    "make_responses",
    "probe",
    "save_scores",
    "score",
]
