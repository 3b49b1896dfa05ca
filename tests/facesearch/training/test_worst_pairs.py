"""The pairs that a network gets most wrong."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs the extra train")

from facesearch.training.data import TrainingSet  # noqa: E402
from facesearch.training.network import L1Head  # noqa: E402
from facesearch.training.worst_pairs import CLASSES, sampled_rows, worst_pairs  # noqa: E402


def a_set(counts, drawn=True):
    classes = np.repeat(np.arange(len(counts)), counts)
    shades = torch.arange(len(classes), dtype=torch.uint8).view(-1, 1, 1, 1)
    return TrainingSet(
        shades.expand(-1, 1 if drawn else 3, 5, 5).contiguous(),
        classes,
        np.zeros(len(counts), np.int64),
        drawn=drawn,
    )


def shade(picture):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))))[0, 0]


@pytest.mark.parametrize("width", [None, 16], ids=["no code", "code"])
def test_the_worst_pairs_are_the_worst_of_all_and_no_two_classes_come_twice(width):
    data = a_set([3, 2, 4, 3, 2, 2, 2])
    rows = np.arange(len(data.classes))
    embeddings = torch.nn.functional.normalize(
        torch.randn(len(rows), 8, generator=torch.Generator().manual_seed(0)), dim=1
    )
    torch.manual_seed(0)
    head = L1Head(8, width) if width else L1Head(8)
    found = worst_pairs(head, embeddings, rows, data)
    logits = {
        (a, b): head(embeddings[a : a + 1], embeddings[b : b + 1]).item()
        for a in rows
        for b in rows[a + 1 :]
    }
    for mated in (True, False):
        expected = {}
        for (a, b), logit in sorted(logits.items(), key=lambda p: p[1] if mated else -p[1]):
            both = (data.classes[a], data.classes[b])
            if (both[0] == both[1]) == mated:
                expected.setdefault(both, (logit, 255 - a, 255 - b))
        told = [pair for pair in found if pair.mated == mated]
        assert len(told) == 6
        for pair, (logit, a, b) in zip(told, expected.values(), strict=False):
            assert pair.probability == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)
            assert [shade(picture) for picture in pair.pictures] == [a, b]


def test_pictures_are_sampled_evenly_from_classes_with_two():
    data = a_set([1, 3, 2, 1, 5])
    assert sampled_rows(data).tolist() == [1, 2, 4, 5, 7, 8]
    many = sampled_rows(a_set([2] * 250))
    assert len(many) == 2 * CLASSES
    assert (many.min(), many.max()) == (0, 499)
    none = sampled_rows(a_set([1, 1]))
    assert len(none) == 0
    assert worst_pairs(L1Head(8), torch.zeros(0, 8), none, a_set([1, 1])) == ()


def test_colors_stay_colors():
    data = a_set([2, 2], drawn=False)
    found = worst_pairs(L1Head(8), torch.eye(4, 8), np.arange(4), data)
    assert [shade(picture).tolist() for picture in found[0].pictures] in (
        [[0] * 3, [1] * 3],
        [[2] * 3, [3] * 3],
    )
