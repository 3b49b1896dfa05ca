"""People enrolled twice, names that hold two people, pictures enrolled twice, look-alikes."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from deciding import confirm, reject
from fake_model import FakeModel, save_photo
from gallery_steps import ADA, GRACE, HEDY, assert_undone, enroll, rows, statuses

from facesearch import Gallery
from facesearch.duplicates.judge import USUAL_SHARE, log_odds
from facesearch.duplicates.same_person import same_people
from facesearch.errors import Refused, UnknownPerson


@pytest.fixture(scope="module")
def _crowd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crowd")
    faces = [(f"P{p}", (100 + p, k)) for p in range(1, 41) for k in (1, 2, 3)]
    faces += [("Ada" if k < 3 else "Annie", (ADA, k)) for k in (1, 2, 3, 4, 5)]
    pairs = [(who, save_photo(folder / f"{n}-{k}_0.png", (n, k))) for who, (n, k) in faces]
    with Gallery(folder / "gallery.db", FakeModel()) as gallery:
        assert statuses(enroll(gallery, *pairs)) == ["enrolled"] * 125
    return folder / "gallery.db"


@pytest.fixture
def crowd(_crowd, home, make_gallery):
    """A gallery of P1 to P40, three pictures each, and of one woman as both Ada and Annie."""
    shutil.copy(_crowd, home / "gallery.db")
    return make_gallery()


def proposed(gallery, **options):
    """Return the proposed merges as (kept name, other names)."""
    return [
        (group.keep, group.others) for group in gallery.duplicates.same_people(**options).groups
    ]


def file_names(camp):
    return {Path(face.photo).name for face in camp}


def test_two_names_of_one_person_are_proposed_and_their_merge_is_one_undo(crowd):
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


def test_if_two_names_have_equally_many_photos_the_first_enrolled_is_kept(crowd, shoot):
    enroll(crowd, ("Ada", shoot((ADA, 6))))
    assert proposed(crowd) == [("Ada", ("Annie",))]


def test_a_proposed_merge_affects_no_third_person_immich_6374(crowd):
    """immich #6374: a merge included a third person and hid them."""
    others = {row.name: row for row in crowd.people.all() if row.name.startswith("P")}
    crowd.people.merge_all((g.others, g.keep) for g in crowd.duplicates.same_people().groups)
    left = {row.name: row for row in crowd.people.all()}
    assert left.keys() == {*others, "Annie"}
    assert all(left[name] == row for name, row in others.items())
    assert left["Annie"].photos == 5


def test_people_called_not_the_same_are_never_proposed_even_after_a_merge_with_a_third(
    crowd, shoot
):
    """immich #8956, photoprism #3654: a human's decision has to be permanent."""
    crowd.people.not_same("Ada", "Annie")
    assert proposed(crowd, at_least=0.01) == []
    enroll(crowd, ("Third", shoot((ADA, 7))), ("Third", shoot((ADA, 8))))
    for pair in crowd.duplicates.same_people().pairs:
        assert set(pair.people) != {"Ada", "Annie"}
    crowd.people.merge(["Ada"], into="Third")
    assert proposed(crowd, at_least=0.01) == []
    assert crowd.duplicates.same_people().pairs == ()


def test_a_merge_that_a_rejection_forbids_is_not_proposed(crowd, shoot):
    """One such pair would cause all merges of the same decision to be refused."""
    photo = shoot((ADA, 1))
    reject(crowd, photo, "Annie")
    assert proposed(crowd) == []


def test_names_that_differ_only_in_case_are_a_pair_but_not_a_group(crowd):
    crowd.people.rename("P2", "p  1")
    (pair,) = [pair for pair in crowd.duplicates.same_people().pairs if pair.same_name]
    assert pair.people == ("P1", "p  1")
    assert not pair.grouped
    assert proposed(crowd) == [("Annie", ("Ada",))]


def test_a_gallery_of_no_or_one_person_has_no_duplicates(fake_gallery, shoot):
    for people in (0, 1):
        found = fake_gallery.duplicates.same_people()
        assert (found.pairs, found.groups, found.people) == ((), (), people)
        assert fake_gallery.duplicates.two_in_one() == ()
        assert fake_gallery.duplicates.same_faces() == ()
        enroll(fake_gallery, ("Ada", shoot((ADA, 1))))


