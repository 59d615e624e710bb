"""Error consistency against scikit-learn, plain loops and known limits; image-level consistency likewise."""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from brainalign.errors import ResponsesError
from brainalign.metrics.error_consistency import (
    HUMAN,
    MODEL,
    cohens_kappa,
    error_consistency,
    kappa_bounds,
    right_or_wrong,
)
from brainalign.metrics.image_level_consistency import image_level_consistency

CLASSES = ["bear", "cat", "dog", "oven"]
N = 80


def decided(n_subjects=4, n=N, seed=0, accuracy=0.7, hard=0.0):
    """A tidy table of choices; `hard` says how much subjects find the same stimuli hard."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(CLASSES, n)
    ease = np.clip(accuracy + hard * generator.normal(size=n), 0, 1)
    rows = []
    for subject, stimulus in itertools.product(range(n_subjects), range(n)):
        right = generator.random() < ease[stimulus]
        wrong = generator.choice([each for each in CLASSES if each != truth[stimulus]])
        rows.append((f"p{subject}", f"s{stimulus:03d}", truth[stimulus] if right else wrong, truth[stimulus]))
    return pd.DataFrame(rows, columns=["subject", "stimulus", "choice", "truth"])


def answers(table, seed=5, accuracy=0.6):
    generator = np.random.default_rng(seed)
    truths = table.drop_duplicates("stimulus").set_index("stimulus")["truth"]
    return {i: (truth if generator.random() < accuracy else "none") for i, truth in truths.items()}


def test_equals_scikit_learn_and_a_loop():
    table = decided(hard=0.2)
    model = answers(table)
    found = error_consistency(table, {"net": model}, n_resamples=10)
    right = {
        subject: {row.stimulus: row.choice == row.truth for row in own.itertuples()}
        for subject, own in table.groupby("subject")
    }
    truths = dict(zip(table["stimulus"], table["truth"], strict=True))
    right["net"] = {i: choice == truths[i] for i, choice in model.items()}
    assert len(found.pairs) == 6 + 4
    for row in found.pairs.itertuples():
        one, other = right[row.one], right[row.other]
        agree = np.mean([one[i] == other[i] for i in truths])
        p, q = np.mean(list(one.values())), np.mean(list(other.values()))
        assert (row.accuracy, row.other_accuracy, row.n_stimuli) == (pytest.approx(p), pytest.approx(q), N)
        assert row.observed == pytest.approx(agree)
        assert row.expected == pytest.approx(p * q + (1 - p) * (1 - q))
        kappa = cohen_kappa_score([one[i] for i in truths], [other[i] for i in truths])
        assert row.kappa == pytest.approx(kappa, abs=1e-12)
        assert row.lowest <= row.kappa <= row.highest and row.note == ""
        assert row.kind == (MODEL if row.one == "net" else HUMAN)


def test_bounds_are_the_least_and_most_that_any_overlap_gives():
    n = 12
    for p, q in itertools.product(range(n + 1), repeat=2):
        kappas = []
        for both in range(max(0, p + q - n), min(p, q) + 1):
            agree = both + (n - p - q + both)
            kappas.append(cohens_kappa(np.array([agree / n]), np.array([p / n]), np.array([q / n]))[0][0])
        lowest, highest = (bound[0] for bound in kappa_bounds(np.array([p / n]), np.array([q / n])))
        if (p, q) in ((0, 0), (n, n)):
            assert np.isnan([lowest, highest, *kappas]).all()
        else:
            assert (lowest, highest) == (pytest.approx(min(kappas)), pytest.approx(max(kappas)))


def test_independent_observers_are_at_zero_and_identical_ones_at_one():
    kappas = []
    for seed in range(60):
        table = decided(2, seed=seed, accuracy=0.65)
        kappas.append(error_consistency(table, n_resamples=2).pairs["kappa"][0])
    assert abs(np.mean(kappas)) < 3 * np.std(kappas, ddof=1) / np.sqrt(60)
    table = decided(1)
    twin = table.assign(subject="twin")
    found = error_consistency(pd.concat([table, twin]), n_resamples=20).pairs.iloc[0]
    assert found["kappa"] == found["highest"] == found["low"] == found["high"] == 1.0


def test_opposite_errors_reach_the_lower_bound():
    table = pd.DataFrame(
        [(who, f"s{i}", "cat" if (i < 4) == (who == "a") else "dog", "cat") for who in "ab" for i in range(8)],
        columns=["subject", "stimulus", "choice", "truth"],
    )
    row = error_consistency(table, n_resamples=2).pairs.iloc[0]
    assert row["kappa"] == row["lowest"] == -1.0


@pytest.mark.parametrize(("choice", "word"), [("cat", "right"), ("dog", "wrong")])
def test_both_always_right_or_wrong_is_undefined_with_the_reason(choice, word):
    table = pd.DataFrame(
        [(who, f"s{i}", choice, "cat") for who in "ab" for i in range(6)],
        columns=["subject", "stimulus", "choice", "truth"],
    )
    found = error_consistency(table, n_resamples=5)
    row = found.pairs.iloc[0]
    assert np.isnan(row[["kappa", "low", "high", "lowest", "highest"]].astype(float)).all()
    assert row["note"] == f"κ is undefined: both are always {word}"
    assert row["observed"] == row["expected"] == 1.0
    mean = found.means.iloc[0]
    assert mean["n_pairs"] == 0 and np.isnan(mean["kappa"])


def test_one_who_is_always_right_is_consistent_by_chance_alone():
    table = decided(1)
    sure = table.assign(subject="sure", choice=table["truth"])
    row = error_consistency(pd.concat([table, sure]), n_resamples=5).pairs.iloc[0]
    assert row["kappa"] == row["lowest"] == row["highest"] == pytest.approx(0.0, abs=1e-12)
    assert row["note"] == ""


def test_interval_is_that_of_a_bootstrap_by_hand():
    table = decided(2, hard=0.3)
    found = error_consistency(table, n_resamples=400, seed=3)
    right = right_or_wrong(table).to_numpy()
    generator = np.random.default_rng(3)
    counts = generator.multinomial(N, np.full(N, 1 / N), 400)
    replicates = []
    for drawn in counts:
        copies = np.repeat(np.arange(N), drawn)
        replicates.append(cohen_kappa_score(right[0, copies], right[1, copies]))
    row = found.pairs.iloc[0]
    error = np.sqrt(N / (N - 1) * np.var(replicates, ddof=1))
    assert (row["high"] - row["kappa"]) / error == pytest.approx(1.990, abs=0.001)  # t of 79 degrees
    assert row["kappa"] - row["low"] == pytest.approx(row["high"] - row["kappa"])
    assert found.means.iloc[0][["kappa", "low", "high"]].tolist() == pytest.approx(
        row[["kappa", "low", "high"]].tolist()
    )


def test_interval_covers_the_truth():
    """Two observers of known consistency: 95 of 100 intervals hold it, give or take."""
    easy = 0.9
    # Half of the stimuli are right with 0.9 for both, half with 0.3: κ follows.
    p = (easy + 0.3) / 2
    agree = np.mean([e * e + (1 - e) * (1 - e) for e in (easy, 0.3)])
    kappa = cohens_kappa(np.array([agree]), np.array([p]), np.array([p]))[0][0]
    covered = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        ease = generator.choice([easy, 0.3], 150)
        rows = [
            (who, f"s{i}", "a" if generator.random() < ease[i] else "b", "a")
            for who in "xy"
            for i in range(150)
        ]
        table = pd.DataFrame(rows, columns=["subject", "stimulus", "choice", "truth"])
        row = error_consistency(table, n_resamples=200, seed=seed).pairs.iloc[0]
        covered += row["low"] <= kappa <= row["high"]
    assert 88 <= covered <= 100


def test_means_are_the_ceiling_and_each_models_value():
    table = decided(4, hard=0.3)
    models = {"net": answers(table), "other": answers(table, seed=6)}
    found = error_consistency(table, models, n_resamples=20)
    pairs = found.pairs
    means = found.means.set_index("model")
    assert means.loc["", "kind"] == HUMAN and means.loc["", "n_pairs"] == 6
    assert means.loc["", "kappa"] == pytest.approx(pairs.loc[pairs["kind"] == HUMAN, "kappa"].mean())
    for name in models:
        assert means.loc[name, "n_pairs"] == 4
        assert means.loc[name, "kappa"] == pytest.approx(pairs.loc[pairs["one"] == name, "kappa"].mean())
    assert (found.means["low"] < found.means["kappa"]).all()
    assert means.loc["", "kappa"] > means.loc["net", "kappa"]


def test_matrix_is_symmetric():
    table = decided(3)
    found = error_consistency(table, {"a": answers(table), "b": answers(table)}, n_resamples=2)
    matrix = found.matrix()
    assert matrix.shape == (5, 5)
    np.testing.assert_array_equal(np.diag(matrix), 1.0)
    np.testing.assert_array_equal(matrix.to_numpy(), matrix.to_numpy().T)
    assert np.isnan(matrix.loc["a", "b"])  # models are compared with people
    assert matrix.loc["a", "p0"] == found.pairs.query("one == 'a' and other == 'p0'")["kappa"].item()


def test_stimuli_that_one_did_not_see_are_left_out_of_the_pair():
    table = decided(3)
    partial = table[~((table["subject"] == "p1") & (table["stimulus"] < "s030"))]
    found = error_consistency(partial, n_resamples=2).pairs.set_index(["one", "other"])
    later = error_consistency(table[table["stimulus"] >= "s030"], n_resamples=2).pairs.set_index(
        ["one", "other"]
    )
    assert found.loc[("p0", "p1"), "n_stimuli"] == N - 30
    assert found.loc[("p0", "p1"), "kappa"] == pytest.approx(later.loc[("p0", "p1"), "kappa"])
    assert found.loc[("p0", "p2"), "n_stimuli"] == N
    apart = pd.concat([table[(table["subject"] == "p0") & (table["stimulus"] < "s030")],
                       table[(table["subject"] == "p1") & (table["stimulus"] >= "s030")]])  # fmt: skip
    row = error_consistency(apart, n_resamples=2).pairs.iloc[0]
    assert row["note"] == "no stimulus in common" and np.isnan(row["kappa"])


def test_the_order_of_the_trials_changes_nothing():
    table = decided(3)
    shuffled = table.sample(frac=1, random_state=1)
    model = {"net": answers(table)}
    first, second = (error_consistency(each, model, n_resamples=20) for each in (table, shuffled))
    pd.testing.assert_frame_equal(first.pairs, second.pairs)
    pd.testing.assert_frame_equal(first.means, second.means)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="truth"), "has no column 'truth'; it needs subject, stimulus, choice, truth"),
        (lambda t: t.iloc[:0], "is empty"),
        (lambda t: t.assign(choice=[None, *t["choice"][1:]]), "has empty cells"),
        (lambda t: pd.concat([t, t.iloc[[3]]]), "'p0' decided on stimulus 's003' more than once"),
        (lambda t: t.assign(truth=["bird", *t["truth"][1:]]), "'s000' has more than one truth"),
        (lambda t: t[t["subject"] == "p0"], "Only 'p0' decided"),
    ],
)
def test_tables_that_cannot_be_compared(change, message):
    with pytest.raises(ResponsesError, match=message):
        error_consistency(change(decided(2)), n_resamples=2)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"p0": {"s000": "cat"}}, "both named 'p0'"),
        ({"net": {"image1": "cat"}}, "'net' decided none of the 80 stimuli, such as 's000'"),
    ],
)
def test_models_that_cannot_be_compared(models, message):
    with pytest.raises(ResponsesError, match=message):
        error_consistency(decided(2), models, n_resamples=2)


def test_one_bootstrap_sample_is_no_interval():
    with pytest.raises(ResponsesError, match="1 bootstrap samples give no interval"):
        error_consistency(decided(2), n_resamples=1)


def ease_of(table, noise=0.0, seed=0):
    """True ease of each stimulus, from a large table of the same seed."""
    right = (table["choice"] == table["truth"]).groupby(table["stimulus"]).mean()
    generator = np.random.default_rng(seed)
    return {i: float(np.clip(value + noise * generator.normal(), 0, 1)) for i, value in right.items()}


def test_image_level_consistency_equals_a_loop():
    table = decided(7, hard=0.25)
    model = ease_of(table, noise=0.3)
    found = image_level_consistency(table, model, n_splits=5)
    truths = table.drop_duplicates("stimulus").set_index("stimulus")["truth"]
    right = (table["choice"] == table["truth"]).groupby(table["stimulus"]).mean()
    people, net = right - right.groupby(truths).transform("mean"), pd.Series(model)
    net = net - net.groupby(truths).transform("mean")
    assert found.raw == pytest.approx(np.corrcoef(people, net.loc[people.index])[0, 1], abs=1e-12)
    assert found.corrected == pytest.approx(found.raw / np.sqrt(found.reliability))
    assert (found.n_stimuli, found.note) == (N, "")


def test_correction_recovers_the_consistency_without_noise():
    """The model knows how hard each image is; people's noise is all that keeps r from 1."""
    truth = {}
    found = []
    for seed in range(8):
        table = decided(12, n=200, seed=seed, hard=0.25)
        generator = np.random.default_rng(seed)
        generator.choice(CLASSES, 200)
        ease = np.clip(0.7 + 0.25 * generator.normal(size=200), 0, 1)
        truth = {f"s{i:03d}": float(value) for i, value in enumerate(ease)}
        found.append(image_level_consistency(table, truth, n_splits=20, seed=seed))
    assert np.mean([each.raw for each in found]) < 0.93
    corrected = [each.corrected for each in found]
    assert np.mean(corrected) == pytest.approx(1.0, abs=3 * np.std(corrected, ddof=1) / np.sqrt(8) + 0.005)


