"""Information on orientation, and transfer of what was learned."""

import numpy as np
import pytest
import torch
from torch import nn

from brainalign.errors import BrainalignError, ResponsesError, UnknownNameError
from brainalign.rules import RULES
from brainalign.tasks import find_task, load_images
from brainalign.training import train
from brainalign.trajectory.perceptual import discriminability, linear_fisher_information, trained_on, transfer


@pytest.fixture
def answers():
    """Correlated Gaussian answers of ten units, and the information that they have in truth."""
    generator = np.random.default_rng(0)
    mixing, difference = generator.normal(size=(10, 10)), generator.normal(size=10)
    truth = difference @ np.linalg.solve(mixing @ mixing.T, difference) / 4**2

    def draw(trials):
        first, second = (generator.normal(size=(trials, 10)) @ mixing.T for _ in range(2))
        return first, second + difference

    return draw, truth


def test_information_is_without_bias_where_the_plain_estimate_has_one(answers):
    draw, truth = answers
    found, plain = [], []
    for _ in range(1000):
        first, second = draw(30)
        found.append(linear_fisher_information(first, second, 4.0))
        apart = second.mean(0) - first.mean(0)
        pooled = (np.cov(first.T) + np.cov(second.T)) / 2
        plain.append(apart @ np.linalg.solve(pooled, apart) / 4**2)
    error = np.std(found, ddof=1) / 1000**0.5
    assert abs(np.mean(found) - truth) < 4 * error
    assert np.mean(plain) - truth > 8 * error


def test_information_is_that_of_the_truth_with_many_trials_and_none_without_difference(answers):
    draw, truth = answers
    first, second = draw(200_000)
    assert linear_fisher_information(first, second, 4.0) == pytest.approx(truth, rel=0.01)
    none = [linear_fisher_information(draw(50)[0], draw(50)[0], 4.0) for _ in range(500)]
    assert abs(np.mean(none)) < 4 * np.std(none, ddof=1) / 500**0.5


def test_units_that_repeat_others_or_never_answer_and_linear_maps_change_nothing(answers):
    draw, _ = answers
    first, second = draw(50)
    found = linear_fisher_information(first, second, 4.0)
    more = [np.hstack([each, each[:, :3], np.zeros((50, 2))]) for each in (first, second)]
    assert linear_fisher_information(*more, 4.0) == pytest.approx(found, rel=1e-9)
    turned = np.random.default_rng(1).normal(size=(10, 10))
    assert linear_fisher_information(first @ turned, second @ turned, 4.0) == pytest.approx(found, rel=1e-8)


def test_trials_that_are_too_few_or_differ_are_refused(answers):
    first, second = answers[0](6)
    with pytest.raises(BrainalignError, match="6 trials are too few for 10 units; give 8 or more"):
        linear_fisher_information(first, second, 4.0)
    with pytest.raises(BrainalignError, match="expected the same shape"):
        linear_fisher_information(first, second[:5], 4.0)


class Energy(nn.Module):
    """Squares of differences between neighbours on the two diagonals, and the pixels' mean."""

    def __init__(self):
        super().__init__()
        self.diagonals, self.mean, self.unused = nn.Identity(), nn.Identity(), nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the diagonals' maps."""
        self.mean(x.flatten(1).mean(1, keepdim=True))
        one, other = x[..., 1:, 1:] - x[..., :-1, :-1], x[..., 1:, :-1] - x[..., :-1, 1:]
        return self.diagonals(torch.cat([one, other], 1).square())


