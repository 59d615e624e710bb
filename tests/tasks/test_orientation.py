"""Orientation: what gratings are drawn, which side is right, and that nothing else gives it away."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.networks import Shape, make_network
from brainalign.networks.gabor import Gabor
from brainalign.tasks import find_task
from brainalign.tasks.orientation import gabors
from brainalign.training.measure import measure

INTO = 8
"""Finer steps of frequency, by padding with nothing."""


def drawn(orientation, phase=0.4, size=32, frequency=5.0, width=0.2):
    wanted = torch.tensor([orientation], dtype=torch.float64)
    return gabors(wanted, torch.full_like(wanted, phase), size, frequency, width)[0]


def peak(image):
    """Give the orientation of the bars and the frequency (cycles an image) where the spectrum is highest."""
    size = image.shape[-1]
    power = torch.fft.fft2(image, s=(INTO * size, INTO * size)).abs()
    across = torch.fft.fftfreq(INTO * size, 1 / size, dtype=torch.float64)
    row, column = np.unravel_index(int(power.argmax()), power.shape)
    down, right = float(across[row]), float(across[column])
    return math.degrees(math.atan2(right, down)) % 180, math.hypot(right, down)


@pytest.mark.parametrize(("right", "down"), [(0, 3), (4, 0), (3, 3), (5, 2), (-2, 5), (-4, 4)])
def test_a_plain_grating_has_all_its_power_at_its_orientation_and_frequency(right, down):
    orientation = math.degrees(math.atan2(right, down)) % 180
    image = drawn(orientation, frequency=math.hypot(right, down), width=math.inf)
    power = torch.fft.fft2(image).abs() ** 2
    at = power[down % 32, right % 32] + power[-down % 32, -right % 32]
    assert float(at / power.sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("orientation", [0.0, 17.0, 45.0, 88.0, 120.0, 163.0])
def test_a_gabor_has_the_orientation_and_frequency_asked(orientation):
    found, frequency = peak(drawn(orientation))
    # Frequencies are 1/8 of a cycle apart: at 5 cycles, 1.5 degrees.
    assert abs((found - orientation + 90) % 180 - 90) < 1.5
    assert frequency == pytest.approx(5, abs=0.15)


@pytest.mark.parametrize("orientation", [30.0, 45.0, 150.0])
def test_angles_are_anticlockwise_as_one_sees_them_and_as_the_gabor_banks(orientation):
    pixels = 0.5 + 0.4 * drawn(orientation, size=64, frequency=8.0).float()
    network = Gabor(64)
    wavelengths = network.energy.maps(pixels.expand(1, 3, -1, -1))
    energy = wavelengths[network.energy.wavelengths.index(8)][0].amax((1, 2))
    nearest = np.abs((np.array(network.energy.orientations) - orientation + 90) % 180 - 90).min()
    best = network.energy.orientations[int(energy.argmax())]
    assert abs((best - orientation + 90) % 180 - 90) == nearest


def test_the_envelope_is_a_round_gaussian_at_its_centre():
    wanted = torch.zeros(2, dtype=torch.float64)
    phases = torch.tensor([0.0, math.pi / 2], dtype=torch.float64)
    even, odd = gabors(wanted, phases, 40, 3.0, 0.1, (0.3, 0.6))
    place = (torch.arange(40, dtype=torch.float64) + 0.5) / 40
    squared = (place[None, :] - 0.3) ** 2 + (place[:, None] - 0.6) ** 2
    torch.testing.assert_close(even**2 + odd**2, torch.exp(-squared / 0.01), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("orientation", "precision"), [(45, 10), (135, 10), (0, 5), (90, 20)])
def test_the_side_that_is_right_is_that_of_the_grating(orientation, precision, generator):
    task = find_task(f"orientation:digits,size=32,orientation={orientation},precision={precision},noise=0")
    batch = next(task.batches(generator))
    for image, side in zip(batch.inputs[:, 0].double(), batch.targets.tolist(), strict=True):
        found, _ = peak(image - image.mean())
        turned = (found - orientation + 90) % 180 - 90
        assert turned == pytest.approx(precision if side == 0 else -precision, abs=3)
    assert task.categories[0] == "anticlockwise"


def test_each_side_is_half_of_a_batch_and_a_constant_answer_is_at_chance(generator):
    task = find_task("orientation:digits")
    batches = [*task.batches(generator), *task.held_out()]
    assert all(2 * int(batch.targets.sum()) == len(batch) for batch in batches)
    for side in (0, 1):
        always = torch.nn.functional.one_hot(torch.full((360,), side), 2).float()
        assert float(task.correct(always, next(task.held_out())).mean()) == 0.5


def test_untrained_networks_are_at_chance():
    task = find_task("orientation:digits")
    shape = Shape(task.preprocessing, task.n_outputs)
    found = [
        measure(make_network("mlp:hidden=30", shape, seed), task, task.held_out())["accuracy"]
        for seed in range(40)
    ]
    error = np.std(found, ddof=1) / 40**0.5
    assert abs(np.mean(found) - 0.5) < 4 * error < 0.04


def test_nothing_but_the_grating_gives_the_side_away_and_the_grating_does(generator):
    """A read-out of squares, fitted to gratings of no contrast and to those of a good one."""
    accuracy = {}
    for contrast in (1e-6, 0.5):
        task = find_task(f"orientation:digits,contrast={contrast}")
        (seen, told), (new, right) = (
            (torch.cat([b.inputs.flatten(1) for b in part]), torch.cat([b.targets for b in part]))
            for part in (list(task.batches(generator)), list(task.held_out()))
        )
        pairs = torch.triu_indices(64, 64)
        squares = [(each[:, pairs[0]] * each[:, pairs[1]]).numpy() for each in (seen, new)]
        accuracy[contrast] = RidgeClassifier(100).fit(squares[0], told).score(squares[1], right)
    assert abs(accuracy[1e-6] - 0.5) < 4 * (0.25 / 360) ** 0.5
    assert accuracy[0.5] > 0.9


def test_gratings_to_learn_from_to_choose_by_and_to_test_on_differ_and_stay(generator):
    plain, choosing = find_task("orientation:digits"), find_task("orientation:digits,validation=360")
    parts = [plain.held_out, plain.seen, choosing.held_out]
    first = [next(part(100)).inputs for part in parts]
    again = [next(part(100)).inputs for part in parts]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(first[i], first[j]) for i in range(3) for j in range(i))
    epochs = [next(plain.batches(torch.Generator().manual_seed(seed))).inputs for seed in (0, 0, 1)]
    assert torch.equal(epochs[0], epochs[1]) and not torch.equal(epochs[0], epochs[2])
    labelled = next(plain.labelled(held_out=True, limit=100))
    assert torch.equal(labelled.inputs, first[0])


def test_colours_and_standardisation_are_those_of_the_image_set(colours, generator):
    task, images = (
        find_task("orientation:", images=colours, batch_size=40),
        find_task("classification:", images=colours, batch_size=40),
    )
    assert task.preprocessing == images.preprocessing and task.preprocessing.channels == 3
    inputs = next(task.batches(generator)).inputs
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (task.preprocessing.mean, task.preprocessing.std))
    pixels = inputs * std + mean
    torch.testing.assert_close(pixels[:, 0], pixels[:, 2])
    assert 0 <= float(pixels.min()) < 0.4 < 0.6 < float(pixels.max()) <= 1


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ("precision=0", UnknownNameError, "precision is '0'; expected a number above 0"),
        ("precision=45", BrainalignError, "precision of orientation is 45; expected below 45 degrees"),
        ("orientation=180", BrainalignError, "orientation of orientation is 180; expected below 180"),
        ("contrast=1.5", BrainalignError, "contrast of orientation is 1.5; expected 1 at most"),
        ("x=1.2", BrainalignError, "x of orientation is 1.2; expected 1 at most"),
        ("frequency=4", BrainalignError, "frequency of orientation is 4; expected below 4 cycles"),
        ("precis=3", UnknownNameError, "Did you mean 'precision'"),
    ],
)
def test_what_cannot_be_shown_is_refused(options, kind, message):
    with pytest.raises(kind, match=message):
        find_task(f"orientation:digits,{options}")


def test_a_precision_of_0_is_refused_where_it_is_no_text():
    with pytest.raises(BrainalignError, match="Option precision of orientation is 0"):
        find_task("orientation:digits", precision=0.0)