# Names that hold two people


@pytest.fixture
def two_as_one(crowd, shoot):
    """The crowd and Zoe, whose name holds three pictures of Grace and two of Hedy."""
    pairs = [("Zoe", shoot((GRACE, k))) for k in (1, 2, 3)]
    pairs += [("Zoe", shoot((HEDY, k))) for k in (1, 2)]
    assert statuses(enroll(crowd, *pairs)) == ["enrolled"] * 5
    return crowd


def test_both_camps_of_a_name_that_holds_two_people_are_reported(two_as_one):
    (two,) = two_as_one.duplicates.two_in_one()
    assert two.person == "Zoe"
    assert two.probability > 0.9
    larger, smaller = two.camps
    assert file_names(larger) == {"20-1_0.png", "20-2_0.png", "20-3_0.png"}
    assert file_names(smaller) == {"30-1_0.png", "30-2_0.png"}
    two_as_one.people.split("Zoe", [face.photo for face in smaller], "Hedy")
    assert two_as_one.duplicates.two_in_one() == ()
    assert ("Zoe", "Hedy") not in {p.people for p in two_as_one.duplicates.same_people(0.0).pairs}


@pytest.mark.slow
def test_a_name_whose_camps_a_human_merged_is_not_reported(two_as_one):
    (two,) = two_as_one.duplicates.two_in_one()
    split = two_as_one.people.split("Zoe", [face.photo for face in two.camps[1]], "Hedy")
    merge = two_as_one.people.merge(["Hedy"], into="Zoe")
    assert two_as_one.duplicates.two_in_one() == ()
    two_as_one.history.undo(merge.id)
    two_as_one.history.undo(split.id)
    assert two_as_one.duplicates.two_in_one() == (two,)


def test_a_name_is_not_reported_if_a_human_gave_it_a_face_of_each_camp(two_as_one, shoot):
    larger, smaller = two_as_one.duplicates.two_in_one()[0].camps
    decisions = []
    for camp in (larger, smaller):
        photo = camp[0].photo
        two_as_one.people.move([photo], "Zoe", "P1")
        decisions.append(confirm(two_as_one, photo, "Zoe"))
    assert two_as_one.duplicates.two_in_one() == ()
    two_as_one.history.undo(decisions[1].id)
    assert "Zoe" in {two.person for two in two_as_one.duplicates.two_in_one()}


def test_a_name_is_not_reported_once_a_face_of_each_camp_is_confirmed(two_as_one):
    camps = two_as_one.duplicates.two_in_one()[0].camps
    decisions = [confirm(two_as_one, camp[0].photo, "Zoe") for camp in camps]
    assert two_as_one.duplicates.two_in_one() == ()
    two_as_one.history.undo(decisions[0].id)
    assert [two.person for two in two_as_one.duplicates.two_in_one()] == ["Zoe"]


def test_a_named_group_is_reported_until_a_face_of_each_camp_is_confirmed(crowd, shoot):
    """A human who names a group has not looked at each of its faces."""
    photos = [shoot((person, k)) for person, k in ((GRACE, 1), (GRACE, 2), (HEDY, 1), (HEDY, 2))]
    one, other = crowd.review.cluster(photos).groups
    crowd.review.name_group(replace(one, faces=one.faces + other.faces), "Zoe")
    (two,) = crowd.duplicates.two_in_one()
    assert two.person == "Zoe"
    for camp in two.camps:
        assert confirm(crowd, camp[0].photo, "Zoe").id is not None
        assert confirm(crowd, camp[0].photo, "Zoe").id is None
    assert crowd.duplicates.two_in_one() == ()


# Pictures enrolled twice


def test_the_same_picture_under_two_names_is_found_with_both_photos(crowd, shoot):
    copies = shoot((ADA, 1), salt=1), shoot((ADA, 1), salt=2)
    assert statuses(enroll(crowd, ("Copied", copies[0]), ("P1", copies[1])))[0] == "enrolled"
    pairs = {tuple(face.person for face in same.faces) for same in crowd.duplicates.same_faces()}
    assert ("Ada", "Copied") in pairs
    found = next(s for s in crowd.duplicates.same_faces() if s.faces[1].person == "Copied")
    assert [Path(face.photo).name for face in found.faces] == ["10-1_0.png", copies[0].name]
    assert found.cosine > 0.99


