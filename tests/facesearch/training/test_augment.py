import math

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra train")

from facesearch.training.augment import Distortion, Mirroring  # noqa: E402

NOTHING = {"rotation_degrees": 0, "shear_x": 0, "shear_y": 0, "scale": 0, "shift": 0}


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


def a_square(side=21):
    picture = torch.zeros(1, 1, side, side)
    picture[..., 8:13, 8:13] = 1
    return picture


def test_no_distortion_leaves_pictures_as_they_are():
    pictures = torch.rand(3, 2, 16, 16)
    assert torch.allclose(Distortion(**NOTHING).apply(pictures, drawn()), pictures, atol=1e-5)


def test_a_probability_of_0_distorts_nothing():
    pictures = torch.rand(3, 1, 16, 16)
    still = Distortion(elastic=0.2, probability=0.0)
    assert torch.allclose(still.apply(pictures, drawn()), pictures, atol=1e-5)


def test_the_seed_decides_the_distortion():
    pictures, distortion = torch.rand(4, 1, 16, 16), Distortion(elastic=0.1, probability=1.0)
    first, again = (distortion.apply(pictures, drawn(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, distortion.apply(pictures, drawn(2)))


def test_every_picture_is_distorted_in_its_own_way():
    pictures = a_square().repeat(8, 1, 1, 1)
    results = Distortion(probability=1.0).apply(pictures, drawn())
    assert len({tuple(r.flatten().tolist()) for r in results}) == 8


def test_equal_pictures_distorted_alike_stay_equal():
    pictures = a_square().repeat(4, 1, 1, 1)
    wild = Distortion(elastic=0.2, probability=1.0)
    first, *others = wild.apply(pictures, drawn(), alike=True)
    assert all(torch.equal(first, other) for other in others)
    assert not torch.allclose(first, pictures[0], atol=0.1)


def test_what_moves_in_from_outside_is_background():
    pictures = torch.ones(16, 1, 20, 20)
    shifted = Distortion(**NOTHING | {"shift": 0.3}, probability=1.0).apply(pictures, drawn())
    assert shifted.amin() == 0
    assert shifted.amax() == pytest.approx(1.0)


def test_affine_maps_stay_within_the_papers_limits():
    paper = Distortion(probability=1.0)
    matrices = paper.matrices(4000, drawn()).double()
    assert matrices.shape == (4000, 2, 3)
    # a shift of up to 2 of 105 pixels, in coordinates where the side is 2 long
    assert matrices[:, :, 2].abs().max().item() == pytest.approx(4 / 105, rel=0.01)
    # undo the rotation, by its angle from the polar decomposition, and read off scale and shear
    turned = Distortion(**NOTHING | {"rotation_degrees": 10}, probability=1.0)
    angles = torch.atan2(*turned.matrices(4000, drawn())[:, [1, 0], [0, 0]].T)
    assert math.degrees(angles.abs().max()) == pytest.approx(10, rel=0.01)
    stretched = Distortion(**NOTHING | {"scale": 0.2}, probability=1.0).matrices(4000, drawn())
    diagonal = stretched[:, [0, 1], [0, 1]]
    assert diagonal.min().item() == pytest.approx(0.8, abs=0.002)
    assert diagonal.max().item() == pytest.approx(1.2, abs=0.002)
    sheared = Distortion(**NOTHING | {"shear_x": 0.3}, probability=1.0).matrices(4000, drawn())
    assert sheared[:, 0, 1].abs().max().item() == pytest.approx(0.3, rel=0.01)
    assert sheared[:, 1, 0].abs().max().item() == 0


def test_each_kind_of_distortion_is_applied_with_its_probability():
    half = Distortion(**NOTHING | {"rotation_degrees": 10}, probability=0.5)
    turned = half.matrices(4000, drawn())[:, 0, 1] != 0
    assert turned.float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_a_shift_by_pixels_is_a_shift_by_pixels():
    class Right(Distortion):
        def matrices(self, n, generator):
            return torch.tensor([[[1.0, 0, -2 * 3 / 21], [0, 1, 0]]]).repeat(n, 1, 1)

    moved = Right(**NOTHING).apply(a_square(), drawn())
    assert torch.allclose(moved[0, 0, :, 3:], a_square()[0, 0, :, :-3], atol=1e-5)


def test_elastic_distortion_moves_neighbors_together():
    side = 64
    ramp = torch.linspace(0, 1, side).repeat(side, 1).view(1, 1, side, side)
    bent = Distortion(**NOTHING, elastic=0.05, probability=1.0).apply(ramp, drawn())
    inside = bent[0, 0, 12:-12, 12:-12]
    moved = (inside - ramp[0, 0, 12:-12, 12:-12]).abs()
    assert moved.max() > 0.01  # it does something
    assert (inside[:, 1:] - inside[:, :-1]).abs().max() < 5 / side  # and tears nothing


def test_half_of_the_pictures_are_mirrored_and_the_others_unchanged():
    pictures = torch.rand(200, 3, 8, 8)
    found = Mirroring().apply(pictures, drawn())
    same = (found == pictures).flatten(1).all(1)
    mirrored = (found == pictures.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 70 <= mirrored.sum() <= 130
