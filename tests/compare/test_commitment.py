"""Committing to a layer: chosen on other stimuli, anew in each bootstrap sample, and no maximum."""

from dataclasses import replace

import numpy as np
import pytest

from brainalign.compare.commitment import commit
from brainalign.compare.comparison import Outcome
from brainalign.compare.problems import FAMILIES
from brainalign.compare.resampling import Resamples
from brainalign.data.responses import make_responses
from brainalign.metrics import find_metric
from brainalign.probing import Representation

N_SPLITS, N_RESAMPLES = 4, 3
RESAMPLES = Resamples.draw(N_RESAMPLES, 20, 0, 0)


def outcome(choosing, scoring, raw=0.5):
    """Splits down, then the observed value and those of the bootstrap samples across."""
    return Outcome(raw, 0.0, np.zeros((1, N_RESAMPLES)), np.array(choosing, float), np.array(scoring, float))


def outcomes(seed=0, n_layers=5):
    generator = np.random.default_rng(seed)
    shape = (N_SPLITS, 1 + N_RESAMPLES)
    return [outcome(generator.normal(size=shape), generator.normal(size=shape)) for _ in range(n_layers)]


def naive(found):
    scored = np.full((N_SPLITS, 1 + N_RESAMPLES), np.nan)
    for split in range(N_SPLITS):
        for value in range(1 + N_RESAMPLES):
            best = max(range(len(found)), key=lambda k: found[k].choosing[split, value])  # noqa: B023
            scored[split, value] = found[best].scoring[split, value]
    return scored


def test_each_split_of_each_sample_chooses_for_itself():
    found = outcomes()
    committed = commit(found, list("abcde"), RESAMPLES)
    scored = naive(found)
    np.testing.assert_array_equal(committed.scoring, scored)
    assert committed.raw == pytest.approx(scored[:, 0].mean())
    np.testing.assert_allclose(committed.replicates, scored[:, 1:].mean(axis=0)[None])
    assert committed.spread == pytest.approx(scored[:, 0].std())


def test_kinds_of_bootstrap_keep_their_places():
    resamples = Resamples.draw(N_RESAMPLES, 20, 4, 0)
    values = np.arange(N_SPLITS * (1 + 3 * N_RESAMPLES), dtype=float).reshape(N_SPLITS, -1)
    found = Outcome(0.5, 0.0, np.zeros((3, N_RESAMPLES)), values, values)
    committed = commit([found], ["a"], resamples)
    np.testing.assert_array_equal(committed.replicates, values[:, 1:].mean(axis=0).reshape(3, N_RESAMPLES))


def test_note_says_how_often_each_layer_was_chosen():
    first = outcome([[1, 0, 0, 0]] * 3 + [[0] * 4], [[0.1] * 4] * 4)
    second = outcome([[0, 1, 1, 1]] * 3 + [[1] * 4], [[0.2] * 4] * 4)
    committed = commit([first, second], ["early", "late"], RESAMPLES)
    assert committed.note == "layer chosen on other stimuli: early (3 of 4), late (1 of 4)"
    np.testing.assert_allclose(committed.raw, (3 * 0.1 + 0.2) / 4)
    np.testing.assert_allclose(committed.replicates, 0.2)


def test_the_scored_half_has_no_say():
    found = outcomes()
    other = [replace(each, scoring=-each.scoring) for each in found]
    assert commit(found, list("abcde"), RESAMPLES).raw == pytest.approx(
        -commit(other, list("abcde"), RESAMPLES).raw
    )


def test_layers_without_a_value_are_passed_over():
    found = outcomes()
    dead = Outcome.undefined(RESAMPLES, "dead")
    committed = commit([dead, *found, dead], ["dead", *"abcde", "dead too"], RESAMPLES)
    plain = commit(found, list("abcde"), RESAMPLES)
    np.testing.assert_array_equal(committed.scoring, plain.scoring)
    assert committed.note == plain.note


def test_no_layer_with_a_value():
    committed = commit([Outcome.undefined(RESAMPLES, "dead")] * 2, ["a", "b"], RESAMPLES)
    assert np.isnan(committed.raw) and np.isnan(committed.spread)
    assert committed.note == "no layer can be compared"
    assert committed.replicates.shape == (1, N_RESAMPLES)


def test_a_split_in_which_nothing_can_be_chosen_is_left_out():
    found = outcomes()
    for each in found:
        each.choosing[1] = np.nan
    committed = commit(found, list("abcde"), RESAMPLES)
    scored = np.delete(naive(found), 1, axis=0)
    assert committed.raw == pytest.approx(scored[:, 0].mean())
    np.testing.assert_allclose(committed.replicates[0], scored[:, 1:].mean(axis=0))
    assert "of 4)" in committed.note and committed.note.count("1 of 4") + committed.note.count("2 of 4") > 0


def test_where_nothing_can_be_chosen_the_first_layer_is_not_the_answer():
    found = [replace(each, choosing=np.full_like(each.choosing, np.nan)) for each in outcomes()]
    committed = commit(found, list("abcde"), RESAMPLES)
    assert np.isnan(committed.raw)
    assert committed.note == "too few stimuli to choose a layer on some and score it on others"
    # One layer alone needs no choice.
    single = commit(found[:1], ["a"], RESAMPLES)
    assert single.raw == pytest.approx(found[0].scoring[:, 0].mean())
    assert single.note == "layer chosen on other stimuli: a (4 of 4)"


def test_a_layer_undefined_in_one_sample_is_passed_over_there():
    found = outcomes()
    found[2].choosing[:] = 100.0
    found[2].choosing[0, 1] = np.nan
    committed = commit(found, list("abcde"), RESAMPLES)
    assert committed.scoring[0, 0] == found[2].scoring[0, 0]
    rest = [each for k, each in enumerate(found) if k != 2]
    assert committed.scoring[0, 1] == naive(rest)[0, 1]


N = 40
IDS = [f"s{i:02d}" for i in range(N)]


@pytest.mark.parametrize("metric", ["ridge_fixed", "rsa:rdm=euclidean", "cka"])
def test_fifty_layers_of_noise_score_chance_and_their_maximum_does_not(metric):
    found = find_metric(metric)
    committed, best = [], []
    for seed in range(12):
        generator = np.random.default_rng(seed)
        region = make_responses(generator.normal(size=(N, 6)), IDS, region="IT", subject="m")
        comparison = FAMILIES[found.family](found, region, "Region 'IT' of 'noise'", 2, 0)
        layers = [
            Representation.from_features(generator.normal(size=(N, 8)), IDS, f"layer{k}") for k in range(50)
        ]
        results = comparison.outcomes(layers)
        committed.append(commit(results, [layer.layer for layer in layers], comparison.resamples).raw)
        best.append(max(result.raw for result in results))
    committed, best = np.array(committed), np.array(best)
    error = committed.std(ddof=1) / np.sqrt(len(committed))
    assert abs(committed.mean()) < 3 * error
    assert best.mean() > 5 * error
