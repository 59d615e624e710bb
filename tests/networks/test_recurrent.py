import pytest
import torch

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.networks import LeakyNetwork, Preprocessing, RecurrentNetwork, Shape, make_network

SHAPE = Shape(Preprocessing(1, (0.0,), (1.0,)), n_outputs=2, n_inputs=3)


@pytest.mark.parametrize("name", ["rnn", "gru", "ei_rnn", "rnn:units=7,alpha=1,activation=relu"])
def test_steps_by_hand_are_what_forward_gives(name):
    network = make_network(name, SHAPE, seed=1)
    inputs = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0))
    state, by_hand = network.initial(4), []
    for x in inputs.unbind(1):
        state = network.step(x, state)
        by_hand.append(network.readout(state))
    assert torch.equal(network(inputs), torch.stack(by_hand, 1))
    assert network.rates(state).shape == (4, network.n_units)


def test_the_same_seed_gives_the_same_weights():
    one, same, other = (make_network("rnn", SHAPE, seed=seed).recurrent.weight for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_a_leaky_network_follows_its_equation():
    network = make_network("rnn:units=5,alpha=0.3", SHAPE, seed=0).double()
    x, h = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    w, w_in, b = network.recurrent.weight, network.input.weight, network.input.bias
    expected = 0.7 * h + 0.3 * torch.tanh(h @ w.T + x @ w_in.T + b)
    assert torch.allclose(network.step(x, h), expected, atol=1e-15)


def test_gain_is_the_spectral_radius_of_large_networks():
    weight = make_network("rnn:units=400,gain=1.5", SHAPE, seed=0).recurrent.weight
    assert torch.linalg.eigvals(weight).abs().max().item() == pytest.approx(1.5, abs=0.1)


def test_dale_s_law_holds_from_the_start_and_is_restored():
    network = make_network("ei_rnn:units=50", SHAPE, seed=0)
    assert network.signs.sum() == 40 - 10

    def lawful() -> bool:
        weight = network.recurrent.weight
        of_inhibitory = network.head.weight[:, network.signs < 0]
        return bool(
            (weight * network.signs >= 0).all()
            and (weight.diagonal() == 0).all()
            and (of_inhibitory == 0).all()
        )

    assert lawful()
    assert torch.linalg.eigvals(network.recurrent.weight).abs().max().item() == pytest.approx(1, abs=1e-4)
    with torch.no_grad():
        network.recurrent.weight.add_(torch.randn(50, 50))
        network.head.weight.add_(1)
    assert not lawful()
    network.constrain()
    assert lawful()


def test_excitation_and_inhibition_balance_on_average():
    weight = make_network("ei_rnn:units=500", SHAPE, seed=0).recurrent.weight
    excitation, inhibition = weight.clamp(min=0).sum(1).mean(), weight.clamp(max=0).sum(1).mean()
    assert (excitation + inhibition).abs() < 0.05 * excitation


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ei_rnn:excitatory=1", "leaves some of either kind"),
        ("rnn:alpha=2", "one time constant at most"),
        ("ei_rnn:alpha=1.5", "one time constant at most"),
        ("convnet", "needs a recurrent one"),
    ],
)
def test_options_that_make_no_network(name, message):
    with pytest.raises(BrainalignError, match=message):
        make_network(name, SHAPE)


def test_a_recurrent_network_sees_no_images():
    with pytest.raises(BrainalignError, match="sees no images"):
        make_network("rnn", Shape(Preprocessing(8, (0.5,), (0.5,)), n_outputs=10))


def test_the_closest_name_is_told():
    with pytest.raises(UnknownNameError, match="rnn"):
        make_network("rnnn", SHAPE)


def test_networks_of_one_s_own_are_checked(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "from brainalign.networks import make_network, Preprocessing, Shape\n"
        "def small(): return make_network('rnn:units=4', Shape(Preprocessing(1), n_outputs=2, n_inputs=9))\n"
        "def none(): return __import__('torch').nn.Linear(3, 2)\n"
    )
    with pytest.raises(BrainalignError, match="9 inputs and 2 outputs; the task needs 3"):
        make_network(f"{file}:small", SHAPE)
    with pytest.raises(BrainalignError, match="is not recurrent"):
        make_network(f"{file}:none", SHAPE)


def test_classes_tell_what_rules_can_use():
    assert isinstance(make_network("rnn", SHAPE), LeakyNetwork)
    gru = make_network("gru", SHAPE)
    assert isinstance(gru, RecurrentNetwork) and not isinstance(gru, LeakyNetwork)
