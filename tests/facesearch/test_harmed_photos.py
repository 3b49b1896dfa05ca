"""Pictures whose metadata or last bytes are harmed are read, and a remark says so."""

import hashlib
import re
import struct
import zlib

import numpy as np
import pytest
from picture_files import difference, encoded, exif, scene
from PIL import Image

from facesearch.errors import PhotoError
from facesearch.photo import photo_from_bytes
from facesearch.photo_files import walk_photos
from facesearch.picture_repair import BAD_METADATA, END_MISSING


def with_chunk(kind, content, crc=None, *, behind=False):
    """Return a PNG of the scene with one more chunk before its pixels, or behind them."""
    data = encoded(scene(), "PNG", exif=exif(6))
    crc = zlib.crc32(kind + content) if crc is None else crc
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)
    at = len(data) - 12 if behind else 33
    return data[:at] + chunk + data[at:]


LONG = zlib.compress(b"x" * 2_000_000)


@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"parameters\0\0" + LONG),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG),
        (b"iCCP", b"sRGB\0\0" + LONG),
        (b"tEXt", b"Comment\0a bit is flipped", 7),
    ],
    ids=["zTXt", "iTXt", "iCCP", "checksum"],
)
def test_a_png_with_long_or_damaged_text_is_read_pillow_8363(chunk):
    photo = photo_from_bytes(with_chunk(*chunk))
    assert np.array_equal(photo.pixels(), np.rot90(scene(), -1))  # its orientation is kept
    assert photo.remark in (BAD_METADATA, None)  # a profile that is too long Pillow ignores itself


