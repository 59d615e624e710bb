"""The bootstrap over stimuli by weights against copies made in full, and against rsatoolbox's."""

import numpy as np
import pytest
import rsatoolbox
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics import kendall, weighted, weighted_ranks
from brainalign.metrics.comparators import COMPARATORS
from brainalign.metrics.jackknife import PairJackknife
from brainalign.metrics.rdm import to_condensed, to_square
from brainalign.metrics.weighted import resampled_comparison

RSATOOLBOX_NAMES = {
    "spearman": "spearman",
    "pearson": "corr",
    "kendall_tau_a": "tau-a",
    "rho_a": "rho-a",
    "cosine": "cosine",
    "cosine_cov": "cosine_cov",
    "corr_cov": "corr_cov",
}
ABSOLUTE = {name for name, comparator in COMPARATORS.items() if comparator.absolute}
WHITENED = [name for name, comparator in COMPARATORS.items() if comparator.whitened]


def draw(n_resamples: int, n_stimuli: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(0, n_stimuli, (n_resamples, n_stimuli))
    return np.stack([np.bincount(row, minlength=n_stimuli) for row in drawn])


def with_some_left_out(multiplicity: np.ndarray) -> np.ndarray:
    """Add the sets of stimuli of each draw, each once: ranks are then those of all less what is left out."""
    return np.vstack([multiplicity, np.minimum(multiplicity, 1)])


def rdms(n_layers: int, n_subjects: int, n_stimuli: int, digits: int = 8) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    n_pairs = n_stimuli * (n_stimuli - 1) // 2
    shared = generator.gamma(2, size=n_pairs)
    x = shared + generator.gamma(2, size=(n_layers, n_pairs))
    y = shared + generator.gamma(2, size=(n_subjects, n_pairs))
    return x.round(digits), y.round(digits)


def by_copies(
    x: np.ndarray, y: np.ndarray, multiplicity: np.ndarray, name: str, variances: np.ndarray | None = None
) -> np.ndarray:
    """Repeat each stimulus as often as it was drawn, drop its pairs with itself, compare what is left."""
    result = np.full((len(x), len(multiplicity), len(y)), np.nan)
    for r, counts in enumerate(multiplicity):
        copies = np.repeat(np.arange(len(counts)), counts)
        first, second = np.triu_indices(len(copies), 1)
        kept = copies[first] != copies[second]
        if kept.any():
            rows, columns = copies[first[kept]], copies[second[kept]]
            resampled_y = to_square(y)[:, rows, columns]
            for k, layer in enumerate(to_square(x)):
                if name not in WHITENED:
                    result[k, r] = COMPARATORS[name].compare(layer[rows, columns], resampled_y)
                    continue
                for s, of_subject in enumerate(resampled_y):
                    noise = np.ones(len(copies)) if variances is None else variances[s, copies]
                    pairs = first[kept], second[kept]
                    result[k, r, s] = whitened_by_copies(layer[rows, columns], of_subject, pairs, noise, name)
    return result


def whitened_by_copies(
    x: np.ndarray, y: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], variances: np.ndarray, name: str
) -> float:
    """Write down the covariance of the pairs of copies, each a condition of its own, and divide by it."""
    contrasts = np.zeros((len(x), len(variances)))
    contrasts[np.arange(len(x)), pairs[0]], contrasts[np.arange(len(x)), pairs[1]] = 1.0, -1.0
    covariance = (contrasts @ np.diag(variances) @ contrasts.T) ** 2
    if name == "corr_cov":
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            return np.nan
        x, y = x - x.mean(), y - y.mean()
    white_x, white_y = (np.linalg.solve(covariance, rdm) for rdm in (x, y))
    length = np.sqrt(x @ white_x) * np.sqrt(y @ white_y)
    return x @ white_y / length if length > 0 else np.nan


@pytest.mark.parametrize("digits", [8, 1, 0])
@pytest.mark.parametrize("name", COMPARATORS)
def test_equals_copies(name, digits):
    x, y = rdms(3, 4, 24, digits)
    multiplicity = with_some_left_out(draw(12, 24))
    np.testing.assert_allclose(
        resampled_comparison(x, y, multiplicity, name),
        by_copies(x, y, multiplicity, name),
        rtol=0,
        atol=1e-10,
    )


@pytest.mark.parametrize("name", COMPARATORS)
@settings(max_examples=40)
@given(
    values=arrays(np.float64, (3, 15), elements=st.integers(0, 3).map(float)),
    multiplicity=arrays(np.int64, (4, 6), elements=st.integers(0, 4)),
)
def test_equals_copies_where_much_is_tied_or_little_is_drawn(name, values, multiplicity):
    x, y = values[:1], values[1:]
    multiplicity = with_some_left_out(multiplicity)
    np.testing.assert_allclose(
        resampled_comparison(x, y, multiplicity, name),
        by_copies(x, y, multiplicity, name),
        rtol=0,
        atol=1e-10,
    )


