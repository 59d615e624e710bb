"""What tasks on images share: order, splits, standardisation, names."""

import dataclasses

import pytest
import torch

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.tasks import find_task
from brainalign.tasks.classification import Classification
from brainalign.tasks.image_task import channel_statistics


def inputs_of(batches) -> torch.Tensor:
    return torch.cat([batch.inputs for batch in batches])


def as_set(inputs: torch.Tensor) -> set:
    return {tuple(row.tolist()) for row in inputs.flatten(1)}


def test_an_epoch_shows_each_image_once_and_drops_the_short_batch(colours, generator):
    task = Classification(colours, batch_size=12)
    batches = list(task.batches(generator))
    assert len(batches) == task.n_batches == 3
    assert all(len(batch) == 12 and batch.inputs.dtype == torch.float32 for batch in batches)
    assert len(as_set(inputs_of(batches))) == 36


def test_the_generator_alone_decides_the_order(colours):
    task = Classification(colours, batch_size=20)
    torch.manual_seed(5)
    first = inputs_of(task.batches(torch.Generator().manual_seed(3)))
    torch.manual_seed(6)
    again = inputs_of(task.batches(torch.Generator().manual_seed(3)))
    other = inputs_of(task.batches(torch.Generator().manual_seed(4)))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_two_epochs_of_one_generator_differ(colours, generator):
    task = Classification(colours, batch_size=20)
    assert not torch.equal(inputs_of(task.batches(generator)), inputs_of(task.batches(generator)))


def test_what_others_draw_between_batches_changes_nothing(colours):
    task, mine = Classification(colours, batch_size=10), torch.Generator().manual_seed(3)
    expected = inputs_of(task.batches(torch.Generator().manual_seed(3)))
    found = []
    for batch in task.batches(mine):
        torch.rand(7, generator=mine)
        found.append(batch.inputs)
    assert torch.equal(torch.cat(found), expected)


def test_inputs_are_standardised_by_the_images_trained_on(colours):
    task = Classification(colours, batch_size=20)
    inputs = inputs_of(task.seen()).double()
    assert inputs.mean((0, 2, 3)).abs().max() < 1e-6
    assert (inputs.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-6
    pixels = colours.train_images.double() / 255
    assert task.preprocessing.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), rel=1e-12)
    assert task.preprocessing.std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), rel=1e-12)


def test_unit_scale_leaves_pixels_from_0_to_1(colours):
    task = Classification(colours, batch_size=20, scale="unit")
    assert as_set(inputs_of(task.held_out())) == as_set(colours.test_images.float() / 255)


def test_statistics_are_those_of_float64():
    pixels = torch.randint(256, (50, 3, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = channel_statistics(pixels)
    exact = pixels.double() / 255
    assert mean == pytest.approx(exact.mean((0, 2, 3)).tolist(), rel=1e-13)
    assert std == pytest.approx(exact.std((0, 2, 3), correction=0).tolist(), rel=1e-12)


def test_validation_images_are_neither_trained_on_nor_test_images(colours, generator):
    task = Classification(colours, batch_size=5, scale="unit", validation=10)
    trained, held = as_set(inputs_of(task.batches(generator))), as_set(inputs_of(task.held_out()))
    assert len(trained) == 30 and len(held) == 10 and not trained & held
    assert trained | held == as_set(colours.train_images.float() / 255)
    assert as_set(inputs_of(task.seen())) == trained
    fewer = Classification(colours, batch_size=5, scale="unit", validation=10, train_images=15)
    assert as_set(inputs_of(fewer.batches(generator))) < trained
    assert as_set(inputs_of(fewer.held_out())) == held


def test_statistics_do_not_see_validation_images(colours):
    task = Classification(colours, batch_size=5, validation=10)
    assert inputs_of(task.seen()).double().mean((0, 2, 3)).abs().max() < 1e-6


def test_held_out_is_fixed_and_balanced():
    task = find_task("classification:digits")
    batches = list(task.held_out(100))
    assert [len(batch) for batch in batches] == [100]
    assert torch.equal(batches[0].inputs, next(iter(task.held_out(100))).inputs)
    labels = torch.cat([batch.labels for batch in batches])
    assert labels.bincount().tolist() == [10] * 10
    assert (labels[:50].bincount(minlength=10) > 0).all()


@pytest.mark.parametrize(
    ("limit", "lengths"), [(None, [500, 500, 437]), (501, [500, 1]), (9999, [500, 500, 437])]
)
def test_seen_in_batches_of_500(limit, lengths):
    assert [len(batch) for batch in find_task("classification:digits").seen(limit)] == lengths


def test_a_limit_must_be_some_images(colours):
    with pytest.raises(BrainalignError, match="At most 0 images"):
        list(Classification(colours, batch_size=4).held_out(0))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 41}, BrainalignError, "41 images is more than the 40 .* make batch_size smaller"),
        ({"batch_size": 8, "validation": 33}, BrainalignError, "8 images is more than the 7"),
        ({"validation": 30, "train_images": 11}, BrainalignError, "has 40 training images, fewer than"),
        ({"batch_size": 0}, BrainalignError, "batch_size of classification is 0; expected more"),
        ({"validation": -1}, BrainalignError, "validation of classification is -1"),
        ({"scale": "units"}, UnknownNameError, "Unknown scale 'units'. Did you mean 'unit'"),
        ({"cost_name": "squared"}, UnknownNameError, "Did you mean 'squared_error'"),
    ],
)
def test_options_that_cannot_be(colours, options, error, message):
    with pytest.raises(error, match=message):
        Classification(colours, **options)


def test_size_resizes_the_images(colours):
    task = Classification(colours, batch_size=4, size=8)
    assert task.name == "classification:colours,batch_size=4,size=8"
    assert task.preprocessing.size == 8 and next(task.seen()).inputs.shape[2:] == (8, 8)
    assert dataclasses.replace(task, size=4).preprocessing.size == 4


def test_preprocessing_of_pillow_images_agrees_with_the_batches(colours):
    from PIL import Image

    task = Classification(colours, batch_size=4)
    images = [Image.fromarray(pixels.permute(1, 2, 0).numpy()) for pixels in colours.test_images]
    assert as_set(task.preprocessing(images)) == as_set(inputs_of(task.held_out()))
