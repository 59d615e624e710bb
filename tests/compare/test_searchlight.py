"""Searchlights against plain scoring, rsatoolbox, and answers that are known; their tests under the null."""

import numpy as np
import pytest
from rsatoolbox.inference import eval_fixed
from rsatoolbox.model import ModelFixed
from rsatoolbox.util.searchlight import evaluate_models_searchlight, get_searchlight_RDMs
from scipy.spatial.distance import pdist, squareform
from scipy.stats import false_discovery_control, spearmanr

from brainalign.compare.group_blocks import rdm_blocks, single_blocks
from brainalign.compare.patterns import find_patterns
from brainalign.compare.problems import FAMILIES
from brainalign.compare.searchlight import searchlight
from brainalign.compare.unit_groups import sphere_groups
from brainalign.data.responses import make_rdms, make_responses
from brainalign.errors import AlignmentError, BrainalignError, NeedsError, ResponsesError, UnknownNameError
from brainalign.metrics import find_metric
from brainalign.probing import Representation

N, N_UNITS = 16, 30
IDS = [f"s{i:02d}" for i in range(N)]
GROUPS = {"front": list(range(8)), "middle": list(range(6, 20)), "back": [29, 21, 25]}
TESTS = ["p", "p_family_wise", "p_false_discovery"]


def features(seed, p=6, n=N):
    return np.random.default_rng(seed).gamma(2.0, size=(n, p))


def represent(n_layers=3, ids=IDS):
    return [Representation.from_features(features(k, n=len(ids)), ids, f"layer{k}") for k in range(n_layers)]


def recorded(values=None, subject="m", repeats=0, ids=IDS):
    """Responses of which the first units follow layer 0."""
    if values is None:
        values = features(99, N_UNITS, len(ids))
        values[:, :6] += features(0, n=len(ids))
    if not repeats:
        return make_responses(values, ids, region="IT", subject=subject)
    noise = np.random.default_rng(7).normal(size=(*values.shape, repeats))
    dims = ("stimulus", "unit", "repeat")
    return make_responses(values[:, :, None] + noise, ids, region="IT", subject=subject, dims=dims)


def plain(metric, responses, layers, groups=GROUPS):
    """The loop over groups that a searchlight is short for."""
    found, rows = find_metric(metric), []
    for units in groups.values():
        region = FAMILIES[found.family](found, responses.isel(unit=units), "Region", 2, 0)
        rows.append([outcome.raw for outcome in region.outcomes(layers)])
    return np.array(rows)


@pytest.mark.parametrize(
    "metric",
    [
        "rsa",
        "rsa:rdm=euclidean,compare=pearson",
        "rsa:rdm=cosine,compare=rho_a",
        "rsa:compare=cosine",
        "rsa:compare=tau_a",
        "rsa:rdm=squared_euclidean,compare=corr_cov",
        "rsa:rdm=squared_euclidean,compare=cosine_cov",
        "rsa:rdm=crossnobis,compare=cosine",
        "rsa:rdm=mahalanobis",
        "rsa:rdm=squared_euclidean,compare=corr_cov,stimulus_noise=estimated",
        "rsa_weighted",
        "ridge",
        "cka",
    ],
)
def test_values_are_those_of_scoring_each_group_as_a_region(metric):
    responses = recorded(repeats=4) if "repeats" in find_metric(metric).needs else recorded()
    found = searchlight(represent(), responses, GROUPS, metric, n_permutations=0)
    np.testing.assert_allclose(found["raw"], plain(metric, responses, represent()), rtol=0, atol=1e-10)
    assert found["raw"].dims == ("group", "layer")
    assert found["group"].values.tolist() == list(GROUPS)
    joint = metric == "rsa_weighted"
    assert found["layer"].values.tolist() == ["all layers"] if joint else ["layer0", "layer1", "layer2"]
    assert found["n_units"].values.tolist() == [8, 14, 3]
    assert found["note"].values.tolist() == ["", "", ""]
    assert set(found) == {"raw", "n_units", "note"}


def test_responses_of_few_values_tie_as_they_do_in_a_plain_score():
    values = np.random.default_rng(3).poisson(1.0, (N, N_UNITS)).astype(float)
    responses = recorded(values)
    found = searchlight(represent(), responses, GROUPS, "rsa:rdm=euclidean", n_permutations=0)
    expected = plain("rsa:rdm=euclidean", responses, represent())
    np.testing.assert_allclose(found["raw"], expected, rtol=0, atol=1e-12)


