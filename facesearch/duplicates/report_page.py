"""Groups of pictures -> one self-contained HTML page: thumbnails side by side, scores, reasons."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from PIL import Image

from facesearch.boxes import FacePlace
from facesearch.errors import PhotoError
from facesearch.photo import Photo, read_photo

THUMBNAIL = 220  # longest side, in pixels
MARGIN = 0.3  # around a face, of its longer side

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
section { border-top: 1px solid #8886; padding: 1rem 0; }
h2 { font-size: 1rem; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; width: 230px; }
img { max-width: 220px; max-height: 220px; border: 3px solid transparent; border-radius: 4px; }
figure.keep img { border-color: #2a8f4d; }
figcaption { overflow-wrap: anywhere; font-size: .85rem; }
.note { opacity: .75; }
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a group, or a face cut from one, with its caption and note."""

    photo: str | Photo  # path, read when the page is written; or the pixels themselves
    caption: str
    note: str  # a score, a reason
    keep: bool = False  # whether it is the one to keep


def page(title: str, summary: str, groups: Iterable[tuple[str, Iterable[Picture]]]) -> str:
    """Return the page as HTML; each of `groups` is a heading and its pictures.

    A picture that cannot be read is shown by its caption alone. Thumbnails are made one by one, so
    memory does not grow with the photos.
    """
    sections = []
    for heading, pictures in groups:
        row = "".join(map(_figure, pictures))
        sections.append(f'<section><h2>{_text(heading)}</h2><div class="row">{row}</div></section>')
    # The policy forbids loading anything from anywhere, whatever a file name contains.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{_text(title)}</h1><p>{_text(summary)}</p>\n"
        + "\n".join(sections)
        + "</body></html>\n"
    )


def cut_out(path: str, at: FacePlace) -> Photo | str:
    """Return the face `at` a place of its picture as stored, with a margin, for a `Picture`.

    "" if the photo is missing or has changed; a `Picture` of it shows its caption alone.
    """
    try:
        photo = read_photo(path)
        if not photo.picture.is_known_by(at.content_hash):
            return ""
        left, top, right, bottom = photo.picture.shown_from(at.content_hash, at.box)
        side = max(right - left, bottom - top)
        pixels = photo.pixels(min(1.0, THUMBNAIL / side))
    except PhotoError:
        return ""
    scale = pixels.shape[1] / photo.width
    margin = MARGIN * side
    rows = slice(max(0, int((top - margin) * scale)), int((bottom + margin) * scale) + 1)
    columns = slice(max(0, int((left - margin) * scale)), int((right + margin) * scale) + 1)
    return Photo.from_pixels(photo.name, pixels[rows, columns])


def _figure(picture: Picture) -> str:
    kind = ' class="keep"' if picture.keep else ""
    note = f'<br><span class="note">{_text(picture.note)}</span>' if picture.note else ""
    uri = _data_uri(picture.photo)
    image = f'<img src="{uri}" alt="">' if uri else ""
    return f"<figure{kind}>{image}<figcaption>{_text(picture.caption)}{note}</figcaption></figure>"


def _data_uri(photo: str | Photo) -> str:
    """Return the thumbnail as a data URI, "" if the photo cannot be read."""
    try:
        photo = read_photo(photo) if isinstance(photo, str) else photo
        pixels = photo.pixels(min(1.0, THUMBNAIL / max(photo.width, photo.height)))
    except PhotoError:
        return ""
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()


def _text(text: str) -> str:
    """Return `text` escaped for HTML; bytes of file names that are not text become "?"."""
    return escape(text.encode("utf-8", "replace").decode("utf-8"))
