"""What a request brings, taken in bounds and checked."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

IDLE_S = 30.0  # after which an upload that brings nothing is given up
MAX_TOLD_BYTES = 64_000  # of what a script tells in JSON


def of_type(request: Request, content_type: str) -> None:
    """Raise HTTPException unless the request brings that."""
    if request.headers["content-type"].partition(";")[0].strip().lower() != content_type:
        raise HTTPException(415, f"This comes as {content_type}.")


async def chunks(request: Request, most: int) -> AsyncIterator[bytes]:
    """Yield what a request brings; raises HTTPException if that is more than `most` bytes.

    The length that a client promises is believed only if it is too long.
    """
    too_long = HTTPException(413, f"More than {most:,} bytes.", {"Connection": "close"})
    if int(request.headers.get("content-length", 0)) > most:
        raise too_long
    n_bytes = 0
    stream = request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), IDLE_S)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise HTTPException(408, "Nothing came.", {"Connection": "close"}) from None
        n_bytes += len(chunk)
        if n_bytes > most:
            raise too_long
        yield chunk


def number_in(request: Request, name: str) -> int:
    """Return the number that stands in an address; raises HTTPException if there is none."""
    digits = request.path_params[name]
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19 and int(digits) > 0):
        raise HTTPException(404)
    return int(digits)


def start_in(request: Request) -> int:
    """Return where a window of a list begins, 0 if the request does not say."""
    digits = request.query_params.get("start", "0")
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else 0


def text_of(said: dict[str, Any], key: str) -> str:
    """Return a text that a script told; raises HTTPException if there is none."""
    value = said.get(key)
    if not isinstance(value, str) or not value.strip():
        raise HTTPException(400, f"The {key} is missing.")
    return value


def side_of(said: dict[str, Any], key: str) -> int:
    """Return which of two a script told, 0 if it did not; raises HTTPException if it is neither."""
    value = said.get(key, 0)
    if type(value) is not int or value not in (0, 1):
        raise HTTPException(400, f"The {key} is neither 0 nor 1.")
    return value


def numbers_of(said: dict[str, Any], key: str) -> list[int]:
    """Return the numbers that a script told, at least one; raises HTTPException if it did not."""
    value = said.get(key)
    if not isinstance(value, list) or not value:
        raise HTTPException(400, f"Choose some {key} first.")
    if not all(type(number) is int and 0 < number < 2**62 for number in value):
        raise HTTPException(400, f"The {key} are no numbers.")
    return value


async def told(request: Request) -> dict[str, Any]:
    """Return what a script tells in JSON, an object."""
    of_type(request, "application/json")
    data = b"".join([chunk async for chunk in chunks(request, MAX_TOLD_BYTES)])
    try:
        value = json.loads(data or b"{}")
    except (ValueError, RecursionError) as error:  # the latter of brackets in brackets
        raise HTTPException(400, "This is no JSON.") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "This is no JSON object.")
    return value
