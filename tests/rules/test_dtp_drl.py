"""The difference reconstruction loss: its gradient, and the pseudo-inverse that it leads to."""

import pytest
import torch

from brainalign.rules.dtp_drl import DTPWithDRL
from brainalign.rules.inverses import INVERSE
from brainalign.rules.rule import TRAINABLE
from brainalign.training.angles import angle
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer


@pytest.mark.parametrize("activation", ["after", "before", "none"])
def test_inverses_learn_by_the_gradient_of_their_own_loss_alone(activation, stack, teacher):
    network, task = stack((30, 9, 8, 7, 5)), teacher()
    batch = next(task.held_out(20))
    generator = torch.Generator().manual_seed(0)
    rule = DTPWithDRL(inverse_activation=activation, inverse_decay=0.3)
    state = rule.init(network, task, generator)
    for name in state:
        state[name] += 0.1 * torch.randn(state[name].shape, generator=generator, dtype=torch.float64)
    passed = rule.passed(network, batch.inputs, state)
    before = generator.get_state()
    given = rule.inverse_update(passed, generator)
    generator.set_state(before)
    h = passed.answers

    def inverse(place, above, of):
        above = torch.tanh(above) if activation == "before" and place < 3 else above
        name = INVERSE + network.layers[place].name
        back = above @ of[f"{name}.weight"] + of[f"{name}.bias"]
        return torch.tanh(back) if activation == "after" else back

    for place in (1, 2, 3):
        noisy = h[place] + rule.noise * torch.randn(h[place].shape, generator=generator, dtype=torch.float64)
        free = {name: each.clone().requires_grad_() for name, each in state.items()}
        back = noisy
        for up in range(place, 4):
            back = network.layers[up].activation(network.layers[up].linear(back))
        for down in range(3, place - 1, -1):
            back = h[down] + inverse(down, back, free) - inverse(down, h[down + 1], free)
        own = [f"{INVERSE}{network.layers[place].name}.{kind}" for kind in ("weight", "bias")]
        loss = (back - noisy).square().sum(1).mean() / rule.noise**2 + 0.15 * free[own[0]].square().sum()
        for name, expected in zip(own, torch.autograd.grad(loss, [free[each] for each in own]), strict=True):
            torch.testing.assert_close(given[name], expected, rtol=1e-9, atol=1e-11)


def test_inverses_of_a_linear_network_come_to_the_pseudo_inverse(stack, regression):
    network, task = stack((12, 20, 16, 6), "linear"), regression()
    inputs = next(task.held_out(200)).inputs
    generator = torch.Generator().manual_seed(0)
    rule = DTPWithDRL()
    state = rule.init(network, task, generator)
    passed = rule.passed(network, inputs, state)
    for step in range(400):
        for name, each in rule.inverse_update(passed, generator).items():
            state[name] -= 0.1 / (1 + step / 100) * each
    weights = [layer.linear.weight.detach() for layer in network.layers]
    of_head, of_middle = (state[f"{INVERSE}{name}.weight"].T for name in ("head", "blocks.1.linear"))
    pseudo = torch.linalg.pinv(weights[2])
    assert angle(of_head, pseudo) < 3
    assert angle(pseudo, weights[2].T) > 15
    assert float(of_head.norm() / pseudo.norm()) == pytest.approx(1, abs=0.05)
    way_back, way_up = of_middle @ of_head, weights[2] @ weights[1]
    assert angle(way_back, torch.linalg.pinv(way_up)) < 5
    assert angle(torch.linalg.pinv(way_up), way_up.T) > 15


def test_steps_of_pre_training_count_and_leave_the_network_as_it_was(stack, teacher):
    network, task = stack((30, 16, 12, 5)), teacher()
    start = {name: each.clone() for name, each in network.state_dict().items()}
    trainer = Trainer(network, task, DTPWithDRL(pretraining=5), find_optimizer("adam"), 0)
    inverses = {name: each.clone() for name, each in trainer.state.items()}
    for _ in range(5):
        trainer.advance()
    assert trainer.step == 5
    assert all(torch.equal(each, start[name]) for name, each in network.state_dict().items())
    assert all(name.startswith(TRAINABLE) for name in inverses)
    weights = {name: each for name, each in inverses.items() if name.endswith(".weight")}
    assert len(weights) == 2
    assert not any(torch.equal(each, trainer.state[name]) for name, each in weights.items())
    trainer.advance()
    assert not any(torch.equal(each, start[name]) for name, each in network.state_dict().items())


def test_learns_a_teachers_labels(stack, teacher):
    network, task = stack((30, 40, 40, 5)), teacher()
    trainer = Trainer(network, task, DTPWithDRL(inverse_rate=10.0), find_optimizer("adam:lr=1e-3"), 0)
    for _ in range(120):
        trainer.advance()
    held = next(task.held_out())
    assert float((network(held.inputs).argmax(1) == held.targets).double().mean()) > 0.6
