import pytest
import torch

from brainalign.errors import BrainalignError, NeedsError
from brainalign.tasks import find_task, parse_layer_cost
from brainalign.training import train
from brainalign.training.checkpoint_file import load_checkpoint
from brainalign.trajectory.resumed import guessed_cost, own_task, resumed, taught_readout
from brainalign.trajectory.retargeted import next_category, permuted_targets, retargeted


@pytest.mark.parametrize("rule", ["feedback_alignment", "difference_target_propagation", "node_perturbation"])
def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(tmp_path, rule):
    run = train(
        "mlp:hidden=8", rule=rule, steps=16, checkpoints=[7], out=tmp_path, evaluate_on=50, progress=False
    )
    trainer = resumed(run, 7, own_task(run))
    while trainer.step < 16:
        trainer.advance()
    expected = load_checkpoint(tmp_path, 16)
    for part in ("network", "rule"):
        found = trainer.parts()[part]
        assert expected[part].keys() == found.keys()
        assert all(torch.equal(each, found[name]) for name, each in expected[part].items())


def test_fixed_parameters_stay(digits_runs):
    run = digits_runs["backprop"]
    trainer = resumed(run, 500, own_task(run), fixed=["head.weight"])
    before = {name: each.clone() for name, each in trainer.network.state_dict().items()}
    trainer.advance()
    after = trainer.network.state_dict()
    assert torch.equal(before["head.weight"], after["head.weight"])
    assert not torch.equal(before["blocks.0.linear.weight"], after["blocks.0.linear.weight"])


@pytest.mark.parametrize("cost", ["rotation:digits", "autoencoding:digits", "classification:digits,size=16"])
def test_a_cost_that_does_not_fit_cannot_be_tested(digits_runs, cost):
    with pytest.raises(NeedsError, match="cannot be tested because it is of images"):
        guessed_cost(digits_runs["backprop"], cost)


def test_a_task_without_a_name_must_be_given_again(digits_runs):
    with pytest.raises(BrainalignError, match="give it again as the task"):
        own_task(digits_runs["permuted"])


def test_a_rule_that_teaches_no_readout_cannot_be_tested(tmp_path):
    run = train("mlp:hidden=8", rule="clapp", steps=2, checkpoints=2, out=tmp_path, progress=False)
    with pytest.raises(NeedsError, match="cannot be tested because rule 'clapp' trains no read-out"):
        taught_readout(run)


def test_permuted_targets_are_shown_with_the_same_images():
    task = find_task("classification:digits")
    pairs = zip(
        task.batches(torch.Generator().manual_seed(3)),
        permuted_targets(task).batches(torch.Generator().manual_seed(3)),
        strict=True,
    )
    agreement = []
    for true, permuted in pairs:
        assert torch.equal(true.inputs, permuted.inputs)
        assert torch.equal(true.targets.sort().values, permuted.targets.sort().values)
        agreement.append((true.targets == permuted.targets).double().mean())
    assert torch.stack(agreement).mean() < 0.2


def test_permutations_are_new_in_each_epoch_and_fixed_in_evaluation():
    task, generator = permuted_targets(find_task("classification:digits")), torch.Generator().manual_seed(0)
    orders = [next(task.batches(generator)).targets for _ in range(2)]
    assert not torch.equal(*orders)
    assert torch.equal(next(task.held_out()).targets, next(task.held_out()).targets)


def test_the_next_category_is_right_and_labels_stay():
    task = next_category(find_task("classification:digits"))
    batch = next(task.held_out(50))
    assert torch.equal(batch.targets, (batch.labels + 1) % 10)
    answers = torch.nn.functional.one_hot(batch.targets, 10).float()
    assert task.correct(answers, batch).all()


def test_changes_need_targets_and_renaming_needs_categories():
    with pytest.raises(NeedsError, match="gives no targets"):
        next(permuted_targets(find_task("contrastive:digits")).held_out(20))
    with pytest.raises(NeedsError, match="does not name categories"):
        next_category(find_task("autoencoding:digits"))


def test_a_changed_task_keeps_its_weight_and_costs_at_layers():
    task = find_task("classification:digits", at_layers=dict([parse_layer_cost("blocks.0=sparsity")]))
    assert retargeted(task, lambda targets, _: targets, "kept").at_layers == task.at_layers
