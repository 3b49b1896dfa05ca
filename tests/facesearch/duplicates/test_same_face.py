from itertools import combinations

import numpy as np
from made_up_people import CROWD, enrolled_as, gallery_of, photos_of

from facesearch.duplicates.judge import COPY_COSINE
from facesearch.duplicates.same_face import same_faces
from facesearch.vectors import unit


def test_copies_of_a_face_are_found_under_one_name_and_under_two():
    enrolled = gallery_of((1, [1, 1]), (2, [2]), *CROWD)
    rows = enrolled.templates.copy()
    copies = unit(rows[[0, 2]] + 0.1 * photos_of(9, 2, variation=5))
    enrolled = enrolled_as(
        np.append(enrolled.ids, [900, 901]),
        np.append(enrolled.people, [1, 3]),
        np.vstack([rows, copies]),
    )
    found = same_faces(enrolled)
    assert {face.templates: face.people for face in found} == {(10, 900): (1, 1), (12, 901): (2, 3)}
    assert all(COPY_COSINE <= face.cosine <= 1 for face in found)
    assert [face.cosine for face in found] == sorted((f.cosine for f in found), reverse=True)


def test_two_photos_of_one_person_are_not_the_same_face():
    rows = photos_of(1, 200, variation=0.35)  # 0.89 alike
    assert same_faces(enrolled_as(np.arange(200), np.ones(200, np.int64), rows)) == ()


def test_a_face_with_many_copies_is_proposed_with_all_of_them():
    rows = np.vstack([np.repeat(photos_of(1, 1), 12, axis=0), photos_of(2, 3)])
    found = same_faces(enrolled_as(np.arange(15), np.ones(15, np.int64), rows))
    assert {face.templates for face in found} == set(combinations(range(12), 2))
