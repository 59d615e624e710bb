"""Autoencoders: costs, noise, penalties, and the variational bound."""

import dataclasses
import itertools

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from brainalign.errors import NeedsError, UnknownNameError
from brainalign.networks.mlp import MLP
from brainalign.networks.untrained import seeded
from brainalign.tasks import find_task
from brainalign.tasks.autoencoding import Autoencoding, DenoisingAutoencoding
from brainalign.tasks.penalised_autoencoding import (
    ContractiveAutoencoding,
    SparseAutoencoding,
    last_linear_input,
    squared_jacobian,
)
from brainalign.tasks.variational_autoencoding import VariationalAutoencoding, kl_to_standard_normal


def network_for(task, activation="tanh") -> MLP:
    with seeded(0):
        return MLP(task.images.size, task.n_outputs, task.images.channels, (12, 7), activation)


def test_cost_of_plain_is_half_the_mean_square(colours, generator):
    task = Autoencoding(colours, batch_size=8)
    batch = next(task.batches(generator))
    assert task.n_outputs == 3 * 16 * 16
    assert task.cost(batch.inputs.flatten(1), batch).tolist() == [0.0] * 8
    expected = [sum(v * v for v in row) / 2 / len(row) for row in batch.inputs.flatten(1).double().tolist()]
    assert task.cost(torch.zeros(8, task.n_outputs), batch).tolist() == pytest.approx(expected, rel=1e-5)


def test_answering_zero_costs_one_half(colours):
    task = Autoencoding(colours, batch_size=8)
    (batch,) = task.seen()
    assert task.cost(torch.zeros(40, task.n_outputs), batch).mean().item() == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("corruption", ["gaussian", "masking"])
def test_denoising_shows_noise_and_wants_the_clean_image(colours, generator, corruption):
    task = DenoisingAutoencoding(colours, batch_size=40, noise=0.25, corruption=corruption)
    (batch,) = task.batches(generator)
    noise = batch.inputs.flatten(1) - batch.targets
    if corruption == "gaussian":
        n = noise.numel()
        assert abs(noise.std() - 0.25) < 5 * 0.25 / (2 * n) ** 0.5 and abs(noise.mean()) < 5 * 0.25 / n**0.5
    else:
        masked = (batch.inputs == 0).all(1)
        assert masked.float().mean() == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / masked.numel()) ** 0.5)
        # Whole pixels, and nothing else, have changed.
        assert torch.equal((noise.view_as(batch.inputs) != 0).any(1), masked)
    (clean,) = task.seen()
    assert torch.equal(clean.inputs.flatten(1), clean.targets)


def test_an_unknown_corruption(colours):
    with pytest.raises(UnknownNameError, match="Did you mean 'masking'"):
        DenoisingAutoencoding(colours, batch_size=8, corruption="maskin")


def test_sparse_appends_the_mean_activity_of_the_last_hidden_layer(colours, generator):
    task = SparseAutoencoding(colours, batch_size=8, penalty_weight=0.5)
    network, batch = network_for(task), next(task.batches(generator))
    outputs = task.rollout(network, batch)
    code = network.blocks(batch.inputs)
    assert torch.equal(outputs[:, :-1], network(batch.inputs))
    assert torch.allclose(outputs[:, -1], code.abs().sum(1) / 7)
    plain = Autoencoding(colours, batch_size=8).cost(outputs[:, :-1], batch)
    assert torch.allclose(task.cost(outputs, batch), plain + 0.5 * code.abs().mean(1))


def test_hooks_are_taken_off_again(colours, generator):
    task = SparseAutoencoding(colours, batch_size=8)
    network, batch = network_for(task), next(task.batches(generator))
    task.rollout(network, batch)
    assert not any(module._forward_pre_hooks for module in network.modules())
    linear = nn.Linear(2, 2)
    with pytest.raises(RuntimeError), last_linear_input(linear):
        linear(torch.zeros(1, 1))
    assert not linear._forward_pre_hooks


@pytest.mark.parametrize("kind", [SparseAutoencoding, ContractiveAutoencoding])
def test_the_cost_of_a_bare_answer_is_refused(colours, generator, kind):
    task = kind(colours, batch_size=8)
    network, batch = network_for(task), next(task.batches(generator))
    with pytest.raises(NeedsError, match=r"expected 768 \+ 1 outputs, found 768"):
        task.cost(network(batch.inputs), batch)
    with pytest.raises(NeedsError, match="Flatten runs no nn.Linear"):
        task.rollout(nn.Flatten(), batch)


def explicit_norm(network, x) -> list[float]:
    code = nn.Sequential(network.blocks, nn.Flatten())
    each = [torch.autograd.functional.jacobian(code, row[None], vectorize=True) for row in x]
    return [float(jacobian.square().sum()) for jacobian in each]


