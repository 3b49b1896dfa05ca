"""The gallery: who is enrolled is found, nobody else is named, and the index never decides.

Faces are made up (fake_model.py) but where a test says portraits.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from deciding import confirm, reject
from fake_model import FakeModel, embedding, save_photo
from gallery_rows import execute, forget_rows, live_index_of, run_script, store_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facesearch.duplicates.judge import USUAL_SHARE, log_odds
from facesearch.duplicates.same_person import same_people
from facesearch.errors import EmbeddingMismatch, GalleryError, UnknownPerson
from facesearch.gallery import Gallery, enrolling, folded, import_gallery, live_index
from facesearch.gallery.live_index import View
from facesearch.head import L1SigmoidHead

ADA, GRACE, HEDY, STRANGER = 10, 20, 30, 40


def enroll(gallery, *photos):
    return list(gallery.enroll(photos))


def statuses(enrollments):
    return [enrollment.status for enrollment in enrollments]


def who(gallery, photo, **options):
    """Return the names in `photo`, None for unknown, in the order of the faces."""
    (seen,) = gallery.identify([photo], **options)
    assert seen.error is None
    return [face.person for face in seen.faces]


@pytest.fixture
def trio(fake_gallery, shoot):
    """A gallery of Ada, Grace and Hedy, two pictures each."""
    people = {"Ada": ADA, "Grace": GRACE, "Hedy": HEDY}
    pairs = [(name, shoot((number, k))) for name, number in people.items() for k in (1, 2)]
    assert statuses(enroll(fake_gallery, *pairs)) == ["enrolled"] * 6
    return fake_gallery


# For who shows the gallery


def folded_slowly(name):
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in letters if not unicodedata.combining(c) and not c.isspace())


@settings(max_examples=300)
@given(st.text())
def test_a_folded_name_has_no_case_no_accents_and_no_spaces(name):
    assert folded(name) == folded_slowly(name)


def test_a_window_of_people_is_what_all_people_show_there(trio, shoot):
    more = ["Émile", "emil", "Emilia", "Zoë", "zoe", "Adam"]
    enroll(trio, *((name, shoot((50 + 10 * k, k))) for k, name in enumerate(more)))
    trio.people.rename("Grace", "Ådne")
    with store_of(trio).transaction():
        store_of(trio).people.add("Nobody's face")
    for searched in ("", "em", "ÉMIL", "zo\u0308e", " a d", "x"):
        every = [p for p in trio.people.all() if folded_slowly(searched) in folded_slowly(p.name)]
        for start, most in ((0, 2), (1, 3), (0, 60), (20, 5)):
            found, n_found = trio.people.find(searched, start, most)
            assert (found, n_found) == (every[start : start + most], len(every))
    for person in trio.people.all():
        faces = trio.people.faces_of(person.name)
        cover = faces[0][1].id if faces else None
        assert person.cover == trio.people.cover(person.name) == cover
    assert trio.people.cover("Who is not there") is None


def test_how_strangers_score_is_measured_again_after_so_much_that_it_matters(
    trio, shoot, monkeypatch
):
    fits = []
    live = live_index_of(trio)
    fit = live._fit
    monkeypatch.setattr(live, "_fit", lambda: fits.append(1) or fit())
    monkeypatch.setattr(live_index, "REBUILD_SHARE", 10)  # enrolling measures nothing here
    enroll(trio, ("Mary", shoot((50, 1))))
    who(trio, shoot((ADA, 3)))
    assert len(fits) == 1  # a small gallery is measured after every change
    monkeypatch.setattr(live_index, "REFIT_SHARE", 0.3)  # as if it were of thousands
    enroll(trio, ("Kay", shoot((60, 1))))
    assert who(trio, shoot((60, 2))) == ["Kay"]
    assert len(fits) == 1
    for number in (70, 80, 90):
        enroll(trio, (f"Number {number}", shoot((number, 1))))
    who(trio, shoot((ADA, 3)))
    assert len(fits) == 2


# Enroll and identify


def test_an_empty_gallery_says_unknown(fake_gallery, shoot):
    (photo,) = fake_gallery.identify([shoot((ADA, 1))])
    (face,) = photo.faces
    assert (face.person, face.unknown_probability, face.candidates) == (None, 1.0, ())
    assert fake_gallery.search(shoot((ADA, 1)))[0][1] == []
    assert fake_gallery.upkeep.check() == []


def test_a_gallery_of_one_person_knows_them_and_nobody_else(fake_gallery, shoot):
    enroll(fake_gallery, ("Ada", shoot((ADA, 1))))
    assert who(fake_gallery, shoot((ADA, 9))) == ["Ada"]
    assert who(fake_gallery, shoot((STRANGER, 9))) == [None]


def test_everyone_enrolled_is_found_and_a_stranger_is_not(trio, shoot):
    group = shoot((HEDY, 9), (STRANGER, 9), (ADA, 9), None, (GRACE, 9))
    assert who(trio, group) == ["Hedy", None, "Ada", "Grace"]


def test_same_photo_twice_adds_nothing(trio, shoot, tmp_path):
    before = trio.upkeep.info()
    copied = tmp_path / "copy.png"
    copied.write_bytes(shoot((ADA, 1)).read_bytes())
    assert statuses(enroll(trio, ("Ada", shoot((ADA, 1))), ("Ada", copied))) == ["already"] * 2
    assert trio.upkeep.info() == before


def test_same_photo_twice_in_one_run_adds_one(fake_gallery, shoot, monkeypatch):
    monkeypatch.setattr(enrolling, "COMMIT_PHOTOS", 2)
    photos = [("Ada", shoot((ADA, 1)))] * 3 + [("Ada", shoot((ADA, 2)))]
    expected = ["enrolled", "already", "already", "enrolled"]
    assert statuses(enroll(fake_gallery, *photos)) == expected
    assert fake_gallery.upkeep.info()["template"] == 2


def test_a_group_photo_gives_a_person_one_face_even_when_the_choice_changes(
    fake_gallery, shoot, monkeypatch
):
    monkeypatch.setattr(enrolling, "COMMIT_PHOTOS", 1)
    group, portrait = shoot((GRACE, 3), (ADA, 3)), shoot((ADA, 1))
    monkeypatch.setattr("facesearch.face_choice.LARGEST_BY", 1.0)  # takes Grace for Ada
    photos = [("Ada", path) for path in (group, portrait, portrait, group)]
    done = statuses(enroll(fake_gallery, *photos))
    assert done == ["enrolled", "enrolled", "already", "already"]
    assert fake_gallery.upkeep.info()["face"] == 2


def test_the_same_bytes_under_another_name_are_told_and_rename_nobody_photoprism_3292(trio, shoot):
    (told,) = enroll(trio, ("Somebody else", shoot((ADA, 1))))
    assert told.status == "skipped"
    assert "enrolled as Ada" in told.remark
    assert [person.name for person in trio.people.all()] == ["Ada", "Grace", "Hedy"]


def test_one_group_photo_can_be_enrolled_for_each_person_in_it(trio, shoot):
    group = shoot((ADA, 5), (GRACE, 5))
    done = enroll(trio, ("Ada", group), ("Grace", group), ("Ada", group))
    assert statuses(done) == ["enrolled", "enrolled", "already"]
    assert who(trio, group) == ["Ada", "Grace"]
    assert trio.upkeep.info()["photo"] == 7
    boxes = {name: trio.people.faces_of(name)[-1][1].box for name in ("Ada", "Grace")}
    assert boxes["Ada"][0] < boxes["Grace"][0]


def test_composed_and_decomposed_names_are_one_and_spaces_do_not_count(fake_gallery, shoot):
    written = [unicodedata.normalize(form, " Zoë Müller\t".strip("\t")) for form in ("NFC", "NFD")]
    done = enroll(fake_gallery, *((n, shoot((ADA, k))) for k, n in enumerate(written, 1)))
    assert statuses(done) == ["enrolled"] * 2
    assert [(p.name, p.photos) for p in fake_gallery.people.all()] == [("Zoë Müller", 2)]
    assert len(fake_gallery.people.faces_of("  " + written[1])) == 2


@pytest.mark.parametrize("name", ["", "  ", "A\nB", "A\0", "caf\udce9"])
def test_names_that_cannot_be_shown_are_refused(fake_gallery, shoot, name):
    with pytest.raises(ValueError, match="is not a valid person name"):
        enroll(fake_gallery, (name, shoot((ADA, 1))))


def test_names_are_never_part_of_a_statement(fake_gallery, shoot):
    names = ["'; DROP TABLE person; --", 'Robert"); DELETE FROM face', "%", "a" * 5000, "(?)", "🙂"]
    enroll(fake_gallery, *((name, shoot((k + 1, 1))) for k, name in enumerate(names)))
    for k, name in enumerate(names):
        assert who(fake_gallery, shoot((k + 1, 2))) == [name]
    fake_gallery.people.rename("%", "'' OR 1=1")
    fake_gallery.forget(names[0])
    assert len(fake_gallery.people.all()) == len(names) - 1
    assert fake_gallery.upkeep.check() == []


def test_someone_who_looks_like_an_enrolled_person_is_told(trio, shoot):
    (told,) = enroll(trio, ("Augusta", shoot((ADA, 7))))
    assert [name for name, _ in told.look_alikes] == ["Ada"]
    (told,) = enroll(trio, ("Mary", shoot((STRANGER, 1))))
    assert told.look_alikes == ()


def test_two_names_for_one_person_come_out_as_either_never_as_one_of_them(trio, shoot):
    enroll(trio, ("Augusta", shoot((ADA, 1), salt=1)), ("Augusta", shoot((ADA, 2), salt=1)))
    (photo,) = trio.identify([shoot((ADA, 9))])
    assert photo.faces[0].person is None
    assert sorted(photo.faces[0].alternatives) == ["Ada", "Augusta"]
    assert who(trio, shoot((GRACE, 9))) == ["Grace"]


def test_a_person_with_a_hundred_templates_does_not_hide_the_runner_up(trio, shoot):
    enroll(trio, *(("Ada", shoot((ADA, k))) for k in range(10, 110)))
    (photo,) = trio.identify([shoot((ADA, 9))])
    assert photo.faces[0].person == "Ada"
    assert len(photo.faces[0].candidates) == 3


def test_a_head_with_an_order_of_its_own_finds_whom_the_cosine_puts_far_behind(make_gallery, shoot):
    weights = np.zeros(FakeModel().dim, np.float32)
    weights[:8] = 1  # of 64: so this head and the cosine agree on little
    head = L1SigmoidHead(None, weights, 1.0, 1.0, exponent=1.0, follows_cosine=False)
    gallery = make_gallery(model=FakeModel(head=head))
    enroll(gallery, *((f"{person:02}", shoot((person, 1))) for person in range(45)))
    templates = np.stack([embedding(person, 1) for person in range(45)])
    far = 0
    for person in range(50, 60):
        probe = embedding(person, 1)
        first = int(head.llr(probe, templates).argmax())
        far += int((templates @ probe > templates[first] @ probe).sum()) >= 10
        (photo,) = gallery.identify([shoot((person, 1))])
        assert photo.faces[0].candidates[0].person == f"{first:02}"
    assert far  # the first of the head is not among the first ten of the cosine


def test_a_group_photo_names_each_person_once_compreface_1310(trio, shoot):
    named = who(trio, shoot((ADA, 7), (ADA, 8), (ADA, 9)))
    assert sorted(named, key=str) == ["Ada", None, None]


def test_an_enrolled_photo_gives_the_humans_name_even_where_the_machine_disagrees(trio, shoot):
    odd = shoot((STRANGER, 1))  # Ada as nobody would know her
    enroll(trio, ("Ada", odd))
    (photo,) = trio.identify([odd])
    assert (photo.faces[0].person, photo.faces[0].decided_by) == ("Ada", "human")


def test_a_photo_deleted_from_the_disk_is_no_longer_needed_deepface_1102(trio, shoot):
    for k in (1, 2):
        shoot((ADA, k)).unlink()
    assert who(trio, shoot((ADA, 9))) == ["Ada"]
    assert trio.upkeep.check() == []


def test_a_photo_that_cannot_be_used_stops_nothing_omoide_29(fake_gallery, shoot, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    done = enroll(
        fake_gallery,
        ("Ada", tmp_path / "broken.png"),
        ("Ada", shoot(None)),
        ("Ada", tmp_path / "missing.png"),
        ("Ada", shoot((ADA, 1))),
    )
    assert statuses(done) == ["unreadable", "skipped", "unreadable", "enrolled"]
    assert all(enrollment.remark for enrollment in done[:3])


def test_only_what_is_stored_is_reported(fake_gallery, make_gallery, shoot, monkeypatch):
    monkeypatch.setattr(enrolling, "COMMIT_PHOTOS", 2)
    photos = [("Ada", shoot((ADA, k))) for k in range(1, 6)]
    other = make_gallery()
    for n, enrollment in enumerate(fake_gallery.enroll(photos), 1):
        assert enrollment.status == "enrolled"
        assert other.upkeep.info()["template"] >= n


def test_workers_change_nothing_but_the_time(make_gallery, home, shoot):
    photos = [(f"P{p}", shoot((p, k))) for p in range(1, 9) for k in (1, 2)]
    alone, together = make_gallery(home / "a.db"), make_gallery(home / "b.db")
    assert enroll(alone, *photos) == list(together.enroll(photos, workers=3))
    probes = [shoot((p, 9)) for p in range(1, 12)]
    assert list(alone.identify(probes)) == list(together.identify(probes, workers=3))


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations([(person, k) for person in range(1, 9) for k in (1, 2)]))
def test_the_order_of_enrollment_does_not_change_who_is_found(order, fake_model, tmp_path):
    with (
        tempfile.TemporaryDirectory(dir=tmp_path) as folder,
        Gallery(folder, fake_model) as gallery,
    ):
        photos = Path(folder)
        for person, k in order:
            enroll(gallery, (f"P{person}", save_photo(photos / f"{person}-{k}.png", (person, k))))
        probes = [save_photo(photos / f"{p}.png", (p, 9)) for p in range(1, 12)]
        found = [who(gallery, probe)[0] for probe in probes]
    assert found == [f"P{p}" for p in range(1, 9)] + [None] * 3


@pytest.mark.parametrize("rate", [0.0, 1.0, -1, 2])
def test_rates_that_are_none_are_refused(trio, shoot, rate):
    for option in ("fpir", "prior"):
        with pytest.raises(ValueError, match="between 0 and 1"):
            who(trio, shoot((ADA, 9)), **{option: rate})


def test_search_shows_the_nearest_faces_and_where_they_are(trio, shoot):
    ((_, nearest),) = trio.search(shoot((ADA, 1), salt=1), k=3)
    assert [n.person for n in nearest[:2]] == ["Ada", "Ada"]
    assert nearest[0].photo == str(shoot((ADA, 1)))
    assert nearest[0].score == pytest.approx(1, abs=1e-3)
    assert len(trio.search(shoot((ADA, 9)), k=50)[0][1]) == 6
    assert trio.search(shoot(None)) == []


# People


def test_a_renamed_person_is_found_under_the_new_name_and_the_log_can_undo_it(trio, shoot):
    trio.people.rename(" Ada ", "Ada Lovelace")
    assert who(trio, shoot((ADA, 9))) == ["Ada Lovelace"]
    with pytest.raises(UnknownPerson):
        trio.people.rename("Ada", "Countess")
    trio.history.undo()
    assert who(trio, shoot((ADA, 9))) == ["Ada"]


def test_a_name_that_is_taken_is_not_given_to_another_person(trio):
    with pytest.raises(GalleryError, match="already"):
        trio.people.rename("Ada", "Grace")
    trio.people.rename("Ada", "Ada")
    assert [person.name for person in trio.people.all()] == ["Ada", "Grace", "Hedy"]


def test_nobody_is_renamed_forgotten_or_shown_who_is_not_enrolled(trio):
    for ask in (trio.forget, trio.people.faces_of, lambda name: trio.people.rename(name, "X")):
        with pytest.raises(UnknownPerson, match="Mallory"):
            ask("Mallory")


# Who is enrolled twice


@pytest.fixture
def crowd(fake_gallery, shoot):
    """A gallery of P1 to P40, three pictures each, and Ada, twice: as Ada and as Annie."""
    pairs = [(f"P{p}", shoot((100 + p, k))) for p in range(1, 41) for k in (1, 2, 3)]
    pairs += [("Ada", shoot((ADA, k))) for k in (1, 2)]
    pairs += [("Annie", shoot((ADA, k))) for k in (3, 4, 5)]
    assert statuses(enroll(fake_gallery, *pairs)) == ["enrolled"] * 125
    return fake_gallery


def proposed(gallery, **options):
    """Return whom a merge into whom is proposed, as (kept name, other names)."""
    return [
        (group.keep, group.others) for group in gallery.duplicates.same_people(**options).groups
    ]


def test_two_names_of_one_person_are_proposed_and_merged_as_one_undo(crowd):
    found = crowd.duplicates.same_people()
    (group,) = found.groups
    assert (group.keep, group.others) == ("Annie", ("Ada",))  # she has more photos as Annie
    assert group.probability > 0.9
    assert [(pair.people, pair.grouped) for pair in found.pairs] == [(("Ada", "Annie"), True)]
    before = crowd.people.all()
    decision = crowd.people.merge_all((g.others, g.keep) for g in found.groups)
    assert proposed(crowd) == []
    crowd.history.undo(decision.id)
    assert crowd.people.all() == before
    assert proposed(crowd) == [("Annie", ("Ada",))]


def test_of_as_many_photos_the_name_that_was_enrolled_first_is_kept(crowd, shoot):
    enroll(crowd, ("Ada", shoot((ADA, 6))))
    assert proposed(crowd) == [("Ada", ("Annie",))]


def test_a_merge_that_is_proposed_takes_no_third_person(crowd):
    """immich #6374: a merge took a third person with it and hid it."""
    others = {row.name: row for row in crowd.people.all() if row.name.startswith("P")}
    crowd.people.merge_all((g.others, g.keep) for g in crowd.duplicates.same_people().groups)
    left = {row.name: row for row in crowd.people.all()}
    assert left.keys() == {*others, "Annie"}
    assert all(left[name] == row for name, row in others.items())
    assert left["Annie"].photos == 5


