"""The Siamese network: one branch used twice, an L1 distance, a sigmoid.

`KochBranch` is the network of Koch, Zemel and Salakhutdinov, "Siamese Neural Networks for One-shot
Image Recognition" (2015), figure 4. `ResidualBranch` is smaller and has newer parts: residual
blocks (He et al. 2016), batch normalization, PReLU. Both take pictures as `TrainingSet` holds
them, (n, channels, side, side) in [0, 1], ink or light high, and give embeddings (n, dim).
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class KochBranch(nn.Module):
    """The paper's branch: four convolutions, 4096 sigmoid units, for 105x105 pictures."""

    side_px = 105
    dim = 4096

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 64, 10),  # (n, 64, 96, 96)
            nn.ReLU(),
            nn.MaxPool2d(2),  # 48
            nn.Conv2d(64, 128, 7),  # 42
            nn.ReLU(),
            nn.MaxPool2d(2),  # 21
            nn.Conv2d(128, 128, 4),  # 18
            nn.ReLU(),
            nn.MaxPool2d(2),  # 9
            nn.Conv2d(128, 256, 4),  # 6
            nn.ReLU(),
        )
        self.embedding = nn.Linear(256 * 6 * 6, self.dim)

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.sigmoid(self.embedding(self.features(pictures).flatten(1)).float())

    def initialise_as_paper(self, generator: torch.Generator) -> None:
        """Draw the weights from the normal distributions of the paper's section 3.2.

        Convolutions N(0, 0.01), fully connected layers N(0, 0.2), biases N(0.5, 0.01).
        """
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                spread = 0.01 if isinstance(layer, nn.Conv2d) else 0.2
                nn.init.normal_(layer.weight, 0.0, spread, generator)
                if layer.bias is not None:
                    nn.init.normal_(layer.bias, 0.5, 0.01, generator)


