import hashlib
import io
import os
import socket
import struct
import subprocess
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from facesearch.errors import PhotoError
from facesearch.photo import photo_from_bytes, read_photo, walk_photos

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


def scene(width=97, height=61):
    """Return a smooth picture without any symmetry: (h, w, 3) RGB uint8."""
    y, x = np.mgrid[:height, :width]
    red, green = 255 * x / width, 255 * y / height
    blue = np.where((x - width / 4) ** 2 + (y - height / 3) ** 2 < (height / 6) ** 2, 250, 20)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def encoded(image, file_format, **options):
    """Return the bytes of a picture file; `image` is an array or a Pillow image."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def difference(a, b):
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b.astype(int)).mean()


def png_header(width, height):
    """Return a PNG of a few bytes that claims any size."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + zlib_crc(kind + content)

    def zlib_crc(content):
        return struct.pack(">I", zlib.crc32(content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 9))


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
def test_lossy_formats_come_back_nearly(file_format):
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


def test_the_pixels_that_are_kept_cannot_be_changed_by_a_caller():
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


def test_a_tiff_turned_by_its_xmp_packet_alone_tells_its_upright_size():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"></x:xmpmeta>'
    photo = photo_from_bytes(encoded(scene(), "TIFF", tiffinfo={700: xmp}))
    assert (photo.width, photo.height) == (61, 97)
    assert np.array_equal(photo.pixels(), np.rot90(scene(), -1))


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
def test_an_orientation_that_is_none_leaves_the_photo_as_stored(orientation):
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


def test_alpha_lies_on_white():
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
def test_multiplied_alpha_of_a_tiff_lies_on_white_too(mode, multiplied):
    grey, alpha = (50, 128) if multiplied else (100, 128)
    image = Image.new(mode, (40, 30), (grey,) * (len(mode) - 1) + (alpha,))
    straight, associated = (struct.pack("<HHIH", 338, 3, 1, value) for value in (2, 1))
    data = encoded(image, "TIFF")
    assert straight in data
    data = data.replace(straight, associated) if multiplied else data
    pixels = photo_from_bytes(data).pixels()
    assert np.abs(pixels.astype(int) - (100 * 128 + 255 * 127) / 255).max() <= 1.5


def test_a_palette_with_an_alpha_band_lies_on_white():
    image = Image.new("P", (40, 30))
    image.putpalette([60, 60, 60])
    mask = Image.new("L", (40, 30))
    mask.paste(255, (0, 0, 20, 30))
    image.putalpha(mask)
    pixels = photo_from_bytes(encoded(image, "TIFF")).pixels()
    assert (pixels[:, 20:] == 255).all()
    assert (pixels[:, :20] == 60).all()


def test_a_transparent_palette_colour_is_white():
    image = Image.new("P", (40, 30), 1)
    image.putpalette([0, 0, 0, 200, 10, 10, 10, 200, 10])
    image.paste(2, (0, 0, 20, 30))
    pixels = photo_from_bytes(encoded(image, "PNG", transparency=1)).pixels()
    assert (pixels[:, 20:] == 255).all()
    assert (pixels[:, :20] == (10, 200, 10)).all()


def test_cmyk_jpeg_is_no_negative():
    photo = photo_from_bytes(encoded(Image.fromarray(scene()).convert("CMYK"), "JPEG", quality=95))
    for scale in (1.0, 0.5):
        near = Image.fromarray(scene()).resize(photo.pixels(scale).shape[1::-1])
        assert difference(photo.pixels(scale), np.asarray(near)) < 8


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_and_not_clipped_to_white(file_format):
    deep = np.linspace(0, 65535, 61 * 97).reshape(61, 97).astype(np.uint16)
    pixels = photo_from_bytes(encoded(deep, file_format)).pixels()
    assert np.abs(pixels.astype(int) - (deep[..., None] / 257)).max() <= 1


