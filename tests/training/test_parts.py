"""Optimisers, angles, measures and the search for a rate, each by itself."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import RidgeClassifierCV

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.networks import Preprocessing, Shape, make_network
from brainalign.tasks import find_task
from brainalign.training.angles import angle
from brainalign.training.measure import ALPHAS, measure, readout_accuracy
from brainalign.training.optimizers import find_optimizer
from brainalign.training.run import Run
from brainalign.training.search import choose_rate, default_rates, loss_of, search_learning_rate
from brainalign.training.settings import Settings


@pytest.mark.parametrize(
    ("name", "torchs"),
    [
        ("sgd:lr=0.1,weight_decay=0.01", lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.01)),
        ("momentum:lr=0.1,beta=0.8", lambda p: torch.optim.SGD(p, 0.1, momentum=0.8)),
        ("adam:beta2=0.99", lambda p: torch.optim.Adam(p, 1e-3, (0.9, 0.99))),
        ("rmsprop:decay=0.9", lambda p: torch.optim.RMSprop(p, 1e-4, 0.9)),
    ],
)
def test_optimisers_are_torchs(name, torchs):
    ours, theirs = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    pair = find_optimizer(name).make([{"params": [ours], "factor": 1.0}]), torchs([theirs])
    for step in range(4):
        for parameter, optimizer in zip((ours, theirs), pair, strict=True):
            parameter.grad = torch.tensor([1.0, -2.0, float(step)])
            optimizer.step()
    assert torch.equal(ours, theirs)


def test_names_of_optimisers():
    assert find_optimizer("adam:lr=0.5,beta1=0.8").name == "adam:beta1=0.8"
    assert find_optimizer("momentum").with_lr(0.3).lr == 0.3
    with pytest.raises(UnknownNameError, match="Unknown option of adam 'beta'"):
        find_optimizer("adam:beta=0.8")


def test_angles():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(5, 4, generator=generator)
    assert angle(a, a) == 0
    assert angle(a, -3 * a) == pytest.approx(180)
    tiny = a + 1e-6 * torch.randn(5, 4, generator=generator)
    assert 0 < angle(a, tiny) < 1e-3
    assert math.isnan(angle(a, torch.zeros(5, 4)))
    assert angle(torch.tensor([1.0, 0.0]), torch.tensor([0.5, math.sqrt(0.75)])) == pytest.approx(60)


def test_accuracies_are_counts():
    task = find_task("classification:digits")
    network = make_network("mlp", Shape(task.preprocessing, 10), 0).eval()
    row = measure(network, task, task.held_out())
    batches = list(task.held_out())
    labels = torch.cat([batch.labels for batch in batches])
    with torch.no_grad():
        answers = torch.cat([network(batch.inputs) for batch in batches])
    right = answers.argmax(1) == labels
    assert row["accuracy"] == pytest.approx(float(right.double().mean()))
    assert row["loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(answers, labels)), rel=1e-6)
    for number in range(10):
        assert row[f"accuracy.{number}"] == pytest.approx(float(right[labels == number].double().mean()))


def test_the_read_out_fitted_apart_is_scikit_learns_on_what_enters_the_last_map():
    task = find_task("classification:digits")
    network = make_network("mlp:hidden=30", Shape(task.preprocessing, 10), 0).eval()
    found = readout_accuracy(network, task.seen(), task.held_out(), task.categories)
    features = {}
    for name, batches in (("train", task.seen()), ("test", task.held_out())):
        x, y = zip(
            *((network.blocks(b.inputs).detach().double().numpy(), b.labels) for b in batches), strict=True
        )
        features[name] = np.concatenate(x), np.concatenate(y)
    mean, deviation = features["train"][0].mean(0), features["train"][0].std(0)
    scaled = {name: ((x - mean) / np.where(deviation, deviation, 1), y) for name, (x, y) in features.items()}
    expected = RidgeClassifierCV(ALPHAS).fit(*scaled["train"]).score(*scaled["test"])
    assert found["readout_accuracy"] == pytest.approx(expected)
    assert expected > 0.8


def test_the_read_out_learns_from_training_images_alone():
    """Labels of the training images that say nothing leave it at chance, whatever held-out ones say."""
    task = find_task("classification:digits")
    network = make_network("mlp:hidden=30", Shape(task.preprocessing, 10), 0).eval()
    generator = torch.Generator().manual_seed(0)

    def shuffled():
        for batch in task.seen():
            order = torch.randperm(len(batch), generator=generator)
            yield dataclasses.replace(batch, labels=batch.labels[order])

    found = readout_accuracy(network, shuffled(), task.held_out(), task.categories)
    # 360 images at a chance of 0.1: the standard error is 0.016.
    assert found["readout_accuracy"] < 0.1 + 4 * 0.016


def test_of_many_features_few_images_are_fitted(monkeypatch):
    """With as many images as may be fitted, the read-out is that of these images alone."""
    monkeypatch.setattr("brainalign.training.measure.READ_OUT_ON", 50)
    task = find_task("classification:digits")
    wide, narrow = (
        make_network(f"mlp:hidden={width}", Shape(task.preprocessing, 10), 0).eval() for width in (60, 40)
    )
    for network, n_fitted in ((wide, 50), (narrow, 200)):
        found = readout_accuracy(network, task.seen(200), task.held_out(100), task.categories)
        (seen,) = task.seen(200)
        alone = dataclasses.replace(seen, inputs=seen.inputs[:n_fitted], labels=seen.labels[:n_fitted])
        assert found == readout_accuracy(network, [alone], task.held_out(100), task.categories)


def test_networks_without_a_full_map_have_a_read_out_too():
    task = find_task("classification:digits")
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 10, 6))
    found = readout_accuracy(network.eval(), task.seen(200), task.held_out(100), task.categories)
    assert 0 <= found["readout_accuracy"] <= 1


def test_the_best_rate_has_the_lowest_loss():
    assert choose_rate([0.1, 0.01, 1.0], [1.0, 2.0, math.nan]) == (0.1, "")
    assert choose_rate([0.1, 0.2], [1.0, 1.0]) == (0.1, "the best rate is the lowest tried")
    assert choose_rate([0.1, 0.2], [1.0, 0.5])[1] == "the best rate is the highest tried"
    # Of what diverged only its steps and its loss are known.
    assert all(math.isnan(loss_of({"step": 9, "loss": math.nan}, rule)) for rule in ("backprop", "oja"))
    with pytest.raises(BrainalignError, match="diverged at every rate from 0.1 to 0.2"):
        choose_rate([0.1, 0.2], [math.nan, math.inf])


def test_search_tries_every_rate_on_images_set_apart(tmp_path):
    rates = [1e-5, 0.1, 1e30]
    found = search_learning_rate(
        "mlp:hidden=20",
        "classification:digits",
        "backprop",
        out=tmp_path,
        rates=rates,
        steps=30,
        optimizer="sgd",
        progress=False,
    )
    assert found.best == 0.1
    assert found.table["lr"].tolist() == rates
    assert found.table["note"].str.contains("no number").tolist() == [False, False, True]
    settings = Settings.load(tmp_path / "0.1")
    assert settings.task == "classification:digits,validation=144"
    pd.testing.assert_series_equal(found.table["loss"].isna(), pd.Series([False, False, True], name="loss"))


def test_a_rate_at_which_activity_does_not_settle_is_one_that_diverged(tmp_path):
    rule = "almeida_pineda:limit=25"
    options = {"out": tmp_path, "rates": [1e-4, 0.1], "steps": 20, "progress": False}
    found = search_learning_rate("mlp:hidden=32", "classification:digits", rule, **options)
    assert found.best == 1e-4
    assert found.table["loss"].isna().tolist() == [False, True]
    assert "did not settle in 25 steps: the residual is" in found.table["note"][1]
    assert found.table["note"][1].endswith("above the tolerance of 1e-05")


def test_where_outputs_learn_nothing_the_search_goes_by_a_read_out(tmp_path):
    found = search_learning_rate(
        "mlp:hidden=20",
        "classification:digits",
        "clapp",
        out=tmp_path,
        rates=[1e-3, 0.1],
        steps=10,
        progress=False,
    )
    apart = [Run.open(tmp_path / f"{rate:g}").table["readout_accuracy"].iloc[-1] for rate in (1e-3, 0.1)]
    assert found.table["loss"].tolist() == pytest.approx([1 - each for each in apart])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"cost_weight": "0"}, "whose weight is 0 here"), ({"rule": "untrained"}, "no rate to search")],
)
def test_a_search_that_could_choose_nothing_is_refused(options, message, tmp_path):
    options = {"rule": "backprop"} | options
    with pytest.raises(BrainalignError, match=message):
        search_learning_rate("mlp", "classification:digits", out=tmp_path, steps=1, **options)


def test_default_rates_are_the_same_number_for_every_rule():
    assert len(default_rates("backprop")) == len(default_rates("feedback_alignment")) == 8


def test_settings_survive_their_file(tmp_path):
    settings = Settings(
        network='net "x".py:make',
        task="classification:digits",
        rule="backprop",
        seed=3,
        steps=10,
        optimizer="sgd",
        lr=1e-7,
        checkpoints=(0, 10),
        layer_costs=("blocks.0=sparsity:0:1",),
        cost_weight="0:1",
        evaluate_on=0,
        n_outputs=10,
        image_size=8,
        mean=(0.1234567890123,),
        std=(1.0,),
        scale=255.0,
        activation="relu",
    )
    settings.save(tmp_path, "python 3")
    assert Settings.load(tmp_path) == settings
    assert settings.shape.preprocessing == Preprocessing(8, (0.1234567890123,), (1.0,))
    (tmp_path / "run.toml").write_text("network = 3\n")
    with pytest.raises(BrainalignError, match="not what a run leaves"):
        Settings.load(tmp_path)