def test_classes_that_differ_in_difficulty_are_no_image_level_consistency():
    generator = np.random.default_rng(0)
    truth = np.repeat(["a", "b"], 60)
    rows = [
        (
            f"p{who}",
            f"s{i:03d}",
            truth[i] if generator.random() < (0.9, 0.4)[truth[i] == "b"] else "x",
            truth[i],
        )
        for who in range(10)
        for i in range(120)
    ]
    table = pd.DataFrame(rows, columns=["subject", "stimulus", "choice", "truth"])
    model = {f"s{i:03d}": float((0.8, 0.3)[truth[i] == "b"] + 0.05 * generator.normal()) for i in range(120)}
    right = (table["choice"] == table["truth"]).groupby(table["stimulus"]).mean()
    assert np.corrcoef(right, [model[i] for i in right.index])[0, 1] > 0.7
    assert abs(image_level_consistency(table, model, n_splits=5).raw) < 0.3


def test_image_level_order_and_undefined_values():
    table = decided(6, hard=0.2)
    model = ease_of(table)
    first = image_level_consistency(table, model, n_splits=5)
    assert image_level_consistency(table.sample(frac=1, random_state=2), model, n_splits=5) == first
    flat = image_level_consistency(table, dict.fromkeys(model, 0.5), n_splits=5)
    assert np.isnan(flat.raw) and np.isnan(flat.corrected) and "equally hard" in flat.note
    sure = image_level_consistency(table.assign(choice=table["truth"]), model, n_splits=5)
    assert np.isnan(sure.raw) and np.isnan(sure.reliability) and "equally hard" in sure.note


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"s000": 1.0, "s001": 0.0}, "2 stimuli have two decisions"),
        ({f"s{i:03d}": 3.0 for i in range(N)}, "run from 3 to 3"),
    ],
)
def test_image_level_refusals(model, message):
    with pytest.raises(ResponsesError, match=message):
        image_level_consistency(decided(3), model)
    with pytest.raises(ResponsesError, match="at least one is needed"):
        image_level_consistency(decided(3), ease_of(decided(3)), n_splits=0)
