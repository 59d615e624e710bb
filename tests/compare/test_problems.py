"""Regions made ready for metrics: what each provides, and what is said where something lacks."""

import numpy as np
import pandas as pd
import pytest

from brainalign.compare.comparison import Comparison
from brainalign.compare.problems import FAMILIES, make_problems, provides, raise_unmet
from brainalign.data import Recording
from brainalign.data.responses import make_rdms, make_responses
from brainalign.data.stimuli import StimulusSet
from brainalign.errors import NeedsError, ResponsesError
from brainalign.metrics import METRICS, find_metric

IDS = [f"s{i:02d}" for i in range(20)]

OF_IMAGES = [name for name in METRICS if find_metric(name).family in FAMILIES]


def responses(*dims, seed=0):
    sizes = {"stimulus": 20, "trial": 20, "unit": 5, "repeat": 4, "time": 3}
    values = np.random.default_rng(seed).normal(size=[sizes[dim] for dim in dims])
    return make_responses(values, IDS, region="V4", subject="m", dims=dims)


def rdms(n_subjects=3):
    return make_rdms(
        np.random.default_rng(0).gamma(2.0, size=(n_subjects, 190)), IDS, [f"m{k}" for k in range(n_subjects)]
    )


@pytest.mark.parametrize(
    ("region", "more"),
    [
        (responses("stimulus", "unit"), {"responses"}),
        (responses("stimulus", "unit", "repeat"), {"responses", "repeats"}),
        (responses("trial", "unit"), {"responses", "repeats"}),
        (responses("stimulus", "unit", "time"), {"responses", "time"}),
        (responses("stimulus", "unit", "repeat", "time"), {"responses", "repeats", "time"}),
        (rdms(), set()),
    ],
)
def test_what_a_region_provides(region, more):
    assert provides(region) == {"gram", "features", "rdm"} | more


def stimuli(**columns):
    metadata = pd.DataFrame(columns, index=pd.Index(IDS, name="stimulus", dtype=object))
    return StimulusSet("test", metadata)


def test_every_metric_meets_every_region_that_has_responses():
    regions = {"V4": responses("stimulus", "unit"), "IT": responses("trial", "unit")}
    recording = Recording("test", stimuli(category=["face", "house"] * 10), regions)
    problems = make_problems(recording, [find_metric(name) for name in OF_IMAGES], 10, 0)
    assert [(each.region, each.metric.name) for each in problems] == [
        (region, name) for region in ("V4", "IT") for name in OF_IMAGES
    ]
    assert all(isinstance(each.comparison, Comparison) and not each.unmet for each in problems)
    assert {each.metric.family for each in problems} == set(FAMILIES)


def test_metrics_of_conditions_say_that_a_region_is_of_images():
    recording = Recording("test", stimuli(), {"V4": responses("stimulus", "unit")})
    problems = make_problems(recording, [find_metric(name) for name in METRICS if name not in OF_IMAGES], 10, 0)
    assert problems
    assert all(each.comparison is None and "is of images" in each.unmet for each in problems)


def test_labels_come_with_the_stimuli():
    region = responses("stimulus", "unit")
    assert provides(region, stimuli(category=["face"] * 20).metadata) == provides(region) | {"labels"}
    assert provides(region, stimuli().metadata) == provides(region)


def test_matrices_are_for_rsa_alone():
    problems = make_problems(
        Recording("test", rdms={"IT": rdms()}), [find_metric(name) for name in OF_IMAGES], 10, 0
    )
    assert [each.metric.name for each in problems if each.comparison] == ["rsa", "rsa_weighted"]
    for each in problems:
        if not each.comparison:
            missing = "labels" if each.metric.family == "decoding" else "responses"
            assert each.unmet == f"Region 'IT' of 'test' has no {missing}, which {each.metric.name} needs"


def test_a_need_found_on_closer_look_is_unmet_and_bad_data_raise():
    timed = Recording("test", responses={"V4": responses("stimulus", "unit", "time")})
    (problem,) = make_problems(timed, [find_metric("ridge")], 10, 0)
    assert problem.comparison is None and "average it first" in problem.unmet
    broken = responses("stimulus", "unit")
    broken.values[0] = np.nan
    with pytest.raises(ResponsesError, match="Region 'V4' of 'test' has no unit left"):
        make_problems(Recording("test", responses={"V4": broken}), [find_metric("ridge")], 10, 0)


def test_only_a_metric_that_no_region_allows_raises():
    mixed = Recording("test", responses={"V4": responses("stimulus", "unit")}, rdms={"IT": rdms()})
    raise_unmet(make_problems(mixed, [find_metric("ridge"), find_metric("rsa")], 10, 0))
    matrices = Recording("test", rdms={"IT": rdms()})
    with pytest.raises(NeedsError, match="which ridge needs. Metrics that it allows: rsa"):
        raise_unmet(make_problems(matrices, [find_metric("rsa"), find_metric("ridge")], 10, 0))


def test_images_that_are_the_same_are_kept_apart_where_the_metadata_say_so():
    same = stimuli(image=["same"] * 20, category=["face", "house"] * 10)
    recording = Recording("test", same, {"V4": responses("stimulus", "unit")})
    for name in OF_IMAGES:
        with pytest.raises(ResponsesError, match="Only 0 stimuli are left"):
            make_problems(recording, [find_metric(name)], 10, 0)
