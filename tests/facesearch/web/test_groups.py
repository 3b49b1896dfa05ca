"""People without a name in the photos named on the command line: found, named, undone."""

import re
import time
from contextlib import closing

from facesearch import Gallery


def found(site):
    """Return the groups page once the groups are found."""
    while b'"found":false' in site.ask("GET", "/groups/progress")[2]:
        time.sleep(0.2)
    return text(site, "/groups")


def text(site, path, expected=200):
    status, _, body = site.ask("GET", path)
    assert status == expected
    return body.decode()


def test_a_group_is_shown_named_as_one_and_shown_again_after_undo(open_app, album, tmp_path):
    (album / "text.jpg").write_text("no photo")
    site = open_app(tmp_path / "home.db", photos=album.iterdir())
    assert text(site, "/people")  # while the photos are looked at
    html = found(site)
    assert "1 person without a name in 4 photos. 1 face appears only once" in html
    assert "1 file could not be read" in html
    assert "text.jpg" in html
    assert str(album) not in html
    pictures = re.findall(r'src="(/groups/\d+/faces/\d+/picture)"', html)
    assert len(pictures) == 3
    for picture in pictures:
        assert site.ask("GET", picture)[1]["content-type"] == "image/jpeg"
    (group,) = re.findall(r'data-group="(\d+)"', html)
    text(site, f"/groups/{group}/faces/4/picture", 404)
    text(site, "/groups/99/faces/1/picture", 404)

    (album / "grey.png").write_bytes(b"a file that has changed")
    assert site.tell("/groups/99/name", name="Grace")[0] == 404
    assert site.tell(f"/groups/{group}/name", name="\a")[0] == 400
    status, named = site.tell(f"/groups/{group}/name", name="Grace Hopper")
    assert (status, named["said"]) == (200, "Said that 2 faces are Grace Hopper.")
    assert named["left_out"] == 1
    assert "data-group" not in text(site, "/groups")
    assert site.tell(f"/groups/{group}/name", name="Grace Hopper")[0] == 404
    with closing(Gallery(tmp_path / "home.db")) as gallery:
        assert len(gallery.people.faces_of("Grace Hopper")) == 2
    assert not (tmp_path / "home.db-photos").exists()  # the album keeps them

    assert site.tell("/undo", number=named["undo"])[0] == 200
    assert f'data-group="{group}"' in text(site, "/groups")


def test_without_photos_there_are_no_groups(site):
    assert 'href="/groups"' not in text(site, "/")
    assert text(site, "/groups/rows").strip() == ""
    text(site, "/groups/1/faces/1/picture", 404)
