"""The control for early vision: a bank of Gabor energy filters."""

import math

import torch
from jaxtyping import Float, Float64
from torch import nn
from torch.nn import functional

from brainalign.errors import BrainalignError
from brainalign.networks.preprocessing import Preprocessing

N_ORIENTATIONS = 8
SMALLEST_IMAGE = 32
_FINEST_WAVELENGTH = 4
_FEWEST_SCALES = 4
# Full bandwidth b at half amplitude sets a Gaussian of sigma = wavelength · sqrt(ln 2 / 2) / pi ·
# (2^b + 1) / (2^b − 1); here b = 1 octave.
_SIGMA_PER_WAVELENGTH = math.sqrt(math.log(2) / 2) / math.pi * 3


class GaborEnergy(nn.Module):
    r"""Energy of quadrature pairs of Gabor filters on the luma, at every scale and orientation.

    .. math:: e = \sqrt{(g_\mathrm{even} * y)^2 + (g_\mathrm{odd} * y)^2}

    Spatial-frequency bandwidth is one octave; the envelope is round. Wavelengths are 4, 8, 16, …
    pixels, up to half the image's width and at least four of them. Each map is sampled every half
    wavelength. Filters have no response to uniform light, and a grating of amplitude a (contrast
    between 0.5 − a and 0.5 + a) gives the filter of its wavelength and orientation the energy a. The
    image's edge is continued outward, so that it is no contour.

    Parameters
    ----------
    image_size
        Width of the images in pixels, which sets the number of scales.

    Attributes
    ----------
    wavelengths
        In pixels, ascending.
    orientations
        Of the bars, in degrees anticlockwise from horizontal.

    Raises
    ------
    BrainalignError
        An image of fewer than 32 pixels.

    Notes
    -----
    Energy model: Adelson & Bergen 1985. Luma is that of ITU-R BT.601.
    """

    def __init__(self, image_size: int):
        super().__init__()
        if image_size < SMALLEST_IMAGE:
            raise BrainalignError(
                f"The Gabor bank needs images of {SMALLEST_IMAGE} pixels or more, not of {image_size}."
            )
        n_scales = max(_FEWEST_SCALES, int(math.log2(image_size / _FINEST_WAVELENGTH)))
        self.wavelengths = [_FINEST_WAVELENGTH * 2**scale for scale in range(n_scales)]
        self.orientations = [180 * k / N_ORIENTATIONS for k in range(N_ORIENTATIONS)]
        self.register_buffer("luma", torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1))
        for wavelength in self.wavelengths:
            pairs = [gabor_pair(wavelength, orientation) for orientation in self.orientations]
            even, odd = (torch.stack(phase) for phase in zip(*pairs, strict=True))
            self.register_buffer(f"filters_{wavelength}", torch.cat([even, odd]).unsqueeze(1).float())

    def maps(
        self, images: Float[torch.Tensor, "stimulus 3 height width"]
    ) -> list[Float[torch.Tensor, "stimulus orientation rows columns"]]:
        """Give the energy at each wavelength, ascending."""
        luma = (images * self.get_buffer("luma")).sum(1, keepdim=True)
        energies = []
        for wavelength in self.wavelengths:
            filters = self.get_buffer(f"filters_{wavelength}")
            stride = wavelength // 2
            margin = (filters.shape[-1] - stride) // 2
            padded = functional.pad(luma, [margin] * 4, mode="replicate")
            even, odd = functional.conv2d(padded, filters, stride=stride).chunk(2, dim=1)
            energies.append((even.square() + odd.square()).sqrt())
        return energies

    def forward(
        self, images: Float[torch.Tensor, "stimulus 3 height width"]
    ) -> Float[torch.Tensor, "stimulus unit"]:
        """Give all energies, scale by scale, as one row an image."""
        return torch.cat([energy.flatten(1) for energy in self.maps(images)], dim=1)


class Gabor(nn.Module):
    """A Gabor energy bank as a network of one layer, ``energy``; it has no weights to learn.

    Examples
    --------
    >>> tuple(Gabor(image_size=32)(torch.zeros(2, 3, 32, 32)).shape)
    (2, 2720)
    """

    preprocessing: Preprocessing

    def __init__(self, image_size: int = 112):
        super().__init__()
        self.energy = GaborEnergy(image_size)
        self.preprocessing = Preprocessing(image_size, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

    def forward(
        self, images: Float[torch.Tensor, "stimulus 3 height width"]
    ) -> Float[torch.Tensor, "stimulus unit"]:
        """Give the energies."""
        return self.energy(images)


def gabor_pair(
    wavelength: int, orientation: float
) -> tuple[Float64[torch.Tensor, "size size"], Float64[torch.Tensor, "size size"]]:
    r"""Make an even and an odd Gabor filter of unit gain and without response to uniform light.

    .. math::
        g_\mathrm{even} = w (\cos\phi - c), \quad g_\mathrm{odd} = w \sin\phi, \quad
        \phi = 2\pi (x \sin\theta + y \cos\theta) / \lambda

    Parameters
    ----------
    wavelength
        λ in pixels; even, so that maps sampled every λ / 2 pixels lie symmetrically on the image.
    orientation
        θ of the bars, in degrees anticlockwise from horizontal; y grows downward.

    Returns
    -------
    tuple of tensors
        Each of the same even size, cut off at three standard deviations of the envelope w.
    """
    sigma = _SIGMA_PER_WAVELENGTH * wavelength
    radius = math.ceil(3 * sigma)
    # Between the pixels, hence the half: the size is even, like the stride.
    offsets = torch.arange(-radius, radius, dtype=torch.float64) + 0.5
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    theta = math.radians(orientation)
    phase = 2 * math.pi / wavelength * (x * math.sin(theta) + y * math.cos(theta))
    envelope = torch.exp(-(x.square() + y.square()) / (2 * sigma**2))
    carrier = phase.cos() - (envelope * phase.cos()).sum() / envelope.sum()
    even, odd = envelope * carrier, envelope * phase.sin()
    return even / (even * phase.cos()).sum(), odd / (odd * phase.sin()).sum()