def test_pictures_that_a_human_called_different_are_not_reported(crowd, shoot):
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


def test_pairs_of_different_photos_are_remembered(trio):
    before = rows(trio)
    decision = trio.duplicates.not_same_photos([("b", "a"), ("a", "b"), ("c", "d")])
    assert decision.summary == "said of 2 pairs of photos that they are not one picture"
    assert trio.duplicates.different_photos() == {frozenset("ab"), frozenset("cd")}
    assert trio.duplicates.not_same_photos([("a", "b")]).id is None
    with pytest.raises(Refused, match="the same as itself"):
        trio.duplicates.not_same_photos([("a", "a")])
    assert_undone(trio, before, decision)


# Look-alikes of one person


def alike(gallery, name, *among):
    return [(one.person, one.apart) for one in gallery.duplicates.look_alikes(name, among)]


def test_look_alikes_are_listed_with_probabilities_nearest_first(crowd):
    first, *others = crowd.duplicates.look_alikes("Ada")
    assert (first.person, first.apart) == ("Annie", None)
    assert first.probability > 0.9
    assert len(others) >= 5
    assert all(other.probability < 0.1 for other in others)
    assert "Ada" not in {other.person for other in others}


def test_look_alike_probabilities_match_those_of_all_pairs_but_for_the_share_of_duplicates(crowd):
    """The oracle is `same_people`, which compares all pairs and so measures that share."""
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


@pytest.mark.slow
def test_a_look_alike_known_to_be_another_person_is_listed_with_the_reason(crowd, shoot):
    said = crowd.people.not_same("Ada", "Annie")
    assert alike(crowd, "Ada")[0] == ("Annie", "you said they are two people")
    crowd.history.undo(said.id)
    photo = shoot((ADA, 8), (ADA, 9))
    confirm(crowd, photo, "Ada", 1)
    confirm(crowd, photo, "Annie", 2)
    assert alike(crowd, "Annie")[0] == ("Ada", "they are together in one photo")


@pytest.mark.slow
def test_a_requested_person_is_compared_even_if_others_are_nearer(crowd):
    near = {person for person, _ in alike(crowd, "Ada")}
    far = next(person.name for person in crowd.people.all() if person.name not in {*near, "Ada"})
    assert {person for person, _ in alike(crowd, "Ada", far)} == {*near, far}
    assert near == {person for person, _ in alike(crowd, "Ada", "Ada")}


def test_a_person_without_faces_or_alone_in_the_gallery_has_no_look_alikes(fake_gallery, shoot):
    enroll(fake_gallery, ("Ada", shoot((ADA, 1))))
    assert fake_gallery.duplicates.look_alikes("Ada") == []
    enroll(fake_gallery, ("Grace", shoot((GRACE, 1))))
    assert [one.person for one in fake_gallery.duplicates.look_alikes("Ada")] == ["Grace"]
    fake_gallery.people.take_out([shoot((GRACE, 1))], "Grace")
    assert fake_gallery.duplicates.look_alikes("Ada", ["Grace"]) == []
    assert fake_gallery.duplicates.look_alikes("Grace", ["Ada"]) == []
    with pytest.raises(UnknownPerson):
        fake_gallery.duplicates.look_alikes("Hedy")


def test_look_alikes_are_judged_again_once_the_gallery_has_grown(fake_gallery, make_gallery, shoot):
    enroll(fake_gallery, ("Ada", shoot((ADA, 1))), ("Annie", shoot((ADA, 2))))
    (alone,) = fake_gallery.duplicates.look_alikes("Ada")
    enroll(fake_gallery, *((f"P{p}", shoot((100 + p, k))) for p in range(30) for k in (1, 2)))
    grown = fake_gallery.duplicates.look_alikes("Ada")
    assert grown == make_gallery().duplicates.look_alikes("Ada")
    assert grown[0].probability != alone.probability


@pytest.mark.slow
def test_a_forgotten_person_is_not_a_look_alike(crowd):
    assert alike(crowd, "Ada")[0][0] == "Annie"
    crowd.forget("Annie")
    assert "Annie" not in repr(crowd.duplicates.look_alikes("Ada"))


@pytest.mark.slow
def test_a_forgotten_person_is_in_no_proposal(crowd):
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
