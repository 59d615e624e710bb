"""Training: what it leaves, and that it goes on to the same bytes however it was stopped."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from brainalign.errors import BrainalignError, NeedsError, UnknownNameError
from brainalign.training import CheckpointError, DivergedError, Run, checkpoint_steps, train
from brainalign.training.checkpoint_file import load_checkpoint
from brainalign.training.trainer import Trainer

RULES = ("backprop", "feedback_alignment", "direct_feedback_alignment", "two_phases")


@pytest.mark.parametrize("rule", [*RULES, "untrained"])
def test_leaves_checkpoints_a_table_and_what_made_it(rule, quick, two_phases):
    run = quick(rule)
    assert run.finished
    assert run.steps == checkpoint_steps(30, 6) == [0, 1, 2, 5, 13, 30]
    table = run.table
    assert table["step"].tolist() == run.steps
    assert {"loss", "accuracy", "accuracy.7", "train_loss", "angle", "angle.head", "norm.head"} <= set(table)
    opened = Run.open(run.path)
    assert opened.settings == run.settings
    images = torch.zeros(3, 1, 8, 8)
    np.testing.assert_array_equal(
        opened.load(13)(images).detach(), run.checkpoints([13])[0].load()(images).detach()
    )
    first, last = run.load(0), run.load(30)
    moved = not torch.equal(first.head.weight, last.head.weight)
    assert moved == (rule != "untrained")
    if moved:
        assert table["loss"].iloc[-1] < table["loss"].iloc[0]


def test_checkpoint_0_is_the_network_as_it_was_drawn_and_angles_of_backprop_are_zero(quick):
    run = quick()
    assert torch.equal(run.load(0).head.weight, run.checkpoints()[0].untrained(0).head.weight)
    assert (run.table["angle"].abs() < 1e-3).all()


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "rmsprop"])
@pytest.mark.parametrize("rule", RULES)
def test_goes_on_from_where_it_was_stopped_to_the_same_bytes(
    rule, optimizer, quick, contents, two_phases, monkeypatch
):
    whole = quick(rule, "whole", optimizer=optimizer)
    advance = Trainer.advance
    for stop in (0, 3, 7, 25):

        def stopped(self, stop=stop):
            if self.step == stop:
                raise KeyboardInterrupt
            advance(self)

        monkeypatch.setattr(Trainer, "advance", stopped)
        with pytest.raises(KeyboardInterrupt):
            quick(rule, "parts", optimizer=optimizer)
    monkeypatch.setattr(Trainer, "advance", advance)
    assert contents(quick(rule, "parts", optimizer=optimizer)) == contents(whole)


def test_dropout_is_reproduced_and_gone_on_with(tmp_path, contents, monkeypatch):
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n"
        "def make():\n"
        "    hidden = nn.Linear(64, 30), nn.BatchNorm1d(30), nn.ReLU(), nn.Dropout()\n"
        "    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(30, 10))\n"
    )

    def run(folder):
        options = {"steps": 20, "checkpoints": 5, "evaluate_on": 100, "out": tmp_path / folder}
        return train(f"{file}:make", progress=False, **options)

    before = torch.get_rng_state()
    whole = run("whole")
    assert torch.equal(before, torch.get_rng_state())
    assert (whole.table["angle"] < 1e-3).all()
    advance = Trainer.advance

    def stopped(self):
        if self.step == 11:
            raise KeyboardInterrupt
        advance(self)

    torch.rand(7)
    monkeypatch.setattr(Trainer, "advance", stopped)
    with pytest.raises(KeyboardInterrupt):
        run("parts")
    monkeypatch.setattr(Trainer, "advance", advance)
    assert contents(run("parts")) == contents(whole)


def test_epochs_are_gone_on_with_in_their_middle(quick, contents, monkeypatch):
    """11 batches an epoch: steps 12 and 30 lie inside one."""
    whole = quick(folder="whole", checkpoints=[0, 12, 30])
    advance = Trainer.advance

    def stopped(self):
        if self.step == 20:
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(Trainer, "advance", stopped)
    with pytest.raises(KeyboardInterrupt):
        quick(folder="parts", checkpoints=[0, 12, 30])
    monkeypatch.setattr(Trainer, "advance", advance)
    assert contents(quick(folder="parts", checkpoints=[0, 12, 30])) == contents(whole)


@pytest.mark.parametrize("harm", ["cut", "empty", "deleted", "other step", "table"])
def test_a_damaged_or_missing_checkpoint_is_made_again(harm, quick, contents):
    run = quick()
    before = contents(run)
    file = run.path / "checkpoints" / "00000013.safetensors"
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif harm == "empty":
        file.write_bytes(b"")
    elif harm == "deleted":
        file.unlink()
    elif harm == "other step":
        file.write_bytes((run.path / "checkpoints" / "00000005.safetensors").read_bytes())
    else:
        (run.path / "training.csv").unlink()
    if harm in ("cut", "empty"):
        with pytest.raises(CheckpointError, match="cut short or changed. Delete it"):
            run.load(13)
    if harm in ("deleted", "table"):
        assert not run.finished
    else:
        (run.path / "checkpoints" / "00000030.safetensors").unlink()
    assert contents(quick()) == before


def test_a_process_that_is_killed_goes_on_to_the_same_bytes(quick, contents, tmp_path):
    whole = quick(folder="whole", steps=300)
    code = (
        "from brainalign.training import train; "
        f"train('mlp:hidden=20', steps=300, checkpoints=6, evaluate_on=100, progress=False, "
        f"out={str(tmp_path / 'parts')!r})"
    )
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    checkpoints = tmp_path / "parts" / "checkpoints"
    for n_files in (1, 3, 5):
        process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | threads)
        while process.poll() is None and len(list(checkpoints.glob("0*.safetensors"))) < n_files:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    parts = quick(folder="parts", steps=300)
    for leftover in parts.path.rglob(".part-*"):  # what a killed process was writing; nothing reads it
        leftover.unlink()
    assert contents(parts) == contents(whole)


def test_a_loss_that_is_no_number_stops_and_names_the_step(quick):
    with pytest.raises(
        DivergedError, match=r"Step \d+: the (update|loss) is no number. The checkpoint of step"
    ):
        quick(optimizer="sgd", lr=1e30, steps=30)


def test_the_last_good_checkpoint_is_kept_and_holds_numbers(quick, tmp_path):
    with pytest.raises(DivergedError, match="lower learning rate, in another folder"):
        quick(optimizer="sgd", lr=1e30)
    run = Run.open(tmp_path / "run")
    assert run.steps and not run.finished
    parts = load_checkpoint(run.path, run.steps[-1])
    assert all(torch.isfinite(each).all() for each in parts["network"].values())
    assert run.table["step"].tolist() == run.steps


def test_a_folder_of_another_run_is_refused(quick):
    quick(seed=0)
    with pytest.raises(BrainalignError, match="holds another run .seed 0 there, 1 now"):
        quick(seed=1)


def test_a_folder_of_something_else_is_refused(quick, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "paper.tex").write_text("dear")
    with pytest.raises(BrainalignError, match="not empty .paper.tex"):
        quick()
    with pytest.raises(BrainalignError, match="no run's folder"):
        Run.open(tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"rule": "backprob"}, UnknownNameError, "Did you mean 'backprop'"),
        ({"rule": "feedback_alignment:scael=2"}, UnknownNameError, "Did you mean 'scale'"),
        ({"optimizer": "adamm"}, UnknownNameError, "Did you mean 'adam'"),
        ({"lr": -1.0}, BrainalignError, "no positive number"),
        ({"lr": float("nan")}, BrainalignError, "no positive number"),
        ({"steps": 0}, BrainalignError, "trains nothing"),
        ({"steps": 5, "epochs": 1}, BrainalignError, "not both"),
        ({"task": "classifcation:digits"}, UnknownNameError, "Did you mean 'classification'"),
        ({"layer_costs": ["blocks.7=sparsity"]}, UnknownNameError, "Unknown layer 'blocks.7'"),
        ({"cost_weight": "much"}, BrainalignError, "is no schedule"),
        ({"checkpoints": 1}, BrainalignError, "give two or more"),
        ({"checkpoints": [0, 40]}, BrainalignError, "checkpoints at steps 0 to 30"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(options, kind, message, quick, tmp_path):
    with pytest.raises(kind, match=message):
        quick(**options)
    assert not (tmp_path / "run").exists()


def test_a_rule_on_a_network_that_it_cannot_train(tmp_path):
    network = nn.Sequential(
        nn.Flatten(), nn.Unflatten(1, (1, 64)), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(124, 10)
    )
    with pytest.raises(NeedsError, match="module '2' is a Conv1d"):
        train(network, rule="feedback_alignment", steps=2, out=tmp_path / "run")


def test_a_module_of_ones_own_is_trained_in_place_and_opened_with_it(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    before = network[1].weight.detach().clone()
    run = train(network, steps=5, evaluate_on=100, out=tmp_path / "run", progress=False)
    assert not torch.equal(network[1].weight, before)
    assert torch.equal(run.load(0)[1].weight, before)
    with pytest.raises(BrainalignError, match="open the run with it"):
        Run.open(tmp_path / "run").load(0)
    assert torch.equal(Run.open(tmp_path / "run", network).load(5)[1].weight, network[1].weight)


def test_a_network_of_the_wrong_size_is_refused(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))\n"
    )
    with pytest.raises(BrainalignError, match=r"answers two images with \(2, 3\); the task needs \(2, 10\)"):
        train(f"{file}:make", steps=2, out=tmp_path / "run")
    with pytest.raises(BrainalignError, match="LeNet needs images of 16"):
        train("lenet", steps=2, out=tmp_path / "run")


def test_updates_of_phases_are_applied_one_after_the_other(quick, two_phases):
    run = quick("two_phases", optimizer="sgd", lr=0.01, steps=4, checkpoints=[0, 4])
    state = load_checkpoint(run.path, 4)["rule"]
    # Its factor makes the rate 0.1: the gain falls by 0.01 a step, before the trace sees it.
    torch.testing.assert_close(state["trainable.gain"], torch.tensor([0.96]))
    trace = 0.0
    for gain in (0.99, 0.98, 0.97, 0.96):
        trace = 0.9 * trace + gain
    torch.testing.assert_close(state["trace"], torch.tensor([trace]))


def test_an_update_of_an_unknown_name_is_refused(quick, two_phases, monkeypatch):
    def updates(self, network, task, batch, state, generator):
        yield {"blocks.9.weight": torch.zeros(1)}

    monkeypatch.setattr(two_phases, "updates", updates)
    with pytest.raises(BrainalignError, match="gave an update for 'blocks.9.weight', which is no parameter"):
        quick("two_phases")


def test_steps_of_sgd_are_those_of_the_textbook(quick):
    run = quick(optimizer="sgd", lr=0.5, steps=1, checkpoints=2)
    table = run.table
    before, after = run.load(0), run.load(1)
    change = (after.head.weight - before.head.weight).norm().item()
    assert 0.2 < change / (0.5 * table["update_norm.head"][0]) < 5


def test_seeds_change_weights_and_order_alone(quick):
    first, second, again = quick(seed=1, folder="a"), quick(seed=2, folder="b"), quick(seed=1, folder="c")
    pd.testing.assert_frame_equal(first.table, again.table)
    assert not first.table["loss"].equals(second.table["loss"])


@pytest.mark.parametrize("n_steps", [1, 5, 23, 24, 100, 2340, 10**6])
def test_checkpoints_are_spaced_as_logs_with_both_ends(n_steps):
    steps = checkpoint_steps(n_steps)
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1], len(steps)) == (0, n_steps, min(24, n_steps + 1))
    late = np.array([step for step in steps if step > 30], dtype=float)
    if len(late) > 3:
        ratios = late[1:] / late[:-1]
        assert ratios.max() / ratios.min() < 1.1
