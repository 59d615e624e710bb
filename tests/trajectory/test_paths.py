import numpy as np
import pandas as pd
import pytest
import torch
from rsatoolbox.rdm import RDMs, compare
from scipy.spatial import procrustes
from scipy.stats import spearmanr

from brainalign.data import Recording, StimulusSet, load_recording, make_rdms, make_responses
from brainalign.errors import AlignmentError, BrainalignError, NeedsError, ResponsesError, UnknownNameError
from brainalign.metrics.procrustes import procrustes_distance
from brainalign.probing import Representation, probe
from brainalign.training import Run, train
from brainalign.trajectory.path_points import Point, brain_of, brain_points, point_of
from brainalign.trajectory.paths import paths_between, representational_paths
from brainalign.trajectory.second_order import find_space

IDS = [f"i{k:02d}" for k in range(20)]
SPEARMAN, PEARSON = "rsa:rdm=euclidean", "rsa:rdm=euclidean,compare=pearson"


def layers(n=5, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(20, 4 + k)) for k in range(n)]


def points(features, metric, ids=IDS):
    space = find_space(metric)[1]
    return [
        point_of(Representation.from_features(each, ids), space, ids, "network", rule="backprop", checkpoint=k)
        for k, each in enumerate(features)
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two rules, two seeds, three checkpoints of a small network on the digits."""
    folder = tmp_path_factory.mktemp("runs")
    options = {"steps": 6, "checkpoints": [0, 2, 6], "evaluate_on": 50, "progress": False}
    return [
        train("mlp:hidden=12", rule=rule, seed=seed, out=folder / f"{rule}_{seed}", **options)
        for rule in ("backprop", "feedback_alignment")
        for seed in (0, 1)
    ]


@pytest.fixture(scope="module")
def recording():
    """SIMULATED: two subjects' responses with repeats, and RDMs of three, to twenty images."""
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 255, (8, 8, 3), dtype=np.uint8) for _ in IDS]
    stimuli = StimulusSet.from_ids(IDS[::-1], images)
    tuning = generator.normal(size=(20, 12, 1))
    responses = make_responses(
        tuning + 0.5 * generator.normal(size=(20, 12, 4)),
        IDS,
        region="V4",
        subject=["a"] * 6 + ["b"] * 6,
        dims=("stimulus", "unit", "repeat"),
    )
    rdms = make_rdms(generator.uniform(size=(4, 190)), IDS, ["p", "q", "p", "q"])
    return Recording("simulated", stimuli, {"V4": responses}, {"IT": rdms})


@pytest.mark.parametrize(
    "metric, method", [(SPEARMAN, "spearman"), (PEARSON, "corr"), ("rsa:compare=cosine", "cosine")]
)
def test_distances_between_rdms_are_rsatoolboxs(metric, method):
    made = points(layers(), metric)
    rdms = RDMs(np.stack([point.kept for point in made]))
    found = paths_between(made, metric)
    assert found.distance.values == pytest.approx(1 - compare(rdms, rdms, method=method), abs=1e-12)
    assert found.attrs["metric"] == metric


def test_distances_between_rdms_are_those_of_a_plain_loop():
    made = points(layers(), "rsa")
    found = paths_between(made, "rsa").distance.values
    features = layers()
    for i in range(5):
        for j in range(5):
            x, y = (1 - np.corrcoef(features[k])[np.triu_indices(20, 1)] for k in (i, j))
            assert found[i, j] == pytest.approx(1 - spearmanr(x, y).statistic, abs=1e-12)


def test_shape_distances_are_those_of_the_metric_and_scipys():
    features = layers(5)
    found = paths_between(points(features, "procrustes"), "procrustes").distance.values
    for i in range(5):
        for j in range(5):
            x, y = features[i], features[j]
            expected = 0.0 if i == j else procrustes_distance(x @ x.T, y @ y.T)
            assert found[i, j] == pytest.approx(expected, abs=1e-9)
            wide = [np.pad(each, ((0, 0), (0, 10 - each.shape[1]))) for each in (x, y)]
            assert np.sin(found[i, j]) ** 2 == pytest.approx(procrustes(*wide)[2], abs=1e-9)


@pytest.mark.parametrize("metric", [SPEARMAN, PEARSON, "procrustes"])
def test_rotation_size_and_place_make_no_distance_and_any_order_of_stimuli_is_the_same(metric):
    features = layers(3)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    moved = paths_between(points([features[2], 7 * features[2] @ rotation + 3], metric), metric)
    assert moved.distance.values == pytest.approx(0, abs=2e-7)
    order = np.random.default_rng(2).permutation(20)
    shuffled = points([each[order] for each in features], metric)
    expected = paths_between(points(features, metric), metric).distance.values
    assert paths_between(shuffled, metric).distance.values == pytest.approx(expected, abs=1e-9)
    # One of them alone in another order is another representation.
    mixed = points([features[0], features[0][order]], metric)
    assert paths_between(mixed, metric).distance.values[0, 1] > 0.3


