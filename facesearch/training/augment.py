"""Pictures -> distorted pictures, in batches, on tensors.

Affine after Koch, Zemel and Salakhutdinov (2015), section 3.3: rotation up to 10 degrees, shear up
to 0.3, scale 0.8 to 1.2, shift up to 2 pixels of 105, each with probability one half. Elastic after
Simard, Steinkraus and Platt (2003): a smooth field of random shifts. Pictures are (n, channels,
side, side) with the background at 0, which is what comes in from outside.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

KNOTS = 5  # of the elastic field, along each side
SMALLEST = 0.21  # side of the smallest face, of 112 pixels: 24
BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)  # weights of the blur
NOISE = 0.024  # standard deviation, of white


@dataclass(frozen=True, slots=True)
class Distortion:
    """How far pictures are distorted; each part happens with `probability`."""

    rotation_degrees: float = 10.0
    shear_x: float = 0.3
    shear_y: float = 0.3
    scale: float = 0.2  # 0.2: from 0.8 to 1.2
    shift: float = 2 / 105  # of the side
    elastic: float = 0.0  # standard deviation of the shifts, of half the side
    probability: float = 0.5

    def apply(self, pictures: Tensor, generator: torch.Generator, *, alike: bool = False) -> Tensor:
        """Return `pictures` (n, channels, side, side), distorted each in its own way or `alike`."""
        side = pictures.shape[-1]
        n = 1 if alike else len(pictures)
        grid = F.affine_grid(self.matrices(n, generator), [n, 1, side, side], align_corners=False)
        if self.elastic:
            knots = torch.randn(n, 2, KNOTS, KNOTS, generator=generator) * self.elastic
            knots = knots * self._happens(n, generator).view(n, 1, 1, 1)
            field = F.interpolate(knots, (side, side), mode="bicubic", align_corners=True)
            grid = grid + field.permute(0, 2, 3, 1)
        grid = grid.expand(len(pictures), -1, -1, -1)
        return F.grid_sample(pictures, grid.to(pictures), mode="bilinear", align_corners=False)

    def matrices(self, n: int, generator: torch.Generator) -> Tensor:
        """Return random maps (n, 2, 3) from places in the result to places in the picture.

        In affine_grid's coordinates: -1 to 1 from edge to edge.
        """

        def between(limit: float) -> Tensor:
            drawn = (torch.rand(n, generator=generator) * 2 - 1) * limit
            return drawn * self._happens(n, generator)

        turn = between(math.radians(self.rotation_degrees))
        shear_x, shear_y = between(self.shear_x), between(self.shear_y)
        scale_x, scale_y = 1 + between(self.scale), 1 + between(self.scale)
        shift = torch.stack([between(2 * self.shift), between(2 * self.shift)], -1)  # (n, 2)
        cos, sin = turn.cos(), turn.sin()
        rotate = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
        stretch = torch.stack(
            [torch.stack([scale_x, shear_x], -1), torch.stack([shear_y, scale_y], -1)], -2
        )
        return torch.cat([rotate @ stretch, shift.unsqueeze(-1)], -1)

    def _happens(self, n: int, generator: torch.Generator) -> Tensor:
        return (torch.rand(n, generator=generator) < self.probability).float()


@dataclass(frozen=True, slots=True)
class FaceDistortion:
    """What photos do to faces: each change with its share of the pictures.

    Turned, shifted and scaled a little as by landmarks that are off, mirrored, in other light,
    grey, small and enlarged again, blurred, noisy; a box covered; bands at both sides covered,
    since what lies there tells where a picture comes from and not whose it is.
    """

    geometry: Distortion = Distortion(
        rotation_degrees=8.0, shear_x=0.03, shear_y=0.03, scale=0.08, shift=0.03, probability=1.0
    )
    small: float = 0.2  # to between SMALLEST of the side and two thirds of it
    blurred: float = 0.15
    grey: float = 0.15
    noisy: float = 0.2
    covered: float = 0.25
    bands: float = 0.3

    def apply(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """Return `pictures` (n, 3, side, side) in [0, 1], changed each in its own way."""
        n, _, side, _ = pictures.shape

        def between(low: float, high: float, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(shape, generator=generator)

        def some(share: float) -> list[int]:
            return torch.nonzero(between(0, 1, n) < share).flatten().tolist()

        mirrored = some(0.5)
        x = pictures.clone()
        x[mirrored] = x[mirrored].flip(3)
        x = self.geometry.apply(x, generator)
        for i in some(self.small):
            px = int(between(SMALLEST * side, side * 2 / 3, 1))
            tiny = F.interpolate(x[i : i + 1], (px, px), mode="area")
            x[i : i + 1] = F.interpolate(tiny, (side, side), mode="bilinear")
        if blurred := some(self.blurred):
            line = torch.tensor(BINOMIAL)
            kernel = (line.outer(line) / line.sum() ** 2).expand(3, 1, -1, -1)
            x[blurred] = F.conv2d(F.pad(x[blurred], [2] * 4, "reflect"), kernel, groups=3)
        mean = x.mean((1, 2, 3), keepdim=True)
        x = (x - mean) * between(0.7, 1.3, n, 1, 1, 1) + mean * between(0.75, 1.25, n, 1, 1, 1)
        x = x * between(0.9, 1.1, n, 3, 1, 1)
        grey = some(self.grey)
        x[grey] = x[grey].mean(1, keepdim=True).expand(-1, 3, -1, -1)
        noisy = some(self.noisy)
        x[noisy] += torch.randn(x[noisy].shape, generator=generator) * NOISE
        for i in some(self.covered):
            height, width = (int(px) for px in between(side / 7, side * 3 / 7, 2))
            top, left = int(between(0, side - height, 1)), int(between(0, side - width, 1))
            x[i, :, top : top + height, left : left + width] = float(between(0, 1, 1))
        for i in some(self.bands):
            width, tone = int(between(side / 28, side / 5, 1)), float(between(0, 1, 1))
            x[i, :, :, :width] = tone
            x[i, :, :, side - width :] = tone
        return x.clamp_(0, 1)