def test_who_was_called_not_the_same_is_never_proposed_even_after_a_merge_of_a_third(crowd, shoot):
    """immich #8956, photoprism #3654: what a human said has to stick."""
    crowd.people.not_same("Ada", "Annie")
    assert proposed(crowd, at_least=0.01) == []
    enroll(crowd, ("Third", shoot((ADA, 7))), ("Third", shoot((ADA, 8))))
    for pair in crowd.duplicates.same_people().pairs:
        assert set(pair.people) != {"Ada", "Annie"}
    crowd.people.merge(["Ada"], into="Third")
    assert proposed(crowd, at_least=0.01) == []
    assert crowd.duplicates.same_people().pairs == ()


def test_a_merge_that_would_be_refused_for_a_rejection_is_not_proposed(crowd, shoot):
    """One such pair would stop all others that are merged with it."""
    photo = shoot((ADA, 1))
    reject(crowd, photo, "Annie")
    assert proposed(crowd) == []


def test_names_equal_but_for_case_are_pairs_and_no_group(crowd):
    crowd.people.rename("P2", "p  1")
    (pair,) = [pair for pair in crowd.duplicates.same_people().pairs if pair.same_name]
    assert pair.people == ("P1", "p  1")
    assert not pair.grouped
    assert proposed(crowd) == [("Annie", ("Ada",))]


