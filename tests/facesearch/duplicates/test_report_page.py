import base64
import io
import re

import numpy as np
from PIL import Image

from facesearch.duplicates.report_page import THUMBNAIL, Picture, page
from facesearch.photo import Photo


def test_a_page_contains_a_thumbnail_of_each_picture_and_loads_nothing(portraits):
    pictures = [
        Picture(str(portraits.grace), "grace.jpg", "keep", keep=True),
        Picture(Photo.from_pixels("crop", np.zeros((9, 300, 3), np.uint8)), "crop", "0.98"),
    ]
    html = page("Photos", "2 of 2", [("Group 1", pictures)])
    assert html.count('<figure class="keep">') == 1
    sources = re.findall(r'src="([^"]*)"', html)
    assert len(sources) == 2
    for source in sources:
        data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"))
        assert max(Image.open(io.BytesIO(data)).size) == THUMBNAIL
    assert "http:" not in html
    assert "https:" not in html


def test_file_names_are_shown_as_text():
    """A file name may hold a script."""
    evil = '<script>alert("x")</script>\udcff'
    html = page(evil, evil, [(evil, [Picture("/nowhere", evil, evil)])])
    assert "<script" not in html
    assert html.encode("utf-8")


def test_a_picture_that_cannot_be_read_is_shown_by_its_caption():
    html = page("Photos", "", [("Group 1", [Picture("/nowhere/a.jpg", "a.jpg", "0.91")])])
    assert "a.jpg" in html
    assert "<img" not in html
