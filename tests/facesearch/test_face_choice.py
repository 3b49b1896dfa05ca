"""Which face of each photo is the person: embeddings are angles that a reader can check.

At 60 degrees two faces have a cosine of 0.5 and look alike, at 90 degrees they do not.
"""

import numpy as np
import pytest

from facesearch.detection import Face
from facesearch.face_choice import SURE_SCORE_ALONE, Choice, choose_faces

ADA, GRACE, HEDY = 0, 90, 180  # degrees


def photo(*faces):
    """Return a photo of (angle in degrees, height in pixels, score), largest first."""
    found = [
        Face((0.0, 0.0, 50.0, float(height)), np.zeros((5, 2), np.float32), score)
        for _, height, score in faces
    ]
    radians = np.radians([[angle] for angle, *_ in faces]).reshape(-1, 1)
    return found, np.hstack([np.cos(radians), np.sin(radians)]).astype(np.float32)


def portrait(angle, score=0.9):
    return photo((angle, 100, score))


def group(*angles):
    return photo(*((angle, 100, 0.9) for angle in angles))


def at(angle):
    return portrait(angle)[1][0]


def chosen(photos, reference=None):
    return [choice.face for choice in choose_faces(photos, reference)]


def test_no_photos_give_no_choices():
    assert choose_faces([], None) == []


def test_the_only_face_of_a_portrait_is_taken():
    assert choose_faces([portrait(ADA)], None) == [Choice(0, None)]


def test_a_photo_without_faces_has_a_remark_and_does_not_stop_the_others():
    choices = choose_faces([group(), portrait(ADA)], None)
    assert choices == [Choice(None, "no face found"), Choice(0, None)]


def test_a_face_that_the_detector_is_unsure_of_is_not_taken():
    (choice,) = choose_faces([portrait(ADA, SURE_SCORE_ALONE - 0.01)], None)
    assert choice == Choice(None, "no face is clear enough")
    assert chosen([portrait(ADA, SURE_SCORE_ALONE)]) == [0]


def test_a_false_detection_is_neither_taken_nor_counted_as_a_face():
    ghost_is_largest = photo((GRACE, 200, 0.77), (ADA, 100, 0.9))
    assert choose_faces([ghost_is_largest], None) == [Choice(1, None)]


def test_the_clearly_largest_face_of_a_single_group_photo_is_taken_with_a_remark():
    (choice,) = choose_faces([photo((ADA, 121, 0.9), (GRACE, 100, 0.9))], None)
    assert choice == Choice(0, "took the largest of 2 faces")


def test_no_face_is_guessed_among_faces_of_about_the_same_size():
    (choice,) = choose_faces([photo((ADA, 119, 0.9), (GRACE, 100, 0.9))], None)
    assert choice.face is None
    assert "crop the photo" in choice.remark


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_face_of_a_group_photo_that_matches_the_portraits_is_taken(place):
    angles = [GRACE, HEDY]
    angles.insert(place, ADA + 20)
    choices = choose_faces([portrait(ADA), group(*angles), portrait(ADA + 10)], None)
    assert [choice.face for choice in choices] == [0, place, 0]
    assert choices[1].remark == "took one of 3 faces: the one that matches the other photos"


def test_an_enrolled_persons_templates_count_more_than_size():
    (choice,) = choose_faces([photo((GRACE, 300, 0.9), (ADA, 100, 0.9))], at(ADA + 5))
    assert choice.face == 1


def test_group_photos_alone_give_the_person_in_all_of_them():
    assert chosen([group(GRACE, ADA), group(ADA + 10, HEDY), group(HEDY + 80, ADA - 5)]) == [
        1,
        0,
        1,
    ]


def test_no_face_is_guessed_if_group_photos_share_nobody():
    assert chosen([group(ADA, GRACE), group(HEDY, HEDY + 90)]) == [None, None]


def test_a_group_photo_without_the_person_is_skipped_with_a_remark():
    choices = choose_faces([portrait(ADA), group(GRACE, HEDY)], None)
    assert choices[0].face == 0
    assert choices[1] == Choice(None, "none of the 2 faces looks like the other photos")


def test_a_portrait_unlike_the_others_is_enrolled_with_a_warning():
    choices = choose_faces([portrait(ADA), portrait(ADA + 10), portrait(100)], None)
    assert [choice.face for choice in choices] == [0, 0, 0]
    assert choices[2].remark == "does not look like the person's other photos"
    assert choices[0].remark is None


def test_the_order_of_photos_does_not_change_the_choices():
    photos = [portrait(ADA), group(GRACE, ADA + 30), portrait(ADA - 20), group(HEDY, GRACE)]
    forward = choose_faces(photos, None)
    assert choose_faces(photos[::-1], None) == forward[::-1]
