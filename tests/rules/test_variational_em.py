"""Variational EM: scores of denoising auto-encoders, likelier activities by settling, samples like the data."""

import dataclasses

import pytest
import torch

from brainalign.errors import NeedsError
from brainalign.networks import make_network
from brainalign.rules.generative_rule import GENERATIVE
from brainalign.rules.relaxation import RESIDUAL, ConvergenceError
from brainalign.rules.variational_em import VariationalEM
from brainalign.tasks import Batch, find_task


def made(stack, teacher, widths, activation, tied=1.0, **options):
    """Give a rule, a network whose generative weights are its own times `tied`, and inputs."""
    rule, network = VariationalEM(**options), stack(widths, activation)
    task = teacher(widths[0], widths[-1], n=20)
    state = rule.init(network, task, torch.Generator().manual_seed(0))
    for layer in rule.hidden(network):
        state[f"{GENERATIVE}{layer.name}.weight"] = tied * layer.linear.weight.detach()
    return rule, network, state, task.inputs


def log_p(rule, network, state, inputs, hidden, activation):
    """Give σ² log p(x, h) of each sample, but for a constant."""
    total, activities = inputs.new_zeros(len(inputs)), [inputs, *hidden]
    for place, layer in enumerate(rule.hidden(network)):
        weight, bias = (state[f"{GENERATIVE}{layer.name}.{kind}"] for kind in ("weight", "bias"))
        generated = activities[place + 1] @ weight + bias
        generated = activation(generated) if place else generated
        total = total - rule.top_down**place * (activities[place] - generated).square().sum(1) / 2
    return total


def test_tied_linear_layers_settle_up_the_gradient_itself(stack, teacher):
    rule, network, state, inputs = made(stack, teacher, (6, 5, 4, 3, 2), "linear", top_down=0.3)
    model, generator = rule.model(network, state), torch.Generator().manual_seed(1)
    start = model.pass_up(inputs)
    hidden = [h + torch.randn(h.shape, generator=generator, dtype=h.dtype) for h in start]
    free = [h.detach().requires_grad_() for h in hidden]
    exact = torch.autograd.grad(log_p(rule, network, state, inputs, free, torch.nn.Identity()).sum(), free)
    with torch.no_grad():
        slopes = model.slopes([h.detach() for h in hidden], inputs, start[0])
    for place, (slope, each) in enumerate(zip(slopes, exact, strict=True)):
        torch.testing.assert_close(-slope, 0.3**-place * each, rtol=1e-10, atol=1e-12)


def test_tied_linear_layers_settle_at_the_likeliest_activities(stack, teacher):
    rule, network, state, inputs = made(
        stack, teacher, (6, 4, 3, 2), "linear", top_down=0.5, tolerance=1e-10, limit=2000, rate=0.5
    )
    for layer in rule.hidden(network):
        weight = torch.linalg.qr(layer.linear.weight.detach().T)[0].T
        layer.linear.weight.data = state[f"{GENERATIVE}{layer.name}.weight"] = weight
    first, second = (layer.linear.weight.detach() for layer in rule.hidden(network))
    settled = rule.e_step(rule.model(network, state), inputs)
    # All squared errors at once, of both layers' predictions: least squares.
    weight = 0.5**0.5
    upper = torch.cat([first.T, inputs.new_zeros(6, 3)], 1)
    lower = weight * torch.cat([torch.eye(4, dtype=torch.float64), -second.T], 1)
    wanted = torch.cat([inputs, inputs.new_zeros(len(inputs), 4)], 1)
    likeliest = torch.linalg.lstsq(torch.cat([upper, lower]), wanted.T).solution.T
    torch.testing.assert_close(torch.cat(settled.activities, 1), likeliest, rtol=0, atol=1e-8)
    hasty = dataclasses.replace(rule, limit=10)
    with pytest.raises(ConvergenceError, match="Recognition did not settle in 10 steps"):
        hasty.e_step(hasty.model(network, state), inputs)


@torch.no_grad()
def over_settling(rule, network, state, inputs):
    """Give the mean of σ² log p before, and after each step."""
    found = []
    for limit in range(rule.limit + 1):
        fewer = dataclasses.replace(rule, limit=limit)
        settled = fewer.e_step(rule.model(network, state), inputs).activities
        found.append(log_p(rule, network, state, inputs, settled, torch.tanh).mean())
    return torch.stack(found)