@pytest.mark.parametrize("name", COMPARATORS)
def test_equals_the_resampling_of_rsatoolbox(name):
    x, y = rdms(1, 3, 12)
    multiplicity = draw(5, 12, seed=2)
    for r, counts in enumerate(multiplicity):
        copies = np.repeat(np.arange(12), counts)
        model, data = (rsatoolbox.rdm.RDMs(v).subsample_pattern("index", copies) for v in (x, y))
        expected = rsatoolbox.rdm.compare(model, data, method=RSATOOLBOX_NAMES[name])
        np.testing.assert_allclose(
            resampled_comparison(x, y, multiplicity[r : r + 1], name)[:, 0], expected, rtol=0, atol=1e-10
        )


@pytest.mark.parametrize("name", COMPARATORS)
def test_each_stimulus_once_is_the_plain_comparison(name):
    x, y = rdms(2, 3, 30)
    once = np.ones((1, 30), dtype=np.int64)
    expected = np.stack([COMPARATORS[name].compare(layer, y) for layer in x])
    np.testing.assert_allclose(resampled_comparison(x, y, once, name)[:, 0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", COMPARATORS)
def test_a_model_of_categories_far_more_tied_than_a_bin_holds(name):
    _, y = rdms(1, 2, 40)
    category = np.arange(40) % 2
    x = to_condensed((category[:, None] != category).astype(float))[None]
    multiplicity = draw(6, 40)
    multiplicity[0] = 3 * (category == 0)
    values = resampled_comparison(x, y, multiplicity, name)
    np.testing.assert_allclose(values, by_copies(x, y, multiplicity, name), rtol=0, atol=1e-10)
    assert np.isnan(values[0, 0]).all(), "only stimuli of one category were drawn"
    assert np.isfinite(values[0, 1:]).all()


@pytest.mark.parametrize("digits", [8, 0])
@pytest.mark.parametrize("name", COMPARATORS)
def test_all_but_one_or_two_stimuli_equal_copies(name, digits):
    x, y = rdms(2, 2, 14, digits)
    sets = PairJackknife(draw(1, 14)).left_out
    np.testing.assert_allclose(
        resampled_comparison(x, y, sets, name), by_copies(x, y, sets, name), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("name", COMPARATORS)
def test_without_an_outlier_values_are_those_of_the_others(name):
    x, y = rdms(2, 2, 20)
    others = (np.arange(20) != 7).astype(np.int64)[None]
    outlier = to_condensed((others.T ^ others).astype(float)) == 1
    expected = by_copies(x, y, others, name)
    # Those that centre lose as many digits again, for they start from the mean over all pairs.
    factor = 1e3 if name in ("pearson", "corr_cov") else 1e6
    x[:, outlier] *= factor
    y[:, outlier] *= factor
    np.testing.assert_allclose(resampled_comparison(x, y, others, name), expected, rtol=0, atol=1e-9)


def test_ranks_of_many_stimuli_are_whole_numbers_still():
    x, y = rdms(1, 1, 400)
    left_out = (1 - np.eye(400, dtype=np.int64))[:1]
    kept_x, kept_y = (to_condensed(to_square(rdm)[:, 1:, 1:][0])[None] for rdm in (x, y))
    expected = COMPARATORS["spearman"].compare(kept_x[0], kept_y)
    np.testing.assert_allclose(resampled_comparison(x, y, left_out, "spearman")[0, 0], expected, atol=1e-14)


@pytest.mark.parametrize("name", COMPARATORS)
def test_working_in_small_chunks_changes_nothing(name, monkeypatch):
    x, y = rdms(5, 2, 20)
    multiplicity = np.vstack([draw(9, 20), 1 - np.eye(20, dtype=np.int64)])
    whole = resampled_comparison(x, y, multiplicity, name)
    monkeypatch.setattr(weighted, "MEMORY", 2 * 8 * 190 * 4)
    monkeypatch.setattr(weighted_ranks, "BLOCK", 3 * 190 + 1)
    monkeypatch.setattr(kendall, "_ROW_BYTES", 8 * 40)
    np.testing.assert_allclose(resampled_comparison(x, y, multiplicity, name), whole, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", sorted(set(COMPARATORS) - ABSOLUTE))
def test_small_differences_on_large_dissimilarities_keep_their_digits(name):
    x, y = rdms(2, 2, 16)
    multiplicity = draw(5, 16)
    np.testing.assert_allclose(
        resampled_comparison(x + 1e6, 1e3 * y + 1e6, multiplicity, name),
        by_copies(x + 1e6, 1e3 * y + 1e6, multiplicity, name),
        rtol=0,
        atol=1e-9,
    )


@pytest.mark.parametrize("name", COMPARATORS)
def test_the_order_of_the_stimuli_does_not_matter(name):
    x, y = rdms(2, 3, 18)
    multiplicity = draw(6, 18)
    order = np.random.default_rng(3).permutation(18)
    moved_x, moved_y = (to_condensed(to_square(v)[:, order][:, :, order]) for v in (x, y))
    np.testing.assert_allclose(
        resampled_comparison(moved_x, moved_y, multiplicity[:, order], name),
        resampled_comparison(x, y, multiplicity, name),
        rtol=0,
        atol=1e-12,
    )


@pytest.mark.parametrize("name", COMPARATORS)
def test_callers_arrays_stay_as_they_are(name):
    x, y = rdms(2, 3, 12)
    multiplicity = draw(4, 12)
    kept = x.copy(), y.copy(), multiplicity.copy()
    resampled_comparison(x, y, multiplicity, name)
    for array, before in zip((x, y, multiplicity), kept, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("name", COMPARATORS)
def test_counts_in_a_narrow_type_do_not_overflow(name):
    x, y = rdms(1, 2, 12)
    multiplicity = 25 * draw(3, 12)
    assert 12 < multiplicity.max() < 128, "fits into int8, its square does not"
    np.testing.assert_array_equal(
        resampled_comparison(x, y, multiplicity.astype(np.int8), name),
        resampled_comparison(x, y, multiplicity, name),
    )


@pytest.mark.parametrize("name", WHITENED)
def test_stimuli_of_unequal_noise_equal_copies(name):
    x, y = rdms(2, 3, 14)
    multiplicity = draw(6, 14)
    variances = np.random.default_rng(8).gamma(1.0, size=(3, 14)) + 0.05
    found = resampled_comparison(x, y, multiplicity, name, variances)
    np.testing.assert_allclose(found, by_copies(x, y, multiplicity, name, variances), rtol=0, atol=1e-9)
    assert np.abs(found - resampled_comparison(x, y, multiplicity, name)).max() > 0.01
    alike = resampled_comparison(x, y, multiplicity, name, np.full((3, 14), 7.0))
    np.testing.assert_allclose(alike, resampled_comparison(x, y, multiplicity, name), rtol=0, atol=1e-12)


@pytest.mark.parametrize("counts", [[6, 1, 1, 1, 1], [7, 1, 1, 1], [5, 5], [8, 1, 1], [5, 3, 2], [4, 4, 2]])
@pytest.mark.parametrize("name", WHITENED)
def test_one_stimulus_may_take_half_of_all_draws(name, counts):
    # There T + 2s − 2w passes through zero, and with it what the closed form divides by.
    x, y = rdms(2, 2, 10)
    multiplicity = np.array([counts + [0] * (10 - len(counts))])
    values = resampled_comparison(x, y, multiplicity, name)
    np.testing.assert_allclose(values, by_copies(x, y, multiplicity, name), rtol=0, atol=1e-10)
    assert np.isfinite(values).all() == (name == "cosine_cov" or len(counts) > 2)


@pytest.mark.parametrize(
    ("name", "variances", "message"),
    [
        (
            "pearson",
            np.ones((2, 12)),
            "'pearson' does not weigh stimuli by their noise; use cosine_cov or corr_cov",
        ),
        ("corr_cov", np.ones((2, 11)), r"shape \(2, 11\) were given; expected positive numbers .* \(2, 12\)"),
        ("corr_cov", np.zeros((2, 12)), "expected positive numbers"),
        ("cosine_cov", np.full((2, 12), np.nan), "expected positive numbers"),
    ],
)
def test_variances_that_cannot_be_used_raise(name, variances, message):
    with pytest.raises(ResponsesError, match=message):
        resampled_comparison(*rdms(1, 2, 12), draw(3, 12), name, variances)


def test_interval_of_the_bootstrap_holds_the_correlation_of_the_population():
    generator = np.random.default_rng(4)
    population = generator.normal(size=(400, 3))
    values = []
    for _ in range(20):
        sample = generator.choice(400, 40, replace=False)
        points = population[sample]
        seen = points + 0.7 * generator.normal(size=points.shape)
        distances = [np.linalg.norm(p[:, None] - p, axis=2) for p in (points, seen)]
        x, y = (to_condensed(square)[None] for square in distances)
        bounds = np.quantile(resampled_comparison(x, y, draw(200, 40), "spearman"), [0.025, 0.975])
        values.append(
            (*bounds, resampled_comparison(x, y, np.ones((1, 40), dtype=np.int64), "spearman").item())
        )
    low, high, point = np.array(values).T
    held = (low < point.mean()) & (point.mean() < high)
    assert held.mean() >= 0.75
    assert (high - low).mean() < 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y, m: (x[:, :-1], y[:, :-1], m), "65 dissimilarities are no upper triangle"),
        (lambda x, y, m: (x, y, m[:, :-1]), "counts of 11 stimuli do not fit; 11 stimuli have 55 pairs"),
        (lambda x, y, m: (x, np.where(y == y.max(), np.nan, y), m), "NaN or infinite"),
        (lambda x, y, m: (np.where(x == x.max(), np.inf, x), y, m), "NaN or infinite"),
        (lambda x, y, m: (x, y, m - 5), "negative"),
    ],
)
def test_bad_input_raises(change, message):
    with pytest.raises(ResponsesError, match=message):
        resampled_comparison(*change(*rdms(1, 1, 12), draw(3, 12)), "spearman")


def test_unknown_comparator_shows_the_closest():
    with pytest.raises(UnknownNameError, match="Did you mean 'pearson'"):
        resampled_comparison(*rdms(1, 1, 12), draw(3, 12), "person")
