"""Hebb, Oja, Sanger and similarity matching on Gaussian inputs, against their eigenvectors."""

import dataclasses
import math

import pytest
import torch

from brainalign.rules.hebb import Hebb
from brainalign.rules.oja import Oja
from brainalign.rules.sanger import Sanger
from brainalign.rules.similarity_matching import LATERAL, SimilarityMatching

SPECTRUM = (4.0, 2.0, 1.0, 0.4, 0.3, 0.2)
FIRST = "blocks.0.linear"


@pytest.fixture
def gaussian(teacher):
    """Give a task of inputs with a spectrum, and the eigenvectors of their second moments, the first first."""

    def make(spectrum=SPECTRUM, n=2000):
        generator = torch.Generator().manual_seed(0)
        n_inputs = len(spectrum)
        turned, _ = torch.linalg.qr(torch.randn(n_inputs, n_inputs, generator=generator, dtype=torch.float64))
        drawn, _ = torch.linalg.qr(torch.randn(n, n_inputs, generator=generator, dtype=torch.float64))
        inputs = n**0.5 * drawn * torch.tensor(spectrum, dtype=torch.float64).sqrt() @ turned.T
        return dataclasses.replace(teacher(n_inputs, n=n), inputs=inputs), turned

    return make


def learn(rule, network, task, rate, n_steps, state=None):
    """Take steps on all samples at once; give the state, and each step's weights of the first layer."""
    generator, batch, seen = torch.Generator().manual_seed(0), next(task.held_out()), []
    state = rule.init(network, task, generator) if state is None else state
    parameters = dict(network.named_parameters()) | state
    for _ in range(n_steps):
        for update in rule.updates(network, task, batch, state, generator):
            for name, change in update.items():
                parameters[name].data -= rate * change
            with torch.no_grad():
                rule.after_update(network, state)
        seen.append(network.blocks[0].linear.weight.detach().clone())
    return state, seen


def cosines(weight, directions):
    return (weight / weight.norm(dim=1, keepdim=True) @ directions).abs()


def test_plain_hebb_grows_by_the_first_eigenvalue(stack, gaussian):
    task, _ = gaussian()
    network = stack((6, 3, 2), "linear")
    _, seen = learn(Hebb(normalise=False), network, task, 0.01, 400)
    growth = math.log(float(seen[-1][0].norm() / seen[-101][0].norm())) / 100
    assert growth == pytest.approx(0.01 * SPECTRUM[0], rel=0.05)
    # What it is exactly, for steps that are not infinitely small.
    assert growth == pytest.approx(math.log(1 + 0.01 * SPECTRUM[0]), rel=1e-3)


def test_normalised_hebb_finds_the_first_component_and_keeps_norms(stack, gaussian):
    task, directions = gaussian()
    _, seen = learn(Hebb(), stack((6, 3, 2), "linear"), task, 0.1, 200)
    assert float(cosines(seen[-1], directions)[:, 0].min()) > 1 - 1e-6
    for weight in (seen[0], seen[-1]):
        torch.testing.assert_close(weight.norm(dim=1), torch.ones(3, dtype=torch.float64), rtol=1e-12, atol=0)


def test_oja_finds_the_first_component_with_a_norm_of_1(stack, gaussian):
    task, directions = gaussian()
    _, seen = learn(Oja(), stack((6, 3, 2), "linear"), task, 0.05, 400)
    assert float(cosines(seen[-1], directions)[:, 0].min()) > 1 - 1e-9
    torch.testing.assert_close(seen[-1].norm(dim=1), torch.ones(3, dtype=torch.float64), rtol=1e-9, atol=0)


def test_oja_on_batches_stays_near_the_first_component(stack, gaussian):
    task, directions = gaussian()
    network, rule, generator = stack((6, 3, 2), "linear"), Oja(), torch.Generator().manual_seed(0)
    for _ in range(20):
        for batch in task.batches(generator):
            for update in rule.updates(network, task, batch, {}, generator):
                network.blocks[0].linear.weight.data -= 0.01 * update[f"{FIRST}.weight"]
    weight = network.blocks[0].linear.weight.detach()
    assert float(cosines(weight, directions)[:, 0].min()) > 0.99
    assert float((weight.norm(dim=1) - 1).abs().max()) < 0.02


