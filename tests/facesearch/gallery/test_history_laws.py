"""A law of the history: undoing any decisions in reverse restores the gallery."""

import shutil
import tempfile

import pytest
from deciding import decide
from fake_model import FakeModel, save_photo
from gallery_rows import store_of
from gallery_steps import ADA, GRACE, HEDY, STRANGER, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facesearch.errors import FacesearchError
from facesearch.gallery import Gallery
from facesearch.gallery.faces import VERDICTS

PHOTOS = [((ADA, 1),), ((GRACE, 1),), ((HEDY, 1), (ADA, 3)), ((STRANGER, 1), (GRACE, 3))]


names = st.sampled_from(["Ada", "Grace", "Hedy", "Mary"])


a_photo, numbers = st.integers(0, len(PHOTOS) - 1), st.sampled_from([None, 1, 2])


verbs = st.one_of(
    st.tuples(st.just("merge"), st.lists(names, min_size=1, max_size=3), names),
    st.tuples(st.just("split"), names, st.lists(a_photo, min_size=1, max_size=2), names),
    st.tuples(st.just("move"), st.lists(a_photo, min_size=1, max_size=2), names, names),
    st.tuples(st.just("confirm"), a_photo, names, numbers),
    st.tuples(st.just("reject"), a_photo, names, numbers),
    st.tuples(st.just("dismiss"), a_photo, st.sampled_from(VERDICTS), numbers),
    st.tuples(st.just("not_same"), names, names),
    st.tuples(st.just("rename"), names, names),
    st.tuples(
        st.just("merge_all"), st.lists(st.tuples(st.lists(names, min_size=1), names), max_size=2)
    ),
    st.tuples(st.just("take_out"), st.lists(a_photo, min_size=1, max_size=2), names),
    st.tuples(st.sampled_from(["confirm_faces", "reject_faces"]), names),
    st.tuples(st.just("enroll"), names, st.lists(a_photo, min_size=1, max_size=3)),
    st.tuples(st.just("undo"), st.integers(1, 12)),
)


def all_faces(gallery, name):
    return [face for _, face in gallery.people.faces_of(name)]


def act(gallery, photos, verb, *arguments):
    """Make one decision; return whether it was made."""
    paths = {
        "split": lambda name, some, new: (name, [photos[p] for p in some], new),
        "move": lambda some, name, to: ([photos[p] for p in some], name, to),
        "take_out": lambda some, name: ([photos[p] for p in some], name),
        "confirm_faces": lambda name: (all_faces(gallery, name), name),
        "reject_faces": lambda name: (all_faces(gallery, name)[1:], name),
        "confirm": lambda photo, *rest: (photos[photo], *rest),
        "reject": lambda photo, *rest: (photos[photo], *rest),
        "dismiss": lambda photo, *rest: (photos[photo], *rest),
    }
    if verb == "enroll":
        name, some = arguments
        results = list(gallery.enroll((name, photos[photo]) for photo in some))
        return any(result.status == "enrolled" for result in results)
    try:
        arguments = paths.get(verb, lambda *same: same)(*arguments)
        return decide(gallery, verb, *arguments).id is not None
    except FacesearchError:
        return False


@pytest.fixture(scope="module")
def five_photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laws")
    photos = [save_photo(folder / f"{k}.png", *faces) for k, faces in enumerate(PHOTOS)]
    with Gallery(folder / "gallery.db", FakeModel()) as gallery:
        pairs = [("Ada", photos[0]), ("Grace", photos[1]), ("Hedy", photos[2])]
        list(gallery.enroll(pairs))
    return folder, photos


@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(todo=st.lists(verbs, min_size=1, max_size=8))
def test_undoing_any_decisions_in_reverse_restores_the_gallery(todo, five_photos):
    folder, photos = five_photos
    with tempfile.TemporaryDirectory(dir=folder) as copy:
        shutil.copy(folder / "gallery.db", copy)
        with Gallery(copy, FakeModel()) as gallery, Gallery(copy, FakeModel()) as other:
            answers, states = list(gallery.identify(photos)), [rows(gallery)]
            done = []
            for verb in todo:
                before = rows(gallery)
                if act(gallery, photos, *verb):
                    done.append(gallery.history.list(limit=1)[0].id)
                    states.append(rows(gallery))
                else:
                    assert rows(gallery) == before
                assert store_of(gallery).problems() == []
            list(other.identify(photos))
            redo = []
            for decision in reversed(done):
                assert rows(gallery) == states.pop()
                redo.append(gallery.history.undo(decision).id)
            assert rows(gallery) == states.pop()
            assert list(gallery.identify(photos)) == answers
            assert list(other.identify(photos)) == answers
            assert gallery.upkeep.check() == []
            assert sorted(redo) == redo
