"""Pictures, and the bytes of picture files, that tests make themselves."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


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