def test_the_shape_distance_obeys_the_triangle_inequality():
    distance = paths_between(points(layers(12), "procrustes"), "procrustes").distance.values
    assert (distance[:, None, :] <= distance[:, :, None] + distance[None, :, :] + 1e-9).all()
    assert distance == pytest.approx(distance.T) and (np.diagonal(distance) == 0).all()


def test_all_checkpoints_pixels_and_the_brain_are_points(runs, recording):
    paths = representational_paths(runs, recording, ["blocks.0", "head"], SPEARMAN)
    table = paths.drop_vars(["distance", "similarity"]).to_dataframe()
    assert table.value_counts("kind").to_dict() == {
        "network": 4 * 3 * 2,
        "pixels": 1,
        "subject": 4,
        "half": 4,
        "region": 2,
    }
    assert set(table[table["kind"] == "half"]["subject"]) == {
        f"half {k} of the {what}" for k in (1, 2) for what in ("repeats", "visits")
    }
    assert np.isfinite(paths.distance.values).all()
    assert paths.attrs["n_stimuli"] == 20 and paths.attrs["network"] == "mlp:hidden=12"
    own = table.reset_index(drop=True).query(
        "rule == 'backprop' and seed == 1 and checkpoint == 6 and layer == 'head'"
    )
    visits = recording["IT"].values[0]
    of_p = (visits + recording["IT"].values[2]) / 2
    subject = table.reset_index(drop=True).query("kind == 'subject' and subject == 'p'")
    layer = probe(runs[1].load(6), recording.stimuli, ["head"], keep_features=True)["head"].select(IDS)
    rdm = np.linalg.norm(layer.features[:, None] - layer.features, axis=2)[np.triu_indices(20, 1)]
    expected = 1 - spearmanr(rdm, of_p[np.triu_indices(20, 1)]).statistic
    assert paths.distance.values[own.index[0], subject.index[0]] == pytest.approx(expected, abs=1e-4)


def test_runs_of_one_seed_share_their_start_and_then_part(runs, recording):
    paths = representational_paths([str(run.path) for run in runs[::2]], recording, "blocks.0", SPEARMAN)
    places = {
        key: k
        for k, key in enumerate(zip(*(paths[c].values for c in ("rule", "seed", "checkpoint")), strict=True))
    }
    apart = [
        paths.distance.values[places["backprop", 0, step], places["feedback_alignment", 0, step]]
        for step in (0, 2, 6)
    ]
    assert apart[0] == pytest.approx(0, abs=1e-12) and apart[0] < apart[1] < apart[2]


def test_halves_of_good_data_are_nearer_to_each_other_than_those_of_noise(recording):
    generator = np.random.default_rng(5)
    responses = recording["V4"].copy(data=generator.normal(size=recording["V4"].shape))
    space = find_space(SPEARMAN)[1]

    def between_halves(brain):
        made = brain_points(brain, IDS, space, 0)
        found = paths_between(made, SPEARMAN)
        return found.distance.values[np.ix_(found["kind"] == "half", found["kind"] == "half")][0, 1]

    good = brain_of(recording, ["V4"])
    noise = brain_of(Recording("simulated", recording.stimuli, {"V4": responses}), ["V4"])
    assert between_halves(good) < 0.3 and between_halves(noise) > 0.7
    assert between_halves(good) == between_halves(good)


def test_a_layer_is_committed_on_other_stimuli_than_it_is_measured_on(runs, recording):
    paths = representational_paths(runs[:1], recording, "committed", SPEARMAN, commit_to="V4")
    assert paths.attrs["n_stimuli"] == 10 and paths.attrs["layers"] == "committed"
    layer = set(paths["layer"].values[paths["kind"].values == "network"])
    assert len(layer) == 1
    order = np.random.default_rng(0).permutation(20)
    choosing = sorted(IDS[k] for k in order[:10])
    likeness = {}
    for name in ("blocks.0", "head"):
        alone = Recording(
            "half", recording.stimuli.select(choosing), {"V4": recording["V4"].sel(stimulus=choosing)}
        )
        found = representational_paths(runs[:1], alone, name, SPEARMAN)
        last = (found["kind"] == "network") & (found["checkpoint"] == 6)
        likeness[name] = found.similarity.values[np.ix_(last, found["kind"] == "subject")].mean()
    assert layer == {max(likeness, key=lambda name: likeness[name])}


def test_a_layer_that_answers_all_alike_has_no_place_and_says_why(recording):
    made = points([layers()[0], np.ones((20, 3))], "rsa")
    found = paths_between(made, "rsa")
    assert np.isnan(found.distance.values[1]).all() and np.isnan(found.distance.values[:, 1]).all()
    assert "does not vary across units in layer 'features'" in found["note"].values[1]
    flat = paths_between(points([layers()[0], np.ones((20, 3))], "procrustes"), "procrustes")
    assert np.isnan(flat.distance.values[1]).all() and flat.distance.values[0, 0] == 0


