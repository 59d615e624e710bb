"""A cursor under a decoder: what is fixed, how errors come back, and perturbations of matched difficulty."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from brainalign.errors import BrainalignError, NeedsError, UnknownNameError
from brainalign.networks.ei_rnn import EIRNN
from brainalign.networks.mlp import MLP
from brainalign.networks.rnn import RNN
from brainalign.rules import find_rule
from brainalign.tasks.bci_cursor import BCICursor, with_decoder
from brainalign.tasks.bci_decoders import choose_perturbation, fit_manifold_decoder, open_loop
from brainalign.tasks.total_cost import gradient
from brainalign.training import train

TASK = BCICursor(n_targets=4, dt=0.05, batch_size=8)


def network_and_decoders(seed=0, units=12):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = RNN(3, 2, units=units).double()
    decoder, model = torch.randn(2, 2, units, generator=generator, dtype=torch.float64)
    return network, decoder, model


def batch():
    found = next(TASK.seen())
    return replace(found, inputs=found.inputs.double(), targets=found.targets.double())


def test_outputs_are_the_decoders_and_the_network_given_is_left_alone():
    network, decoder, model = network_and_decoders()
    kept = {name: each.clone() for name, each in network.state_dict().items()}
    rates, bias = torch.randn(5, 12, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    for credit in (None, model):
        switched = with_decoder(network, decoder, bias, credit)
        torch.testing.assert_close(switched.readout(rates), rates @ decoder.T + 1)
    assert all(torch.equal(kept[name], each) for name, each in network.state_dict().items())
    assert not switched.head.weight.requires_grad


def test_errors_come_back_through_the_internal_model():
    """With the cost's derivative by the outputs held as it is, errors at the rates are Mᵀ times it."""
    network, decoder, model = network_and_decoders()
    rates = torch.randn(5, 12, dtype=torch.float64, requires_grad=True)
    slope = torch.randn(5, 2, dtype=torch.float64)
    for credit, through in ((None, decoder), (model, model), (decoder, decoder)):
        outputs = with_decoder(network, decoder, None, credit).readout(rates)
        (found,) = torch.autograd.grad((outputs * slope).sum(), rates)
        torch.testing.assert_close(found, slope @ through)


def test_a_true_model_learns_as_backprop_does_and_a_wrong_one_otherwise():
    network, decoder, model = network_and_decoders()
    true = gradient(with_decoder(network, decoder), TASK, batch())
    same = gradient(with_decoder(network, decoder, credit=decoder), TASK, batch())
    wrong = gradient(with_decoder(network, decoder, credit=model), TASK, batch())
    assert "head.weight" not in true
    torch.testing.assert_close(same["recurrent.weight"], true["recurrent.weight"])
    cosine = torch.nn.functional.cosine_similarity(
        wrong["recurrent.weight"].flatten(), true["recurrent.weight"].flatten(), dim=0
    )
    assert abs(cosine) < 0.9


@pytest.mark.parametrize(
    ("rule", "steps", "share"), [("backprop", 40, 0.5), ("node_perturbation:samples=1", 8, 1)]
)
def test_rules_learn_under_a_decoder_that_stays(rule, steps, share, tmp_path):
    torch.manual_seed(0)
    network = RNN(3, 2, units=12)
    decoder = torch.randn(2, 12) / 12**0.5
    switched = with_decoder(network, decoder)
    run = train(
        switched, TASK, rule, steps=steps, optimizer="adam:lr=0.01", checkpoints=2, out=tmp_path, progress=False
    )
    loss = run.table["loss"]
    assert loss.iloc[-1] < share * loss.iloc[0]
    assert torch.equal(switched.head.weight, decoder)


def test_reward_never_sees_the_internal_model():
    network, decoder, model = network_and_decoders()
    rule = find_rule("node_perturbation")
    true, wrong = (
        next(rule.updates(n, TASK, batch(), {}, torch.Generator().manual_seed(3)))
        for n in (with_decoder(network, decoder), with_decoder(network, decoder, credit=model))
    )
    torch.testing.assert_close(wrong["recurrent.weight"], true["recurrent.weight"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"weight": torch.zeros(12, 2)},
            r"weight has the shape \(12, 2\); this network's 12 units and 2 outputs",
        ),
        ({"weight": torch.zeros(2, 12), "bias": torch.zeros(3)}, r"bias has the shape \(3,\)"),
        ({"weight": torch.zeros(2, 12), "credit": torch.zeros(2, 11)}, r"credit has the shape \(2, 11\)"),
        ({"weight": torch.full((2, 12), torch.nan)}, "NaN or infinite"),
    ],
)
def test_decoders_that_do_not_fit(given, message):
    with pytest.raises(BrainalignError, match=message):
        with_decoder(RNN(3, 2, units=12), **given)