def test_values_are_rsatoolboxs(capsys):
    values, spheres = recorded().values, sphere_groups(np.arange(float(N_UNITS))[:, None], 3.0)
    centres = np.array([int(centre) for centre in spheres])
    rdms = get_searchlight_RDMs(values, centres, list(spheres.values()), np.arange(N), method="correlation")
    models = [ModelFixed(f"layer{k}", pdist(features(k), "correlation")) for k in range(3)]
    results = evaluate_models_searchlight(rdms, models, eval_fixed, method="spearman", n_jobs=1)
    expected = np.array([result.evaluations[0, :, 0] for result in results])
    found = searchlight(represent(), recorded(), spheres, n_permutations=0)
    np.testing.assert_allclose(found["raw"], expected, atol=1e-10)
    assert found["group"].values.tolist() == [str(k) for k in range(N_UNITS)]


@pytest.mark.parametrize("metric", ["rsa", "rsa:rdm=squared_euclidean,compare=corr_cov"])
def test_p_values_are_those_of_a_naive_loop_over_permutations(metric):
    found = searchlight(represent(), recorded(), GROUPS, metric, n_permutations=20, seed=5)
    orders = np.random.default_rng(5).permuted(np.tile(np.arange(N), (20, 1)), axis=1)
    observed = plain(metric, recorded(), represent())
    permuted = []
    for order in orders:
        moved = [Representation.from_features(features(k)[order], IDS) for k in range(3)]
        permuted.append(plain(metric, recorded(), moved))
    permuted = np.array(permuted)
    p = (1 + (permuted >= observed - 1e-12).sum(axis=0)) / 21
    np.testing.assert_allclose(found["p"], p)
    highest = permuted.max(axis=(1, 2))
    family_wise = (1 + (highest[:, None, None] >= observed - 1e-12).sum(axis=0)) / 21
    np.testing.assert_allclose(found["p_family_wise"], family_wise)
    expected = false_discovery_control(p.ravel()).reshape(p.shape)
    np.testing.assert_allclose(found["p_false_discovery"], expected)
    assert (found["p_family_wise"] >= found["p"]).all() and found["p"].min() >= 1 / 21


