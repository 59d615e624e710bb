"""Facts of decoding on real recordings: categories from IT at three variations, objects across positions."""

import numpy as np
import pytest

from brainalign.compare.decode import decode
from brainalign.compare.problems import make_problems
from brainalign.data import load_recording
from brainalign.metrics import find_metric
from brainalign.probing import Representation

pytestmark = pytest.mark.data


@pytest.fixture
def majaj(mirror):
    return load_recording("majajhong2015")


@pytest.fixture
def zhang(mirror):
    return load_recording("zhang2011")


@pytest.mark.parametrize(("variation", "accuracy"), [("V0", 0.90), ("V3", 0.85), ("V6", 0.63)])
def test_category_is_decoded_as_published_numbers_say(majaj, variation, accuracy):
    (row,) = decode(
        majaj, "category", subset={"variation": variation}, decoder="logistic", n_permutations=0
    ).to_dict("records")
    assert row["accuracy"] == pytest.approx(accuracy, abs=0.02)
    assert row["low"] < row["accuracy"] < row["high"] and row["high"] - row["low"] < 0.06
    assert (row["chance"], row["n_units"]) == (0.125, 168)
    assert row["n_stimuli"] == (640 if variation == "V0" else 2560)


@pytest.mark.parametrize(("variation", "accuracy"), [("V0", 0.90), ("V3", 0.85), ("V6", 0.62)])
def test_ridge_with_its_own_penalty_is_no_worse(majaj, variation, accuracy):
    (row,) = decode(majaj, "category", subset={"variation": variation}, n_permutations=0).to_dict("records")
    assert row["accuracy"] == pytest.approx(accuracy, abs=0.02)


def test_category_of_the_still_images_is_no_accident(majaj):
    (row,) = decode(majaj, "category", subset={"variation": "V0"}, n_permutations=49).to_dict("records")
    assert row["p"] == 0.02


@pytest.mark.slow
@pytest.mark.parametrize("variation", ["V0", "V3", "V6"])
def test_permuted_categories_are_at_chance(majaj, variation):
    options = {"subset": {"variation": variation}, "n_permutations": 199}
    (row,) = decode(majaj, "category", **options).to_dict("records")
    assert row["p"] == 0.005
    names = majaj.stimuli.metadata["category"]
    shuffled = dict(zip(names.index, np.random.default_rng(0).permutation(names), strict=True))
    (row,) = decode(majaj, shuffled, **options).to_dict("records")
    assert row["low"] < 0.125 + 0.02 and row["high"] > 0.125 - 0.02
    assert row["p"] > 0.005


def test_objects_are_decoded_from_single_units_and_across_positions(zhang):
    def accuracy(**options):
        (row,) = decode(zhang, "object", n_permutations=0, n_folds=3, **options).to_dict("records")
        return row["accuracy"]

    assert accuracy() == accuracy(held_out="position") == 1.0  # of 21 means over 20 presentations
    repeats, positions = accuracy(held_out="repeat"), accuracy(held_out="position", single_trials=True)
    assert repeats == pytest.approx(0.89, abs=0.02)
    assert positions == pytest.approx(0.82, abs=0.02)
    # Seven objects at chance are 0.14: what is told apart generalises, though not wholly.
    assert 0.14 < positions < repeats


def test_position_is_decoded_too(zhang):
    (row,) = decode(zhang, "position", held_out="object", n_permutations=99, single_trials=True).to_dict(
        "records"
    )
    assert row["accuracy"] > row["chance"] + 0.2 and row["p"] == 0.01


def test_it_as_a_layer_reaches_the_ceiling_that_it_sets(majaj):
    still = majaj.stimuli.metadata.index[majaj.stimuli.metadata["variation"] == "V0"].sort_values().tolist()
    from brainalign.data import Recording

    region = majaj["IT"].sel(stimulus=still)
    recording = Recording("still", majaj.stimuli.select(still), {"IT": region})
    (problem,) = make_problems(recording, [find_metric("decoding")], 20, 0)
    layer = Representation.from_features(region.values.astype(float), still)
    assert problem.comparison is not None
    outcome = problem.comparison.outcomes([layer])[0]
    assert outcome.raw == pytest.approx(problem.comparison.facts.ceiling, abs=1e-12)
    assert 0.88 < outcome.raw < 0.96