def test_a_gallery_of_nobody_or_one_has_nobody_twice(fake_gallery, shoot):
    for people in (0, 1):
        found = fake_gallery.duplicates.same_people()
        assert (found.pairs, found.groups, found.people) == ((), (), people)
        assert fake_gallery.duplicates.two_in_one() == ()
        assert fake_gallery.duplicates.same_faces() == ()
        enroll(fake_gallery, ("Ada", shoot((ADA, 1))))


def photos_of(camp):
    return {Path(face.photo).name for face in camp}


@pytest.fixture
def two_as_one(crowd, shoot):
    """The crowd, with Zoe, under whose name are three pictures of hers and two of Hedy."""
    pairs = [("Zoe", shoot((GRACE, k))) for k in (1, 2, 3)]
    pairs += [("Zoe", shoot((HEDY, k))) for k in (1, 2)]
    assert statuses(enroll(crowd, *pairs)) == ["enrolled"] * 5
    return crowd


def test_both_camps_of_a_name_that_holds_two_people_are_shown(two_as_one):
    (two,) = two_as_one.duplicates.two_in_one()
    assert two.person == "Zoe"
    assert two.probability > 0.9
    larger, smaller = two.camps
    assert photos_of(larger) == {"20-1_0.png", "20-2_0.png", "20-3_0.png"}
    assert photos_of(smaller) == {"30-1_0.png", "30-2_0.png"}
    two_as_one.people.split("Zoe", [face.photo for face in smaller], "Hedy")
    assert two_as_one.duplicates.two_in_one() == ()
    assert ("Zoe", "Hedy") not in {p.people for p in two_as_one.duplicates.same_people(0.0).pairs}


