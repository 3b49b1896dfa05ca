"""Names of people: which are valid, and which spellings are one name."""

import unicodedata

import pytest
from deciding import confirm
from gallery_steps import ADA, enroll, folded_slowly, statuses, who
from hypothesis import given, settings
from hypothesis import strategies as st

from facesearch.errors import UnknownPerson
from facesearch.gallery import folded


@settings(max_examples=300)
@given(st.text())
def test_a_folded_name_has_no_case_no_accents_and_no_spaces(name):
    assert folded(name) == folded_slowly(name)


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


def test_names_are_never_interpreted_as_sql(fake_gallery, shoot):
    names = ["'; DROP TABLE person; --", 'Robert"); DELETE FROM face', "%", "a" * 5000, "(?)", "🙂"]
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
