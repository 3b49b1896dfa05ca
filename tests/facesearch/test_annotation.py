"""Boxes and names drawn in photos: where they may be, and where not."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facesearch import annotation
from facesearch.annotation import EITHER, NAMED, UNKNOWN, annotated, labels
from facesearch.identification import Candidate, IdentifiedFace
from facesearch.photo import photo_from_bytes

GRAY = (90, 90, 90)


def photo_of(width, height, kind="PNG", **options):
    data = io.BytesIO()
    Image.new("RGB", (width, height), GRAY).save(data, kind, **options)
    return photo_from_bytes(data.getvalue())


def face(box, person=None, *, probability=0.97, either=(), decided_by="machine"):
    if either:
        candidates = tuple(Candidate(name, 0.4, 1.0, 1.0) for name in either)
    else:
        candidates = (Candidate(person or "Ann", probability, 1.0, 1.0),)
    unknown = 0.2 if either else 1 - probability
    return IdentifiedFace(
        box, 0.9, person, probability, unknown, candidates, tuple(either), decided_by
    )


def stranger(box, *, unknown_probability=0.96):
    return IdentifiedFace(box, 0.9, None, 0.04, unknown_probability, (), (), "machine")


def test_a_face_dismissed_as_no_face_gets_no_box():
    plain = photo_of(400, 300)
    nothing = replace(stranger((90, 90, 150, 170)), dismissed_as="no face")
    assert np.array_equal(annotated(plain, [nothing]), annotated(plain, []))


def labels_of(photo, faces):
    """Return the labels as `annotated` draws them."""
    kept = []
    original = annotation._draw_label

    def keep(picture, label, look):
        kept.append(label)
        original(picture, label, look)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(annotation, "_draw_label", keep)
        annotated(photo, faces)
    return sorted(kept, key=lambda label: label.face)


def changed(picture):
    """Return where `picture` is not plain gray any more: (h, w) bool."""
    return (np.asarray(picture) != GRAY).any(2)


def share(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


faces_anywhere = st.lists(
    st.builds(
        lambda x, y, w, h, name: (
            face((x, y, x + w, y + h), name) if name else stranger((x, y, x + w, y + h))
        ),
        *(st.floats(-50, 900), st.floats(-50, 900), st.floats(0, 400), st.floats(0, 400)),
        st.sampled_from([None, "Ann", "Maria-Magdalena von und zu Hohenzollern-Sigmaringen", "x"]),
    ),
    max_size=12,
)


@pytest.mark.slow
@given(width=st.integers(1, 900), height=st.integers(1, 900), faces=faces_anywhere)
@settings(max_examples=80, deadline=None)
def test_labels_lie_inside_the_picture_and_never_overlap(width, height, faces):
    boxes = [annotation._frame(face.box, (width, height)) for face in faces]
    found = labels((width, height), boxes, faces)
    for left, top, right, bottom in [label.box for label in found] + boxes:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
    for place, label in enumerate(found):
        assert not any(share(label.box, other.box) for other in found[:place])
    assert len({label.face for label in found}) == len(found)


@pytest.mark.slow
@given(width=st.integers(1, 300), height=st.integers(1, 300), faces=faces_anywhere)
@settings(max_examples=25, deadline=None)
def test_faces_anywhere_in_a_picture_of_any_size_can_be_drawn(width, height, faces):
    assert annotated(photo_of(width, height), faces).size == (width, height)


def test_a_picture_without_faces_is_returned_unchanged():
    picture = annotated(photo_of(320, 200), [])
    assert (picture.size, picture.mode) == ((320, 200), "RGB")
    assert not changed(picture).any()


def test_the_pixels_of_the_photo_are_not_drawn_on():
    photo = photo_of(300, 300)
    before = photo.pixels().copy()
    picture = annotated(photo, [face((100, 100, 200, 200), "Ann")])
    assert changed(picture).any()
    assert np.array_equal(photo.pixels(), before)


def test_a_large_photo_is_reduced_to_2048_pixels_with_its_box_in_place():
    picture = annotated(photo_of(4096, 3072, "JPEG"), [stranger((2000, 1500, 2400, 2000))])
    assert picture.size == (2048, 1536)
    rows, columns = np.nonzero(np.abs(np.asarray(picture).astype(int) - GRAY).max(2) > 60)
    assert columns.min() == pytest.approx(1000, abs=20)
    assert rows.min() == pytest.approx(750, abs=20)


def test_a_photo_stored_on_its_side_is_annotated_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = annotated(photo_of(300, 200, "JPEG", exif=exif), [face((20, 40, 80, 110), "Ann")])
    assert picture.size == (200, 300)


@pytest.mark.parametrize(
    ("seen", "look"),
    [
        (face((100, 100, 200, 220), "Ann"), NAMED),
        (face((100, 100, 200, 220), either=("Ann", "Bea")), EITHER),
        (stranger((100, 100, 200, 220)), UNKNOWN),
    ],
    ids=["named", "either", "unknown"],
)
def test_frame_and_label_have_the_color_of_the_outcome(seen, look):
    picture = np.asarray(annotated(photo_of(400, 400), [seen]))
    assert (picture == look.frame).all(2).sum() > 400
    assert (picture == look.label).all(2).sum() > 400


@pytest.mark.parametrize("look", [NAMED, EITHER, UNKNOWN], ids=["named", "either", "unknown"])
def test_text_is_legible_on_its_label(look):
    def luminance(color):  # WCAG 2
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted(
        (luminance([c / 255 for c in color]) for color in (look.label, look.text)), reverse=True
    )
    assert (light + 0.05) / (dark + 0.05) > 10


@pytest.mark.parametrize(
    ("seen", "name", "figure"),
    [
        (face((90, 90, 150, 170), "Ann", probability=0.873), "Ann", "87%"),
        (face((90, 90, 150, 170), "Ann", probability=0.9999), "Ann", ">99%"),
        (face((90, 90, 150, 170), "Ann", probability=1.0, decided_by="human"), "Ann", ""),
        (face((90, 90, 150, 170), either=("Ann", "Bea")), "Ann or Bea", "40 / 40%"),
        (stranger((90, 90, 150, 170)), "unknown", "96%"),
        (stranger((90, 90, 150, 170), unknown_probability=0.3), "unknown", ""),
    ],
    ids=["named", "sure", "named by a human", "either", "unknown", "below the threshold"],
)
def test_a_label_shows_the_name_and_its_probability(seen, name, figure):
    (label,) = labels_of(photo_of(640, 480), [seen])
    assert (label.name, label.figure) == (name, figure)


def test_a_label_covers_no_face_if_there_is_room_elsewhere():
    column = [(300, 60 + 66 * i, 360, 120 + 66 * i) for i in range(5)]
    faces = [face(box, f"Person {i}") for i, box in enumerate(column)]
    found = labels_of(photo_of(640, 480), faces)
    assert len(found) == 5
    assert not any(share(label.box, box) for label in found for box in column)


def test_in_a_tight_group_labels_move_away_rather_than_hide_a_face():
    boxes = [(250 + 42 * (i % 4), 180 + 46 * (i // 4)) for i in range(12)]
    faces = [face((x, y, x + 38, y + 44), f"Person {i}") for i, (x, y) in enumerate(boxes)]
    found = labels_of(photo_of(640, 480), faces)
    assert len(found) == 12
    assert not any(share(label.box, other.box) for label in found for other in faces)


def test_forty_named_faces_all_get_a_label():
    boxes = [(40 + 95 * (i % 10), 60 + 150 * (i // 10)) for i in range(40)]
    faces = [face((x, y, x + 50, y + 60), f"Person {i}") for i, (x, y) in enumerate(boxes)]
    assert len(labels_of(photo_of(1024, 700), faces)) == 40


def test_a_stranger_in_a_crowd_gets_no_label_that_would_hide_a_face():
    boxes = [(x, y, x + 20, y + 20) for x in range(0, 400, 22) for y in range(0, 400, 22)]
    found = labels_of(photo_of(400, 400), [stranger(box) for box in boxes])
    assert len(found) < len(boxes)
    for label in found:
        area = (label.box[2] - label.box[0]) * (label.box[3] - label.box[1])
        hidden = sum(share(label.box, box) for i, box in enumerate(boxes) if i != label.face)
        assert hidden <= 0.1 * area


def test_a_long_name_ends_in_an_ellipsis_and_keeps_its_probability():
    (label,) = labels_of(photo_of(200, 200), [face((60, 60, 140, 160), "A" + "h" * 80)])
    assert label.name.startswith("Ahh")
    assert label.name.endswith("…")
    assert label.figure == "97%"


def test_text_grows_with_the_picture_and_is_legible_in_a_small_one():
    sizes = [
        labels_of(
            photo_of(side, side), [face((0.4 * side, 0.4 * side, 0.6 * side, 0.65 * side), "A")]
        )
        for side in (100, 640, 2048)
    ]
    small, medium, large = (label.font_px for (label,) in sizes)
    assert 9 <= small < medium < large


@pytest.fixture
def no_system_fonts(monkeypatch):
    monkeypatch.setattr(annotation, "_SYSTEM_FONTS", ("no such font.ttf",))


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("José Łukasiewicz", "Jose Lukasiewicz"),
        ("Nguyễn", "Nguyen"),
        ("Zoe 🎉 Day", "Zoe Day"),
        ("王小明", "#2"),
        ("🎉", "#2"),
    ],
    ids=["accents", "two accents", "emoji", "no letter of it", "nothing but emoji"],
)
def test_a_name_that_no_font_has_is_simplified_or_replaced_by_a_number(
    no_system_fonts, name, drawn
):
    faces = [face((400, 100, 460, 170), "Ann"), face((100, 100, 160, 170), name)]
    assert [label.name for label in labels_of(photo_of(640, 480), faces)] == ["Ann", drawn]


def test_a_name_beyond_ascii_is_drawn_in_full_if_a_font_has_it():
    if annotation._font("DejaVuSans.ttf", 20) is None:
        pytest.skip("this machine has no DejaVu Sans")
    (label,) = labels_of(photo_of(640, 480), [face((100, 100, 160, 170), "Łukasz Жук")])
    assert label.name == "Łukasz Жук"
    assert label.font


def test_right_to_left_names_are_numbered_where_pillow_would_reverse_them(
    monkeypatch,
):
    monkeypatch.setattr(annotation.features, "check", lambda feature: False)
    (label,) = labels_of(photo_of(640, 480), [face((100, 100, 160, 170), "יעל")])
    assert label.name == "#1"
