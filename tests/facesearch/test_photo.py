"""Photos that can be read: their pixels are upright, in RGB and of the size asked for."""

import hashlib
import struct

import numpy as np
import pytest
from picture_files import difference, encoded, exif, scene
from PIL import Image

from facesearch.photo import photo_from_bytes, read_photo

UPRIGHT = {  # EXIF orientation -> stored array to upright array, in numpy, as the standard says
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


# What comes back


def test_a_photo_knows_its_name_hash_and_size_before_anything_is_decoded(tmp_path):
    data = encoded(scene(), "PNG")
    path = tmp_path / "party.png"
    path.write_bytes(data)
    photo = read_photo(path)
    assert (photo.name, photo.width, photo.height) == (str(path), 97, 61)
    assert photo.content_hash == hashlib.sha256(data).hexdigest()
    assert not photo.oriented
    assert photo_from_bytes(data[:200], "half").width == 97
    assert len(repr(photo)) < 300


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "BMP", "PPM"])
def test_lossless_formats_come_back_to_the_pixel(file_format):
    options = {"lossless": True} if file_format == "WEBP" else {}
    pixels = photo_from_bytes(encoded(scene(), file_format, **options)).pixels()
    assert np.array_equal(pixels, scene())
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "AVIF", "MPO"])
def test_lossy_formats_come_back_nearly_unchanged(file_format):
    photo = photo_from_bytes(encoded(scene(), file_format, quality=95))
    assert difference(photo.pixels(), scene()) < 4


def test_the_content_decides_the_format_and_not_the_name(tmp_path):
    path = tmp_path / "really-a-jpeg.png"
    path.write_bytes(encoded(scene(), "JPEG"))
    assert difference(read_photo(path).pixels(), scene()) < 8


@pytest.mark.parametrize(
    "name", ["Zoë \u0065\u0301.png", "Жанна и я.png", "雪人☃.png", "-rf", "#1 %20"]
)
def test_an_awkward_name_is_kept_as_given(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(encoded(scene(), "PNG"))
    assert read_photo(name).name == name


def test_a_caller_cannot_change_the_pixels_that_are_kept():
    photo = photo_from_bytes(encoded(scene(), "PNG"))
    with pytest.raises(ValueError, match="read-only"):
        photo.pixels()[0] = 0
    assert photo.pixels() is photo.pixels(0.25)


# Which side is up


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_exif_orientation_is_applied_facerecognition_294(file_format, orientation):
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}
    data = encoded(scene(), file_format, exif=exif(orientation), **options.get(file_format, {}))
    photo, upright = photo_from_bytes(data), UPRIGHT[orientation](scene())
    assert (photo.height, photo.width) == upright.shape[:2]
    assert photo.oriented
    assert difference(photo.pixels(), upright) <= (3 if file_format == "JPEG" else 0)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "jpeg"])
def test_a_turned_tiff_is_turned_once_whatever_its_compression(compression):
    data = encoded(scene(), "TIFF", exif=exif(6), compression=compression)
    photo = photo_from_bytes(data)
    assert (photo.width, photo.height) == (61, 97)
    assert difference(photo.pixels(), np.rot90(scene(), -1)) < 8


def test_a_tiff_turned_by_its_xmp_packet_alone_reports_its_upright_size():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"></x:xmpmeta>'
    photo = photo_from_bytes(encoded(scene(), "TIFF", tiffinfo={700: xmp}))
    assert (photo.width, photo.height) == (61, 97)
    assert np.array_equal(photo.pixels(), np.rot90(scene(), -1))


