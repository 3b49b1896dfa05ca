"""Pictures -> distorted pictures, in batches, on tensors.

Affine after Koch, Zemel and Salakhutdinov (2015), section 3.3: rotation up to 10 degrees, shear up
to 0.3, scale 0.8 to 1.2, shift up to 2 pixels of 105, each with probability one half. Elastic after
Simard, Steinkraus and Platt (2003): a smooth field of random shifts. Pictures are (n, channels,
side, side); what moves in from outside is background, 0.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

KNOTS = 5  # random shifts along each side, between which the elastic field is interpolated


@dataclass(frozen=True, slots=True)
class Distortion:
    """The limits of random distortions; each kind is applied with `probability`."""

    rotation_degrees: float = 10.0
    shear_x: float = 0.3
    shear_y: float = 0.3
    scale: float = 0.2  # 0.2: from 0.8 to 1.2
    shift: float = 2 / 105  # share of the side
    elastic: float = 0.0  # standard deviation of the shifts, as a share of half the side
    probability: float = 0.5

    def apply(self, pictures: Tensor, generator: torch.Generator, *, alike: bool = False) -> Tensor:
        """Return `pictures` (n, channels, side, side), each distorted on its own or all alike."""
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
        """Return random affine maps (n, 2, 3) from the result's coordinates to the picture's.

        Coordinates are those of `affine_grid`: -1 to 1 from edge to edge.
        """

        def between(limit: float) -> Tensor:
            values = (torch.rand(n, generator=generator) * 2 - 1) * limit
            return values * self._happens(n, generator)

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
class Mirroring:
    """Mirrors half of the pictures: the one distortion that cannot change whose face it is."""

    def apply(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """Return `pictures` (n, channels, side, side), each mirrored with probability one half."""
        mirrored = torch.rand(len(pictures), generator=generator) < 0.5
        return torch.where(mirrored.view(-1, 1, 1, 1), pictures.flip(3), pictures)
