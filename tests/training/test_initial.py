"""Training that starts from another run's weights."""

import logging

import pytest
import torch
from typer.testing import CliRunner

from brainalign.cli import app
from brainalign.errors import BrainalignError
from brainalign.networks import Preprocessing, Shape, make_network, set_preprocessing
from brainalign.training import CheckpointError, Run, train
from brainalign.training.initial import start_from
from brainalign.training.trainer import Trainer


@pytest.fixture
def first(quick):
    return quick(folder="first")


def test_all_but_the_read_out_is_the_other_runs_and_the_read_out_the_seeds(quick, first):
    second = quick(folder="second", task="orientation:digits", seed=3, initial=first.path)
    start, learned = second.load(0), first.load(30)
    assert torch.equal(start.blocks[0].linear.weight, learned.blocks[0].linear.weight)
    assert torch.equal(start.blocks[0].linear.bias, learned.blocks[0].linear.bias)
    drawn = make_network("mlp:hidden=20", second.settings.shape, seed=3)
    assert torch.equal(start.head.weight, drawn.head.weight)
    assert not torch.equal(second.load(30).blocks[0].linear.weight, learned.blocks[0].linear.weight)


def test_a_read_out_of_the_same_shape_and_a_step_that_is_named_are_taken(quick, first):
    second = quick(folder="second", task="classification:digits,scale=unit", initial=f"{first.path}@5")
    for name, value in second.load(0).state_dict().items():
        assert torch.equal(value, first.load(5).state_dict()[name])


def test_without_it_nothing_is_copied_and_settings_say_so(quick, first):
    assert first.settings.initial == ""
    second = quick(folder="second", task="orientation:digits", initial=first.path)
    assert second.settings.initial.startswith(
        "mlp:hidden=20, classification:digits, backprop, seed 0, step 30: "
    )
    assert Run.open(second.path).settings == second.settings
    other = quick(folder="other", task="orientation:digits", initial=f"{first.path}@13")
    with pytest.raises(BrainalignError, match="holds another run .initial 'mlp.*step 13"):
        quick(folder="other", task="orientation:digits", initial=first.path)
    assert other.finished


def test_it_goes_on_to_the_same_bytes_and_wherever_the_other_run_lies(
    quick, first, contents, monkeypatch, tmp_path
):
    options = {"task": "orientation:digits", "rule": "kolen_pollack"}
    whole = quick(folder="whole", initial=first.path, **options)
    advance = Trainer.advance

    def stopped(self):
        if self.step == 7:
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(Trainer, "advance", stopped)
    with pytest.raises(KeyboardInterrupt):
        quick(folder="parts", initial=first.path, **options)
    monkeypatch.setattr(Trainer, "advance", advance)
    moved = first.path.rename(tmp_path / "moved")
    assert contents(quick(folder="parts", initial=moved, **options)) == contents(whole)


def test_a_module_gets_the_weights_in_place(first, tmp_path):
    module = first.load(0)
    train(module, steps=1, lr=1e-9, evaluate_on=50, initial=first.path, out=tmp_path / "run", progress=False)
    torch.testing.assert_close(module.blocks[0].linear.weight, first.load(30).blocks[0].linear.weight)


def test_what_is_no_run_or_of_another_network_is_refused(quick, first, tmp_path):
    with pytest.raises(BrainalignError, match="is no run's folder to start from"):
        quick(folder="second", initial=tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="has no checkpoint '4'"):
        quick(folder="second", initial=f"{first.path}@4")
    for network in ("mlp:hidden=21", "mlp:hidden=20-20"):
        with pytest.raises(BrainalignError, match="holds 'mlp:hidden=20', which has no 'blocks"):
            train(network, steps=1, initial=first.path, out=tmp_path / "second", progress=False)
    with pytest.raises(BrainalignError, match=r"has no 'blocks.0.linear.weight' of the shape"):
        quick(folder="second", task="classification:digits,size=16", initial=first.path)
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize(("mean", "warned"), [(0.0, True), (0.3, False)])
def test_images_that_are_standardised_otherwise_are_warned_of(mean, warned, quick, caplog):
    network = make_network("mlp:hidden=20", Shape(Preprocessing(8, (0.3,), (0.4,)), 10))
    run = quick(folder="first")
    seen = run.settings.shape.preprocessing
    # The digits' own mean is about 0.3.
    set_preprocessing(network, Preprocessing(8, (seen.mean[0] - 0.3 + mean,), seen.std))
    with caplog.at_level(logging.WARNING):
        start_from(network, str(run.path))
    assert ("standardised otherwise" in caplog.text) == warned


def test_the_command_takes_it(first, tmp_path):
    arguments = ["train", "mlp:hidden=20", "--task", "orientation:digits", "--initial", str(first.path)]
    arguments += [
        "--steps",
        "5",
        "--checkpoints",
        "2",
        "--evaluate-on",
        "50",
        "--out",
        str(tmp_path / "second"),
    ]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = Run.open(tmp_path / "second").load(0).blocks[0].linear.weight
    assert torch.equal(found, first.load(30).blocks[0].linear.weight)