def test_one_product_and_one_group_at_a_time_are_the_same():
    metric, members = find_metric("rsa"), {name: np.array(units) for name, units in GROUPS.items()}
    responses = recorded()
    patterns = find_patterns(responses.assign_coords(unit=np.arange(N_UNITS)), "IT")
    orders = np.random.default_rng(0).permuted(np.tile(np.arange(N), (5, 1)), axis=1)
    (fast,) = rdm_blocks(metric.kernel, patterns, represent(), list(members.values()), 10**8)
    slow = [block.values(orders) for block in single_blocks(metric, responses, represent(), members, 0, None)]
    np.testing.assert_allclose(fast.values(orders), np.concatenate(slow, axis=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("metric", ["rsa", "rsa:rdm=squared_euclidean,compare=cosine_cov"])
def test_memory_changes_chunks_and_nothing_else(metric):
    groups = sphere_groups(np.arange(float(N_UNITS))[:, None], 3.0)
    whole = searchlight(represent(), recorded(), groups, metric, n_permutations=120)
    chunked = searchlight(represent(), recorded(), groups, metric, n_permutations=120, memory=60_000)
    np.testing.assert_allclose(whole["raw"], chunked["raw"], rtol=0, atol=1e-13)
    for name in TESTS:
        np.testing.assert_array_equal(whole[name], chunked[name])


def volume(seed, signal, side=5, n=40):
    """A volume of noise, in the sphere around whose middle every unit carries some of the layer's features."""
    generator = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.arange(float(side))] * 3, indexing="ij")
    places = np.stack(axes, axis=-1).reshape(-1, 3)
    middle = np.linalg.norm(places - places[len(places) // 2], axis=1) <= 1.0
    carried = generator.normal(size=(n, 8))
    values = generator.normal(size=(n, len(places)))
    values[:, middle] += signal * carried @ generator.normal(size=(8, middle.sum()))
    ids = [f"s{i:02d}" for i in range(n)]
    layers = [
        Representation.from_features(x, ids, name)
        for name, x in (("carried", carried), ("other", generator.normal(size=(n, 8))))
    ]
    return layers, make_responses(values, ids, region="brain", subject="m"), places


def test_the_sphere_that_carries_a_layer_is_found_and_no_other():
    layers, responses, places = volume(0, 1.0)
    groups = sphere_groups(places, 1.0, min_units=4)
    found = searchlight(layers, responses, groups, "rsa:rdm=euclidean", n_permutations=499)
    carried = found.sel(layer="carried")
    assert carried["group"].values[int(carried["raw"].values.argmax())] == str(len(places) // 2)
    significant = carried["group"].values[carried["p_family_wise"].values < 0.05]
    assert str(len(places) // 2) in significant
    # Only spheres that share units with the one in the middle can say anything of the layer.
    distance = np.linalg.norm(places[significant.astype(int)] - places[len(places) // 2], axis=1)
    assert (distance <= 2.0).all()
    assert (found.sel(layer="other")["p_family_wise"] > 0.05).all()
    assert (carried["p_false_discovery"].values < 0.05).sum() >= len(significant)


def false_positives(n_volumes, n_permutations):
    """Share of volumes of noise in which anything is significant: family-wise; and of single cells."""
    anywhere, single = [], []
    for seed in range(n_volumes):
        layers, responses, places = volume(1000 + seed, 0.0, side=3, n=12)
        groups = sphere_groups(places, 1.0)
        found = searchlight(layers, responses, groups, "rsa:rdm=euclidean", n_permutations=n_permutations)
        anywhere.append(bool((found["p_family_wise"] <= 0.05).any()))
        single.append(float((found["p"] <= 0.05).mean()))
    return np.mean(anywhere), np.mean(single)


def test_noise_is_hardly_ever_significant():
    anywhere, single = false_positives(60, 99)
    assert anywhere <= 0.15 and 0.02 < single < 0.09


@pytest.mark.slow
def test_false_positives_come_at_the_nominal_rate():
    anywhere, single = false_positives(400, 399)
    assert 0.025 <= anywhere <= 0.075
    assert 0.04 <= single <= 0.06


def test_units_that_cannot_be_compared_are_left_out_of_every_group():
    values = recorded().values.copy()
    values[3, 7] = np.nan
    values[:, [21, 25]] = 4.0
    values[:, 29] = np.nan
    found = searchlight(represent(), recorded(values), GROUPS, "rsa:rdm=euclidean", n_permutations=20)
    assert found["n_units"].values.tolist() == [7, 13, 0]
    assert found["note"].values.tolist() == ["", "", "none of its units can be compared"]
    for name in ("raw", *TESTS):
        assert np.isnan(found[name].values[2]).all() and np.isfinite(found[name].values[:2]).all()
    kept = {"front": [0, 1, 2, 3, 4, 5, 6], "middle": [6, *range(8, 20)]}
    expected = plain("rsa:rdm=euclidean", recorded(values), represent(), kept)
    np.testing.assert_allclose(found["raw"][:2], expected, atol=1e-10)


def test_a_group_without_distances_has_a_note_and_does_not_spoil_the_others():
    values = recorded().values.copy()
    values[4, [21, 25, 29]] = 2.0
    for metric in ("rsa", "rsa:compare=tau_a"):
        found = searchlight(represent(), recorded(values), GROUPS, metric, n_permutations=3)
        assert "do not vary across units" in str(found["note"].values[2])
        assert np.isnan(found["raw"][2]).all() and np.isfinite(found["raw"][:2]).all()
        assert (found["p_family_wise"][:2] <= 1).all()


def test_a_layer_that_tells_no_stimuli_apart_has_no_value():
    flat = Representation.from_features(np.ones((N, 4)), IDS, "flat")
    found = searchlight([*represent(2), flat], recorded(), GROUPS, "rsa:rdm=euclidean", n_permutations=9)
    assert np.isnan(found["raw"].sel(layer="flat")).all() and np.isnan(found["p"].sel(layer="flat")).all()
    assert np.isfinite(found["p_family_wise"].sel(layer=["layer0", "layer1"])).all()


def test_groups_of_several_subjects_are_averaged_over_them_as_in_a_plain_score():
    subjects = ["a" if unit % 2 else "b" for unit in range(N_UNITS)]
    responses = recorded(subject=subjects)
    found = searchlight(represent(), responses, GROUPS, n_permutations=0)
    np.testing.assert_allclose(found["raw"], plain("rsa", responses, represent()), atol=1e-10)


def test_stimuli_are_matched_by_id_and_may_be_more_for_the_layers():
    order = np.random.default_rng(1).permutation(N)
    responses = recorded().isel(stimulus=order)
    extra = [
        Representation.from_features(
            np.vstack([features(k), features(50 + k)]), [*IDS, *(f"x{i}" for i in range(N))]
        )
        for k in range(3)
    ]
    layers = dict(zip(["one", "two", "three"], extra, strict=True))
    found = searchlight(layers, responses, GROUPS, n_permutations=0)
    np.testing.assert_allclose(found["raw"], plain("rsa", recorded(), represent()), atol=1e-10)
    assert found["layer"].values.tolist() == ["one", "two", "three"]


def test_the_value_is_spearmans_of_scipy():
    found = searchlight(represent(1), recorded(), {"one": GROUPS["front"]}, n_permutations=0)
    own = pdist(recorded().values[:, :8], "correlation")
    expected = spearmanr(pdist(features(0), "correlation"), own)[0]
    assert found["raw"].item() == pytest.approx(expected, abs=1e-12)


def test_the_same_seed_gives_the_same_digits_and_another_other_orders():
    first, again, other = (
        searchlight(represent(), recorded(), GROUPS, n_permutations=30, seed=seed) for seed in (0, 0, 1)
    )
    assert first.identical(again)
    np.testing.assert_array_equal(first["raw"], other["raw"])
    assert (first["p"] != other["p"]).any()


def test_the_table_says_what_it_is():
    attrs = searchlight(represent(), recorded(), GROUPS, "rsa:compare=rho_a", n_permutations=4, seed=2).attrs
    assert attrs["metric"] == "rsa:compare=rho_a" and attrs["n_permutations"] == 4 and attrs["seed"] == 2
    assert attrs["n_stimuli"] == N and "ρa" in attrs["title"] and "Kriegeskorte" in attrs["citation"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"layers": []}, BrainalignError, "No layer was given"),
        ({"layers": {}}, BrainalignError, "No layer was given"),
        ({"layers": [*represent(1), *represent(1)]}, BrainalignError, "Two layers have one name"),
        (
            {"layers": represent(2, [f"t{i}" for i in range(N)])},
            AlignmentError,
            "was not shown 16 of 16 stimuli",
        ),
        ({"groups": {}}, BrainalignError, "No group of units"),
        ({"groups": {"x": []}}, BrainalignError, "Group 'x' holds no unit"),
        ({"groups": {"x": [99]}}, UnknownNameError, "holds unit 99, but the responses have the units 0 to 29"),
        ({"groups": {"x": [1], "y": [1, 2]}}, ResponsesError, "1 groups hold a single unit, such as 'x'"),
        ({"metric": "rsaa"}, UnknownNameError, "Did you mean 'rsa'"),
        ({"metric": "rsa:rdm=crossnobis"}, NeedsError, "The responses have no repeats, which rsa"),
        ({"n_permutations": -1}, BrainalignError, "-1 permutations were asked for"),
        (
            {"responses": make_rdms(squareform(pdist(features(0)))[None], IDS, ["m"])},
            NeedsError,
            "responses of units",
        ),
        ({"responses": recorded(np.ones((N, N_UNITS)))}, ResponsesError, "has no unit left"),
        ({"responses": recorded(ids=IDS[:9])}, ResponsesError, "has 9 stimuli"),
    ],
)
def test_bad_input_says_what_to_do(change, error, message):
    options = {"layers": represent(), "responses": recorded(), "groups": GROUPS, "n_permutations": 5} | change
    with pytest.raises(error, match=message):
        searchlight(**options)


def test_no_group_that_can_be_compared_is_an_error():
    values = recorded().values.copy()
    values[4] = 0.0
    with pytest.raises(ResponsesError, match="No group can be compared.*index 4"):
        searchlight(represent(), recorded(values), GROUPS, n_permutations=0)


def test_responses_and_layers_stay_as_they_are():
    responses, layers = recorded(), represent()
    before, gram = responses.copy(deep=True), layers[0].gram.copy()
    searchlight(layers, responses, GROUPS, n_permutations=10)
    assert responses.identical(before)
    np.testing.assert_array_equal(layers[0].gram, gram)