class PReLU(nn.Module):
    """x where it is positive, else slope * x, with one learned slope per channel (He et al. 2015).

    nn.PReLU computes the same, but its backward pass takes a third of the network's time on a CPU.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        share = (1 - self.weight).to(x.dtype).view(1, -1, 1, 1)
        return torch.lerp(x, F.relu(x), share)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut past them; halves the side if `stride` is 2."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.first_act = PReLU(channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.second_act = PReLU(channels)
        self.shortcut: nn.Conv2d | None = None
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.shortcut_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first_act(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        if self.shortcut is not None:
            x = self.shortcut_norm(self.shortcut(x))
        out: Tensor = self.second_act(y + x)
        return out


class Trunk(nn.Module):
    """A 5x5 convolution as stem, residual blocks, then one linear layer."""

    def __init__(
        self,
        *,
        side_px: int,
        channels: int,
        stem: int,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, stem, 5, 2, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(stem)
        self.stem_act = PReLU(stem)
        blocks: list[nn.Module] = []
        before, side = stem, -(-side_px // 2)
        for width, depth in zip(widths, depths, strict=True):
            for place in range(depth):
                blocks.append(ResidualBlock(before, width, 2 if place == 0 else 1))
                before = width
            side = -(-side // 2)
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.embedding = nn.Linear(before * side * side, dim, bias=False)
        self.embedding_norm = nn.BatchNorm1d(dim, affine=False)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.stem_act(self.stem_norm(self.stem(pictures)))
        x = self.dropout(self.blocks(x).flatten(1))
        return self.embedding_norm(self.embedding(x).float())  # type: ignore[no-any-return]


class ResidualBranch(nn.Module):
    """Trunks side by side, each of which sees the whole picture; embeddings have unit length.

    Each trunk has a loss of its own, so trunks make different errors, as separate networks do.
    """

    def __init__(
        self,
        *,
        trunks: int,
        side_px: int,
        channels: int,
        stem: int,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        dim: int,  # of each trunk
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.side_px, self.dim = side_px, trunks * dim
        self.trunks = nn.ModuleList(
            Trunk(
                side_px=side_px,
                channels=channels,
                stem=stem,
                widths=widths,
                depths=depths,
                dim=dim,
                dropout=dropout,
            )
            for _ in range(trunks)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        return F.normalize(torch.cat([trunk(pictures) for trunk in self.trunks], 1))


class L1Head(nn.Module):
    """The learned comparison: logit = bias - weights . |code(a) - code(b)|, code = x @ projection.

    If `width` is None there is no projection, as in the paper: code(x) = x, and weights have any
    sign. Otherwise the projection starts as random rotations side by side, whose L1 distances keep
    the order of Euclidean distances, and weights stay positive. The embedding may consist of equal
    `parts`, one after the other: each has its own share of the code, and their distances add up.
    """

    def __init__(self, dim: int, width: int | None = None, parts: int = 1) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))
        self.projection: nn.Parameter | None = None
        if width is None:
            self.weights = nn.Parameter(torch.full((dim,), 1 / dim))
            return
        if width % dim:
            raise ValueError(
                f"a code of {width} numbers is not a multiple of the embedding's {dim}"
            )
        part_dim = dim // parts
        blocks = [
            torch.cat([random_rotation(part_dim) for _ in range(width // dim)], 1)
            for _ in range(parts)
        ]
        self.projection = nn.Parameter(torch.stack(blocks))  # (parts, dim / parts, width / parts)
        # a number of the codes of a and b differs by about |a - b| * sqrt(2 / (pi * dim))
        start = 10.0 / (width * (2 / (torch.pi * dim)) ** 0.5)
        self.log_weights = nn.Parameter(torch.full((width,), start).log())
        self.bias = nn.Parameter(torch.tensor(10.0))

    @property
    def gains(self) -> Tensor:
        """The weight (width,) of each number of the code."""
        return self.weights if self.projection is None else self.log_weights.exp()

    def codes(self, embeddings: Tensor) -> Tensor:
        """Return the weighted codes (..., width) whose L1 distance is the pair's distance."""
        embeddings = embeddings.float()
        if self.projection is None:
            return embeddings
        parts = zip(embeddings.chunk(len(self.projection), -1), self.projection, strict=True)
        return torch.cat([part @ block for part, block in parts], -1) * self.gains

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the logits (n,) of pairs of embeddings (n, dim); higher is more alike."""
        gaps = (self.codes(a) - self.codes(b)).abs()
        if self.projection is None:
            return self.bias - gaps @ self.weights
        return self.bias - gaps.sum(-1)

    def all_pairs(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the logits (..., n, m) of every row of `a` (..., n, dim) with every row of `b`."""
        if self.projection is None:
            gaps = (self.codes(a).unsqueeze(-2) - self.codes(b).unsqueeze(-3)).abs()
            return self.bias - gaps @ self.weights
        return self.bias - self.part_distances(a, b).sum(0)

    def part_distances(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances (parts, ..., n, m) by each part; the head must have a projection."""
        assert self.projection is not None  # for the type checker
        parts = len(self.projection)
        pairs = zip(self.codes(a).chunk(parts, -1), self.codes(b).chunk(parts, -1), strict=True)
        return torch.stack([torch.cdist(first, second, p=1) for first, second in pairs])


def random_rotation(dim: int) -> Tensor:
    """Return a random orthogonal matrix (dim, dim)."""
    rotation: Tensor = torch.linalg.qr(torch.randn(dim, dim))[0]
    return rotation


class SiameseNetwork(nn.Module):
    """A branch, used for both pictures of a pair, and a head."""

    def __init__(self, branch: nn.Module, head: L1Head) -> None:
        super().__init__()
        self.branch, self.head = branch, head

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the logits (n,) that pictures `a` and `b` (n, channels, side, side) are mates.

        The branch sees both in one batch.
        """
        first, second = self.branch(torch.cat([a, b])).chunk(2)
        logits: Tensor = self.head(first, second)
        return logits