def test_what_a_human_merged_is_not_called_two_people(two_as_one):
    (two,) = two_as_one.duplicates.two_in_one()
    split = two_as_one.people.split("Zoe", [face.photo for face in two.camps[1]], "Hedy")
    merge = two_as_one.people.merge(["Hedy"], into="Zoe")
    assert two_as_one.duplicates.two_in_one() == ()
    two_as_one.history.undo(merge.id)
    two_as_one.history.undo(split.id)
    assert two_as_one.duplicates.two_in_one() == (two,)


def test_camps_of_which_a_human_gave_a_face_each_are_not_called_two_people(two_as_one, shoot):
    larger, smaller = two_as_one.duplicates.two_in_one()[0].camps
    decisions = []
    for camp in (larger, smaller):
        photo = camp[0].photo
        two_as_one.people.move([photo], "Zoe", "P1")
        decisions.append(confirm(two_as_one, photo, "Zoe"))
    assert two_as_one.duplicates.two_in_one() == ()
    two_as_one.history.undo(decisions[1].id)
    assert "Zoe" in {two.person for two in two_as_one.duplicates.two_in_one()}


def test_one_person_is_not_called_two_once_a_face_of_each_camp_is_confirmed(two_as_one):
    camps = two_as_one.duplicates.two_in_one()[0].camps
    decisions = [confirm(two_as_one, camp[0].photo, "Zoe") for camp in camps]
    assert two_as_one.duplicates.two_in_one() == ()
    two_as_one.history.undo(decisions[0].id)
    assert [two.person for two in two_as_one.duplicates.two_in_one()] == ["Zoe"]


