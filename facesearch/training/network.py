"""The Siamese network: one branch used twice, an L1 distance, a sigmoid.

`KochBranch` is the network of Koch, Zemel and Salakhutdinov, "Siamese Neural Networks for One-shot
Image Recognition" (2015), figure 4. `ResidualBranch` is a smaller one of today's parts: residual
blocks (He et al. 2016), batch normalisation, PReLU. Both take pictures as `TrainingSet` holds
them, (n, channels, side, side) in [0, 1], ink or light high, and give embeddings (n, dim).
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class KochBranch(nn.Module):
    """The paper's branch: four convolutions, 4096 sigmoid units, for 105x105 pictures."""

    side_px = 105
    dim = 4096
    normalised = False

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
    """x where it is positive, else slope * x, with a learned slope a channel (He et al. 2015).

    nn.PReLU computes the same; its backward pass takes a third of the network's time on a CPU.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        towards = (1 - self.weight).to(x.dtype).view(1, -1, 1, 1)
        return torch.lerp(x, F.relu(x), towards)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; halves the picture if `stride` is 2."""

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
    """Residual blocks on a 5x5 stem, then one linear layer."""

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
    """Trunks side by side, each of which sees the whole picture; embeddings of unit length.

    Trunks that learn each by itself err in different ways, as networks trained apart do.
    """

    normalised = True

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

    Without a projection, `width` is None, it is the paper's: code(x) = x, weights of any sign. With
    one, the projection starts as random rotations side by side, whose L1 distance keeps the order
    of the Euclidean one, and the weights stay positive. The embedding may have equal `parts`, one
    after the other: each has its own share of the code, and the logit's distance is their sum.
    """

    def __init__(self, dim: int, width: int | None = None, parts: int = 1) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))
        self.projection: nn.Parameter | None = None
        if width is None:
            self.weights = nn.Parameter(torch.full((dim,), 1 / dim))
            return
        if width % dim:
            raise ValueError(f"a code of {width} numbers is no multiple of the embedding's {dim}")
        own = dim // parts
        blocks = [
            torch.cat([torch.linalg.qr(torch.randn(own, own))[0] for _ in range(width // dim)], 1)
            for _ in range(parts)
        ]
        self.projection = nn.Parameter(torch.stack(blocks))  # (parts, dim / parts, width / parts)
        # code gaps have a mean size of about |a - b| * sqrt(2 / (pi * dim))
        start = 10.0 / (width * (2 / (torch.pi * dim)) ** 0.5)
        self.log_weights = nn.Parameter(torch.full((width,), start).log())
        self.bias = nn.Parameter(torch.tensor(10.0))

    @property
    def gains(self) -> Tensor:
        """The weight of each number of the code."""
        return self.weights if self.projection is None else self.log_weights.exp()

    def codes(self, embeddings: Tensor) -> Tensor:
        """Return the weighted codes (..., width) whose L1 distance is the pair's distance."""
        embeddings = embeddings.float()
        if self.projection is None:
            return embeddings
        each = zip(embeddings.chunk(len(self.projection), -1), self.projection, strict=True)
        return torch.cat([part @ block for part, block in each], -1) * self.gains

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
        """Return the distances (parts, ..., n, m) that each part of a head with a code sees."""
        assert self.projection is not None  # for the type checker
        parts = len(self.projection)
        both = zip(self.codes(a).chunk(parts, -1), self.codes(b).chunk(parts, -1), strict=True)
        return torch.stack([torch.cdist(first, second, p=1) for first, second in both])


class SiameseNetwork(nn.Module):
    """One branch used twice and a head; called with two batches it returns the pairs' logits."""

    def __init__(self, branch: nn.Module, head: L1Head) -> None:
        super().__init__()
        self.branch, self.head = branch, head

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the logits (n,) that pictures `a` and `b` (n, channels, side, side) are mates.

        Both go through the branch in one batch.
        """
        first, second = self.branch(torch.cat([a, b])).chunk(2)
        logits: Tensor = self.head(first, second)
        return logits