def test_settling_makes_activities_likelier_and_not_where_one_way_is_the_other_turned_round(stack, teacher):
    tied = over_settling(*made(stack, teacher, (6, 4, 3, 2), "tanh"))
    assert (tied.diff() > 0).all(), tied
    turned = over_settling(*made(stack, teacher, (6, 4, 3, 2), "tanh", tied=-1.0))
    assert (turned.diff() < 0).all(), turned


def gaussian_inputs(n, seed=0):
    """Draw from a Gaussian, to have the very covariance that is given."""
    generator = torch.Generator().manual_seed(seed)
    half = torch.tensor([[1.2, 0.0, 0.0], [0.5, 0.9, 0.0], [-0.3, 0.4, 0.8]], dtype=torch.float64)
    white = torch.linalg.qr(torch.randn(n, 3, generator=generator, dtype=torch.float64))[0] * n**0.5
    return white @ half.T, half @ half.T


def test_linear_maps_under_noise_come_to_the_score_of_gaussian_data(stack, teacher):
    """A map that gives back h from h + ε: its answer less its input is σ² times the score, to O(σ²)."""
    inputs, covariance = gaussian_inputs(100_000)
    shown, eye, errors = inputs[:100], torch.eye(3, dtype=torch.float64), {}
    for noise in (0.4, 0.2, 0.0):
        rule, network, state, _ = made(stack, teacher, (3, 3, 2), "linear", noise=noise)
        model, (layer,) = rule.model(network, state), rule.hidden(network)
        weight = model.maps[0].weight
        for _ in range(30):
            update, _ = rule.m_step(model, [inputs, inputs], torch.Generator().manual_seed(1))
            weight -= 0.8 * update[f"{GENERATIVE}{layer.name}.weight"]
        optimum = torch.linalg.inv(covariance + noise**2 * eye) @ covariance
        torch.testing.assert_close(weight, optimum, rtol=0, atol=0.005)
        exact = -shown @ torch.linalg.inv(covariance)
        score = (shown @ weight - shown) / (noise or 0.2) ** 2
        errors[noise] = float((score - exact).norm() / exact.norm())
    # Of a direction of variance λ the error is σ² / (λ + σ²).
    smallest = float(torch.linalg.eigvalsh(covariance)[0])
    assert all(errors[noise] < noise**2 / smallest for noise in (0.4, 0.2)), errors
    # Without noise there is nothing to learn of the score.
    assert errors[0.0] == pytest.approx(1, abs=0.01)


def test_without_noise_recognition_learns_from_what_comes_in_and_how_activity_changes(stack, teacher, update):
    """The sum over steps of presynaptic activity times the change of the postsynaptic one."""
    rule, network, state, inputs = made(stack, teacher, (6, 4, 2), "linear", tied=0.5, noise=0.0)
    (layer,) = rule.hidden(network)
    model = rule.model(network, state)
    total, before = inputs.new_zeros(4, 6), model.pass_up(inputs)[0].detach()
    for limit in range(1, rule.limit + 1):
        after = dataclasses.replace(rule, limit=limit).e_step(model, inputs).activities[0]
        total, before = total + (after - before).T @ inputs / len(inputs), after
    given, _ = update(rule, network, teacher(6, 2, n=20), Batch(inputs), state)
    torch.testing.assert_close(given[f"{layer.name}.weight"], -total, rtol=1e-10, atol=1e-13)
    assert float(total.norm()) > 0.1


def factors(n, shuffled=False):
    """Draw SIMULATED inputs of two factors, six units and little noise; shuffled, each unit by itself."""
    generator = torch.Generator().manual_seed(0)
    loadings = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    drawn = torch.randn(n, 8, generator=generator, dtype=torch.float64)
    inputs = drawn[:, :2] @ loadings + 0.1 * drawn[:, 2:] + torch.arange(6) / 3
    if shuffled:
        inputs = torch.stack([unit[torch.randperm(n, generator=generator)] for unit in inputs.T], 1)
    return inputs


