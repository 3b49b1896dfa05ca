"""Files that cannot be read as photos: refused in a sentence, with nothing else harmed."""

import io
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest
from picture_files import difference, encoded, exif, png_header, scene
from PIL import Image

from facesearch.errors import PhotoError
from facesearch.extras import install_command
from facesearch.photo import photo_from_bytes, read_photo


def test_truncation_gives_an_error_or_the_pixels_but_for_the_last_rows():
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
                photo = photo_from_bytes(data[:end])
                pixels = photo.pixels()
                kept = slice(None) if photo.remark is None else slice(-(-len(whole) * 5 // 8) - 1)
                assert difference(pixels[kept], whole[kept]) < 0.5
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
def test_flipped_bytes_give_a_photo_error_or_pixels(file_format, options):
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
    command = re.escape(install_command("heic"))
    with pytest.raises(PhotoError, match=rf"cannot read a\.heic: .*{command}"):
        photo_from_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "a.heic")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"hello, I am a text", "not a picture in a known format"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "not a picture in a known format"),
        (b"%PDF-1.7", "not a picture in a known format"),
        (b"\xff\xd8\xff\xe0", "damaged"),
        (b"BMW is a car", "damaged"),
        (b"GIF89a", "damaged"),
    ],
    ids=["empty", "text", "film", "pdf", "four bytes of jpeg", "text like bmp", "gif start"],
)
def test_a_file_that_is_not_a_picture_is_refused_in_a_sentence(data, reason):
    with pytest.raises(PhotoError, match=rf"^cannot read x\.jpg: .*{reason}"):
        photo_from_bytes(data, "x.jpg")


def test_a_decompression_bomb_is_refused_by_its_header():
    with pytest.raises(PhotoError, match="40000 x 40000 pixels, more than the limit of 200,000,00"):
        photo_from_bytes(png_header(40000, 40000))


def test_a_decompression_bomb_in_the_frame_of_a_small_gif_is_refused():
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
def test_whatever_a_reader_raises_becomes_a_sentence(monkeypatch, error, reason):
    def load(self):
        raise error

    photo = photo_from_bytes(encoded(scene(), "PNG"), "a.png")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with pytest.raises(PhotoError, match=rf"^cannot read a\.png: .*{reason}"):
        photo.pixels()


def test_libtiff_prints_nothing_about_a_tiff_cut_short(capfd):
    data = bytearray(encoded(scene(), "TIFF", compression="tiff_lzw"))
    at = data.index(struct.pack("<HHI", 279, 4, 1))  # the bytes of the only strip
    data[at + 8 : at + 12] = struct.pack("<I", len(data))
    with pytest.raises(PhotoError, match="the file ends within the picture"):
        photo_from_bytes(bytes(data)).pixels()
    assert capfd.readouterr().err == ""


def test_an_avif_whose_major_brand_is_some_heif_needs_no_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = bytearray(encoded(scene(), "AVIF", quality=95))
    data[8:12], data[16:20], data[20:24] = b"mif1", b"mif1", b"avif"
    assert difference(photo_from_bytes(bytes(data)).pixels(), scene()) < 4


def test_a_caller_can_set_the_limits(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(scene(), "PNG"))
    size = path.stat().st_size
    assert read_photo(path, max_pixels=97 * 61, max_bytes=size).width == 97
    with pytest.raises(PhotoError, match="97 x 61 pixels"):
        read_photo(path, max_pixels=97 * 61 - 1)
    with pytest.raises(PhotoError, match=f"has {size:,} bytes, more than the limit"):
        read_photo(path, max_bytes=size - 1)


def test_pillows_own_limits_neither_warn_nor_apply_below_ours_nor_change():
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


def test_pillows_warnings_are_hidden_and_no_others():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        with pytest.raises(UserWarning), Image.open(io.BytesIO(noisy_tiff())) as image:
            image.load()
        assert photo_from_bytes(noisy_tiff()).pixels().shape == (61, 97, 3)
        assert warnings.filters == before


def test_warning_filters_survive_readers_in_threads():
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


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(PhotoError, match=r"cannot read .*gone\.jpg: No such file"):
        read_photo(tmp_path / "gone.jpg")
    with pytest.raises(PhotoError, match=r"cannot read .*: embedded null byte"):
        read_photo("a\0b")


def test_a_folder_is_not_a_photo(tmp_path):
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
def test_a_file_without_permission_is_an_error_that_says_so(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(scene(), "PNG"))
    path.chmod(0)
    with pytest.raises(PhotoError, match="Permission denied"):
        read_photo(path)


def test_importing_loads_no_plugin_and_no_large_package():
    code = (
        "import sys, facesearch.photo; "
        "heavy = {'openvino', 'pillow_heif', 'scipy', 'torch', 'PIL.JpegImagePlugin'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
