"""Train networks under learning rules, and compare them, layer by layer, with recordings from the brain."""

from brainalign import figures
from brainalign.compare import (
    Evaluation,
    ceiling_test,
    decode,
    evaluate,
    load_scores,
    partition_variance,
    permutation_test,
    save_scores,
    score,
    searchlight,
    sphere_groups,
)
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
from brainalign.metrics import error_consistency, find_metric, image_level_consistency
from brainalign.networks import Preprocessing, load_network
from brainalign.probing import Representation, probe
from brainalign.training import Run, train
from brainalign.trajectory.find_stages import find_stages, stage_table

__all__ = [
    "BrainalignError",
    "Evaluation",
    "ImageFile",
    "Preprocessing",
    "Provenance",
    "Recording",
    "Representation",
    "Run",
    "StimulusSet",
    "ceiling_test",
    "decode",
    "error_consistency",
    "evaluate",
    "figures",
    "find_metric",
    "find_stages",
    "image_level_consistency",
    "load_network",
    "load_recording",
    "load_scores",
    "make_rdms",
    "make_responses",
    "partition_variance",
    "permutation_test",
    "probe",
    "save_scores",
    "score",
    "searchlight",
    "sphere_groups",
    "stage_table",
    "train",
]