def test_networks_that_take_no_decoder():
    with pytest.raises(NeedsError, match="found a MLP without one"):
        with_decoder(MLP(4, 2, 1, (3,)), torch.zeros(2, 3))
    with pytest.raises(BrainalignError, match="EIRNN would change this decoder"):
        with_decoder(EIRNN(3, 2, units=10), torch.ones(2, 10))


def rates_and_velocities(seed=0, n=200, units=20, dimensions=6):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, dimensions)) * np.linspace(3, 1, dimensions)
    rates = factors @ rng.normal(size=(dimensions, units)) + rng.normal(size=units)
    return rates, factors[:, :2] @ rng.normal(size=(2, 2)) + 0.3


def test_the_intuitive_decoder_finds_what_is_linear_in_the_factors():
    rates, velocities = rates_and_velocities()
    decoder = fit_manifold_decoder(rates, velocities, 6)
    np.testing.assert_allclose(decoder.velocities(rates), velocities, atol=1e-10)
    assert decoder.r2 == pytest.approx(1, abs=1e-12) and decoder.captured == pytest.approx(1, abs=1e-12)
    factors = (rates - decoder.mean) @ decoder.projection.T
    np.testing.assert_allclose(factors.T @ factors / len(factors), np.eye(6), atol=1e-10)
    few = fit_manifold_decoder(rates, velocities, 2)
    by_rates = np.linalg.lstsq(
        (rates - few.mean) @ few.projection.T, velocities - velocities.mean(0), rcond=None
    )
    np.testing.assert_allclose(few.readout, by_rates[0].T, atol=1e-10)
    assert few.r2 < 0.999


def test_within_stays_in_the_manifold_and_outside_leaves_it():
    rates, velocities = rates_and_velocities()
    decoder, rng = fit_manifold_decoder(rates, velocities, 6), np.random.default_rng(1)
    basis = np.linalg.svd(decoder.projection, full_matrices=False)[2]

    def inside(weight):
        return np.linalg.norm(weight @ basis.T) ** 2 / np.linalg.norm(weight) ** 2

    assert inside(decoder.within(rng.permutation(6)).weight) == pytest.approx(1, abs=1e-12)
    assert inside(decoder.outside(rng.permutation(20)).weight) < 0.7
    for same in (decoder.within(range(6)), decoder.outside(range(20))):
        np.testing.assert_array_equal(same.weight, decoder.weight)


@pytest.mark.parametrize("kind", ["within", "outside"])
def test_perturbations_are_as_hard_as_asked_for(kind):
    rates, velocities = rates_and_velocities()
    decoder = fit_manifold_decoder(rates, velocities, 6)
    conditions = rates[:8]
    found = choose_perturbation(
        decoder, conditions, kind, np.random.default_rng(0), angles=(50.0, 80.0), speeds=(0.3, 3.0)
    )
    angle, speed = open_loop(decoder.velocities(conditions), found.decoder.velocities(conditions))
    assert (angle, speed) == (found.angle, found.speed)
    assert 50 <= angle <= 80 and 0.3 <= speed <= 3


def test_open_loop_turns_and_speeds():
    there = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])
    turn = np.deg2rad(30)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    assert open_loop(there, 2 * there @ rotation.T) == pytest.approx((30, 2), abs=1e-9)
    assert open_loop(there, -there) == pytest.approx((180, 1), abs=1e-9)


def test_perturbations_that_cannot_be_had():
    rates, velocities = rates_and_velocities()
    decoder = fit_manifold_decoder(rates, velocities, 6)
    with pytest.raises(
        BrainalignError, match="None of 5 perturbations within the manifold turns velocities by 1"
    ):
        choose_perturbation(
            decoder, rates[:8], "within", np.random.default_rng(0), angles=(179.0, 180.0), candidates=5
        )
    with pytest.raises(UnknownNameError, match="Unknown perturbation 'beside'"):
        choose_perturbation(decoder, rates[:8], "beside", np.random.default_rng(0))


def test_rates_that_no_decoder_can_be_fitted_to():
    rates, velocities = rates_and_velocities()
    with pytest.raises(
        BrainalignError, match="manifold of 7 factors was asked for; these rates have 6 dimensions"
    ):
        fit_manifold_decoder(rates, velocities, 7)
    with pytest.raises(BrainalignError, match=r"rates \(200, 20\) and velocities \(199, 2\)"):
        fit_manifold_decoder(rates, velocities[1:], 3)
    with pytest.raises(BrainalignError, match="NaN or infinite rates"):
        fit_manifold_decoder(np.where(rates > 1, np.nan, rates), velocities, 3)