def test_16_bit_big_endian_tiff_is_scaled():
    deep = np.linspace(0, 65535, 61 * 97).reshape(61, 97).astype(">u2")
    image = Image.frombytes("I;16B", (97, 61), deep.tobytes())
    pixels = photo_from_bytes(encoded(image, "TIFF")).pixels()
    assert np.abs(pixels.astype(int) - (deep[..., None] / 257)).max() <= 1


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0, 5e6])
def test_float_grey_is_scaled_by_the_least_usual_white(white):
    levels = np.linspace(-0.2 * white, white, 61 * 97, dtype=np.float32).reshape(61, 97)
    levels[0, 0], levels[0, 1] = np.nan, np.inf
    pixels = photo_from_bytes(encoded(levels, "TIFF")).pixels()
    wanted = np.clip(levels / white, 0, 1) * 255
    wanted[0, :2] = 0
    assert np.abs(pixels - wanted[..., None]).max() <= 1


def test_a_dark_16_bit_ppm_stays_dark():
    pixels = photo_from_bytes(encoded(np.full((9, 9), 250, np.uint16), "PPM")).pixels()
    assert pixels.max() <= 1


def test_32_bit_grey_is_scaled():
    levels = np.linspace(0, 2**31 - 1, 61 * 97).reshape(61, 97).astype(np.int32)
    pixels = photo_from_bytes(encoded(levels, "TIFF")).pixels()
    assert np.abs(pixels - (levels[..., None] / (2**31 - 1) * 255)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_one_bit_grey_and_palette_become_rgb(mode):
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
def test_a_jpeg_at_a_smaller_scale_is_the_photo_made_small(scale, orientation):
    data = encoded(scene(1001, 300), "JPEG", quality=95, exif=exif(orientation))
    photo = photo_from_bytes(data)
    small = photo.pixels(scale)
    assert small.shape[0] == -(-photo.height * scale // 1)
    assert small.shape[1] == -(-photo.width * scale // 1)
    full = Image.fromarray(photo_from_bytes(data).pixels())
    assert difference(small, np.asarray(full.resize(small.shape[1::-1], Image.Resampling.BOX))) < 3


@pytest.mark.parametrize("asked", [2, 1, 0.9, 0.51, 0.5, 0.4, 0.26, 0.25, 0.2, 0.125, 0.01, 0])
@pytest.mark.parametrize("size", [(640, 480), (2000, 50), (3, 900), (7, 1), (17, 33)])
def test_the_scale_is_never_below_the_one_asked_for(size, asked):
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


# Bad input


def test_truncation_gives_an_error_or_the_exact_pixels():
    pytest.importorskip("pillow_heif").register_heif_opener()
    files = [
        encoded(scene(), name, **options)
        for name, options in (
            ("JPEG", {}),
            ("JPEG", {"progressive": True, "exif": exif(6)}),
            ("PNG", {}),
            ("WEBP", {}),
            ("WEBP", {"lossless": True}),
            ("TIFF", {}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("BMP", {}),
            ("GIF", {}),
            ("PPM", {}),
            ("AVIF", {}),
            ("HEIF", {}),
        )
    ]
    for data in files:
        whole = photo_from_bytes(data).pixels()
        ends = {*range(0, len(data), len(data) // 25), *range(len(data) - 15, len(data))}
        refused = 0
        for end in ends:
            try:
                assert np.array_equal(photo_from_bytes(data[:end]).pixels(), whole)
            except PhotoError:
                refused += 1
        assert refused > len(ends) / 2


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("JPEG", {"exif": exif(6)}),
        ("PNG", {"exif": exif(6)}),
        ("WEBP", {"exif": exif(6)}),
        ("TIFF", {"exif": exif(6)}),
        ("BMP", {}),
        ("GIF", {}),
        ("PPM", {}),
        ("AVIF", {"exif": exif(6)}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_flipped_bytes_give_an_error_or_pixels_and_nothing_else(file_format, options):
    data = encoded(scene(48, 32), file_format, **options)
    rng = np.random.default_rng(294)
    for _ in range(150):
        broken = bytearray(data)
        for place in rng.integers(0, len(data) if rng.random() < 0.5 else 150, rng.integers(1, 8)):
            broken[place] = rng.integers(256)
        try:
            photo = photo_from_bytes(bytes(broken), max_pixels=1_000_000)
            assert photo.pixels().shape == (photo.height, photo.width, 3)
        except PhotoError as error:
            assert "\n" not in str(error)  # noqa: PT017, both outcomes are right


def test_one_bad_heic_is_reported_not_fatal_recognize_1551():
    pytest.importorskip("pillow_heif").register_heif_opener()
    data = encoded(scene(), "HEIF")
    with pytest.raises(PhotoError, match=r"^cannot read holiday\.heic: it is damaged"):
        photo_from_bytes(data[: len(data) // 2], "holiday.heic").pixels()


def test_a_heic_without_the_extra_names_it_recognize_1551(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PhotoError, match=r"cannot read a\.heic: .*facesearch\[heic\]"):
        photo_from_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "a.heic")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"hello, I am a text", "no picture in a format we know"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "no picture in a format we know"),
        (b"%PDF-1.7", "no picture in a format we know"),
        (b"\xff\xd8\xff\xe0", "damaged"),
        (b"BMW is a car", "damaged"),
        (b"GIF89a", "damaged"),
    ],
    ids=["empty", "text", "film", "pdf", "four bytes of jpeg", "text like bmp", "gif start"],
)
def test_what_is_no_picture_is_told_in_a_sentence(data, reason):
    with pytest.raises(PhotoError, match=rf"^cannot read x\.jpg: .*{reason}"):
        photo_from_bytes(data, "x.jpg")


def test_a_bomb_is_refused_by_its_header():
    with pytest.raises(PhotoError, match="40000 x 40000 pixels, more than the limit of 200,000,00"):
        photo_from_bytes(png_header(40000, 40000))


def test_a_bomb_in_the_frame_of_a_small_gif_is_refused():
    screen, frame = (
        struct.pack("<HHBBB", 9, 9, 0, 0, 0),
        struct.pack("<HHHHB", 0, 0, 65535, 65535, 0),
    )
    with pytest.raises(PhotoError, match="it is too large"):
        photo_from_bytes(b"GIF89a" + screen + b"," + frame + b"\x02\x02\x44\x01\0;")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "there is not enough memory for it"),
        (RecursionError("deep"), r"damaged.* \(deep\)"),
        (zlib.error("two\nlines"), r"damaged.* \(two lines\)"),
        (AssertionError(), r"damaged.* \(AssertionError\)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_a_reader_raises_is_told_in_a_sentence(monkeypatch, error, reason):
    def load(self):
        raise error

    photo = photo_from_bytes(encoded(scene(), "PNG"), "a.png")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with pytest.raises(PhotoError, match=rf"^cannot read a\.png: .*{reason}"):
        photo.pixels()


def test_libtiff_says_nothing_on_stderr_about_a_tiff_cut_short(capfd):
    data = bytearray(encoded(scene(), "TIFF", compression="tiff_lzw"))
    at = data.index(struct.pack("<HHI", 279, 4, 1))  # the bytes of the only strip
    data[at + 8 : at + 12] = struct.pack("<I", len(data))
    with pytest.raises(PhotoError, match="the file ends within the picture"):
        photo_from_bytes(bytes(data)).pixels()
    assert capfd.readouterr().err == ""


def test_an_avif_that_calls_itself_some_heif_needs_no_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = bytearray(encoded(scene(), "AVIF", quality=95))
    data[8:12], data[16:20], data[20:24] = b"mif1", b"mif1", b"avif"
    assert difference(photo_from_bytes(bytes(data)).pixels(), scene()) < 4


def test_the_limits_are_the_callers(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(scene(), "PNG"))
    size = path.stat().st_size
    assert read_photo(path, max_pixels=97 * 61, max_bytes=size).width == 97
    with pytest.raises(PhotoError, match="97 x 61 pixels"):
        read_photo(path, max_pixels=97 * 61 - 1)
    with pytest.raises(PhotoError, match=f"has {size:,} bytes, more than the limit"):
        read_photo(path, max_bytes=size - 1)


def test_pillows_own_limits_neither_warn_nor_fire_below_ours_nor_change():
    limit = Image.MAX_IMAGE_PIXELS
    assert photo_from_bytes(png_header(14000, 14000)).width == 14000  # above 179 megapixels
    assert photo_from_bytes(png_header(12000, 9000)).width == 12000  # above 89: Pillow would warn
    assert limit == Image.MAX_IMAGE_PIXELS


def noisy_tiff():
    """Return a TIFF that Pillow warns about: a tag that claims more than the file holds."""
    data = bytearray(encoded(scene(), "TIFF", tiffinfo={270: "words " * 10}))
    at = data.index(struct.pack("<HH", 270, 2))
    data[at + 4 : at + 8] = struct.pack("<I", 10 * len(data))
    return bytes(data)


def test_pillows_warnings_stay_inside_and_those_of_others_do_not():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        with pytest.raises(UserWarning), Image.open(io.BytesIO(noisy_tiff())) as image:
            image.load()
        assert photo_from_bytes(noisy_tiff()).pixels().shape == (61, 97, 3)
        assert warnings.filters == before


def test_filters_survive_readers_in_threads():
    before = list(warnings.filters)
    data = noisy_tiff()

    def read():
        for _ in range(20):
            photo_from_bytes(data).pixels()

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(PhotoError, match=r"cannot read .*gone\.jpg: No such file"):
        read_photo(tmp_path / "gone.jpg")
    with pytest.raises(PhotoError, match=r"cannot read .*: embedded null byte"):
        read_photo("a\0b")


def test_a_folder_is_no_photo(tmp_path):
    with pytest.raises(PhotoError, match=f"cannot read {tmp_path}: Is a directory"):
        read_photo(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFO in the file system")
@pytest.mark.timeout(10)
def test_a_fifo_a_device_and_a_socket_are_refused_without_waiting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        for name in ("fifo.jpg", "socket.jpg", "/dev/zero"):
            with pytest.raises(PhotoError, match=f"^cannot read {name}: "):
                read_photo(name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_without_permission_is_told(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(scene(), "PNG"))
    path.chmod(0)
    with pytest.raises(PhotoError, match="Permission denied"):
        read_photo(path)


def test_importing_reads_no_plugin_and_no_heavy_package():
    code = (
        "import sys, facesearch.photo; "
        "heavy = {'openvino', 'pillow_heif', 'scipy', 'torch', 'PIL.JpegImagePlugin'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Walking folders


def test_folders_are_walked_sorted_by_ending_without_hidden_ones(tmp_path):
    wanted = ["A.JPG", "b.heic", "b/c.webp", "b/d/e.Tiff", "z.png"]
    others = [
        "notes.txt",
        "film.mp4",
        ".hidden.jpg",
        ".cache/x.jpg",
        "b/.x.png",
        "jpg",
        "no_ending",
    ]
    for name in wanted + others:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in walk_photos([tmp_path])]
    assert found == ["A.JPG", "b/c.webp", "b/d/e.Tiff", "b.heic", "z.png"]
    assert sorted(found) == sorted(wanted)


def test_files_are_taken_as_given_whatever_their_ending_and_in_order(tmp_path):
    given = [tmp_path / "z_no_ending", tmp_path / ".hidden.jpg", tmp_path / "a.txt"]
    for path in given:
        path.touch()
    assert list(walk_photos(iter(given))) == given


def test_links_make_no_loop(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.png").touch()
    (tmp_path / "inner" / "up").symlink_to(tmp_path)
    (tmp_path / "link.png").symlink_to(tmp_path / "inner" / "a.png")
    found = [path.relative_to(tmp_path).as_posix() for path in walk_photos([tmp_path])]
    assert found == ["inner/a.png", "link.png"]


def test_a_missing_path_is_told_before_the_first_photo(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(PhotoError, match=r"cannot read .*gone: No such file"):
        next(walk_photos([tmp_path, tmp_path / "gone"]))


def test_a_folder_that_cannot_be_listed_is_yielded_to_be_told(tmp_path, monkeypatch):
    for name in ("locked/a.png", "open/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    listed = os.scandir

    def scandir(folder):  # not by chmod: root may list everything
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert list(walk_photos([tmp_path])) == [tmp_path / "locked", tmp_path / "open" / "b.png"]


def test_an_empty_folder_holds_no_photo(tmp_path):
    assert list(walk_photos([tmp_path])) == []
