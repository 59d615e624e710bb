"""Regression with known singular values."""

import numpy as np
import pytest
import torch

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.tasks import find_task
from brainalign.training import train

TEACHER, TREE = "singular_modes:variant=teacher", "singular_modes:variant=hierarchy"


def correlations(task) -> tuple[np.ndarray, np.ndarray]:
    batch = next(task.seen())
    x, y = batch.inputs.flatten(1).double().numpy(), batch.targets.double().numpy()
    return x.T @ x / len(x), y.T @ x / len(x)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_teachers_inputs_are_white_without_a_mean_and_its_singular_values_as_given(seed):
    task = find_task(f"{TEACHER},values=5-2.5-2.5-0.1,size=3,outputs=7,teacher_seed={seed}")
    of_inputs, between = correlations(task)
    np.testing.assert_allclose(of_inputs, np.eye(9), atol=1e-6)
    np.testing.assert_allclose(np.linalg.svd(between)[1], [5, 2.5, 2.5, 0.1, 0, 0, 0], atol=1e-6)
    inputs = next(task.seen()).inputs
    assert inputs.shape == (18, 1, 3, 3) and inputs.sum(0).abs().max() < 1e-5


@pytest.mark.parametrize(("branching", "depth"), [(2, 3), (3, 2), (2, 1), (4, 2)])
def test_singular_values_of_a_tree_are_those_of_its_levels(branching, depth):
    task = find_task(f"{TREE},branching={branching},depth={depth}")
    of_inputs, between = correlations(task)
    n = branching**depth
    np.testing.assert_allclose(of_inputs[:n, :n], np.eye(n), atol=1e-6)
    assert not of_inputs[n:].any() and not of_inputs[:, n:].any()
    expected = []
    for level in range(depth + 1):
        multiplicity = branching**level - (branching ** (level - 1) if level else 0)
        value = np.sqrt(sum(branching ** (depth - below) for below in range(level, depth + 1)) / n)
        expected += [value] * multiplicity
    np.testing.assert_allclose(np.linalg.svd(between)[1][:n], expected, rtol=1e-6)


def test_items_share_as_many_features_as_nodes_above_them():
    features = next(find_task(f"{TREE},depth=3").seen()).targets
    shared = (features @ features.T).int()
    assert shared[0].tolist() == [4, 3, 2, 2, 1, 1, 1, 1]
    assert set(features.unique().tolist()) == {0.0, 1.0} and features.shape == (8, 15)


def test_the_cost_is_half_the_squared_error_of_each_sample():
    task = find_task(TEACHER)
    batch = next(task.batches(torch.Generator()))
    outputs = batch.targets + torch.arange(len(batch))[:, None] / 10
    expected = 0.5 * 10 * (torch.arange(len(batch)) / 10) ** 2
    torch.testing.assert_close(task.cost(outputs, batch), expected, rtol=1e-4, atol=1e-5)
    assert task.correct(outputs, batch) is None and task.categories == ()


@pytest.mark.parametrize("name", [TEACHER, TREE])
def test_keeps_to_the_contract_of_tasks(name):
    state = torch.get_rng_state()
    task = find_task(name)
    assert find_task(task.name).name == task.name == name
    whole = list(task.batches(torch.Generator()))
    assert len(whole) == task.n_batches == 1 and torch.equal(whole[0].inputs, next(task.held_out()).inputs)
    assert len(next(task.held_out(3))) == 3 and torch.equal(next(task.seen(3)).inputs, whole[0].inputs[:3])
    side = task.preprocessing.size
    assert whole[0].inputs.shape[1:] == (1, side, side) and whole[0].inputs.dtype == torch.float32
    assert whole[0].targets.shape == (len(whole[0]), task.n_outputs)
    assert torch.equal(torch.get_rng_state(), state)


def test_names_are_read_and_written_alike():
    task = find_task("singular-modes:values=3-1.50,outputs=4")
    assert task.name == f"{TEACHER},values=3-1.5,outputs=4" and find_task(task.name).name == task.name
    assert find_task("singular_modes").name == TEACHER


def test_biases_stay_at_zero_where_inputs_have_no_mean_and_not_where_they_have(tmp_path):
    """So the catalogue's own network, which has biases, keeps to the theory on a teacher alone."""
    largest = {}
    for task in (TEACHER, TREE):
        run = train(
            "mlp:activation=linear,hidden=16", task, optimizer="sgd", lr=0.01, steps=200, out=tmp_path / task
        )
        largest[task] = float(run.load(200).head.bias.detach().abs().max())
    assert largest[TEACHER] < 1e-6 and largest[TREE] > 1e-2


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (f"{TEACHER},values=1-2", UnknownNameError, "values of singular_modes is '1_2'; expected positive"),
        (f"{TEACHER},values=2-0", UnknownNameError, "expected positive numbers, descending, such as 4-3-2-1"),
        (f"{TEACHER},values=two", UnknownNameError, "values of singular_modes is 'two'"),
        (f"{TEACHER},values=nan", UnknownNameError, "values of singular_modes is 'nan'"),
        (f"{TEACHER},size=1", BrainalignError, "4 singular values need as many .* size² = 1 and outputs=10"),
        (f"{TREE},branching=1", BrainalignError, "branching=1 and depth=3 cannot be used; give 2 branches"),
        (f"{TREE},depth=11", BrainalignError, "1024 items at most"),
        (f"{TREE},values=2-1", UnknownNameError, "Unknown option of singular_modes 'values'"),
        ("singular_modes:digits", BrainalignError, "'singular_modes' has no images; leave 'digits' out"),
        ("singular_modes:variant=tree", UnknownNameError, "Unknown variant of singular_modes 'tree'"),
    ],
)
def test_what_cannot_be_made_is_named(name, error, message):
    with pytest.raises(error, match=message):
        find_task(name)


def test_fewer_than_one_sample():
    with pytest.raises(BrainalignError, match="At most 0 samples were asked for"):
        next(find_task(TEACHER).held_out(0))
