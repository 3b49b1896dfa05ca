"""The identity of a picture: other programs' metadata cannot change it, other pixels do."""

import hashlib
import io
import shutil
import struct
import subprocess
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facesearch.picture_identity import picture_identity

EXIFTOOL = shutil.which("exiftool")
SAVED = {  # name of a kind of file -> ending, options of Pillow's `save`
    "baseline JPEG": ("jpg", {}),
    "progressive JPEG": ("jpg", {"progressive": True}),
    "JPEG with restarts": ("jpg", {"restart_marker_blocks": 1}),
    "PNG": ("png", {}),
    "lossy WebP": ("webp", {}),
    "lossless WebP": ("webp", {"lossless": True}),
    "GIF": ("gif", {}),
    "TIFF": ("tif", {}),
    "compressed TIFF": ("tif", {"compression": "tiff_lzw"}),
    "JPEG in TIFF": ("tif", {"compression": "jpeg"}),
    "BigTIFF": ("tif", {"big_tiff": True}),
    "AVIF": ("avif", {}),
}
EDITS = {
    "rating": ["-Rating=5"],
    "keyword": ["-Keywords=Ann", "-XMP:Subject=Ann"],
    "place": ["-GPSLatitude=48", "-GPSLatitudeRef=N"],
    "caption": ["-ImageDescription=Ann at sea", "-XMP:Description=Ann at sea"],
    "orientation": ["-Orientation#=6"],
    "everything removed": ["-all="],
}


def picture(seed=1):
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return Image.fromarray(noise).resize((64, 48))


def saved(kind, image=None):
    """Return the bytes of a file of that kind."""
    ending, options = SAVED[kind]
    held = io.BytesIO()
    (image or picture()).save(held, {"tif": "TIFF", "jpg": "JPEG"}.get(ending, ending), **options)
    return held.getvalue()


@pytest.mark.parametrize("kind", SAVED)
def test_another_picture_has_another_identity(kind):
    assert picture_identity(saved(kind)) == picture_identity(saved(kind))
    assert picture_identity(saved(kind)) != picture_identity(saved(kind, picture(2)))
    assert len(picture_identity(saved(kind))) == 64


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "lossless WebP"])
def test_one_changed_pixel_makes_another_picture(kind):
    changed = picture()
    changed.putpixel((5, 5), (0, 0, 0) if changed.getpixel((5, 5))[0] > 99 else (255, 255, 255))
    assert picture_identity(saved(kind)) != picture_identity(saved(kind, changed))


@pytest.mark.slow
@pytest.mark.skipif(EXIFTOOL is None, reason="exiftool, which writes metadata, is not installed")
@pytest.mark.parametrize("edit", EDITS)
def test_a_rating_typed_in_another_program_changes_no_identity(edit, tmp_path):
    files = {tmp_path / f"{n}.{SAVED[kind][0]}": saved(kind) for n, kind in enumerate(SAVED)}
    for path, content in files.items():
        path.write_bytes(content)
    for arguments in (["-Rating=1"], EDITS[edit]):
        before = {path: path.read_bytes() for path in files}
        command = [EXIFTOOL, "-q", "-m", "-overwrite_original", *arguments, *map(str, files)]
        subprocess.run(command, capture_output=True, check=False)  # some versions write no WebP
        changed = [path for path in files if path.read_bytes() != before[path]]
        assert {path.suffix for path in changed} >= {".jpg", ".png", ".tif", ".avif"}
        for path in changed:
            assert picture_identity(path.read_bytes()) == picture_identity(files[path]), path


def segment(marker, content):
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def chunk(kind, content):
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


@pytest.mark.parametrize("kind", ["baseline JPEG", "progressive JPEG", "JPEG with restarts"])
def test_segments_of_applications_comments_and_trailers_are_no_part_of_a_jpeg(kind):
    plain = saved(kind)
    written = segment(0xE1, b"Exif\0\0a rating") + segment(0xED, b"Photoshop 3.0\0names")
    written += segment(0xFE, b"a comment") + segment(0xEB, b"JPa provenance") + b"\xff"
    assert picture_identity(plain[:2] + written + plain[2:]) == picture_identity(plain)
    assert picture_identity(plain + b"a film behind the photo") == picture_identity(plain)


def test_how_the_colors_of_a_jpeg_are_coded_is_part_of_it():
    plain = saved("baseline JPEG")
    other = plain[:2] + segment(0xEE, b"Adobe\0d\0\0\0\0\0") + plain[2:]
    assert picture_identity(other) != picture_identity(plain)


def test_a_png_cut_into_other_chunks_with_text_between_is_the_same_picture():
    plain = saved("PNG")
    held, at, pixels = [], 8, b""
    while at < len(plain):
        (length,), kind = struct.unpack_from(">I", plain, at), plain[at + 4 : at + 8]
        content = plain[at + 8 : at + 8 + length]
        pixels += content if kind == b"IDAT" else b""
        held += [] if kind in (b"IDAT", b"IEND") else [chunk(kind, content)]
        at += 12 + length
    parts = [pixels[n : n + 100] for n in range(0, len(pixels), 100)]
    cut = plain[:8] + b"".join(held) + chunk(b"tEXt", b"Title\0Ann")
    cut += b"".join(chunk(b"IDAT", part) for part in parts) + chunk(b"IEND", b"")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(cut))), np.asarray(picture()))
    assert picture_identity(cut) == picture_identity(plain)


def test_a_webp_that_was_given_metadata_is_the_same_picture():
    plain, held = saved("lossy WebP"), io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "Ann at sea"
    picture().save(held, "webp", exif=exif)
    assert held.getvalue() != plain
    assert picture_identity(held.getvalue()) == picture_identity(plain)


def test_a_comment_changes_no_gif():
    held = io.BytesIO()
    picture().save(held, "gif", comment=b"Ann at sea")
    assert held.getvalue() != saved("GIF")
    assert picture_identity(held.getvalue()) == picture_identity(saved("GIF"))


def test_every_frame_of_a_gif_counts():
    held = io.BytesIO()
    picture().save(held, "gif", save_all=True, append_images=[picture(2)])
    assert picture_identity(held.getvalue()) != picture_identity(saved("GIF"))


def test_a_heic_photo_keeps_its_identity_with_other_metadata():
    heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")

    def heic(**options):
        held = io.BytesIO()
        heif.from_pillow(picture()).save(held, quality=50, **options)
        return held.getvalue()

    exif = Image.Exif()
    exif[0x010E] = "Ann at sea"
    assert heic(exif=exif.tobytes()) != heic()
    assert picture_identity(heic(exif=exif.tobytes())) == picture_identity(heic())


@pytest.mark.parametrize("kind", SAVED)
def test_a_damaged_file_is_identified_by_the_bytes_it_has(kind):
    data = saved(kind)
    for length in range(0, len(data), 7):
        part = data[:length]
        assert len(picture_identity(part)) == 64
        if not length:
            assert picture_identity(part) == hashlib.sha256(part).hexdigest()


@pytest.mark.slow
@settings(max_examples=200)
@given(
    kind=st.sampled_from(sorted(SAVED)),
    changes=st.lists(st.tuples(st.integers(0), st.binary(min_size=1, max_size=8)), max_size=4),
)
def test_changed_bytes_never_raise(kind, changes):
    data = bytearray(saved(kind))
    for at, new in changes:
        at %= len(data)
        data[at : at + len(new)] = new
    assert len(picture_identity(bytes(data))) == 64
