"""Names of people: which are valid, and which spellings are one name."""

import unicodedata

import pytest
from deciding import confirm
from gallery_rows import execute
from gallery_steps import ADA, enroll, folded_slowly, statuses, who
from hypothesis import given, settings
from hypothesis import strategies as st

from facesearch.errors import UnknownPerson
from facesearch.names import folded, new_person_name


@settings(max_examples=300)
@given(st.text())
def test_a_folded_name_has_no_case_no_accents_and_no_spaces(name):
    assert folded(name) == folded_slowly(name)


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("Jürgen Müller", "JURGEN  MULLER", True),
        ("Jürgen", "Ju\u0308rgen", True),
        ("Straße", "STRASSE", True),
        ("Anna Maria", "Annamaria", True),
        ("\u0130pek", "ipek", True),
        ("が", "か", False),
        ("ハ\u3099", "バ", True),
        ("\uff21\uff4e\uff4e", "ann", True),
        ("\u05d3\u05b8\u05df", "\u05d3\u05df", True),
        ("Jan", "Jana", False),
    ],
)
def test_names_that_differ_in_case_accents_or_spaces_fold_to_one(a, b, equal):
    assert (folded(a) == folded(b)) is equal


def test_composed_and_decomposed_spellings_are_one_name_and_outer_spaces_do_not_count(
    fake_gallery, shoot
):
    written = [unicodedata.normalize(form, " Zoë Müller\t".strip("\t")) for form in ("NFC", "NFD")]
    done = enroll(fake_gallery, *((n, shoot((ADA, k))) for k, n in enumerate(written, 1)))
    assert statuses(done) == ["enrolled"] * 2
    assert [(p.name, p.photos) for p in fake_gallery.people.all()] == [("Zoë Müller", 2)]
    assert len(fake_gallery.people.faces_of("  " + written[1])) == 2


@pytest.mark.parametrize("name", ["", "  ", "A\nB", "A\0", "caf\udce9"])
def test_a_name_that_cannot_be_displayed_is_refused(fake_gallery, shoot, name):
    with pytest.raises(ValueError, match="is not a valid person name"):
        enroll(fake_gallery, (name, shoot((ADA, 1))))


@pytest.mark.parametrize(
    "name", ["Ann\u202eeeL", "Ann\u200b", "\u200d", "A\u2028B", "Ann\ufeff", "a" * 201, "\u2066Ann"]
)
def test_a_new_name_with_letters_nobody_can_see_is_refused(fake_gallery, shoot, name):
    with pytest.raises(ValueError, match=r"is not a valid person name|at most 200 letters"):
        enroll(fake_gallery, (name, shoot((ADA, 1))))
    enroll(fake_gallery, ("Ada", shoot((ADA, 1))))
    with pytest.raises(ValueError, match=r"is not a valid person name|at most 200 letters"):
        fake_gallery.people.rename("Ada", name)
    with pytest.raises(ValueError, match=r"is not a valid person name|at most 200 letters"):
        confirm(fake_gallery, shoot((ADA, 2)), name, new=True)
    assert [p.name for p in fake_gallery.people.all()] == ["Ada"]


@pytest.mark.parametrize(
    "name", ["نیما\u200cجان", "\U0001f469\u200d\U0001f52c Ann", "José", "李小龍"]
)
def test_a_name_written_with_joiners_is_a_name(name):
    assert new_person_name(name) == name


def test_somebody_enrolled_under_an_unseen_letter_can_still_be_shown_renamed_and_forgotten(
    fake_gallery, shoot
):
    enroll(fake_gallery, ("Ada", shoot((ADA, 1))))
    person = fake_gallery.people.id_of("Ada")
    execute(fake_gallery, "UPDATE person SET name = ? WHERE id = ?", ("Ad\u200ba", person))
    enroll(fake_gallery, ("Ad\u200ba", shoot((ADA, 2))))
    assert len(fake_gallery.people.faces_of("Ad\u200ba")) == 2
    fake_gallery.people.rename("Ad\u200ba", "Ada")
    fake_gallery.forget("Ada")


def test_names_are_never_interpreted_as_sql(fake_gallery, shoot):
    names = ["'; DROP TABLE person; --", 'Robert"); DELETE FROM face', "%", "a" * 200, "(?)", "🙂"]
    enroll(fake_gallery, *((name, shoot((k + 1, 1))) for k, name in enumerate(names)))
    for k, name in enumerate(names):
        assert who(fake_gallery, shoot((k + 1, 2))) == [name]
    fake_gallery.people.rename("%", "'' OR 1=1")
    fake_gallery.forget(names[0])
    assert len(fake_gallery.people.all()) == len(names) - 1
    assert fake_gallery.upkeep.check() == []


def test_an_unknown_name_suggests_a_nearly_equal_one(trio, shoot):
    trio.people.rename("Ada", "Adá Lovelace")
    with pytest.raises(UnknownPerson, match=r"nobody called ada lovelace .*; is it Adá Lovelace\?"):
        confirm(trio, shoot((ADA, 9)), "ada lovelace")
    with pytest.raises(UnknownPerson, match=r"enrolled in [^;]*$"):
        trio.people.faces_of("Mallory")