def test_a_layer_that_is_tuned_tells_sides_apart_and_brightness_does_not():
    task = find_task("orientation:digits,size=16,orientation=90,precision=20,noise=0.3")
    found = discriminability(Energy(), task, ["diagonals", "mean"], trials=2000).set_index("layer")
    assert found["n_units"].to_dict() == {"mean": 1, "diagonals": 2}
    # Along the axis between the sides, of other gratings: there are so many that the estimate has no bias.
    generator, sides = torch.Generator().manual_seed(7), []
    for orientation in (70.0, 110.0):
        wanted = torch.full((5000,), orientation, dtype=torch.float64)
        shown = task.preprocessing.standardised(task.pixels(wanted, generator))
        sides.append(Energy()(shown).flatten(2).mean(2).double().numpy())
    apart = sides[1].mean(0) - sides[0].mean(0)
    axis = np.linalg.solve(np.cov(sides[0].T) + np.cov(sides[1].T), apart)
    first, second = (side @ axis for side in sides)
    d_prime = (second.mean() - first.mean()) / ((first.var() + second.var()) / 2) ** 0.5
    # Its standard error is √(2 / 2000 · (1 + d′² / 8)).
    assert found["d_prime"]["diagonals"] == pytest.approx(
        d_prime, abs=5 * (0.001 * (1 + d_prime**2 / 8)) ** 0.5
    )
    assert abs(found["d_prime"]["mean"]) < 5 * 0.001**0.5 < 0.1 * d_prime
    information = found["fisher_information"]
    np.testing.assert_allclose(found["d_prime"], np.sign(information) * np.abs(information) ** 0.5 * 40)


def test_layers_that_are_not_there_or_not_used_are_named():
    task = find_task("orientation:digits,size=16")
    with pytest.raises(UnknownNameError, match="Unknown layer 'blocks.0'"):
        discriminability(Energy(), task, "blocks.0")
    with pytest.raises(ResponsesError, match="never calls layer 'unused'"):
        discriminability(Energy(), task, "unused")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    options = {"steps": 300, "checkpoints": 2, "evaluate_on": 100, "progress": False}
    return train(
        "mlp:hidden=100",
        "orientation:digits,noise=0.05,precision=15",
        lr=0.03,
        out=tmp_path_factory.mktemp("runs") / "orientation",
        **options,
    )


def test_transfer_tests_the_network_as_it_is_with_its_own_read_out(run):
    tests = [
        find_task(f"orientation:digits,noise=0.05,orientation={orientation},precision={precision}")
        for orientation in (45, 135)
        for precision in (30, 15, 2)
    ]
    found = transfer(run.checkpoints("last")[0], tests, load_images("digits"))
    assert found["test"].tolist() == [test.name for test in tests]
    assert set(found["train_precision"]) == {15} and set(found["train_orientation"]) == {45}
    assert set(found["step"]) == {300} and set(found["seed"]) == {0}
    accuracy = found.set_index(["test_orientation", "test_precision"])["accuracy"]
    assert accuracy[45, 15] == pytest.approx(run.table["accuracy"].iloc[-1], abs=0.05)
    assert accuracy[45, 30] > 0.9 > accuracy[45, 2]
    # The reference is in the read-out, so about another orientation it has no answer.
    assert (abs(accuracy[135] - 0.5) < 0.2).all()
    start = transfer(run.checkpoints([0])[0], tests)
    assert (abs(start["accuracy"] - 0.5) < 0.2).all()


@pytest.mark.parametrize("rule", [name for name, kind in RULES.items() if not kind.of_time])
def test_every_rule_can_learn_it(rule, tmp_path):
    options = {"steps": 2, "checkpoints": 2, "evaluate_on": 20, "out": tmp_path / "run", "progress": False}
    run = train("mlp:hidden=10", "orientation:digits", rule, **options)
    assert trained_on(run).name == "orientation:digits"
    assert run.table["loss"].notna().all()


def test_a_run_of_another_task_is_refused(tmp_path):
    run = train("mlp", steps=1, checkpoints=2, evaluate_on=20, out=tmp_path / "run", progress=False)
    with pytest.raises(BrainalignError, match="has learned 'classification:digits'; expected a run of orient"):
        trained_on(run)
    with pytest.raises(BrainalignError, match="expected a run of orientation"):
        transfer(run.checkpoints("last")[0], [])