def test_a_group_that_got_a_name_may_hold_two_people_until_a_face_of_each_is_confirmed(
    crowd, shoot
):
    """Who names a group has not looked at every face of it."""
    photos = [shoot((person, k)) for person, k in ((GRACE, 1), (GRACE, 2), (HEDY, 1), (HEDY, 2))]
    one, other = crowd.review.cluster(photos).groups
    crowd.review.name_group(replace(one, faces=one.faces + other.faces), "Zoe")
    (two,) = crowd.duplicates.two_in_one()
    assert two.person == "Zoe"
    for camp in two.camps:
        assert confirm(crowd, camp[0].photo, "Zoe").id is not None
        assert confirm(crowd, camp[0].photo, "Zoe").id is None
    assert crowd.duplicates.two_in_one() == ()


def test_the_same_picture_under_two_names_is_found_with_both_photos(crowd, shoot):
    copies = shoot((ADA, 1), salt=1), shoot((ADA, 1), salt=2)
    assert statuses(enroll(crowd, ("Copied", copies[0]), ("P1", copies[1])))[0] == "enrolled"
    pairs = {tuple(face.person for face in same.faces) for same in crowd.duplicates.same_faces()}
    assert ("Ada", "Copied") in pairs
    found = next(s for s in crowd.duplicates.same_faces() if s.faces[1].person == "Copied")
    assert [face.photo for face in found.faces] == [str(shoot((ADA, 1))), str(copies[0])]
    assert found.cosine > 0.99


def test_pictures_that_a_human_called_two_are_no_face_twice(crowd, shoot):
    copy = shoot((ADA, 1), salt=1)
    enroll(crowd, ("Ada", copy))
    (same,) = crowd.duplicates.same_faces()
    said = crowd.duplicates.not_same_photos([tuple(face.content_hash for face in same.faces)])
    assert crowd.duplicates.same_faces() == ()
    crowd.history.undo(said.id)
    assert crowd.duplicates.same_faces() == (same,)
    assert [crowd.faces.get(face.id)[1].content_hash for face in same.faces] == [
        face.content_hash for face in same.faces
    ]


def alike(gallery, name, *among):
    return [(one.person, one.apart) for one in gallery.duplicates.look_alikes(name, among)]


def test_who_looks_like_somebody_is_told_with_a_probability_nearest_first(crowd):
    first, *others = crowd.duplicates.look_alikes("Ada")
    assert (first.person, first.apart) == ("Annie", None)
    assert first.probability > 0.9
    assert len(others) >= 5
    assert all(other.probability < 0.1 for other in others)
    assert "Ada" not in {other.person for other in others}


def test_a_look_alike_is_as_probable_as_among_all_pairs_but_for_how_many_are_twice(crowd):
    """The oracle is `same_people`, which compares everybody and so knows that share."""
    with crowd.duplicates._finding() as finder:
        enrolled, judge = finder._enrolled, finder.judge()
    found = same_people(enrolled, judge, at_least=0.0)
    all_pairs = {pair.people: pair.probability for pair in found.pairs}
    ada = crowd.people.id_of("Ada")
    compared = 0
    for one in crowd.duplicates.look_alikes("Ada"):
        pair = tuple(sorted((ada, crowd.people.id_of(one.person))))
        if pair in all_pairs:
            shift = log_odds(found.share / 41) - log_odds(USUAL_SHARE / 41)
            expected = log_odds(all_pairs[pair]) - shift
            assert log_odds(one.probability) == pytest.approx(expected, abs=1e-3)
            compared += 1
    assert compared


def test_who_is_known_to_be_somebody_else_is_a_look_alike_with_the_reason(crowd, shoot):
    said = crowd.people.not_same("Ada", "Annie")
    assert alike(crowd, "Ada")[0] == ("Annie", "you said they are two people")
    crowd.history.undo(said.id)
    photo = shoot((ADA, 8), (ADA, 9))
    confirm(crowd, photo, "Ada", 1)
    confirm(crowd, photo, "Annie", 2)
    assert alike(crowd, "Annie")[0] == ("Ada", "they are together in one photo")


def test_somebody_who_is_asked_for_is_compared_though_others_are_nearer(crowd):
    near = {person for person, _ in alike(crowd, "Ada")}
    far = next(person.name for person in crowd.people.all() if person.name not in {*near, "Ada"})
    assert {person for person, _ in alike(crowd, "Ada", far)} == {*near, far}
    assert near == {person for person, _ in alike(crowd, "Ada", "Ada")}


def test_who_has_no_face_or_nobody_beside_has_no_look_alikes(fake_gallery, shoot):
    enroll(fake_gallery, ("Ada", shoot((ADA, 1))))
    assert fake_gallery.duplicates.look_alikes("Ada") == []
    enroll(fake_gallery, ("Grace", shoot((GRACE, 1))))
    assert [one.person for one in fake_gallery.duplicates.look_alikes("Ada")] == ["Grace"]
    fake_gallery.people.take_out([shoot((GRACE, 1))], "Grace")
    assert fake_gallery.duplicates.look_alikes("Ada", ["Grace"]) == []
    assert fake_gallery.duplicates.look_alikes("Grace", ["Ada"]) == []
    with pytest.raises(UnknownPerson):
        fake_gallery.duplicates.look_alikes("Hedy")


