"""Tasks by name."""

import pytest
import torch

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.tasks import TASKS, ImageTask, Schedule, Task, find_task, list_tasks

NAMES = [
    f"{key}:digits,variant={variant}" if variant not in ("", "plain") else f"{key}:digits"
    for key, kinds in TASKS.items()
    for variant, kind in kinds.items()
    if issubclass(kind, ImageTask)
]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("classification", "classification:digits"),
        ("classification:", "classification:digits"),
        ("classification:batch_size=64", "classification:digits,batch_size=64"),
        ("classification:digits,batch-size=64", "classification:digits,batch_size=64"),
        (
            "classification:digits,cost=squared-error,scale=unit,batch_size=64",
            "classification:digits,batch_size=64,scale=unit,cost=squared_error",
        ),
        ("classification:digits,batch_size=128,cost=cross_entropy,size=0", "classification:digits"),
        ("next-frame:digits", "next_frame:digits"),
        ("autoencoding:digits,variant=plain", "autoencoding:digits"),
        (
            "autoencoding:noise=0.50,variant=denoising",
            "autoencoding:digits,variant=denoising,noise=0.5",
        ),
    ],
)
def test_names_are_read_and_written_alike(written, name):
    task = find_task(written)
    assert task.name == name and find_task(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_every_task_keeps_to_the_contract(name):
    task = find_task(name)
    assert isinstance(task, Task) and task.name == name
    assert len(task.categories) == (2 if name == "orientation:digits" else 10)
    channels, size = task.preprocessing.channels, task.preprocessing.size
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(channels * size**2, task.n_outputs))
    for batch in (next(task.batches(torch.Generator())), next(task.held_out(20)), next(task.seen(20))):
        assert batch.inputs.shape[1:] == (channels, size, size) and batch.inputs.dtype == torch.float32
        assert len(batch.labels) == len(batch)
        outputs = task.rollout(network, batch)
        cost = task.cost(outputs, batch)
        assert cost.shape == (len(batch),) and torch.isfinite(cost).all() and cost.requires_grad
        correct = task.correct(outputs, batch)
        assert correct is None or set(correct.tolist()) <= {0.0, 1.0}
    assert len(list(task.batches(torch.Generator()))) == task.n_batches == 11


@pytest.mark.parametrize("name", NAMES)
def test_global_random_numbers_are_left_alone(name):
    state = torch.get_rng_state()
    task = find_task(name)
    assert task.module is None or task.module.training
    next(task.batches(torch.Generator())), next(task.held_out())
    assert torch.equal(torch.get_rng_state(), state)


def test_images_of_a_folder(tmp_path):
    from PIL import Image

    for name in ("cat", "dog"):
        (tmp_path / "my=set" / name).mkdir(parents=True)
        for i in range(5):
            Image.new("RGB", (9, 9), (40 * i, 0, 0)).save(tmp_path / "my=set" / name / f"{i}.png")
    task = find_task(f"classification:{tmp_path}/my=set,size=12,scale=unit,batch_size=4")
    assert task.name == f"classification:{tmp_path}/my=set,batch_size=4,scale=unit,size=12"
    assert task.preprocessing.size == 12 and task.categories == ("cat", "dog")


def test_overrides_have_the_last_word(colours):
    task = find_task(
        "classification:batch_size=7,cost=squared_error",
        images=colours,
        batch_size=9,
        cost="sigmoid_cross_entropy",
        weight=Schedule.parse("0:1/10:0"),
    )
    assert task.name == "classification:colours,batch_size=9,cost=sigmoid_cross_entropy"
    assert task.weight(5) == 0.5


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("classifikation:digits", {}, "Unknown task 'classifikation'. Did you mean 'classification'"),
        ("classification:mnits", {}, "Unknown image set 'mnits'. Did you mean 'mnist'"),
        ("classification:digits,cots=x", {}, "Unknown option of classification 'cots'. Did you mean 'cost'"),
        ("classification:digits,cost=hinge", {}, "Unknown cost of classification 'hinge'"),
        ("classification:digits,batch_size=0", {}, "batch_size is '0'; expected a whole number above 0"),
        ("classification:digits,noise=0.3", {}, "Unknown option of classification 'noise'"),
        ("classification:digits,variant=plain", {}, "Unknown option of classification 'variant'"),
        (
            "autoencoding:digits,variant=sparsed",
            {},
            "Unknown variant of autoencoding 'sparsed'. Did you mean 'sparse'",
        ),
        ("autoencoding:digits,latents=3", {}, "Unknown option of autoencoding 'latents'"),
        ("classification:digits", {"bath_size": 3}, "Unknown field of classification 'bath_size'"),
    ],
)
def test_what_does_not_exist_is_named(name, overrides, message):
    with pytest.raises(UnknownNameError, match=message):
        find_task(name, **overrides)


def test_a_batch_larger_than_the_set():
    with pytest.raises(BrainalignError, match="2000 images is more than the 1437"):
        find_task("classification:digits,batch_size=2000")


def test_the_list_names_each_task_with_its_options():
    entries = {entry.name: entry for entry in list_tasks()}
    assert {"classification", "rotation", "autoencoding:variant=sparse", "contrastive", "next_frame"} <= set(
        entries
    )
    assert entries["classification"].options["cost"] == "cross_entropy"
    assert entries["autoencoding:variant=denoising"].options["noise"] == 0.3
    assert all(entry.summary.endswith(".") and entry.source for entry in entries.values())