def trained(stack, teacher, inputs, activation, n_steps=400):
    rule, network = VariationalEM(noise=0.1, rate=0.5, limit=2), stack((6, 4, 3, 2), activation)
    task, generator = teacher(6, 2), torch.Generator().manual_seed(0)
    state = rule.init(network, task, generator)
    names = [name for name in state if name.startswith(GENERATIVE)]
    tensors = dict(network.named_parameters()) | {name: state[name] for name in names}
    optimizer = torch.optim.Adam(tensors.values())
    for step in range(n_steps):
        optimizer.param_groups[0]["lr"] = 0.04 * (1 - step / n_steps)
        for update in rule.updates(network, task, Batch(inputs, step=step), state, generator):
            for name, each in tensors.items():
                each.grad = update.get(name)
        optimizer.step()
    return rule, network, state


def away(rule, network, state, inputs):
    """Give how far moments of samples are from those of inputs: means by deviation, covariances by norm."""
    drawn = rule.sample(network, state, inputs.new_zeros(20_000, 6), torch.Generator().manual_seed(5))
    covariance = torch.cov(inputs.T)
    means = ((drawn.mean(0) - inputs.mean(0)) / inputs.std(0)).abs().max()
    return float(means), float((torch.cov(drawn.T) - covariance).norm() / covariance.norm())


def test_samples_of_a_trained_model_have_the_moments_of_its_data(stack, teacher):
    inputs = factors(200)
    mean, covariance = away(*trained(stack, teacher, inputs, "linear"), inputs)
    assert mean < 0.05 and covariance < 0.1, (mean, covariance)
    untrained = away(*trained(stack, teacher, inputs, "linear", n_steps=0), inputs)
    assert untrained[0] > 0.3 and untrained[1] > 0.5, untrained
    # Of units that have nothing to do with each other only the means are as they were.
    mean, covariance = away(*trained(stack, teacher, factors(200, shuffled=True), "linear"), inputs)
    assert mean < 0.1 and covariance > 0.5, (mean, covariance)


def test_settling_makes_activities_likelier_in_a_model_that_has_learnt(stack, teacher):
    inputs = factors(200)
    found = over_settling(*trained(stack, teacher, inputs, "tanh", n_steps=100), inputs)
    assert (found.diff() > 0).all(), found


def test_what_is_probed_is_the_activity_that_has_settled(stack, teacher):
    rule, network, state, inputs = made(stack, teacher, (6, 4, 3, 2), "tanh", tied=0.5)
    seen, settled = [], rule.e_step(rule.model(network, state), inputs).activities
    probed = rule.inference(network, state)
    for block in network.blocks:
        block.register_forward_hook(lambda _module, _inputs, answer: seen.append(answer))
    with torch.no_grad():
        outputs = probed(inputs)
        torch.testing.assert_close(outputs, network.head(settled[-1]))
    assert len(seen) == 2
    for given, wanted in zip(seen, settled, strict=True):
        assert torch.equal(given, wanted)
    with torch.no_grad():
        passed = rule.model(network, state).pass_up(inputs)
    assert all(float((a - b).abs().max()) > 0.01 for a, b in zip(settled, passed, strict=True))
    assert torch.equal(network(inputs), network.head(passed[-1]))


def test_convolutions_settle_learn_and_generate_images():
    rule, task = VariationalEM(), find_task("classification:digits,batch_size=16")
    network, generator = make_network("convnet", task.shape("tanh"), 0), torch.Generator().manual_seed(0)
    state = rule.init(network, task, generator)
    batch = next(task.batches(generator))
    (update,) = rule.updates(network, task, batch, state, generator)
    tensors = dict(network.named_parameters()) | state
    assert {name: each.shape for name, each in update.items()} == {
        name: tensors[name].shape for name in tensors if name in update
    }
    assert sum(name.startswith(GENERATIVE) for name in update) == 2 * len(rule.hidden(network))
    assert 0 < float(state[RESIDUAL]) < float("inf")
    assert rule.sample(network, state, batch.inputs, generator).shape == batch.inputs.shape


def test_other_networks_and_tasks_are_refused():
    task = find_task("classification:digits")
    with pytest.raises(NeedsError, match="plain stack"):
        VariationalEM().check(torch.nn.Linear(3, 2), task)
    contrastive = find_task("contrastive:digits")
    with pytest.raises(NeedsError, match="would stay untrained"):
        VariationalEM().check(make_network("mlp:hidden=8", contrastive.shape("tanh"), 0), contrastive)