def test_look_alikes_are_judged_by_the_gallery_as_it_has_grown(fake_gallery, make_gallery, shoot):
    enroll(fake_gallery, ("Ada", shoot((ADA, 1))), ("Annie", shoot((ADA, 2))))
    (alone,) = fake_gallery.duplicates.look_alikes("Ada")
    enroll(fake_gallery, *((f"P{p}", shoot((100 + p, k))) for p in range(30) for k in (1, 2)))
    grown = fake_gallery.duplicates.look_alikes("Ada")
    assert grown == make_gallery().duplicates.look_alikes("Ada")
    assert grown[0].probability != alone.probability


def test_who_was_forgotten_looks_like_nobody(crowd):
    assert alike(crowd, "Ada")[0][0] == "Annie"
    crowd.forget("Annie")
    assert "Annie" not in repr(crowd.duplicates.look_alikes("Ada"))


def test_who_was_forgotten_is_in_no_proposal(crowd):
    crowd.duplicates.same_people()  # brings the index into memory
    crowd.forget("Annie")
    assert crowd.duplicates.same_people(0.0).people == 41
    assert "Annie" not in repr(
        (
            crowd.duplicates.same_people(0.0),
            crowd.duplicates.two_in_one(0.0),
            crowd.duplicates.same_faces(),
        )
    )


# The gallery file


def test_two_open_galleries_see_each_others_changes_at_the_next_call(trio, make_gallery, shoot):
    other = make_gallery()
    assert who(other, shoot((STRANGER, 9))) == [None]
    enroll(trio, ("Mary", shoot((STRANGER, 1))))
    assert who(other, shoot((STRANGER, 9))) == ["Mary"]
    other.forget("Mary")
    assert who(trio, shoot((STRANGER, 9))) == [None]
    trio.people.rename("Ada", "Countess")
    assert who(other, shoot((ADA, 9))) == ["Countess"]
    assert trio.upkeep.check() == other.upkeep.check() == []


def test_a_gallery_that_stays_open_answers_as_one_that_is_opened_anew(trio, make_gallery, shoot):
    probes = [shoot((number, 9)) for number in (ADA, GRACE, STRANGER)]
    list(trio.identify(probes))
    enroll(trio, ("Ada", shoot((ADA, 3))), ("Grace", shoot((GRACE, 3))))
    assert list(trio.identify(probes)) == list(make_gallery().identify(probes))


def test_someone_forgotten_while_a_photo_is_identified_is_no_trouble(
    trio, make_gallery, shoot, monkeypatch
):
    other = make_gallery()
    candidates = View.candidates

    def forgotten_meanwhile(*arguments):
        found = candidates(*arguments)
        forget_rows(other, "Ada")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(View, "candidates", forgotten_meanwhile)
        assert who(trio, shoot((ADA, 9))) == ["Ada"]  # as it was when we began to look
    assert who(trio, shoot((ADA, 9))) == [None]


def test_a_gallery_of_another_model_is_refused(trio, make_gallery, fake_model):
    other = replace(fake_model, name="other", fingerprint="0123")
    with pytest.raises(EmbeddingMismatch, match="made with the model fake"):
        make_gallery(model=other)
    execute(trio, "UPDATE template SET fingerprint = '0123' WHERE id = 1")
    assert any("another model" in problem for problem in trio.upkeep.check())


def test_a_gallery_that_cannot_be_written_still_identifies(trio, make_gallery, shoot, monkeypatch):
    trio.close()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    readable = make_gallery()
    assert who(readable, shoot((ADA, 9))) == ["Ada"]
    assert readable.upkeep.check() == []
    for write in (
        lambda: enroll(readable, ("Ada", shoot((ADA, 3)))),
        lambda: readable.forget("Ada"),
        lambda: readable.people.rename("Ada", "X"),
    ):
        with pytest.raises(GalleryError, match="cannot be written here"):
            write()


def test_check_tells_of_an_index_that_says_whose_face_wrongly(trio):
    assert trio.upkeep.check() == []
    with live_index_of(trio).reading() as view:
        view.index.upsert(np.array([1]), embedding(STRANGER, 1)[None])
    assert trio.upkeep.check() == ["1 of 6 templates are not found by the index"]
    assert trio.upkeep.rebuild() == 6
    assert trio.upkeep.check() == []


def enroll_in_process(path, photos, start):
    with Gallery(path, FakeModel()) as gallery:
        start.wait()
        list(gallery.enroll(photos))


