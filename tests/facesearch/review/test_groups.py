"""Faces nobody has named are grouped; a group keeps its number until it is named."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from deciding import confirm, reject
from fake_model import FakeModel, save_photo
from gallery_rows import make_read_only, select

from facesearch.errors import GalleryError, Refused
from facesearch.gallery import import_gallery, review
from facesearch.gallery.faces import Faces
from facesearch.review.groups import UnnamedFace, ease_of_naming, group_unnamed

ADA, GRACE, HEDY, MARY, JOAN = 10, 20, 30, 40, 50


@pytest.fixture
def photos(shoot):
    """Ada in four photos, Grace in three, one of them with Ada; Hedy in one."""
    return [
        shoot((ADA, 1)),
        shoot((ADA, 2)),
        shoot((GRACE, 1)),
        shoot((GRACE, 2), (ADA, 3)),
        shoot((HEDY, 1)),
        shoot((GRACE, 3)),
        shoot((ADA, 4)),
    ]


def unnamed(photo, key, height):
    box = (0.0, 0.0, float(height), float(height))
    return UnnamedFace(photo, 1, box, 1.0, key, box)


def members(found):
    """Return group number -> names of photos and faces."""
    return {
        group.id: {(face.photo.rsplit("/", 1)[-1], face.number) for face in group.faces}
        for group in found.groups
    }


def of_ada(found):
    (group,) = [g for g in found.groups if any("/10-1_0.png" in f.photo for f in g.faces)]
    return group


def test_each_person_is_a_group_and_the_largest_group_comes_first(fake_gallery, photos):
    found = fake_gallery.review.cluster(photos)
    assert members(found) == {
        1: {("10-1_0.png", 1), ("10-2_0.png", 1), ("20-2_10-3_0.png", 2), ("10-4_0.png", 1)},
        2: {("20-1_0.png", 1), ("20-2_10-3_0.png", 1), ("20-3_0.png", 1)},
    }
    assert (found.alone, found.named, found.photos, found.unreadable) == (1, 0, 7, ())
    assert fake_gallery.people.all() == []
    assert fake_gallery.upkeep.check() == []


def test_enrolled_people_are_in_no_group(fake_gallery, photos, shoot):
    list(fake_gallery.enroll([("Ada", shoot((ADA, 7)))]))
    found = fake_gallery.review.cluster(photos)
    assert [len(group.faces) for group in found.groups] == [3]
    assert found.named == 4


def test_a_face_of_one_of_two_enrolled_people_is_not_unnamed(fake_gallery, photos, monkeypatch):
    found = fake_gallery.review.cluster(photos[:2])
    assert [len(group.faces) for group in found.groups] == [2]
    identify = review.identify_faces
    monkeypatch.setattr(
        review,
        "identify_faces",
        lambda *args: [replace(face, alternatives=("Ada", "Adele")) for face in identify(*args)],
    )
    found = fake_gallery.review.cluster(photos[:2])
    assert (found.groups, found.named) == ((), 2)


def test_the_cohort_of_a_head_that_does_not_follow_the_cosine_is_not_used(make_gallery, photos):
    model = FakeModel()
    model.head = replace(model.head, follows_cosine=False)
    model.cohort = replace(model.cohort, score_mean=-0.1, score_std=0.5)
    found = make_gallery(model=model).review.cluster(photos)
    assert [len(group.faces) for group in found.groups] == [4, 3]


def test_a_group_keeps_its_number_when_photos_are_added_or_missing(fake_gallery, photos, shoot):
    first = fake_gallery.review.cluster(photos)
    more = [shoot((HEDY, 2)), shoot((HEDY, 3)), *(shoot((GRACE, k)) for k in (4, 5, 6)), *photos]
    then = fake_gallery.review.cluster(more)
    assert {g.id: len(g.faces) for g in then.groups} == {2: 6, 1: 4, 3: 3}
    assert members(then)[1] == members(first)[1]
    some = fake_gallery.review.cluster(photos[:2])
    assert members(some) == {1: {("10-1_0.png", 1), ("10-2_0.png", 1)}}
    assert members(fake_gallery.review.cluster(more)) == members(then)


def test_people_who_are_always_in_photos_together_keep_their_own_numbers(fake_gallery, shoot):
    pair = [shoot((ADA, k), (GRACE, k)) for k in (1, 2)]
    first = members(fake_gallery.review.cluster(pair))
    then = members(fake_gallery.review.cluster([*pair, shoot((GRACE, 3))]))
    grace = next(group for group, faces in first.items() if ("10-1_20-1_0.png", 2) in faces)
    assert {group: len(faces) for group, faces in then.items()} == {grace: 3, 3 - grace: 2}


def test_each_face_is_stored_once_however_often_it_is_seen(fake_gallery, photos):
    for _ in range(3):
        fake_gallery.review.cluster(photos)
    assert select(fake_gallery, "SELECT count(*) FROM unnamed_face") == [(7,)]


def test_a_group_number_is_never_reused(fake_gallery, photos, shoot):
    fake_gallery.review.cluster(photos)
    fake_gallery.review.name_group(fake_gallery.review.cluster(photos).groups[1], "Grace")
    fake_gallery.forget("Grace")
    found = fake_gallery.review.cluster([shoot((MARY, 1)), shoot((MARY, 2))])
    assert list(members(found)) == [3]


def test_naming_a_group_enrolls_all_of_it_in_one_decision(fake_gallery, photos, shoot):
    group = of_ada(fake_gallery.review.cluster(photos))
    decision = fake_gallery.review.name_group(group, "Ada")
    assert decision.summary == "said that 4 faces are Ada"
    assert decision.left_out == ()
    assert [(p.name, p.photos) for p in fake_gallery.people.all()] == [("Ada", 4)]
    (probe,) = fake_gallery.identify([shoot((ADA, 9))])
    assert probe.faces[0].person == "Ada"
    assert [len(g.faces) for g in fake_gallery.review.cluster(photos).groups] == [3]
    fake_gallery.history.undo(decision.id)
    assert fake_gallery.people.all() == []
    assert of_ada(fake_gallery.review.cluster(photos)).id == group.id
    assert fake_gallery.upkeep.check() == []


def test_a_group_can_be_given_the_name_of_an_enrolled_person(fake_gallery, photos, shoot):
    list(fake_gallery.enroll([("Ada", shoot((MARY, 1)))]))
    fake_gallery.review.name_group(of_ada(fake_gallery.review.cluster(photos)), " Ada ")
    assert [(p.name, p.photos) for p in fake_gallery.people.all()] == [("Ada", 5)]


def test_a_merged_name_stands_for_the_person_it_became(fake_gallery, photos, shoot):
    list(fake_gallery.enroll([("Ada", shoot((MARY, 1))), ("Augusta", shoot((JOAN, 1)))]))
    fake_gallery.people.merge(["Augusta"], into="Ada")
    decision = fake_gallery.review.name_group(
        of_ada(fake_gallery.review.cluster(photos)), "Augusta"
    )
    assert decision.summary == "said that 4 faces are Ada"
    assert [(p.name, p.photos) for p in fake_gallery.people.all()] == [("Ada", 6)]


def test_a_decision_about_one_face_outranks_the_name_of_its_group(fake_gallery, photos, shoot):
    list(fake_gallery.enroll([("Ada", shoot((MARY, 1)))]))
    reject(fake_gallery, photos[0], "Ada")
    group = of_ada(fake_gallery.review.cluster(photos))
    assert len(group.faces) == 4, "a rejection does not name a face"
    confirm(fake_gallery, photos[3], "Ada", 1)
    decision = fake_gallery.review.name_group(group, "Ada")
    assert sorted(decision.left_out) == [
        (str(photos[0]), "a human said that this face is not Ada"),
        (str(photos[3]), "another face of this photo is Ada"),
    ]
    confirm(fake_gallery, photos[1], "Grace", new=True)
    with pytest.raises(Refused, match="enrolled as"):
        fake_gallery.review.name_group(group, "Ada")
    assert fake_gallery.upkeep.check() == []


def test_two_faces_in_one_photo_are_two_people(fake_gallery, shoot):
    found = fake_gallery.review.cluster([shoot((ADA, 1), (ADA, 2)), shoot((ADA, 3))])
    assert sorted(len(group.faces) for group in found.groups) == [2]
    assert found.alone == 1


def test_a_collage_shows_one_person_twice_photoprism_5811(fake_gallery, shoot):
    collage = shoot((ADA, 1), (ADA, 1))
    (group,) = fake_gallery.review.cluster([collage, shoot((ADA, 3))]).groups
    assert len(group.faces) == 3
    decision = fake_gallery.review.name_group(group, "Ada")
    assert decision.left_out == ((str(collage), "another face of this photo is Ada"),)
    fake_gallery.history.undo(decision.id)
    decision = fake_gallery.review.name_group(group, "Ada", same_person_twice=True)
    assert decision.summary == "said that 3 faces are Ada"
    assert fake_gallery.upkeep.check() == []


def test_naming_one_person_leaves_the_groups_of_the_others_as_they_were(fake_gallery, photos):
    before = fake_gallery.review.cluster(photos)
    ada = of_ada(before)
    fake_gallery.review.name_group(ada, "Ada")
    left = {number: faces for number, faces in members(before).items() if number != ada.id}
    assert members(fake_gallery.review.cluster(photos)) == left


def test_faces_stay_together_when_the_face_between_them_gets_a_name(fake_model):
    """A named face still ties two faces together, which alone would be apart."""
    axes = np.eye(fake_model.dim, dtype=np.float32)
    spread = (1 - 0.8**2) ** 0.5
    between, one, other = (
        axes[0],
        0.8 * axes[0] + spread * axes[1],
        0.8 * axes[0] - spread * axes[1],
    )
    faces = [unnamed(f"{n}.jpg", str(n), 99) for n in range(3)]
    rows = np.stack([one, between, other])
    tied = group_unnamed(faces, rows, {faces[0], faces[2]}, fake_model)
    assert tied == [(faces[0], faces[2])]
    alone = group_unnamed(faces[::2], rows[::2], {faces[0], faces[2]}, fake_model)
    assert [len(group) for group in alone] == [1, 1]


def test_a_photo_that_has_changed_or_gone_is_left_out_and_the_others_are_named(
    fake_gallery, photos, shoot
):
    group = of_ada(fake_gallery.review.cluster(photos))
    photos[0].unlink()
    save_photo(photos[1], (GRACE, 8))
    decision = fake_gallery.review.name_group(group, "Ada")
    assert decision.changed["face"] == 2
    assert [path for path, _ in sorted(decision.left_out)] == [str(photos[0]), str(photos[1])]
    assert "the file has changed since" in dict(decision.left_out)[str(photos[1])]
    for photo in photos:
        photo.unlink(missing_ok=True)
    with pytest.raises(Refused, match="none of the photos can be used"):
        fake_gallery.review.name_group(group, "Ada")


def test_a_face_that_is_not_found_again_is_left_out(fake_gallery, photos):
    group = of_ada(fake_gallery.review.cluster(photos))
    first, *others = group.faces
    elsewhere = replace(first, box=(0.0, 0.0, 5.0, 5.0))
    decision = fake_gallery.review.name_group(replace(group, faces=(elsewhere, *others)), "Ada")
    assert decision.changed["face"] == 3
    assert decision.left_out == ((first.photo, "the face is not found again"),)


def test_naming_a_group_holds_only_its_own_faces_in_memory(fake_gallery, photos, monkeypatch):
    held = []
    confirm = Faces.confirm

    def noting(self, faces, name, **options):
        held.extend(face.seen for face in faces)
        return confirm(self, faces, name, **options)

    monkeypatch.setattr(Faces, "confirm", noting)
    fake_gallery.review.name_group(of_ada(fake_gallery.review.cluster(photos)), "Ada")
    assert [len(seen.crops) for seen in held] == [1] * 4
    assert all(seen.crops.base is None for seen in held), "a view keeps all crops of its photo"


def test_bad_photos_are_listed_and_the_others_grouped(fake_gallery, photos, tmp_path):
    (tmp_path / "empty.jpg").touch()
    found = fake_gallery.review.cluster([tmp_path / "empty.jpg", *photos, tmp_path / "gone.jpg"])
    assert [len(group.faces) for group in found.groups] == [4, 3]
    assert [path.rsplit("/", 1)[-1] for path, _ in found.unreadable] == ["empty.jpg", "gone.jpg"]


def test_files_with_the_same_bytes_count_as_one_photo(fake_gallery, photos, tmp_path):
    copy = tmp_path / "copy.png"
    copy.write_bytes(photos[0].read_bytes())
    assert [len(g.faces) for g in fake_gallery.review.cluster([*photos, copy]).groups] == [4, 3]


class Counting(FakeModel):
    def __init__(self):
        super().__init__()
        self.crops = 0

    def embed(self, crops):
        self.crops += len(crops)
        return super().embed(crops)


def test_the_first_run_finds_the_groups_that_the_next_ones_find(fake_gallery, photos, monkeypatch):
    """A name is meant for the faces that were shown, so the cache must not change the groups."""
    list(fake_gallery.enroll([("Ada", photos[0])]))
    monkeypatch.setattr("facesearch.identification.BORDERLINE_SD", 100.0)
    monkeypatch.setattr("facesearch.identification.look_again", lambda model, crops, rows: -rows)
    first = fake_gallery.review.cluster(photos)
    assert members(fake_gallery.review.cluster(photos)) == members(first)


@pytest.mark.parametrize("workers", [1, 2])
def test_only_new_and_changed_photos_are_embedded(make_gallery, photos, shoot, workers):
    model = Counting()
    gallery = make_gallery(model=model)
    first = members(gallery.review.cluster(photos, workers=workers))
    assert model.crops == 8
    assert members(gallery.review.cluster(photos, workers=workers)) == first
    assert model.crops == 8
    save_photo(photos[4], (JOAN, 1), (JOAN, 2))
    gallery.review.cluster([*photos, shoot((GRACE, 7))], workers=workers)
    assert model.crops == 11


def test_photos_seen_before_an_interruption_are_not_embedded_again(make_gallery, photos):
    model, left = Counting(), iter(range(4))
    gallery = make_gallery(model=model)

    def interrupt():
        if next(left) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gallery.review.cluster(photos, advance=interrupt)
    seen = model.crops
    gallery.review.cluster(photos)
    assert (seen, model.crops) == (5, 8)


def test_another_model_does_not_use_the_cache_of_the_first(make_gallery, photos, home):
    make_gallery().review.cluster(photos)
    (home / "gallery.db").unlink()
    model = Counting()
    model.fingerprint = "0" * 16
    make_gallery(model=model).review.cluster(photos)
    assert model.crops == 8


def test_a_damaged_cache_costs_time_only(make_gallery, photos, home):
    first = members(make_gallery().review.cluster(photos))
    cache = home / "gallery.db-index" / "photos.cache"
    with sqlite3.connect(cache) as db:
        db.execute("UPDATE seen SET faces = x'00'")
    db.close()
    assert members(make_gallery().review.cluster(photos)) == first
    cache.write_bytes(b"no database" * 1000)
    assert members(make_gallery().review.cluster(photos)) == first


def test_two_runs_at_once_share_one_cache(make_gallery, photos, home, monkeypatch):
    """Neither waits for the slow other one, nor takes its lock for damage."""
    monkeypatch.setattr("facesearch.duplicates.photo_cache.BUSY_TIMEOUT_S", 0.0)
    one, other, model = make_gallery(), make_gallery(), Counting()
    left = photos[::-1]
    one.review.cluster(photos[:4], advance=lambda: other.review.cluster([left.pop(0)]))
    other.close()
    other = make_gallery(model=model)
    model.crops = 0
    other.review.cluster(photos)
    assert model.crops == 0


def test_a_cache_that_stays_locked_is_not_deleted(make_gallery, photos, home, monkeypatch):
    monkeypatch.setattr("facesearch.duplicates.photo_cache.BUSY_TIMEOUT_S", 0.0)
    gallery = make_gallery(model=(model := Counting()))
    gallery.review.cluster(photos[:3])
    cache = home / "gallery.db-index" / "photos.cache"
    with closing(sqlite3.connect(cache, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        assert [len(group.faces) for group in gallery.review.cluster(photos).groups] == [4, 3]
    model.crops = 0
    gallery.review.cluster(photos[:3])
    assert model.crops == 0


def test_groups_are_copied_with_their_gallery(fake_gallery, photos, tmp_path, fake_model, shoot):
    first = fake_gallery.review.cluster(photos)
    fake_gallery.upkeep.export(tmp_path / "export.db")
    with import_gallery(tmp_path / "export.db", tmp_path / "b.db", fake_model) as copy:
        found = copy.review.cluster([shoot((MARY, k)) for k in range(9)] + photos)
    assert members(first).items() <= members(found).items()


def test_a_read_only_gallery_is_refused_before_any_photo_is_read(fake_gallery, photos, monkeypatch):
    make_read_only(fake_gallery)
    monkeypatch.setattr(review, "probe", lambda *_: pytest.fail("looked"))
    with pytest.raises(GalleryError, match="cannot be written"):
        fake_gallery.review.cluster(photos)


@pytest.mark.parametrize(
    "enrolled_from", ["a photo of the group", "another photo", "an undone name"]
)
def test_forget_deletes_the_groups_a_person_was_in(
    fake_gallery, photos, home, shoot, enrolled_from
):
    """The gallery may not know which group was theirs: any photo may have enrolled them."""
    group = of_ada(fake_gallery.review.cluster(photos))
    if enrolled_from == "an undone name":
        fake_gallery.history.undo(fake_gallery.review.name_group(group, "Ada").id)
    else:
        other = shoot((ADA, 7))
        photo = other if enrolled_from == "another photo" else photos[0]
        list(fake_gallery.enroll([("Ada", photo)]))
        fake_gallery.review.cluster(photos)
    fake_gallery.forget("Ada")
    assert select(fake_gallery, "SELECT * FROM unnamed_face") == []
    assert select(fake_gallery, "SELECT * FROM unnamed_group") == []
    assert not list((home / "gallery.db-index").glob("*"))


def test_the_cache_gives_back_every_number_that_was_seen(fake_gallery, photos, monkeypatch):
    """Landmarks and embeddings count later, when a group is named."""
    seen = {}

    def noting(session, what, *rates):
        before = seen.setdefault(what.picture, what)
        assert [face.box for face in what.faces] == [face.box for face in before.faces]
        assert all(
            (face.landmarks == other.landmarks).all() and face.score == other.score
            for face, other in zip(what.faces, before.faces, strict=True)
        )
        assert (what.embeddings == before.embeddings).all()
        assert (what.width, what.height) == (before.width, before.height)
        assert len(what.crops) == 0
        return identify(session, what, *rates)

    identify = review.identify_faces
    monkeypatch.setattr(review, "identify_faces", noting)
    fake_gallery.review.cluster(photos)
    fake_gallery.review.cluster(photos)
    assert len(seen) == 7


def test_a_photo_without_a_face_is_kept_in_the_cache_too(make_gallery, shoot):
    model = Counting()
    gallery = make_gallery(model=model)
    for _ in range(2):
        found = gallery.review.cluster([shoot(None)])
        assert (found.groups, found.alone, found.photos) == ((), 0, 1)


def test_no_photos_make_no_groups(fake_gallery):
    assert fake_gallery.review.cluster([]).groups == ()


def test_faces_of_a_crowd_form_no_groups_unless_asked_for(fake_gallery, photos, monkeypatch):
    monkeypatch.setattr("facesearch.review.groups.LEAST_HEIGHT_PX", 10_000)
    found = fake_gallery.review.cluster(photos)
    assert (found.groups, found.alone, found.small) == ((), 0, 8)
    assert len(fake_gallery.review.queue(photos).waiting) == 8  # they are asked about one by one
    found = fake_gallery.review.cluster(photos, small=True)
    assert (len(found.groups), found.small) == (2, 0)


def test_a_few_large_faces_come_before_more_small_ones():
    def group(n_faces, height):
        return [unnamed("a.jpg", "hash", height)] * n_faces

    assert ease_of_naming(group(3, 200)) > ease_of_naming(group(5, 40))
    assert ease_of_naming(group(3, 200)) < ease_of_naming(group(5, 112))
    assert ease_of_naming(group(4, 112)) == ease_of_naming(group(4, 500))
