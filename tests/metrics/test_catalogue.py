"""Metrics by name: options are read, checked, kept in the name, and come back from it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainalign.errors import UnknownNameError
from brainalign.metrics import METRICS, find_metric
from brainalign.metrics.comparators import COMPARATORS
from brainalign.metrics.rdm import RDM_METHODS
from brainalign.metrics.rsa import NOISE_NORMALISED, WHITENABLE


@pytest.mark.parametrize("name", METRICS)
def test_a_bare_name_has_the_defaults(name):
    metric = find_metric(name)
    assert metric.name == name
    assert metric.options == METRICS[name]().options


COMPARABLE = [
    (rdm, compare)
    for rdm, compare in itertools.product([*RDM_METHODS, *NOISE_NORMALISED], COMPARATORS)
    if rdm in WHITENABLE or not COMPARATORS[compare].whitened
]
NOISE = {"shrinkage": "diagonal", "stimulus_noise": "equal"}


@pytest.mark.parametrize(("rdm", "compare"), COMPARABLE)
def test_every_rsa_comes_back_from_its_name(rdm, compare):
    metric = find_metric(f"rsa:compare={compare},rdm={rdm}")
    assert metric.name == f"rsa:rdm={rdm},compare={compare}"
    assert metric.options == {"rdm": rdm, "compare": compare} | NOISE
    again = find_metric(metric.name)
    assert (again.name, again.options, again.kernel) == (metric.name, metric.options, metric.kernel)


@given(alpha=st.floats(1e-300, 1e300), n_alphas=st.integers(1, 1000), n_components=st.integers(1, 1000))
def test_numbers_come_back_from_the_name(alpha, n_alphas, n_components):
    for key, option, value in (
        ("ridge_fixed", "alpha", alpha),
        ("ridge", "n_alphas", n_alphas),
        ("pls", "n_components", n_components),
    ):
        metric = find_metric(f"{key}:{option}={value}")
        assert metric.options[option] == value
        assert find_metric(metric.name).options == metric.options


@pytest.mark.parametrize("text", ["0", "0.0"])
def test_nothing_is_a_number_where_it_means_something(text):
    metric = find_metric(f"procrustes:alpha={text}")
    assert (metric.name, metric.options) == ("procrustes:alpha=0.0", {"alpha": 0.0})


def test_options_that_are_not_named_keep_their_default():
    metric = find_metric("rsa:compare=pearson")
    assert metric.options == {"rdm": "correlation", "compare": "pearson"} | NOISE
    assert metric.name == "rsa:compare=pearson"


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("ridge-fixed:alpha=2", "ridge_fixed:alpha=2.0"),
        ("rsa: rdm = squared-euclidean , compare = tau-a", "rsa:rdm=squared_euclidean,compare=kendall_tau_a"),
        ("cka:debiased=False", "cka:debiased=False"),
        ("pls:n-components=3", "pls:n_components=3"),
        ("ridge:", "ridge"),
    ],
)
def test_other_spellings(spelled, name):
    metric = find_metric(spelled)
    assert metric.name == name
    assert find_metric(metric.name).options == metric.options


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rigde", "Unknown metric 'rigde'. Did you mean 'ridge'"),
        ("", "Unknown metric ''"),
        ("pls:components=3", "Unknown option of pls 'components'. Did you mean 'n_components'"),
        ("rsa:rdm=euclidian", "Unknown RDM method 'euclidian'. Did you mean 'euclidean'"),
        ("rsa:compare=spearmen", "Unknown comparator 'spearmen'. Did you mean 'spearman'"),
        ("pls:n_components", "write n_components=VALUE"),
        ("pls:n_components=2.5", "pls:n_components is '2.5'; expected a whole number above 0"),
        ("pls:n_components=0", "expected a whole number above 0"),
        ("ridge:n_alphas=-3", "expected a whole number above 0"),
        ("ridge_fixed:alpha=0", "expected a number above 0"),
        ("ridge_fixed:alpha=nan", "expected a number above 0"),
        ("ridge_fixed:alpha=inf", "expected a number above 0"),
        ("ridge_fixed:alpha=much", "ridge_fixed:alpha is 'much'; expected a number above 0"),
        ("cka:debiased=perhaps", "cka:debiased is 'perhaps'; expected true or false"),
        ("procrustes:alpha=-0.5", "procrustes:alpha is '-0.5'; expected a number of 0 or above"),
        ("procrustes:alpha=2", "procrustes:alpha is 2.0; expected a number from 0 (whitened) to 1"),
        ("svcca:variance=0", "svcca:variance is '0'; expected a number above 0"),
        ("pwcca:variance=99", "pwcca:variance is 99.0; expected a share above 0 and at most 1"),
    ],
)
def test_what_cannot_be_understood_raises(name, message):
    with pytest.raises(UnknownNameError) as error:
        find_metric(name)
    assert message in str(error.value)