def test_two_processes_that_enroll_the_same_photos_add_each_once(home, shoot, make_gallery):
    photos = [(f"P{p}", shoot((p, k))) for p in range(1, 30) for k in (1, 2)]
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Event()
    arguments = (home / "gallery.db", photos, start)
    processes = [spawn.Process(target=enroll_in_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    gallery = make_gallery()
    assert gallery.upkeep.info()["template"] == len(photos)
    assert gallery.upkeep.check() == []


# Export and import


def test_an_export_imported_elsewhere_gives_the_same_answers(trio, home, fake_model, shoot):
    trio.upkeep.export(home / "export.db")
    imported = import_gallery(home / "export.db", home / "other" / "gallery.db", fake_model)
    with imported:
        probes = [shoot((p, 9)) for p in (ADA, GRACE, HEDY, STRANGER)]
        assert list(imported.identify(probes)) == list(trio.identify(probes))
        assert imported.people.all() == trio.people.all()
        assert imported.upkeep.info()["generation"] != trio.upkeep.info()["generation"]
        assert imported.upkeep.check() == []


def test_export_and_import_refuse_to_overwrite(trio, home, fake_model):
    (home / "mine.txt").write_text("mine")
    with pytest.raises(GalleryError, match="there already"):
        trio.upkeep.export(home / "mine.txt")
    trio.upkeep.export(home / "export.db")
    with pytest.raises(GalleryError, match="there already"):
        import_gallery(home / "export.db", home, fake_model)
    assert (home / "mine.txt").read_text() == "mine"


def damage_export(path):
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        damage_export,
        lambda path: path.write_text("not a gallery at all"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["damaged", "a text", "missing", "a folder"],
)
def test_a_bad_import_leaves_nothing_behind(trio, home, tmp_path, fake_model, spoil):
    trio.upkeep.export(home / "export.db")
    spoil(home / "export.db")
    with pytest.raises(GalleryError):
        import_gallery(home / "export.db", tmp_path / "new" / "gallery.db", fake_model)
    assert not (tmp_path / "new").exists()


def test_an_export_of_another_model_is_not_imported(trio, home, tmp_path, fake_model):
    trio.upkeep.export(home / "export.db")
    with pytest.raises(EmbeddingMismatch):
        import_gallery(
            home / "export.db", tmp_path / "new", replace(fake_model, fingerprint="0123")
        )
    assert not (tmp_path / "new").exists()


def test_an_import_does_not_change_the_exported_file(trio, home, tmp_path, fake_model):
    trio.upkeep.export(home / "export.db")
    before = (home / "export.db").read_bytes()
    import_gallery(home / "export.db", tmp_path / "new", fake_model).close()
    assert (home / "export.db").read_bytes() == before
    assert not list(home.glob("export.db-*"))


# The index is a cache


@pytest.fixture
def filed(make_gallery, shoot, monkeypatch):
    """A gallery of 20 people that keeps an index file, one picture each; closed."""
    monkeypatch.setattr(live_index, "INDEX_FILE_FROM", 5)
    gallery = make_gallery()
    enroll(gallery, *((f"P{p}", shoot((p, 1))) for p in range(1, 21)))
    assert gallery.upkeep.rebuild() == 20
    gallery.close()
    return gallery.path


def index_files(path):
    return sorted(path.with_name(path.name + "-index").iterdir())


def assert_right(gallery, shoot, people=range(1, 21)):
    """Every enrolled face is at rank 1, no stranger gets a name, and the gallery is sound."""
    (*found, stranger) = gallery.identify([*(shoot((p, 9)) for p in people), shoot((99, 9))])
    assert [photo.faces[0].candidates[0].person for photo in found] == [f"P{p}" for p in people]
    assert stranger.faces[0].person is None
    assert gallery.upkeep.check() == []


def test_a_sound_index_file_is_used(filed, make_gallery, shoot, monkeypatch):
    (file,) = index_files(filed)
    monkeypatch.setattr(
        "facesearch.storage.templates.Templates.all", None
    )  # only a rebuild reads all
    gallery = make_gallery()
    with store_of(gallery).snapshot():
        assert len(live_index_of(gallery)._load().index) == 20
    assert index_files(filed) == [file]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-700] + bytes([content[-700] ^ 4]) + content[-699:],
        lambda content: bytes(len(content)),
        lambda content: b"",
    ],
    ids=["truncated", "flipped", "zeroed", "empty"],
)
def test_a_spoilt_index_file_is_made_anew(filed, make_gallery, shoot, spoil, caplog):
    (file,) = index_files(filed)
    file.write_bytes(spoil(file.read_bytes()))
    assert_right(make_gallery(), shoot)
    assert "deleted and not used" in caplog.text
    assert [f.stat().st_size > 1000 for f in index_files(filed)] == [True]


def test_an_older_index_file_is_brought_up_to_date(filed, make_gallery, shoot, monkeypatch):
    (file,) = index_files(filed)
    older = file.read_bytes()
    gallery = make_gallery()
    enroll(gallery, ("P21", shoot((21, 1))))
    gallery.forget("P3")
    gallery.close()
    for other in index_files(filed):
        other.unlink()
    file.write_bytes(older)
    assert_right(make_gallery(), shoot, [p for p in range(1, 22) if p != 3])


def test_an_index_file_is_renewed_once_a_tenth_of_the_gallery_is_newer(filed, make_gallery, shoot):
    (first,) = index_files(filed)
    gallery = make_gallery()
    enroll(gallery, ("P21", shoot((21, 1))))
    who(gallery, shoot((1, 9)))
    assert index_files(filed) == [first]
    enroll(gallery, *((f"P{p}", shoot((p, 1))) for p in (22, 23)))
    who(gallery, shoot((1, 9)))
    (second,) = index_files(filed)
    assert second != first


def restore(copy, path):
    """Do what people do: put an older copy of the file in the gallery's place."""
    path.write_bytes(copy)


@pytest.mark.parametrize("again", [0, 5, 12], ids=["fewer", "as many", "more"])
def test_index_ahead_of_its_database_is_never_used_mem0_7117(filed, make_gallery, shoot, again):
    """A copy of the database comes back, the index file of the lost faces stays.

    What is enrolled then takes the numbers of what was lost.
    """
    copy = filed.read_bytes()
    gallery = make_gallery()
    enroll(gallery, *((f"Lost{p}", shoot((p, 1))) for p in range(31, 36)))
    who(gallery, shoot((1, 9)))
    (ahead,) = index_files(filed)
    assert "-25-" in ahead.name
    gallery.close()
    restore(copy, filed)
    gallery = make_gallery()
    newer = [(f"P{p}", shoot((p, 1))) for p in range(21, 21 + again)]
    assert statuses(enroll(gallery, *newer)) == ["enrolled"] * again
    gallery.close()
    assert_right(make_gallery(), shoot, range(1, 21 + again))


