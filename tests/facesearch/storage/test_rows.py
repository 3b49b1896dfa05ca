"""Rows of a gallery: verdicts on a photo, bytes of templates, the columns a journal keeps."""

from contextlib import closing

import numpy as np
import pytest
from fake_model import embedding
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facesearch.boxes import same_place
from facesearch.storage.codec import TemplateCodec
from facesearch.storage.journal import CHANGING, COLUMNS
from facesearch.storage.rows import Dismissal, KnownFace, Rejection, box_columns, box_of
from facesearch.storage.store import Store
from facesearch.storage.verdicts import PhotoVerdicts

HERE, NEARLY, ELSEWHERE = (0.0, 0.0, 10.0, 10.0), (1.0, 0.0, 11.0, 10.0), (20.0, 0.0, 30.0, 10.0)
HASH = "a" * 64

sides = st.floats(0, 1000, width=32)
boxes = st.builds(lambda x, y, w, h: (x, y, x + w + 1, y + h + 1), sides, sides, sides, sides)


@given(a=boxes, b=boxes)
def test_same_place_is_symmetric_and_true_of_a_box_and_itself(a, b):
    assert same_place(a, a)
    assert same_place(a, b) == same_place(b, a)


@given(a=boxes)
def test_boxes_that_share_no_pixel_are_two_places(a):
    assert not same_place(a, (a[2], a[1], a[2] + 5, a[3]))


@given(box=boxes)
def test_a_box_comes_back_from_its_columns(box):
    assert box_of({"id": 1, **box_columns(box)}) == box


def known(name, box, assigned_by="human", face=1):
    return KnownFace(name, box, assigned_by, face, len(name), HASH, box)


def test_verdicts_are_found_by_the_place_of_the_face():
    said = PhotoVerdicts(
        enrolled=(known("Ada", HERE), known("Grace", ELSEWHERE, "machine", 2)),
        rejections=(Rejection(1, HASH, HERE, 7), Rejection(2, HASH, NEARLY, 8)),
        dismissals=(Dismissal(1, HASH, ELSEWHERE, "stranger"),),
    )
    assert said.enrolled_at(NEARLY) == known("Ada", HERE)
    assert said.enrolled_at(ELSEWHERE).person == "Grace"
    # the machine's "Grace" does not count
    named, rejected, dismissed = said.by_place([NEARLY, ELSEWHERE])
    assert (named, rejected, dismissed) == ({0: "Ada"}, {0: {7, 8}}, {1: "stranger"})
    assert (said.rejected_at(HERE), said.rejected_at(ELSEWHERE)) == ({7, 8}, set())
    assert (said.dismissed_at(HERE), said.dismissed_at(ELSEWHERE)) == (None, "stranger")


def test_a_name_outranks_a_dismissal_of_the_same_place():
    said = PhotoVerdicts((known("Ada", HERE),), (), (Dismissal(1, HASH, HERE, "no face"),))
    assert said.by_place([HERE]) == ({0: "Ada"}, {}, {})


def test_nothing_was_said_of_a_photo_that_nobody_knows(home):
    with closing(Store.open(home / "g.db", model="m", fingerprint="f", create=True)) as store:
        assert store.verdicts.of_photo(HASH) == PhotoVerdicts((), (), ())


def test_a_journal_keeps_every_column_of_the_tables_it_changes(home):
    with closing(Store.open(home / "g.db", model="m", fingerprint="f", create=True)) as store:
        for table, columns in COLUMNS.items():
            in_schema = [row[1] for row in store.db.rows(f"PRAGMA table_info({table})")]
            assert [name for name in in_schema if name != "seal"] == ["id", *columns]
    assert COLUMNS.keys() == CHANGING.keys()
    assert all(set(CHANGING[table]) <= set(COLUMNS[table]) for table in COLUMNS)


def test_templates_come_back_as_unit_rows_of_half_precision():
    codec, templates = TemplateCodec(), [embedding(number, 0) for number in range(5)]
    blobs = [codec.encode(template) for template in templates]
    assert {len(blob) for blob in blobs} == {2 * len(templates[0])}
    rows = codec.decode(blobs)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert np.allclose(rows, templates, atol=1e-3)
    assert codec.decode([]).shape == (0, 0)


@pytest.mark.parametrize(
    "blobs",
    [[bytes(8)], [b"\x00\x7e" * 4], [b"\x00\x3c", b"\x00\x3c" * 2], [b"\x00\x3c\x00"]],
    ids=["no direction", "not a number", "several lengths", "half a number"],
)
def test_bytes_that_are_not_templates_are_refused(blobs):
    with pytest.raises(ValueError):  # noqa: PT011  # numpy says some of it
        TemplateCodec().decode(blobs)


@given(rows=arrays(np.float32, (3, 4), elements=st.floats(-1, 1, width=32)))
def test_embeddings_of_the_photo_cache_come_back_bit_for_bit(rows):
    codec = TemplateCodec()
    assert codec.decode_exactly(codec.encode_exactly(rows), 3).tobytes() == rows.tobytes()
    assert codec.decode_exactly(b"", 0).shape == (0, 0)
