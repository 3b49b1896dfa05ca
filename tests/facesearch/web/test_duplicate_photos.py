"""Duplicate photos: found, moved to the trash and back by the requests of the page."""

import re
import shutil

import pytest
from duplicates_steps import card, searched, text, undo
from PIL import Image


@pytest.fixture
def photos(portraits, tmp_path):
    """Three photos of Eileen, in two sizes and in gray, and two identical files of Grace."""
    folder = tmp_path / "album"
    folder.mkdir()
    eileen = Image.open(portraits.eileen).convert("RGB")
    eileen.save(folder / "eileen.png")
    eileen.resize((300, 300)).save(folder / "eileen small.png")
    eileen.convert("L").save(folder / "eileen grey.png")
    shutil.copy(portraits.grace, folder / "grace.jpg")
    shutil.copy(portraits.grace, folder / "grace again.jpg")
    return folder


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def named(card):
    """Return the places of the photos on a card, by the names of their files."""
    stays, *gone = re.findall(r'class="quiet path">[^<]*/([^<]*)</p>', card.html)
    return stays, {name: place for place, name in enumerate(gone, 1)}


def test_duplicate_photos_are_moved_to_the_command_lines_trash_and_back(
    start_site, photos, tmp_path
):
    site = searched(start_site(photos, "--gallery", tmp_path / "home.db"))
    assert "5 photos checked. 2 pictures exist twice or more" in text(site, "/duplicates?of=photos")
    shown = card(site, "photos")
    stays, gone = named(shown)
    assert (stays, set(gone)) == ("eileen.png", {"eileen grey.png", "eileen small.png"})
    assert "it is the largest file" in shown.html
    for number in (1, 3):
        picture = f"/duplicates/cards/{shown.number}/photos/{number}/picture"
        assert site.ask("GET", picture)[1]["content-type"] == "image/jpeg"
    text(site, f"/duplicates/cards/{shown.number}/photos/4/picture", 404)

    before = files(photos)
    assert shown.decide("same")[0] == 404  # copies of photos are moved instead
    assert shown.decide("move", photos=[])[0] == 400
    assert shown.decide("move", photos=["x"])[0] == 400
    assert shown.decide("move", photos=[7])[0] == 409
    status, moved = shown.decide("move", photos=[gone["eileen grey.png"]])
    trash = photos / "facesearch-trash"
    assert (status, moved["said"].startswith(f"Moved 1 photo to {trash}")) == (200, True)
    assert files(photos) == [name for name in before if name != "eileen grey.png"]
    assert named(card(site, "photos"))[0].startswith("grace")
    status, back = site.tell("/duplicates/trash/move-back", operation=moved["operation"])
    assert (status, back["said"]) == (200, "Moved 1 photo back.")
    assert files(photos) == before
    assert named(card(site, "photos")) == (stays, gone)
    assert site.tell("/duplicates/trash/move-back", operation=9)[0] == 409
    assert site.tell("/duplicates/trash/move-back", operation="../..")[0] == 400
    assert site.tell("/duplicates/trash/move-back")[0] == 409  # nothing else was moved


def test_all_sure_duplicates_are_moved_at_once_and_back_by_a_later_run(open_app, photos, tmp_path):
    before = files(photos)
    site = searched(open_app(tmp_path / "home.db", folders=[photos]))
    assert "Move all 3 sure duplicates" in text(site, "/duplicates?of=photos")
    status, moved = site.tell("/duplicates/trash/move-all")
    assert (status, moved["said"].startswith("Moved 3 photos")) == (200, True)
    assert len(files(photos)) == 2
    assert "All are decided." in card(site, "photos").html

    later = searched(open_app(tmp_path / "home.db", folders=[photos]))
    assert "Undo the last move" in text(later, "/duplicates?of=photos")
    assert later.tell("/duplicates/trash/move-back")[0] == 200
    assert files(photos) == before


def test_photos_that_are_not_the_same_are_not_grouped_again(open_app, photos, tmp_path):
    site = searched(open_app(tmp_path / "home.db", folders=[photos]))
    shown = card(site, "photos")
    status, said = shown.decide("not-same")
    assert (status, "not one picture" in said["said"]) == (200, True)
    searched(site)
    assert named(card(site, "photos"))[0] != "eileen.png"
    undo(site, said)
    searched(site)
    assert named(card(site, "photos"))[0] == "eileen.png"
    same_bytes = card(site, "photos", card(site, "photos").number)
    assert same_bytes.decide("not-same")[0] == 409  # identical bytes are one picture


def test_a_photo_that_changed_since_it_was_found_is_not_moved(open_app, photos, tmp_path):
    site = searched(open_app(tmp_path / "home.db", folders=[photos]))
    shown = card(site, "photos")
    Image.new("RGB", (9, 9)).save(photos / "eileen small.png")
    status, moved = shown.decide("move", photos=list(named(shown)[1].values()))
    assert status == 200
    assert re.search(
        r"Moved 1 photo to .*Not moved: .*eileen small.png: it has changed", moved["said"]
    )
    assert (photos / "eileen small.png").exists()


def test_an_interrupted_move_is_reported_and_can_be_finished(open_app, photos, tmp_path):
    site = searched(open_app(tmp_path / "home.db", folders=[photos]))
    assert site.tell("/duplicates/trash/move-all")[0] == 200
    (folder,) = (photos / "facesearch-trash").iterdir()
    (folder / "moved").unlink()  # as if it had been killed before the end
    plan = (folder / "facesearch-plan.jsonl").read_text().splitlines()
    gone = next(path for path in folder.iterdir() if path.name.endswith("eileen grey.png"))
    gone.rename(photos / "eileen grey.png")
    assert len(plan) == 4
    html = text(site, "/duplicates?of=photos")
    assert "Moving 3 photos was interrupted" in html
    status, finished = site.tell("/duplicates/trash/finish")
    assert (status, finished["said"]) == (200, "Finished: 3 photos moved.")
    assert not (photos / "eileen grey.png").exists()
    assert "interrupted" not in text(site, "/duplicates?of=photos")


def test_a_missing_folder_is_reported_and_the_page_keeps_working(open_app, photos, tmp_path):
    site = open_app(tmp_path / "home.db", folders=[photos])
    shutil.rmtree(photos)
    searched(site)
    assert "cannot read" in text(site, "/duplicates")
    assert text(site, "/people")
