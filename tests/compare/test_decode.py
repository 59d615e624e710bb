"""Decoding of a brain's own responses: against scikit-learn, under permutations, and over what is held out."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainalign.compare.decode import _Task, decode
from brainalign.compare.decoded_patterns import DecodedPatterns, decoded_patterns
from brainalign.compare.decoding import labelled
from brainalign.compare.patterns import find_patterns
from brainalign.data import Provenance, Recording, StimulusSet
from brainalign.data.responses import make_rdms, make_responses
from brainalign.errors import AlignmentError, BrainalignError, NeedsError, ResponsesError, UnknownNameError

N, Q, REPEATS = 36, 8, 6
IDS = [f"s{i:02d}" for i in range(N)]
OBJECTS = np.array(["car", "face", "hand"])[np.arange(N) % 3]
POSITIONS = np.array(["up", "middle", "down"])[np.arange(N) // 3 % 3]
METADATA = pd.DataFrame(
    {"object": OBJECTS, "position": POSITIONS}, index=pd.Index(IDS, name="stimulus", dtype=object)
)


def counts(signal=1.0, seed=0, noise=2.0):
    """Responses to objects, on units of different scales, with repeats."""
    generator = np.random.default_rng(seed)
    tuning = signal * generator.normal(size=(3, Q))
    mean = tuning[np.arange(N) % 3] + 0.5 * generator.normal(size=(N, Q))
    return (mean[:, :, None] + noise * generator.normal(size=(N, Q, REPEATS))) * np.logspace(-1, 2, Q)[:, None]


def recorded(values=None, metadata=METADATA, **options):
    values = counts() if values is None else values
    dims = ("stimulus", "unit", "repeat")[: values.ndim]
    responses = make_responses(values, IDS, region="IT", subject="m", dims=dims)
    return Recording("test", StimulusSet("test", metadata), {"IT": responses}, **options)


def one(recording, labels="object", n_permutations=0, **options):
    (row,) = decode(recording, labels, n_permutations=n_permutations, **options).to_dict("records")
    return row


def drawn(recording, held_out="stimulus", single_trials=False, seed=0):
    patterns = find_patterns(recording["IT"], "It")
    metadata = recording.stimuli.metadata
    found = labelled(metadata, "object", patterns.stimuli, "It")
    return decoded_patterns(patterns, found, metadata, held_out, single_trials, 4, seed, "It")


def test_logistic_accuracy_is_scikit_learns_in_the_same_folds():
    recording = recorded()
    samples = drawn(recording)
    truth, decided = samples.classes, np.empty(N, dtype=int)
    np.testing.assert_allclose(samples.values, recording["IT"].mean("repeat").values)
    for k in range(4):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        test = samples.fold == k
        decided[test] = model.fit(samples.values[~test], truth[~test]).predict(samples.values[test])
    row = one(recording, decoder="logistic", inverse_penalty=0.1)
    assert row["accuracy"] == pytest.approx(balanced_accuracy_score(truth, decided))
    assert (row["chance"], row["n_classes"], row["n_stimuli"], row["n_units"]) == (
        pytest.approx(1 / 3),
        3,
        N,
        Q,
    )
    assert np.isnan(row["p"])


def test_both_decoders_find_what_is_there_and_nothing_where_there_is_nothing():
    for decoder in ("ridge", "logistic"):
        assert one(recorded(counts(2.0)), decoder=decoder)["accuracy"] > 0.8
        null = [one(recorded(counts(0.0, seed)), decoder=decoder)["accuracy"] for seed in range(30)]
        assert abs(np.mean(null) - 1 / 3) < 3 * np.std(null, ddof=1) / np.sqrt(30)


def test_p_is_uniform_where_there_is_nothing_and_least_where_there_is():
    ps = [
        one(recorded(counts(0.0, seed)), n_permutations=19, seed=seed, single_trials=seed % 2 == 1)["p"]
        for seed in range(40)
    ]
    assert min(ps) >= 0.05
    # Ties make p conservative, never liberal.
    assert kstest(ps, "uniform", alternative="greater").pvalue > 0.01
    assert np.mean(ps) == pytest.approx(0.5, abs=0.15)
    assert one(recorded(counts(2.0)), n_permutations=99)["p"] == 0.01


def test_permutations_keep_folds_stratified_and_stimuli_whole(monkeypatch):
    samples = drawn(recorded(), single_trials=True)
    seen = []
    true_correct = _Task._correct
    monkeypatch.setattr(
        _Task, "_correct", lambda self, classes: seen.append(classes) or true_correct(self, classes)
    )
    _Task(samples, 3, "ridge", 1.0, True).values(10, np.random.default_rng(0), "test")
    assert len(seen) == 11 and len(samples.values) == N * REPEATS
    for classes in seen:
        assert len(classes) == N
        for k in range(4):
            np.testing.assert_array_equal(
                np.bincount(classes[samples.fold == k]), np.bincount(samples.classes[samples.fold == k])
            )
    assert sum((classes != samples.classes).any() for classes in seen) == 10


def test_interval_is_that_of_a_bootstrap_within_classes():
    """In closed form what many bootstrap samples of the stimuli, drawn within classes, come to."""
    samples = drawn(recorded(), single_trials=True)
    task = _Task(samples, 3, "ridge", 1.0, True)
    correct = task._correct(samples.classes)
    variance, dof = task._variance(correct)
    assert dof == N - 3
    generator = np.random.default_rng(1)
    of_stimulus = np.bincount(samples.group, correct) / np.bincount(samples.group)
    replicates = []
    for _ in range(4000):
        rows = [generator.choice(np.flatnonzero(samples.classes == k), N // 3) for k in range(3)]
        replicates.append(np.mean([of_stimulus[own].mean() for own in rows]))
    assert np.var(replicates) * (N // 3) / (N // 3 - 1) == pytest.approx(variance, rel=0.1)
    row = one(recorded(), single_trials=True)
    assert row["low"] < row["accuracy"] < row["high"]
    assert row["high"] - row["accuracy"] == pytest.approx(2.0345 * np.sqrt(variance), rel=1e-4)


def test_stimuli_are_held_out_whole():
    samples = drawn(recorded(), single_trials=True)
    np.testing.assert_array_equal(np.bincount(samples.group), REPEATS)
    np.testing.assert_array_equal(np.bincount(samples.fold), N // 4)


def test_repeats_held_out_tell_stimuli_apart_that_share_nothing():
    """Labels that go by nothing: decodable from other presentations of the same stimuli, and no further."""
    generator = np.random.default_rng(4)
    values = generator.normal(size=(N, 60))[:, :, None] + 0.5 * generator.normal(size=(N, 60, REPEATS))
    row = one(recorded(values), held_out="repeat")
    assert row["accuracy"] > 0.85 and row["n_patterns"] == N * REPEATS
    assert one(recorded(values), single_trials=True)["accuracy"] < 0.6
    samples = drawn(recorded(values), "repeat")
    for stimulus in range(N):  # every stimulus in every fold
        own = samples.fold[stimulus * REPEATS : (stimulus + 1) * REPEATS]
        assert set(own) == set(range(4))


def test_generalisation_from_positions_to_another_one():
    samples = drawn(recorded(), "position")
    for k in range(3):
        assert set(POSITIONS[samples.fold == k]) == {np.unique(POSITIONS)[k]}
    assert one(recorded(counts(2.0)), held_out="position")["accuracy"] > 0.8
    # An object code that each position turns round does not generalise, though it decodes within positions.
    turned = np.eye(3)[(np.arange(N) + np.arange(N) // 3) % 3] + 0.1 * counts(0.0)[:, :3, 0]
    bound = np.column_stack([turned, np.eye(3)[np.arange(N) // 3 % 3]])
    mixed = np.einsum("na,nb->nab", bound[:, :3], bound[:, 3:]).reshape(N, 9)
    assert one(recorded(mixed))["accuracy"] > 0.95
    assert one(recorded(mixed), held_out="position")["accuracy"] < 0.5


def test_a_subset_alone_is_decoded():
    row = one(recorded(), subset={"position": "up"})
    assert row["n_stimuli"] == 12
    kept = POSITIONS == "up"
    responses = make_responses(counts()[kept], np.array(IDS)[kept].tolist(), region="IT", subject="m",
                               dims=("stimulus", "unit", "repeat"))  # fmt: skip
    alone = one(Recording("test", StimulusSet("test", METADATA[kept]), {"IT": responses}))
    assert alone["accuracy"] == row["accuracy"]


def test_scales_of_units_matter_only_if_they_are_not_standardised():
    values = counts()
    scaled = values * np.logspace(3, -3, Q)[:, None]
    assert one(recorded(values))["accuracy"] == one(recorded(scaled))["accuracy"]
    as_they_are = [one(recorded(each), standardise=False, single_trials=True) for each in (values, scaled)]
    assert as_they_are[0]["accuracy"] != as_they_are[1]["accuracy"]


def test_labels_for_each_stimulus_and_plain_responses():
    labels = dict(zip(IDS, OBJECTS, strict=True))
    recording = recorded()
    by_column, by_id = one(recording), one(recording, labels)
    assert by_id["labels"] == "label" and by_id["accuracy"] == by_column["accuracy"]
    row = one(recording["IT"], labels | {"another": "car"})
    assert (row["recording"], row["region"], row["accuracy"]) == ("responses", "IT", by_column["accuracy"])
    partly = one(recording["IT"], dict(list(labels.items())[:30]))
    assert partly["n_stimuli"] == 30 and partly["note"] == "6 stimuli without a label left out"


def test_each_region_of_an_array_is_decoded_by_itself():
    responses = recorded()["IT"]
    named = np.array(["V4"] * 5 + ["IT"] * (Q - 5), dtype=object)
    both = decode(
        responses.assign_coords(region=("unit", named)), dict(zip(IDS, OBJECTS, strict=True)), n_permutations=0
    )
    assert both[["region", "n_units"]].values.tolist() == [["V4", 5], ["IT", 3]]


def test_order_of_trials_changes_nothing():
    values = counts()
    generator = np.random.default_rng(3)
    ids = np.repeat(IDS, REPEATS)
    trials = values.transpose(0, 2, 1).reshape(-1, Q)
    rows = generator.permutation(len(trials))
    shuffled = make_responses(
        trials[rows], ids[rows].tolist(), region="IT", subject="m", dims=("trial", "unit")
    )
    recording = Recording("test", StimulusSet("test", METADATA), {"IT": shuffled})
    for held_out in ("stimulus", "repeat", "position"):
        options = {"held_out": held_out, "single_trials": True, "n_permutations": 9}
        assert one(recording, **options) == one(recorded(values), **options)


def test_presentations_with_missing_units_are_left_out_and_counted():
    values = counts()
    values[0, 2, 1] = values[5, :3, 4] = np.nan  # some units
    values[7, :, 5] = np.nan  # a presentation that never was
    row = one(recorded(values), single_trials=True)
    assert row["n_patterns"] == N * REPEATS - 3
    assert row["note"] == "2 presentations in which units are missing left out"
    values[0, 1, :] = np.nan
    values[0, 1, 0] = 1.0
    values[0, 2, 0] = np.nan  # no presentation of the first stimulus is complete any more
    assert one(recorded(values), single_trials=True)["n_stimuli"] == N - 1


def test_regions_of_matrices_have_a_row_with_the_reason():
    recording = recorded(provenance=Provenance(simulated=True))
    rdms = make_rdms(np.random.default_rng(0).gamma(2.0, size=(3, N * (N - 1) // 2)), IDS, ["a", "b", "c"])
    both = Recording(
        "both", recording.stimuli, recording.responses, {"EVC": rdms}, provenance=recording.provenance
    )
    table = decode(both, "object", n_permutations=0)
    assert table["region"].tolist() == ["IT", "EVC"]
    assert table["note"].tolist() == ["SIMULATED", "SIMULATED; no responses, only dissimilarities"]
    assert np.isnan(table["accuracy"][1]) and table["n_units"][1] == 0
    with pytest.raises(NeedsError, match="has dissimilarities alone"):
        decode(Recording("matrices", recording.stimuli, rdms={"EVC": rdms}), "object")


def test_the_caller_s_arrays_are_left_alone():
    recording = recorded()
    before = recording["IT"].values.copy()
    decode(recording, dict(zip(IDS, OBJECTS, strict=True)), n_permutations=2)
    np.testing.assert_array_equal(recording["IT"].values, before)
    assert list(recording.stimuli.metadata.columns) == ["object", "position"]


def with_images(images):
    return METADATA.assign(image=images)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"labels": "objct"}, NeedsError, "Did you mean 'object'"),
        (
            {"labels": {"elsewhere": "car"}},
            AlignmentError,
            "None of the 1 stimuli with a label is among the 36",
        ),
        ({"decoder": "svm"}, UnknownNameError, "Unknown decoder 'svm'.*logistic, ridge"),
        ({"subset": {"positon": "up"}}, UnknownNameError, "Did you mean 'position'"),
        (
            {"subset": {"position": "upp"}},
            UnknownNameError,
            "Unknown value of position 'upp'. Did you mean 'up'",
        ),
        ({"subset": {"position": "up", "object": "car"}}, NeedsError, "has 1 classes"),
        ({"held_out": "positions"}, UnknownNameError, "Unknown thing to hold out 'positions'. Did you mean"),
        ({"held_out": "object"}, NeedsError, "class 'car' is in one fold alone when 'object' is held out"),
        ({"n_folds": 1}, BrainalignError, "1 folds"),
        ({"n_folds": 13}, NeedsError, "12 stimuli of class 'car', of 3 classes; 13 folds need 13"),
        ({"held_out": "repeat", "n_folds": 100}, NeedsError, "72 complete presentations of class 'car'"),
        ({"n_permutations": -1}, BrainalignError, "no negative number"),
        ({"inverse_penalty": 0.0}, BrainalignError, "a penalty above 0"),
    ],
)
def test_what_cannot_be_decoded(options, error, message):
    with pytest.raises(error, match=message):
        decode(recorded(), **({"labels": "object", "n_permutations": 0} | options))


def test_recordings_that_cannot_be_decoded():
    single = recorded(counts()[:, :, 0])
    for options in ({"single_trials": True}, {"held_out": "repeat"}):
        with pytest.raises(NeedsError, match="has no repeats.*decode mean responses"):
            decode(single, "object", **options)
    with pytest.raises(NeedsError, match="no metadata to take labels from; give a label for each id"):
        decode(single["IT"], "object")
    sparse = counts()
    sparse[:, 0, ::2] = np.nan
    sparse[:, 1, 1::2] = np.nan
    with pytest.raises(NeedsError, match="no presentation in which no unit is missing"):
        decode(recorded(sparse), "object", single_trials=True)
    clashing = recorded(metadata=METADATA.assign(image=["i0", "i0", *IDS[2:]]))
    with pytest.raises(NeedsError, match="the same image under different labels"):
        decode(clashing, "object")
    few = make_responses(counts()[:9, :, 0], IDS[:9], region="IT", subject="m")
    with pytest.raises(ResponsesError, match="has 9 stimuli"):
        decode(few, dict(zip(IDS, OBJECTS, strict=True)))


def test_stimuli_of_one_image_are_one():
    images = [f"i{i % 12}" for i in range(N)]  # three stimuli of one object an image
    samples = drawn(recorded(metadata=METADATA.assign(image=images)))
    assert isinstance(samples, DecodedPatterns)
    assert len(samples.classes) == 12 and samples.n_stimuli == N
    assert all(len({images[i] for i in np.flatnonzero(samples.group == group)}) == 1 for group in range(12))