@pytest.mark.parametrize("in_exif", [None, 8])
def test_a_jpeg_is_turned_by_its_exif_and_not_by_its_xmp_packet_osxphotos_378(in_exif):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"></x:xmpmeta>'
    options = {} if in_exif is None else {"exif": exif(in_exif)}
    photo = photo_from_bytes(encoded(scene(), "JPEG", xmp=xmp, quality=95, **options))
    assert photo.oriented == (in_exif is not None)
    assert difference(photo.pixels(), UPRIGHT[in_exif or 1](scene())) < 4


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
@pytest.mark.parametrize("file_format", ["AVIF", "HEIF"])
def test_avif_and_heif_are_turned_once(file_format, orientation):
    if file_format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    upright = UPRIGHT[orientation](scene(96, 64))
    data = encoded(scene(96, 64), file_format, quality=95, exif=exif(orientation).tobytes())
    photo = photo_from_bytes(data)
    assert (photo.height, photo.width) == upright.shape[:2]
    assert photo.oriented or orientation == 1  # Pillow writes no 1 into an AVIF
    assert difference(photo.pixels(), upright) < 5


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_invalid_orientation_leaves_the_photo_as_stored(orientation):
    photo = photo_from_bytes(encoded(scene(), "PNG", exif=exif(orientation)))
    assert np.array_equal(photo.pixels(), scene())
    assert not photo.oriented


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"II",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0" * 9,
        b"?" * 50,
    ],
    ids=["empty", "two bytes", "offset outside", "too many tags", "noise"],
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_bad_exif_never_stops_a_picture(file_format, bad):
    data = encoded(scene(), file_format, exif=b"Exif\0\0" + bad)
    assert photo_from_bytes(data).pixels().shape == (61, 97, 3)


def test_good_orientation_in_otherwise_corrupt_exif_is_still_applied():
    entries = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHII", 0x9000, 2, 999, 9999)
    bad = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0)
    photo = photo_from_bytes(encoded(scene(), "JPEG", exif=bad))
    assert photo.oriented
    assert (photo.width, photo.height) == (61, 97)


# Colour


def test_transparency_becomes_white():
    rgba = np.dstack([scene(), np.full((61, 97), 255, np.uint8)])
    rgba[:30, :, 3] = 0
    rgba[30:40, :, 3] = 128
    pixels = photo_from_bytes(encoded(rgba, "PNG")).pixels()
    assert (pixels[:30] == 255).all()
    half = np.rint(scene()[30:40] * (128 / 255) + 255 * (127 / 255))
    assert np.abs(pixels[30:40] - half).max() <= 1
    assert np.array_equal(pixels[40:], scene()[40:])


@pytest.mark.parametrize("multiplied", [False, True])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_premultiplied_alpha_of_a_tiff_becomes_white_too(mode, multiplied):
    gray, alpha = (50, 128) if multiplied else (100, 128)
    image = Image.new(mode, (40, 30), (gray,) * (len(mode) - 1) + (alpha,))
    straight, associated = (struct.pack("<HHIH", 338, 3, 1, value) for value in (2, 1))
    data = encoded(image, "TIFF")
    assert straight in data
    data = data.replace(straight, associated) if multiplied else data
    pixels = photo_from_bytes(data).pixels()
    assert np.abs(pixels.astype(int) - (100 * 128 + 255 * 127) / 255).max() <= 1.5


def test_a_palette_with_an_alpha_band_becomes_white():
    image = Image.new("P", (40, 30))
    image.putpalette([60, 60, 60])
    mask = Image.new("L", (40, 30))
    mask.paste(255, (0, 0, 20, 30))
    image.putalpha(mask)
    pixels = photo_from_bytes(encoded(image, "TIFF")).pixels()
    assert (pixels[:, 20:] == 255).all()
    assert (pixels[:, :20] == 60).all()


def test_a_transparent_palette_color_becomes_white():
    image = Image.new("P", (40, 30), 1)
    image.putpalette([0, 0, 0, 200, 10, 10, 10, 200, 10])
    image.paste(2, (0, 0, 20, 30))
    pixels = photo_from_bytes(encoded(image, "PNG", transparency=1)).pixels()
    assert (pixels[:, 20:] == 255).all()
    assert (pixels[:, :20] == (10, 200, 10)).all()


def test_a_cmyk_jpeg_is_not_inverted():
    photo = photo_from_bytes(encoded(Image.fromarray(scene()).convert("CMYK"), "JPEG", quality=95))
    for scale in (1.0, 0.5):
        near = Image.fromarray(scene()).resize(photo.pixels(scale).shape[1::-1])
        assert difference(photo.pixels(scale), np.asarray(near)) < 8


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_16_bit_gray_is_scaled_and_not_clipped_to_white(file_format):
    deep = np.linspace(0, 65535, 61 * 97).reshape(61, 97).astype(np.uint16)
    pixels = photo_from_bytes(encoded(deep, file_format)).pixels()
    assert np.abs(pixels.astype(int) - (deep[..., None] / 257)).max() <= 1