def test_hutchinsons_estimate_over_all_signs_is_the_explicit_norm(colours):
    """The mean over all 2⁷ vectors of ±1 is exact, as E v vᵀ = 1."""
    with seeded(0):
        network = MLP(16, 5, 3, (12, 7), "tanh").double()
    x = torch.randn(
        4, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    code = network.blocks(x)
    total = torch.zeros(4, dtype=torch.float64)
    for signs in itertools.product((-1.0, 1.0), repeat=7):
        (gradient,) = torch.autograd.grad(
            (code @ torch.tensor(signs, dtype=x.dtype)).sum(), x, retain_graph=True
        )
        total += gradient.flatten(1).square().sum(1)
    expected = explicit_norm(network, x.detach())
    assert (total / 2**7).tolist() == pytest.approx(expected, rel=1e-10)
    estimate = squared_jacobian(code, x, 4000, torch.Generator().manual_seed(0), differentiable=False)
    assert estimate.tolist() == pytest.approx(expected, rel=0.05)


def test_one_unit_needs_one_probe(colours):
    """With one unit v is ±1, so that each estimate is exact."""
    task = ContractiveAutoencoding(colours, batch_size=8)
    with seeded(0):
        network = MLP(16, task.n_outputs, 3, (1,), "tanh")
    batch = next(task.seen(8))
    found = task.rollout(network, batch)[:, -1]
    assert found.tolist() == pytest.approx(explicit_norm(network, batch.inputs), rel=1e-4)


def test_the_contractive_penalty_has_the_gradient_of_finite_differences(colours, generator):
    task = ContractiveAutoencoding(colours, batch_size=8, penalty_weight=3.0, probes=2)
    network = network_for(task).double()
    batch = next(task.batches(generator))
    batch = dataclasses.replace(batch, inputs=batch.inputs.double(), targets=batch.targets.double())
    weight = network.blocks[0].linear.weight

    def cost() -> torch.Tensor:
        return task.cost(task.rollout(network, batch), batch).mean()

    (gradient,) = torch.autograd.grad(cost(), weight)
    step, i = 1e-5, (3, 100)
    with torch.no_grad():
        weight[i] += step
        above = cost().item()
        weight[i] -= 2 * step
        below = cost().item()
    assert gradient[i].item() == pytest.approx((above - below) / (2 * step), rel=1e-6)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_contractive_penalty_is_there_without_gradients(colours, mode):
    task = ContractiveAutoencoding(colours, batch_size=8)
    network = network_for(task)
    batch = next(task.seen(8))
    expected = task.cost(task.rollout(network, batch), batch)
    assert expected.requires_grad
    with mode():
        (batch,) = task.seen(8)
        found = task.cost(task.rollout(network, batch), batch)
    assert not found.requires_grad and torch.allclose(found, expected.detach())


def test_kl_is_that_of_torch():
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 9, 5, dtype=torch.float64, generator=generator)
    normal = Normal(mean, (log_variance / 2).exp())
    expected = kl_divergence(normal, Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(1)
    assert torch.allclose(kl_to_standard_normal(mean, log_variance), expected, rtol=1e-12)


@pytest.mark.parametrize("decoder", [0, 20])
def test_the_variational_cost_is_the_bound(colours, generator, decoder):
    task = VariationalAutoencoding(colours, batch_size=8, latents=4, decoder=decoder)
    batch = next(task.batches(generator))
    outputs = torch.randn(8, 8, generator=generator)
    mean, log_variance = outputs[:, :4], outputs[:, 4:]
    sampled = task.module(mean + (log_variance / 2).exp() * batch.noise)
    likelihood = Normal(sampled, 1.0).log_prob(batch.targets) - Normal(0.0, 1.0).log_prob(torch.zeros(()))
    prior = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    expected = (prior - likelihood.sum(1)) / task.n_values
    assert torch.allclose(task.cost(outputs, batch), expected, rtol=1e-5)


def test_the_noise_of_the_batch_is_drawn_in_training_alone(colours, generator):
    task = VariationalAutoencoding(colours, batch_size=40, latents=50)
    (batch,) = task.batches(generator)
    assert abs(batch.noise.std() - 1) < 0.1 and batch.noise.shape == (40, 50)
    assert all((each.noise == 0).all() for each in (*task.held_out(), *task.seen()))


def test_gradients_reach_network_and_decoder(colours, generator):
    task = VariationalAutoencoding(colours, batch_size=8, latents=4)
    network, batch = network_for(task), next(task.batches(generator))
    task.cost(task.rollout(network, batch), batch).mean().backward()
    for module in (network, task.module):
        assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())


def test_the_decoder_is_decided_by_its_seed_and_kept(colours):
    first, second = (VariationalAutoencoding(colours, batch_size=8) for _ in range(2))
    assert first.module is first.module and first.module is not second.module
    assert torch.equal(first.module[0].weight, second.module[0].weight)
    other = VariationalAutoencoding(colours, batch_size=8, decoder_seed=1)
    assert not torch.equal(first.module[0].weight, other.module[0].weight)


def test_a_batch_of_another_task_is_refused(colours, generator):
    batch = next(Autoencoding(colours, batch_size=8).batches(generator))
    task = VariationalAutoencoding(colours, batch_size=8, latents=4)
    with pytest.raises(NeedsError, match="needs the noise of the task's own batches"):
        task.cost(torch.zeros(8, 8), batch)


@pytest.mark.parametrize("variant", ["plain", "denoising", "sparse", "contractive", "variational"])
def test_every_variant_is_learnt(variant):
    task = find_task(f"autoencoding:digits,variant={variant}")
    with seeded(0):
        network = MLP(8, task.n_outputs, 1, (32,), "tanh")
    modules = nn.ModuleList([network] if task.module is None else [network, task.module])
    optimizer = torch.optim.Adam(modules.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)

    def held_out() -> float:
        with torch.no_grad():
            costs = [task.cost(task.rollout(network, batch), batch) for batch in task.held_out()]
        return torch.cat(costs).mean().item()

    before = held_out()
    for _ in range(15):
        for batch in task.batches(generator):
            optimizer.zero_grad()
            task.cost(task.rollout(network, batch), batch).mean().backward()
            optimizer.step()
    assert held_out() < 0.75 * before