def test_representations_of_other_stimuli_are_an_error():
    space = find_space("rsa")[1]
    other = Representation.from_features(layers()[0], [f"other{k}" for k in range(20)])
    with pytest.raises(AlignmentError, match="'features' was not shown 20 of 20 stimuli, such as 'i00'"):
        point_of(other, space, IDS, "network")
    fewer = points([layers()[0][:12]], "rsa", IDS[:12])
    with pytest.raises(
        ResponsesError,
        match="backprop, seed -1, step 0.* is over other stimuli than .* holds 66 rows or pairs, not 190",
    ):
        paths_between([*points(layers(1), "rsa"), *fewer], "rsa")


def test_runs_that_are_no_paths_are_errors(runs, recording, tmp_path):
    one = train(
        "mlp:hidden=12", steps=2, checkpoints=[0, 2], evaluate_on=50, progress=False, out=tmp_path / "one"
    )
    (one.path / "checkpoints" / "00000002.safetensors").unlink()
    with pytest.raises(BrainalignError, match="has 1 checkpoint; a path needs 2 or more"):
        representational_paths([one], recording, "head")
    with pytest.raises(
        BrainalignError, match="are both of rule 'backprop', seed 0; give the runs of one network"
    ):
        representational_paths([runs[0], runs[0]], recording, "head")
    with pytest.raises(BrainalignError, match="No run was given"):
        representational_paths([], recording, "head")
    with pytest.raises(BrainalignError, match="is no training run|run.toml|no run"):
        representational_paths([tmp_path / "nothing"], recording, "head")


def test_names_and_regions_that_do_not_fit_are_errors(runs, recording):
    with pytest.raises(NeedsError, match="procrustes compares responses, and this region has RDMs alone"):
        representational_paths(runs, recording, "head", "procrustes")
    for metric in ("ridge", "rsa:compare=kendall_tau_a", "rsa:rdm=crossnobis", "procrustes:alpha=0.5", "cka"):
        with pytest.raises(UnknownNameError, match="Paths cannot be measured by.*or procrustes with alpha=1"):
            find_space(metric)
    with pytest.raises(UnknownNameError, match="'V5'"):
        representational_paths(runs, recording, "head", regions=["V5"])
    with pytest.raises(UnknownNameError, match="'heed'.*Did you mean 'head'"):
        representational_paths(runs, recording, "heed")
    with pytest.raises(BrainalignError, match="committed to a region; name it as commit_to"):
        representational_paths(runs, recording, "committed")
    with pytest.raises(UnknownNameError, match="region to commit to 'V1'"):
        representational_paths(runs, recording, "committed", commit_to="V1")
    apart = make_rdms(np.random.default_rng(0).uniform(size=(1, 66)), IDS[:12], ["p"])
    rest = make_rdms(np.random.default_rng(0).uniform(size=(1, 66)), IDS[8:], ["p"])
    disjoint = Recording("simulated", recording.stimuli, rdms={"one": apart, "other": rest})
    with pytest.raises(AlignmentError, match="one, other of 'simulated' share 4 stimuli.*paths need 10"):
        representational_paths(runs, disjoint, "head")


def test_regions_that_give_no_rdm_are_named(recording):
    space = find_space("rsa")[1]
    lone = recording["V4"].isel(unit=[0])
    with pytest.raises(ResponsesError, match="Region 'V4' has no subject of two units or more; leave it out"):
        brain_points(brain_of(Recording("simulated", recording.stimuli, {"V4": lone}), None), IDS, space, 0)
    flat = recording["V4"].mean("repeat").copy()
    flat[3] = 1.0
    with pytest.raises(ResponsesError, match="Region 'V4': The patterns of 1 of 20 stimuli do not vary"):
        brain_points(brain_of(Recording("simulated", recording.stimuli, {"V4": flat}), None), IDS, space, 0)


def test_activations_that_are_not_numbers_name_the_run_and_the_step(runs, recording, tmp_path, monkeypatch):
    def broken(run, step):
        network = load(run, step)
        if step == 2:
            torch.nn.init.constant_(next(network.parameters()), float("nan"))
        return network

    load = Run.load
    monkeypatch.setattr(Run, "load", broken)
    with pytest.raises(ResponsesError, match=r"backprop_0, step 2: .*NaN"):
        representational_paths(runs, recording, "head")


@pytest.mark.data
def test_monkey_and_human_it_are_as_far_apart_as_was_published(mirror):
    recording = load_recording("kriegeskorte2008")
    made = brain_points(brain_of(recording, None), recording.stimuli.ids, find_space("rsa")[1], 0)
    human = find_space("rsa")[1].of_rdm(recording["human_IT"].values.mean(axis=0))
    found = paths_between([*made, Point("region", human, region="published")], "rsa")
    monkey = np.flatnonzero((found["kind"] == "region") & (found["region"] == "monkey_IT"))[0]
    assert found.distance.values[monkey, -1] == pytest.approx(1 - 0.439, abs=5e-4)
    counts = pd.Series(found["region"].values[found["kind"].values == "subject"]).value_counts()
    assert counts.to_dict() == {"behaviour": 16, "human_IT": 4, "monkey_IT": 1}
    halved = found["subject"].values[found["kind"].values == "half"]
    assert set(halved) == {f"half {k} of the {what}" for k in (1, 2) for what in ("visits", "subjects")}
