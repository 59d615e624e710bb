"""The Gabor bank's tuning: orientation, spatial frequency, phase, contrast and symmetry."""

import math

import numpy as np
import pytest
import torch

from brainalign.errors import BrainalignError
from brainalign.networks import Gabor
from brainalign.networks.gabor import GaborEnergy, gabor_pair

SIZE = 128
INSIDE = [4, 8, 16, 32]
"""Wavelengths whose filters fit into an image of 128 pixels, so that its edge plays no part."""


def _grating(wavelength, orientation, phase=0.0, amplitude=0.5, size=SIZE):
    """Bars at `orientation` degrees anticlockwise from horizontal."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    theta = math.radians(orientation)
    across = columns * math.sin(theta) + rows * math.cos(theta)
    wave = 0.5 + amplitude * np.cos(2 * np.pi * across / wavelength + phase)
    return torch.from_numpy(wave).float().expand(1, 3, size, size)


@pytest.fixture(scope="module")
def bank():
    return GaborEnergy(SIZE)


def _at_centre(maps):
    """Energy of each scale and orientation at the place nearest to the image's centre."""
    return torch.stack([energy[0, :, energy.shape[2] // 2, energy.shape[3] // 2] for energy in maps])


def test_scales_and_orientations(bank):
    assert bank.wavelengths == [4, 8, 16, 32, 64]
    assert bank.orientations == [0.0, 22.5, 45.0, 67.5, 90.0, 112.5, 135.0, 157.5]
    # Sampled every half wavelength.
    assert [energy.shape[-1] for energy in bank.maps(torch.zeros(1, 3, SIZE, SIZE))] == [64, 32, 16, 8, 4]


def test_bars_along_the_rows_are_horizontal(bank):
    """Fixes the sign and the zero of orientation without any trigonometry."""
    image = torch.zeros(1, 3, SIZE, SIZE)
    image[:, :, ::4] = image[:, :, 1::4] = 1.0
    assert bank.orientations[int(_at_centre(bank.maps(image))[0].argmax())] == 0.0
    diagonal = (torch.arange(SIZE)[:, None] + torch.arange(SIZE)) % 6 < 3
    # Bars of constant row + column run from the lower left to the upper right.
    response = _at_centre(bank.maps(diagonal.float().expand(1, 3, SIZE, SIZE)))
    assert bank.orientations[int(response[0].argmax())] == 45.0


@pytest.mark.parametrize("wavelength", INSIDE)
def test_tuned_to_orientation_and_wavelength(bank, wavelength):
    scale = bank.wavelengths.index(wavelength)
    for channel, orientation in enumerate(bank.orientations):
        response = _at_centre(bank.maps(_grating(wavelength, orientation)))
        assert divmod(int(response.argmax()), 8) == (scale, channel)
        # Unit gain: the grating's amplitude comes back.
        assert response[scale, channel] == pytest.approx(0.5, rel=0.01)
        assert response[scale, (channel + 4) % 8] < 0.01 * response[scale, channel]


@pytest.mark.parametrize("wavelength", INSIDE)
def test_energy_does_not_depend_on_phase(bank, wavelength):
    phases = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    scale = bank.wavelengths.index(wavelength)
    for channel in (0, 1, 2, 5):
        orientation = bank.orientations[channel]
        energies = np.array(
            [
                float(_at_centre(bank.maps(_grating(wavelength, orientation, phase)))[scale, channel])
                for phase in phases
            ]
        )
        assert np.ptp(energies) < 0.01 * energies.mean()


@pytest.mark.parametrize("ratio", [2 / 3, 4 / 3])
def test_bandwidth_of_one_octave(bank, ratio):
    """At the two frequencies an octave apart around its own, a filter answers with half its gain."""
    response = _at_centre(bank.maps(_grating(16 / ratio, 0.0)))
    assert response[bank.wavelengths.index(16), 0] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("size", [32, 33, 50, 112])
def test_uniform_images_give_nothing(size, level):
    energy = Gabor(size)(torch.full((1, 3, size, size), level))
    assert energy.abs().max() < 1e-5


def test_filters_have_no_dc_and_are_in_quadrature():
    for wavelength in (4, 8, 16):
        for orientation in (0.0, 22.5, 90.0, 135.0):
            even, odd = gabor_pair(wavelength, orientation)
            scale = even.abs().sum()
            assert abs(even.sum()) < 1e-12 * scale and abs(odd.sum()) < 1e-12 * scale
            assert abs((even * odd).sum()) < 1e-12 * scale
            # The energy of a pair is that of one complex filter only if both weigh the same.
            assert even.norm() == pytest.approx(float(odd.norm()), rel=0.01)


def test_quarter_turn_of_the_image_turns_the_maps(bank):
    image = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    turned = bank.maps(image.rot90(1, (2, 3)))
    for before, after in zip(bank.maps(image), turned, strict=True):
        torch.testing.assert_close(after, before.rot90(1, (2, 3)).roll(4, 1), rtol=1e-4, atol=1e-6)


def test_shifted_image_shifts_the_maps(bank):
    image = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    maps = zip(bank.wavelengths, bank.maps(image), bank.maps(image.roll(8, 3)), strict=True)
    for wavelength, before, after in [entry for entry in maps if entry[0] <= 16]:
        stride = wavelength // 2
        step = 8 // stride
        # Filters reach 1.7 wavelengths; nearer to the edge and to the seam, images differ.
        reach = math.ceil(1.7 * wavelength / stride) + 1
        moved, kept = after[..., step + reach : -reach], before[..., reach : -step - reach]
        assert kept.numel() > 0
        torch.testing.assert_close(moved, kept, rtol=1e-4, atol=1e-6)


def test_energy_scales_with_contrast(bank):
    weak, strong = (bank(_grating(8, 45.0, amplitude=amplitude)) for amplitude in (0.1, 0.4))
    torch.testing.assert_close(strong, 4 * weak, rtol=1e-3, atol=1e-5)


def test_agrees_with_a_sum_written_out(bank):
    image = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    luma = (image[0].double() * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0)
    for wavelength, channel, row, column in [(4, 3, 30, 20), (8, 6, 15, 16), (16, 1, 8, 7)]:
        even, odd = gabor_pair(wavelength, bank.orientations[channel])
        # Output i lies at pixel (i + 1/2) · stride − 1/2, the middle of the filter's support.
        top, left = ((2 * i + 1) * wavelength // 4 - len(even) // 2 for i in (row, column))
        patch = luma[top : top + len(even), left : left + len(even)]
        expected = math.hypot((patch * even).sum(), (patch * odd).sum())
        got = bank.maps(image)[bank.wavelengths.index(wavelength)][0, channel, row, column]
        assert float(got) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("size", [32, 45, 63, 64, 224])
def test_any_size_has_four_scales_or_more(size):
    gabor = Gabor(size)
    energy = gabor(torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)))
    assert len(gabor.energy.wavelengths) >= 4
    assert energy.shape == (2, sum(8 * (size // (w // 2)) ** 2 for w in gabor.energy.wavelengths))
    assert energy.isfinite().all()


def test_one_layer_fixed_weights():
    gabor = Gabor(64)
    assert [name for name, _ in gabor.named_modules() if name] == ["energy"]
    assert not list(gabor.parameters())
    same = Gabor(64).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in gabor.state_dict().items())


def test_too_small():
    with pytest.raises(BrainalignError, match="32 pixels or more, not of 31"):
        Gabor(31)
