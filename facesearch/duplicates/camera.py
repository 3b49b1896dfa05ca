"""What a camera wrote into a photo: when and how it was taken, and whether a copy still has it.

A program that saves a picture anew often drops this, and no other file can give it back.
"""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from typing import Any

from facesearch.photo import Photo

_EXIF, _GPS = 0x8769, 0x8825  # the parts of EXIF
_TAKEN, _FRACTION, _MAKER_NOTE, _LATITUDE = 0x9003, 0x9291, 0x927C, 2
_SECONDS, _APERTURE, _ISO, _BIAS = 0x829A, 0x829D, 0x8827, 0x9204

_SAME = 0.01  # share by which two readings of one setting may differ: they are rounded fractions
_STOPS = 0.25  # by which frames of one burst may be exposed differently; brackets start at a third


@dataclass(frozen=True, slots=True)
class Camera:
    """What the EXIF data of a photo says; a setting is None if it does not say it."""

    taken: str | None = None  # as the camera writes it, with fractions of a second
    has_place: bool = False
    has_maker_note: bool = False
    seconds: float | None = None
    aperture: float | None = None
    iso: float | None = None
    bias: float | None = None  # stops by which the user, or a bracket, corrected the exposure

    @property
    def marks(self) -> int:
        """Return how many of time, place and maker's note there are: 3 in a camera's own file."""
        return (self.taken is not None) + self.has_place + self.has_maker_note


NO_CAMERA = Camera()


def camera_of(photo: Photo) -> Camera:
    """Return what the camera wrote into `photo`; what is damaged counts as absent."""
    with suppress(Exception):  # corrupt EXIF makes Pillow raise almost anything
        exif = photo.exif()
        shot, place = _part(exif, _EXIF), _part(exif, _GPS)
        return Camera(
            _time(shot),
            _LATITUDE in place,
            bool(shot.get(_MAKER_NOTE)),
            *(_number(shot.get(tag)) for tag in (_SECONDS, _APERTURE, _ISO, _BIAS)),
        )
    return NO_CAMERA


def camera_text(camera: Camera) -> str:
    """Return `camera` as text, for `camera_from_text`."""
    return json.dumps(astuple(camera))


def camera_from_text(text: str) -> Camera:
    """Return the camera that `camera_text` wrote."""
    return Camera(*json.loads(text))


def why_two_shots(one: Camera, other: Camera, *, burst: bool = False) -> str:
    """Return how two files tell that they are two shots, "" if they do not.

    Frames of a `burst` have other times and slightly other settings, so only what could be a
    bracket of exposures counts there.
    """
    if not burst and None not in (one.taken, other.taken) and _times_differ(one, other):
        return "taken at another time"
    if _differ(one.bias, other.bias) or (
        _stops_apart(one, other) > _STOPS
        if burst
        else any(
            _differ(a, b)
            for a, b in (
                (one.seconds, other.seconds),
                (one.aperture, other.aperture),
                (one.iso, other.iso),
            )
        )
    ):
        return "another exposure by its EXIF data"
    return ""


def _times_differ(one: Camera, other: Camera) -> bool:
    """Return whether the times differ, as far as both are given."""
    a, b = str(one.taken), str(other.taken)
    length = min(len(a), len(b))  # a program may have dropped the fraction
    return a[:length] != b[:length]


def _differ(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return False
    return not math.isclose(one, other, rel_tol=_SAME, abs_tol=1e-6)


def _stops_apart(one: Camera, other: Camera) -> float:
    """Return by how many stops the settings that both give expose differently."""
    stops = 0.0
    for name, power in (("seconds", 1), ("iso", 1), ("aperture", -2)):
        a, b = getattr(one, name), getattr(other, name)
        if a and b and a > 0 and b > 0:
            stops += power * math.log2(a / b)
    return abs(stops)


def _part(exif: Any, tag: int) -> Mapping[int, Any]:
    with suppress(Exception):
        part: Mapping[int, Any] = exif.get_ifd(tag)
        return part
    return {}


def _time(shot: Mapping[int, Any]) -> str | None:
    """Return when a photo was taken, None if its camera had no clock."""
    text = str(shot.get(_TAKEN) or "").strip(" \0")
    if not any(digit in text for digit in "123456789"):  # empty, or all zeros
        return None
    fraction = str(shot.get(_FRACTION) or "").strip(" \0").rstrip("0")
    return f"{text}.{fraction}" if fraction.isdigit() else text


def _number(value: Any) -> float | None:
    """Return a setting as a finite number, None if there is none."""
    with suppress(TypeError, ValueError, ZeroDivisionError, OverflowError):
        number = float(value[0] if isinstance(value, tuple) else value)
        if math.isfinite(number):
            return number
    return None
