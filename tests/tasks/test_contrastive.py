"""Contrastive learning: the cost against a naive loop, and what the views are."""

import math

import pytest
import torch
from torch import nn

from brainalign.errors import BrainalignError
from brainalign.tasks import find_task
from brainalign.tasks.augmentation import grey, random_view, recoloured, resized_crop
from brainalign.tasks.contrastive import Contrastive, nt_xent


def naive_nt_xent(z: list[list[float]], temperature: float) -> list[float]:
    def similarity(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    costs, half = [], len(z) // 2
    for i, view in enumerate(z):
        other = i + half if i < half else i - half
        among = sum(math.exp(similarity(view, z[k]) / temperature) for k in range(len(z)) if k != i)
        costs.append(-math.log(math.exp(similarity(view, z[other]) / temperature) / among))
    return costs


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_nt_xent_is_the_naive_loop(temperature):
    z = torch.randn(14, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert nt_xent(z, temperature).tolist() == pytest.approx(naive_nt_xent(z.tolist(), temperature), rel=1e-12)


def test_two_views_of_one_image_cost_nothing():
    assert nt_xent(torch.randn(2, 3, generator=torch.Generator()), 0.5).abs().max() < 1e-6


def test_a_batch_is_both_views_of_each_image(colours, generator):
    task = Contrastive(colours, batch_size=10, jitter=0.0, min_area=0.9)
    batch = next(task.batches(generator))
    assert batch.inputs.shape == (20, 3, 16, 16) and batch.targets is None
    assert torch.equal(batch.labels[:10], batch.labels[10:])
    assert not torch.equal(batch.inputs[:10], batch.inputs[10:])
    outputs = torch.randn(20, task.n_outputs, generator=generator)
    assert task.cost(outputs, batch).shape == task.correct(outputs, batch).shape == (20,)


def test_correct_says_whether_the_other_view_is_the_closest(colours, generator):
    task = Contrastive(colours, batch_size=10)
    batch = next(task.batches(generator))
    half = torch.randn(10, task.n_outputs, generator=generator)
    assert task.correct(half.repeat(2, 1), batch).tolist() == [1.0] * 20
    assert task.correct(torch.cat([half, half.roll(1, 0)]), batch).tolist() == [0.0] * 20


def test_views_are_drawn_from_the_generator_alone(colours):
    task = Contrastive(colours, batch_size=10)
    views = [next(task.batches(torch.Generator().manual_seed(seed))).inputs for seed in (1, 1, 2)]
    assert torch.equal(views[0], views[1]) and not torch.equal(views[0], views[2])
    assert torch.equal(next(task.held_out()).inputs, next(task.held_out()).inputs)


def test_held_out_batches_are_as_large_as_training_ones(colours):
    assert [len(batch) for batch in Contrastive(colours, batch_size=8).held_out()] == [16, 16, 8]


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(200, 3, 16, 16, generator=torch.Generator().manual_seed(2))


def test_a_crop_of_everything_is_the_image(images, generator):
    whole = resized_crop(images, generator, min_area=1.0, flip=False, max_ratio=1.0)
    assert torch.allclose(whole, images, atol=1e-5)


def test_half_of_the_views_are_mirrored(images, generator):
    views = resized_crop(images, generator, min_area=1.0, flip=True, max_ratio=1.0)
    mirrored = (views - images.flip(3)).abs().amax((1, 2, 3)) < 1e-5
    same = (views - images).abs().amax((1, 2, 3)) < 1e-5
    assert (mirrored ^ same).all() and 65 < mirrored.sum() < 135


def test_crops_lie_inside_and_have_the_area_that_was_drawn(generator):
    """On an image of its own coordinates, a crop shows where it came from."""
    x = ((torch.arange(64) + 0.5) / 64).expand(64, 64)
    images = torch.stack([x, x.T])[None].repeat(300, 1, 1, 1)
    views = resized_crop(images, generator, min_area=0.25, flip=False)
    # From pixel centre to pixel centre, 63 of 64 parts of a side.
    width, height = ((view[:, -1, -1] - view[:, 0, 0]) * 64 / 63 for view in (views[:, 0], views[:, 1]))
    area = width * height
    assert area.min() > 0.2 and area.max() < 1.05 and width.max() < 1.03
    assert views[:, 0].mean() == pytest.approx(0.5, abs=0.03)
    assert (width / height).min() > 0.7 and (width / height).max() < 1.4


def test_colours_change_within_bounds(images, generator):
    assert torch.allclose(recoloured(images, generator, jitter=0.0), images, atol=1e-6)
    changed = recoloured(images, generator, jitter=1.0)
    assert changed.min() >= 0 and changed.max() <= 1
    greyed = (changed - grey(changed)).abs().amax((1, 2, 3)) < 1e-5
    assert 15 < greyed.sum() < 70
    one = images[:, :1]
    assert torch.allclose(recoloured(one, generator, jitter=0.0), one, atol=1e-6)
    assert not torch.allclose(recoloured(one, generator, jitter=0.5), one, atol=1e-2)


def test_brightness_alone_scales_an_image(generator):
    """A plain grey image has neither contrast nor saturation to change."""
    plain = torch.full((400, 3, 2, 2), 0.25)
    factor = recoloured(plain, generator, jitter=0.5)[:, 0, 0, 0] / 0.25
    assert factor.min() >= 0.6 - 1e-6 and factor.max() <= 1.4 + 1e-6
    assert 0.12 < (factor - 1).abs().lt(1e-6).float().mean() < 0.28


def test_digits_are_not_mirrored(generator):
    image = torch.zeros(50, 1, 8, 8)
    image[:, :, :, 0] = 1
    views = random_view(image, generator, min_area=1.0, jitter=0.0)
    assert (views[:, :, :, -1] == 0).all()


def test_min_area_is_a_share(colours):
    with pytest.raises(BrainalignError, match="min_area of contrastive is 1.5"):
        Contrastive(colours, batch_size=8, min_area=1.5)


def test_views_of_digits_are_learnt_apart():
    task = find_task("contrastive:digits,min_area=0.6")
    torch_network = nn.Sequential(nn.Flatten(), nn.Linear(64, task.n_outputs))
    nn.init.orthogonal_(torch_network[1].weight, generator=torch.Generator().manual_seed(0))
    parameters = [*torch_network.parameters(), *task.module.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)

    def held_out() -> float:
        with torch.no_grad():
            right = [task.correct(task.rollout(torch_network, batch), batch) for batch in task.held_out()]
        return torch.cat(right).mean().item()

    before, generator = held_out(), torch.Generator().manual_seed(0)
    for _ in range(15):
        for batch in task.batches(generator):
            optimizer.zero_grad()
            task.cost(task.rollout(torch_network, batch), batch).mean().backward()
            optimizer.step()
    assert held_out() > before + 0.1