def test_an_open_gallery_notices_that_its_file_was_restored(filed, make_gallery, shoot):
    gallery = make_gallery()
    enroll(gallery, ("Lost", shoot((31, 1))))
    assert who(gallery, shoot((31, 9))) == ["Lost"]
    # the same as a restore by SQLite's own means: the change is gone, its number is used again
    run_script(
        gallery,
        "PRAGMA foreign_keys = OFF; DELETE FROM template WHERE id = 21;"
        "DELETE FROM face WHERE id = 21;"
        "DELETE FROM photo WHERE id = 21; DELETE FROM person WHERE id = 21;"
        "DELETE FROM decision WHERE id = 21; DELETE FROM change WHERE seq > 20;"
        "UPDATE sqlite_sequence SET seq = 20;",
    )
    with make_gallery() as other:
        enroll(other, ("P21", shoot((21, 1))))
    assert who(gallery, shoot((31, 9))) == [None]
    assert_right(gallery, shoot, range(1, 22))


def test_an_index_file_of_another_gallery_is_not_used(filed, home, make_gallery, shoot):
    other = make_gallery(home / "other.db")
    enroll(other, *((f"P{p}", shoot((p, 1))) for p in range(20, 0, -1)))
    other.upkeep.rebuild()
    (foreign,) = index_files(other.path)
    (own,) = index_files(filed)
    own.unlink()
    foreign.rename(own.with_name(foreign.name))
    assert_right(make_gallery(), shoot)
    assert index_files(filed)[0].name != foreign.name


def test_an_index_file_under_anothers_name_is_not_used(filed, home, make_gallery, shoot):
    other = make_gallery(home / "other.db")
    enroll(other, *((f"P{p}", shoot((p, 1))) for p in range(20, 0, -1)))
    other.upkeep.rebuild()
    (own,) = index_files(filed)
    own.write_bytes(index_files(other.path)[0].read_bytes())
    assert_right(make_gallery(), shoot)


def test_an_index_file_from_before_an_export_came_back_is_not_used(
    filed, make_gallery, shoot, home
):
    with make_gallery() as gallery:
        gallery.upkeep.export(home / "export.db")
        gallery.forget("P1")
        enroll(gallery, ("P1", shoot((50, 1))))
        gallery.upkeep.rebuild()
    restore((home / "export.db").read_bytes(), filed)
    assert_right(make_gallery(), shoot)


def test_what_is_not_stored_after_all_is_in_no_index(filed, make_gallery, shoot, monkeypatch):
    gallery = make_gallery()
    decisions = store_of(gallery).decisions
    append = decisions.append

    def full(*arguments, **options):
        append(*arguments, **options)
        raise GalleryError("the disk is full")

    who(gallery, shoot((1, 9)))
    monkeypatch.setattr(decisions, "append", full)
    with pytest.raises(GalleryError):
        enroll(gallery, ("Mallory", shoot((50, 1))))
    monkeypatch.setattr(decisions, "append", append)
    assert_right(gallery, shoot)


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "tempfile.mkstemp"])
def test_an_index_that_cannot_be_saved_costs_no_answer(
    filed, make_gallery, shoot, call, monkeypatch
):
    index_files(filed)[0].unlink()
    monkeypatch.setattr(call, lambda *_, **__: (_ for _ in ()).throw(OSError(28, "no space")))
    assert_right(make_gallery(), shoot)
    assert index_files(filed) == []


SAVE_AND_DIE = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from fake_model import FakeModel
import facesearch.gallery.live_index, facesearch_indexes.files
facesearch.gallery.live_index.INDEX_FILE_FROM = 5
left = {fault}
def dying(call):
    def dies(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*arguments, **options)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return dies
os.fsync, Path.replace, Path.unlink = dying(os.fsync), dying(Path.replace), dying(Path.unlink)
gallery = facesearch.gallery.Gallery(Path({path!r}), FakeModel())
gallery.{action}
print("done")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot be killed like that")
@pytest.mark.parametrize("action", ["upkeep.rebuild()", "forget('P20')"])
def test_killed_at_every_fsync_rename_and_deletion_everyone_is_still_found(
    filed, make_gallery, shoot, action
):
    for fault in range(1, 20):
        code = SAVE_AND_DIE.format(
            tests=str(Path(__file__).parent), fault=fault, path=str(filed), action=action
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        with make_gallery() as gallery:
            gone = done.returncode == 0 or action.startswith("forget")
            people = range(1, 20) if gone and "forget" in action else range(1, 21)
            assert_right(gallery, shoot, people)
            if "forget" in action:
                enroll(gallery, ("P20", shoot((20, 1))))
            gallery.upkeep.rebuild()
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert fault > 2


def test_the_index_file_is_private(filed):
    assert filed.with_name(filed.name + "-index").stat().st_mode & 0o77 == 0


# The real model


def test_real_portraits_are_told_apart(home, request):
    pytest.importorskip("skimage", reason="scikit-image carries a portrait")
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib carries a portrait")
    import skimage

    collins = Path(skimage.__file__).parent / "data" / "astronaut.png"
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    from PIL import Image, ImageEnhance

    darker = home.parent / "darker.png"
    ImageEnhance.Brightness(Image.open(collins).convert("RGB")).enhance(0.6).save(darker)
    with Gallery(home) as gallery:
        done = enroll(gallery, ("Eileen Collins", collins))
        assert statuses(done) == ["enrolled"]
        assert who(gallery, hopper) == [None]
        assert statuses(enroll(gallery, ("Grace Hopper", hopper))) == ["enrolled"]
        assert who(gallery, darker) == ["Eileen Collins"]
        assert who(gallery, hopper) == ["Grace Hopper"]
        assert gallery.upkeep.check() == []
        gallery.forget("Eileen Collins")
        assert who(gallery, darker) == [None]