def test_without_a_gap_oja_prefers_no_component(stack, gaussian):
    task, directions = gaussian((4.0, 4.0, 1.0, 0.4, 0.3, 0.2))
    _, seen = learn(Oja(), stack((6, 3, 2), "linear"), task, 0.05, 400)
    found = cosines(seen[-1], directions)
    assert float(found[:, 0].min()) < 0.99
    torch.testing.assert_close(found[:, :2].norm(dim=1), torch.ones(3, dtype=torch.float64), rtol=1e-9, atol=0)


def test_oja_with_too_high_a_rate_diverges(stack, gaussian):
    task, _ = gaussian()
    _, seen = learn(Oja(), stack((6, 3, 2), "linear"), task, 3 / SPECTRUM[0], 60)
    assert not torch.isfinite(seen[-1]).all()


def test_sanger_finds_components_in_order_where_oja_finds_one(stack, gaussian):
    task, directions = gaussian()
    _, seen = learn(Sanger(), stack((6, 3, 2), "linear"), task, 0.1, 500)
    found = (seen[-1] @ directions).abs()
    torch.testing.assert_close(found, torch.eye(3, 6, dtype=torch.float64), rtol=0, atol=1e-8)
    _, alike = learn(Oja(), stack((6, 3, 2), "linear"), task, 0.1, 500)
    assert float(cosines(alike[-1], directions)[1:, 1:].max()) < 1e-3


def settled(network, state):
    weight = network.blocks[0].linear.weight.detach()
    return torch.linalg.solve(state[LATERAL + FIRST], weight)


def test_similarity_matching_projects_onto_the_subspace_of_the_svd(stack, gaussian):
    task, _ = gaussian()
    network, rule = stack((6, 3, 2), "linear"), SimilarityMatching()
    start = torch.linalg.svd(task.inputs, full_matrices=False).Vh[:3]
    projector = start.T @ start
    before = settled(network, rule.init(network, task, torch.Generator()))
    assert float((before.T @ before - projector).norm()) > 0.5
    state, _ = learn(rule, network, task, 0.1, 400)
    found = settled(network, state)
    assert float((found.T @ found - projector).norm()) < 1e-6
    torch.testing.assert_close(found @ found.T, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-6)


def test_similarities_of_outputs_are_the_best_that_so_few_units_can_have(stack, gaussian):
    """The least cost that any Y of three dimensions has is the sum of the other squared eigenvalues."""
    task, _ = gaussian(n=300)
    network, rule = stack((6, 3, 2), "linear"), SimilarityMatching()
    state, _ = learn(rule, network, task, 0.1, 400)
    layer = network.layers[0]
    y = rule.answer(layer, layer.preactivation(task.inputs), state).detach()
    cost = (task.inputs @ task.inputs.T - y @ y.T).square().sum() / 300**2
    assert float(cost) == pytest.approx(sum(each**2 for each in SPECTRUM[3:]), rel=1e-6)


def test_units_settle_and_what_is_probed_answers_so(stack, gaussian):
    task, _ = gaussian()
    network, rule = stack((6, 3, 2), "linear"), SimilarityMatching()
    network.blocks[0].linear.bias.data += 0.3
    state, _ = learn(rule, network, task, 0.1, 20)
    layer = network.layers[0]
    y = rule.answer(layer, layer.preactivation(task.inputs), state).detach()
    still = layer.preactivation(task.inputs).detach() - y @ state[LATERAL + FIRST].T
    assert float(still.abs().max()) < 1e-12
    with torch.no_grad():
        answer, wanted = rule.inference(network, state)(task.inputs), network.head(y)
        torch.testing.assert_close(answer, wanted, rtol=0, atol=1e-12)
        assert float((network(task.inputs) - wanted).abs().max()) > 0.1
