"""Training: what it leaves, and that it goes on to the same bytes however it was stopped."""

import dataclasses
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
from brainalign.tasks import Schedule, find_task
from brainalign.training import CheckpointError, DivergedError, Run, checkpoint_steps, train
from brainalign.training.checkpoint_file import load_checkpoint
from brainalign.training.trainer import Trainer, _derived

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


@pytest.mark.parametrize("kept", [11, 12, 22])
@pytest.mark.parametrize("task", ["classification:digits", "autoencoding:digits,variant=variational"])
def test_epochs_are_gone_on_with_in_their_middle_and_from_their_end(task, kept, quick, contents, monkeypatch):
    """11 batches an epoch; the second task draws noise and has a decoder to learn."""
    options = {"task": task, "checkpoints": [0, kept, 30]}
    whole = quick(folder="whole", **options)
    advance = Trainer.advance

    def stopped(self):
        if self.step == 25:
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(Trainer, "advance", stopped)
    with pytest.raises(KeyboardInterrupt):
        quick(folder="parts", **options)
    monkeypatch.setattr(Trainer, "advance", advance)
    assert contents(quick(folder="parts", **options)) == contents(whole)


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
    assert not run.finished
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
        assert process.wait() == -signal.SIGKILL
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
        ({"cost_weight": "nan"}, BrainalignError, "numbers of 0 or above; found nan"),
        ({"cost_weight": "0:1/5:-1"}, BrainalignError, "numbers of 0 or above; found -1"),
        ({"layer_costs": ["head=sparsity", "head=label_similarity"]}, BrainalignError, "two costs"),
        ({"steps": None, "epochs": float("inf")}, BrainalignError, "no length of training"),
        ({"seed": 2**70}, BrainalignError, "no whole number from 0"),
        ({"evaluate_on": -3}, BrainalignError, "give 0 for all"),
        ({"device": "gpu"}, BrainalignError, "give cpu or cuda"),
        ({"optimizer": "adam:beta1=2"}, UnknownNameError, "expected a number below 1"),
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
    # A refused run leaves the folder to others.
    assert train(network, steps=2, evaluate_on=50, out=tmp_path / "run").finished


def test_a_module_of_ones_own_is_trained_in_place_and_opened_with_it(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    before = network[1].weight.detach().clone()
    run = train(network, steps=5, evaluate_on=100, out=tmp_path / "run", progress=False)
    assert not torch.equal(network[1].weight, before)
    assert torch.equal(run.load(0)[1].weight, before)
    with pytest.raises(BrainalignError, match="open the run with it"):
        Run.open(tmp_path / "run").load(0)
    assert torch.equal(Run.open(tmp_path / "run", network).load(5)[1].weight, network[1].weight)
    fresh = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    train(fresh, steps=5, evaluate_on=100, out=tmp_path / "run", progress=False)
    assert torch.equal(fresh[1].weight, network[1].weight)
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.Linear(20, 10))
    with pytest.raises(CheckpointError, match="is of another network"):
        train(other, steps=5, evaluate_on=100, out=tmp_path / "run", progress=False)


def test_a_module_without_a_folder_or_of_other_outputs_is_refused(tmp_path):
    with pytest.raises(BrainalignError, match="give out, the run's folder"):
        train(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), steps=1)
    with pytest.raises(BrainalignError, match=r"answers two images with \(2, 5\)"):
        train(nn.Sequential(nn.Flatten(), nn.Linear(64, 5)), steps=1, out=tmp_path / "run")


def test_a_task_of_ones_own_enters_the_settings_with_its_weights(tmp_path):
    task = dataclasses.replace(find_task("classification:digits"), weight=Schedule(((0, 0.0),)))
    run = train("mlp:hidden=20", task, steps=3, evaluate_on=50, out=tmp_path / "run", progress=False)
    assert run.settings.cost_weight == "0:0"
    assert torch.equal(run.load(3).head.weight, run.load(0).head.weight)
    with pytest.raises(BrainalignError, match="cost_weight '0:0' there, '0:1' now"):
        train("mlp:hidden=20", steps=3, evaluate_on=50, out=tmp_path / "run", progress=False)


def test_a_schedule_follows_the_steps(quick):
    """Weight 1 up to step 10 and 0 from step 11 on: weights stand still from there."""
    run = quick(cost_weight="0:1/10:1/11:0", optimizer="sgd", lr=0.1, checkpoints=[0, 10, 11, 12, 30])
    heads = {step: run.load(step).head.weight for step in run.steps}
    assert not torch.equal(heads[10], heads[11])
    assert torch.equal(heads[11], heads[12]) and torch.equal(heads[12], heads[30])


def test_losses_are_of_the_images_they_are_named_after(quick):
    run = quick(evaluate_on=0, steps=200)
    task, network = find_task("classification:digits"), run.load(200)
    for name, batches in (("loss", task.held_out()), ("train_loss", task.seen())):
        found = torch.cat([task.cost(network(batch.inputs).detach(), batch) for batch in batches])
        assert run.table[name].iloc[-1] == pytest.approx(float(found.double().mean()), rel=1e-4)
    assert run.table["train_loss"].iloc[-1] < 0.8 * run.table["loss"].iloc[-1]


def test_measuring_leaves_normalisation_as_it_was(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.BatchNorm1d(9), nn.Linear(9, 10))\n"
    )
    options = {"steps": 8, "evaluate_on": 50, "progress": False, "layer_costs": ["1=sparsity"]}
    often = train(f"{file}:make", checkpoints=[0, 1, 2, 3, 8], out=tmp_path / "often", **options)
    seldom = train(f"{file}:make", checkpoints=[0, 8], out=tmp_path / "seldom", **options)
    assert not often.load(0)[2].num_batches_tracked
    assert often.load(8)[2].num_batches_tracked == 8
    for name, value in often.load(8).state_dict().items():
        assert torch.equal(value, seldom.load(8).state_dict()[name]), name


def test_other_seeds_of_the_untrained_network_are_other_networks(quick):
    checkpoint = quick().checkpoints()[0]
    assert not torch.equal(checkpoint.untrained(0).head.weight, checkpoint.untrained(1).head.weight)


def test_a_rule_that_trains_no_read_out_has_one_fitted_apart(quick, two_phases, monkeypatch):
    assert "readout_accuracy" not in quick("two_phases", "with").table
    monkeypatch.setattr(two_phases, "trains_readout", False)
    assert quick("two_phases", "without", evaluate_on=300).table["readout_accuracy"].iloc[-1] > 0.5


def test_a_loss_that_is_no_number_stops_even_where_updates_are_numbers(quick, monkeypatch):
    monkeypatch.setattr(
        "brainalign.training.trainer.measure", lambda *_: {"loss": float("nan"), "accuracy": 0.0}
    )
    with pytest.raises(DivergedError, match="Step 0: the loss is no number. No checkpoint was made"):
        quick()


def test_features_that_are_no_numbers_diverge_with_the_step(quick):
    with pytest.raises(DivergedError, match=r"Step \d+: the (update|loss) is no number"):
        quick(task="rotation:digits", optimizer="sgd", lr=1e25)


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
    before, after = run.load(0), run.load(1)
    trainer_batch = next(
        find_task("classification:digits").batches(torch.Generator().manual_seed(_derived(0, 1)))
    )
    cost = nn.functional.cross_entropy(before(trainer_batch.inputs), trainer_batch.targets)
    expected = before.head.weight - 0.5 * torch.autograd.grad(cost, before.head.weight)[0]
    torch.testing.assert_close(after.head.weight, expected)


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
