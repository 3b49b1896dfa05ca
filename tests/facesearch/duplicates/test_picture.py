import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from facesearch.duplicates import picture
from facesearch.duplicates.picture import (
    EVERYWHERE,
    SAME,
    SIDE,
    SURE,
    codes_of,
    compare,
    look_at,
    look_closely,
)
from facesearch.photo import Photo, photo_from_bytes, read_photo


def look_of(image):
    return look_at(Photo.from_pixels("photo", np.asarray(image.convert("RGB"))))


def jpeg(image, quality):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue()))


def with_text(image):
    image = image.copy()
    ImageDraw.Draw(image).text((10, image.height - 40), "2024-05-17", fill="yellow")
    return image


@pytest.fixture(scope="module")
def eileen(portraits):
    return Image.open(portraits.eileen).convert("RGB")


@pytest.mark.parametrize(
    "edit",
    [
        lambda image: image.resize((150, 150)),
        lambda image: image.resize((512, 300)),
        lambda image: jpeg(image, 20),
        lambda image: image.convert("L"),
        lambda image: image.crop((0, 40, 480, 512)),
        lambda image: ImageOps.expand(image, 30, "white"),
        lambda image: ImageEnhance.Brightness(image).enhance(1.3),
        lambda image: ImageEnhance.Contrast(image).enhance(0.6),
        with_text,
    ],
    ids=[
        "smaller",
        "squeezed",
        "jpeg",
        "grayscale",
        "crop",
        "border",
        "brighter",
        "contrast",
        "text",
    ],
)
@pytest.mark.parametrize("way", range(8))
def test_an_edited_picture_is_the_same_in_every_orientation(eileen, edit, way):
    laid = Image.fromarray(np.ascontiguousarray(picture._lay(np.asarray(eileen), way, (0, 1))))
    found = compare(look_of(edit(eileen)), look_of(laid))
    assert found is not None
    assert found.score >= SAME
    assert found.mirrored == (way >= 4)
    assert found.turned == (way not in (0, 4))


def test_photos_of_two_people_are_different_pictures(portraits):
    eileen, grace = (look_at(read_photo(path)) for path in portraits)
    assert compare(eileen, grace) is None


def test_the_order_of_two_pictures_does_not_matter(eileen):
    whole, crop = look_of(eileen), look_of(eileen.crop((30, 0, 512, 470)))
    one, two = compare(whole, crop), compare(crop, whole)
    assert one.score == two.score > SURE
    assert one.area == pytest.approx(1 / two.area) == pytest.approx(512**2 / 482 / 470, abs=0.03)


def test_another_expression_makes_it_another_frame_of_the_burst(eileen):
    """czkawka #429: small hashes call different shots the same."""
    other = np.array(eileen)
    face = other[60:200, 160:300]
    shift = np.float32([[1, 0, 0], [0, 1, 14]])
    other[60:200, 160:300] = cv2.warpAffine(face, shift, (140, 140), borderMode=cv2.BORDER_REFLECT)
    found = compare(look_of(eileen), look_of(Image.fromarray(other)))
    assert found.score < SAME
    assert found.burst


def test_flat_pictures_match_nothing(eileen):
    flat = look_of(Image.new("RGB", (400, 300), "grey"))
    assert compare(flat, flat) is compare(flat, look_of(eileen)) is None


def test_a_gray_picture_is_recognized_as_grayscale(eileen):
    assert look_of(jpeg(eileen.convert("L").convert("RGB"), 60)).grayscale
    assert not look_of(eileen).grayscale


def test_a_large_jpeg_decoded_small_has_the_same_look(eileen):
    stream = io.BytesIO()
    eileen.resize((2048, 2048)).save(stream, "JPEG", quality=95)
    large = look_at(photo_from_bytes(stream.getvalue()))
    assert compare(large, look_of(eileen)).score > SURE
    assert (large.width, large.height) == (2048, 2048)


def test_only_the_closer_look_sees_closed_eyes(eileen):
    """Two shots of a burst, the second with closed eyes: the small pictures are the same."""
    other = np.array(eileen)
    skin = other[138, 196:252].copy()
    other[104:122, 196:252] = skin
    shots = [Photo.from_pixels("shot", np.asarray(image)) for image in (eileen, other)]
    looks = [look_at(shot) for shot in shots]
    assert compare(*looks).score > SURE
    assert look_closely(tuple(shots), tuple(looks)) < EVERYWHERE


@pytest.mark.parametrize(
    "edit",
    [
        lambda image: image.resize((170, 170)),
        lambda image: jpeg(image, 30),
        lambda image: image.convert("L"),
        lambda image: image.crop((0, 40, 480, 512)),
        lambda image: ImageOps.mirror(image).rotate(90),
        lambda image: ImageEnhance.Contrast(image).enhance(0.6),
    ],
    ids=["smaller", "jpeg", "grayscale", "crop", "mirrored and rotated", "contrast"],
)
def test_a_closer_look_at_a_copy_finds_no_difference(eileen, edit):
    shots = [Photo.from_pixels("s", np.asarray(im.convert("RGB"))) for im in (eileen, edit(eileen))]
    looks = tuple(look_at(shot) for shot in shots)
    one = look_closely(tuple(shots), looks)
    assert one > EVERYWHERE
    assert look_closely(tuple(shots[::-1]), looks[::-1]) == one


def test_printed_pages_are_recognized_as_plain(eileen):
    page = Image.new("RGB", (620, 877), "white")
    for y in range(60, 800, 24):
        ImageDraw.Draw(page).text((50, y), "the quick brown fox jumps over the lazy dog " * 2, 0)
    assert look_of(page).plain
    assert not look_of(eileen).plain


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF"])
def test_a_file_with_several_frames_matches_nothing(eileen, kind):
    """Its first frame may also be that of another animation or document."""
    stream = io.BytesIO()
    small = eileen.resize((128, 128))
    small.save(stream, kind, save_all=True, append_images=[ImageOps.mirror(small)])
    assert compare(look_at(photo_from_bytes(stream.getvalue())), look_of(eileen)) is None
    alone = io.BytesIO()
    small.save(alone, kind)
    assert compare(look_at(photo_from_bytes(alone.getvalue())), look_of(eileen)).score > SAME


def naive_code(gray):
    """The oracle: cells are area means of a float picture, bits are set one by one."""
    cells = cv2.resize(gray.astype(np.float32), (12, 12), interpolation=cv2.INTER_AREA)
    across = [cells[y, x + 1] > cells[y, x] + 0.5 for y in range(12) for x in range(11)]
    down = [cells[y + 1, x] > cells[y, x] + 0.5 for y in range(11) for x in range(12)]
    return np.packbits(across[:128] + down[:128])


def test_codes_are_difference_hashes_of_every_window_in_every_orientation(eileen):
    gray = look_of(eileen).gray
    codes = codes_of(gray)
    starts, size = picture.STARTS, picture.WINDOW
    boxes = [(0, 0, SIDE), *((y, x, size) for y in starts for x in starts)]
    for way in range(8):
        laid = picture._lay(gray, way)
        for number, (y, x, side) in enumerate(boxes):
            expected = naive_code(np.ascontiguousarray(laid[y : y + side, x : x + side]))
            differ = np.unpackbits(codes[10 * way + number] ^ expected).sum()
            assert differ <= 2  # cells nearly as bright as their neighbor