def test_16_bit_big_endian_tiff_is_scaled():
    deep = np.linspace(0, 65535, 61 * 97).reshape(61, 97).astype(">u2")
    image = Image.frombytes("I;16B", (97, 61), deep.tobytes())
    pixels = photo_from_bytes(encoded(image, "TIFF")).pixels()
    assert np.abs(pixels.astype(int) - (deep[..., None] / 257)).max() <= 1


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0, 5e6])
def test_float_gray_is_scaled_by_the_smallest_usual_white(white):
    levels = np.linspace(-0.2 * white, white, 61 * 97, dtype=np.float32).reshape(61, 97)
    levels[0, 0], levels[0, 1] = np.nan, np.inf
    pixels = photo_from_bytes(encoded(levels, "TIFF")).pixels()
    wanted = np.clip(levels / white, 0, 1) * 255
    wanted[0, :2] = 0
    assert np.abs(pixels - wanted[..., None]).max() <= 1


def test_a_dark_16_bit_ppm_stays_dark():
    pixels = photo_from_bytes(encoded(np.full((9, 9), 250, np.uint16), "PPM")).pixels()
    assert pixels.max() <= 1


def test_32_bit_gray_is_scaled():
    levels = np.linspace(0, 2**31 - 1, 61 * 97).reshape(61, 97).astype(np.int32)
    pixels = photo_from_bytes(encoded(levels, "TIFF")).pixels()
    assert np.abs(pixels - (levels[..., None] / (2**31 - 1) * 255)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_one_bit_gray_and_palette_become_rgb(mode):
    image = Image.fromarray(scene()).convert(mode)
    pixels = photo_from_bytes(encoded(image, "PNG")).pixels()
    assert np.array_equal(pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_many_is_the_photo(file_format):
    frames = [
        Image.fromarray(scene()),
        Image.new("RGB", (97, 61)),
        Image.new("RGB", (97, 61), "red"),
    ]
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    assert difference(photo_from_bytes(data).pixels(), scene()) < 6


# Scale


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("scale", [1, 1 / 2, 1 / 4, 1 / 8])
def test_a_jpeg_at_a_smaller_scale_is_the_photo_reduced(scale, orientation):
    data = encoded(scene(1001, 300), "JPEG", quality=95, exif=exif(orientation))
    photo = photo_from_bytes(data)
    small = photo.pixels(scale)
    assert small.shape[0] == -(-photo.height * scale // 1)
    assert small.shape[1] == -(-photo.width * scale // 1)
    full = Image.fromarray(photo_from_bytes(data).pixels())
    assert difference(small, np.asarray(full.resize(small.shape[1::-1], Image.Resampling.BOX))) < 3


@pytest.mark.parametrize("asked", [2, 1, 0.9, 0.51, 0.5, 0.4, 0.26, 0.25, 0.2, 0.125, 0.01, 0])
@pytest.mark.parametrize("size", [(640, 480), (2000, 50), (3, 900), (7, 1), (17, 33)])
def test_the_scale_is_never_below_the_requested_one(size, asked):
    photo = photo_from_bytes(encoded(scene(*size), "JPEG"))
    scale = photo.pixels(asked).shape[1] / photo.width
    assert scale >= min(asked, 1)
    if min(size) >= 16:
        assert scale < max(2 * asked, 1 / 8) + 1 / photo.width  # sides are rounded up


def test_a_panorama_is_reduced_by_the_scale_and_not_by_its_short_side():
    assert photo_from_bytes(encoded(scene(1600, 80), "JPEG")).pixels(0.25).shape == (20, 400, 3)


def test_a_decode_is_reused_while_it_is_large_enough():
    photo = photo_from_bytes(encoded(scene(640, 480), "JPEG"))
    half = photo.pixels(0.5)
    assert photo.pixels(0.25) is half
    full = photo.pixels(1.0)
    assert full.shape == (480, 640, 3)
    assert photo.pixels(0.5) is full
    assert photo.pixels(3) is full