def test_text_behind_the_pixels_of_a_png_does_not_stop_it_either():
    data = with_chunk(b"zTXt", b"parameters\0\0" + LONG, behind=True)
    photo = photo_from_bytes(data)
    assert np.array_equal(photo.pixels(), np.rot90(scene(), -1))
    assert photo.remark == BAD_METADATA
    assert photo.content_hash == hashlib.sha256(data).hexdigest()  # of the file as it is


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"exif": exif(1)}),
        ("TIFF", {}),
        ("BMP", {}),
        ("GIF", {}),
        ("PPM", {}),
        ("HEIF", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
@pytest.mark.parametrize("missing", [1, 2])
def test_a_picture_that_lacks_two_bytes_at_its_end_is_read_with_a_remark(
    file_format, options, missing
):
    if file_format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    data = encoded(scene(), file_format, **options)
    whole = photo_from_bytes(data)
    photo = photo_from_bytes(data[:-missing])
    assert difference(photo.pixels()[:60], whole.pixels()[:60]) < 0.1
    assert whole.remark is None
    if not np.array_equal(photo.pixels(), whole.pixels()):
        assert photo.remark == END_MISSING


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("scale", [1, 0.25])
def test_a_jpeg_of_which_more_is_missing_is_still_refused(progressive, scale):
    data = encoded(scene(640, 480), "JPEG", progressive=progressive, quality=95)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(PhotoError, match="damaged, cut short"):
            photo_from_bytes(data[: int(share * len(data))]).pixels(scale)
    photo = photo_from_bytes(data[:-2])
    assert np.array_equal(photo.pixels(scale), photo_from_bytes(data).pixels(scale))


def test_a_turned_jpeg_without_its_end_is_turned_once():
    data = encoded(scene(), "JPEG", exif=exif(6), quality=95)
    photo = photo_from_bytes(data[:-2])
    assert np.array_equal(photo.pixels(), photo_from_bytes(data).pixels())


# Gray of many bits


def tiff_of_gray(levels, *, photometric, order="<", sample_format=1):
    """Return an uncompressed TIFF of gray `levels` (h, w), of 16 or 32 bits each."""
    height, width = levels.shape
    bits = 8 * levels.itemsize
    tags = [
        (256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 134),
        (277, 1), (278, height), (279, levels.nbytes), (339, sample_format),
    ]  # fmt: skip
    entries = b"".join(
        struct.pack(order + "HHI", tag, 4 if tag in (256, 257, 273, 278, 279) else 3, 1)
        + (
            struct.pack(order + "I", value)
            if tag in (256, 257, 273, 278, 279)
            else struct.pack(order + "HH", value, 0)
        )
        for tag, value in tags
    )
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    directory = struct.pack(order + "H", len(tags)) + entries + bytes(4)
    data = head + directory
    return data + bytes(134 - len(data)) + levels.astype(levels.dtype.newbyteorder(order)).tobytes()


GRAY = scene()[..., 0].copy()
GRAY[0, 0] = 255  # where the file does not say which level is white, the brightest is


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [16, 32])
def test_gray_whose_zero_is_white_is_not_read_as_a_negative(bits, order):
    if (bits, order) == (32, ">"):
        pytest.skip("Pillow reads no big-endian unsigned gray of 32 bits")
    white = 2**bits - 1
    levels = (white - GRAY.astype(np.uint64) * (white // 255)).astype(f"u{bits // 8}")
    photo = photo_from_bytes(tiff_of_gray(levels, photometric=0, order=order))
    assert np.abs(photo.pixels()[..., 0].astype(int) - GRAY).max() <= 1


def test_unsigned_gray_of_32_bits_has_no_folded_highlights():
    levels = (GRAY.astype(np.uint64) * (2**32 - 1) // 255).astype(np.uint32)
    photo = photo_from_bytes(tiff_of_gray(levels, photometric=1))
    assert np.abs(photo.pixels()[..., 0].astype(int) - GRAY).max() <= 1


@pytest.mark.parametrize("bits", [16, 32])
def test_signed_gray_that_uses_all_its_range_is_read_from_black_to_white(bits):
    span = 2**bits - 1
    levels = (GRAY.astype(np.int64) * span // 255 - 2 ** (bits - 1)).astype(f"i{bits // 8}")
    photo = photo_from_bytes(tiff_of_gray(levels, photometric=1, sample_format=2))
    assert np.abs(photo.pixels()[..., 0].astype(int) - GRAY).max() <= 2


# Camera raws


def raw_like_tiff(pictures, *, dng=True, orientation=None, head=b"II*\0"):
    """Return a TIFF of one directory of a thumbnail and the JPEGs `pictures` somewhere in it."""
    tags = [(254, 4, 1), (256, 4, 16), (257, 4, 12), (262, 3, 2), (330, 4, 4000)]
    tags += [] if orientation is None else [(274, 3, orientation)]
    tags += [(50706, 1, 0x401)] if dng else []
    entries = b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in sorted(tags)
    )
    data = head + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return data + b"".join(bytes(99) + picture for picture in pictures) + bytes(999)


THUMBNAIL = encoded(scene(160, 120), "JPEG")
PREVIEW = encoded(scene(800, 600), "JPEG", quality=95)


@pytest.mark.parametrize(
    "raw",
    [
        raw_like_tiff([THUMBNAIL, PREVIEW]),
        raw_like_tiff([PREVIEW, THUMBNAIL], dng=False),
        raw_like_tiff([THUMBNAIL, PREVIEW], dng=False, head=b"IIRO"),
        raw_like_tiff([THUMBNAIL, PREVIEW], dng=False, head=b"IIU\0"),
        b"FUJIFILMCCD-RAW 0201" + bytes(80) + PREVIEW + bytes(5000),
        b"\0\0\0\x18ftypcrx " + bytes(80) + THUMBNAIL + bytes(8) + PREVIEW + bytes(5000),
    ],
    ids=["DNG", "NEF", "ORF", "RW2", "RAF", "CR3"],
)
def test_a_camera_raw_is_read_by_its_largest_preview_immich_13049(raw):
    photo = photo_from_bytes(raw, "a.raw")
    assert (photo.width, photo.height) == (800, 600)
    assert difference(photo.pixels(), scene(800, 600)) < 4
    assert photo.remark == "it is a camera raw, read by its preview of 800 x 600 pixels"
    assert photo.frames() == 2  # so that no other picture passes for the same: the raw holds more


@pytest.mark.parametrize(
    "ending", ["dng", "nef", "cr2", "CR3", "arw", "rw2", "orf", "raf", "pef", "srw"]
)
def test_camera_raws_in_a_folder_are_found(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(raw_like_tiff([PREVIEW]))
    assert list(walk_photos([tmp_path])) == [path]


def test_the_preview_of_a_camera_raw_is_turned_as_the_raw_says():
    photo = photo_from_bytes(raw_like_tiff([PREVIEW], orientation=6))
    assert (photo.width, photo.height) == (600, 800)
    assert photo.oriented
    assert difference(photo.pixels(), np.rot90(scene(800, 600), -1)) < 4


@pytest.mark.parametrize(
    ("pictures", "what"), [([THUMBNAIL], "only a thumbnail"), ([], "no JPEG preview")]
)
def test_a_camera_raw_with_a_thumbnail_only_is_refused_photoprism_5673(pictures, what):
    message = rf"^cannot read a\.dng: it is a camera raw with {what}.*; convert it to JPEG"
    with pytest.raises(PhotoError, match=message):
        photo_from_bytes(raw_like_tiff(pictures), "a.dng")


def test_the_data_of_the_sensor_is_not_taken_for_a_preview():
    lossless = re.sub(b"\xff\xc0", b"\xff\xc3", encoded(scene(2000, 1500), "JPEG"), count=1)
    assert photo_from_bytes(raw_like_tiff([lossless, PREVIEW])).width == 800


def test_a_tiff_of_a_scanner_is_not_taken_for_a_camera_raw():
    image = Image.fromarray(scene())
    data = encoded(image, "TIFF", save_all=True, append_images=[image])
    assert photo_from_bytes(data).remark is None
    assert photo_from_bytes(data).frames() == 2
