"""Requests -> checked values: numbers, texts, JSON objects and bodies of limited size."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

IDLE_S = 30.0  # an upload that sends nothing for so long is given up
MAX_JSON_BYTES = 64_000  # names and lists of ids need less


def require_type(request: Request, content_type: str) -> None:
    """Raise HTTPException unless the request has that content type."""
    if request.headers["content-type"].partition(";")[0].strip().lower() != content_type:
        raise HTTPException(415, f"Send this as {content_type}.")


async def body_chunks(request: Request, most: int) -> AsyncIterator[bytes]:
    """Yield the body of a request; raises HTTPException if it has more than `most` bytes.

    The bytes are counted: the length that a client announces may be too small. Raises HTTPException
    if nothing comes for IDLE_S.
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
            raise HTTPException(408, "The upload stalled.", {"Connection": "close"}) from None
        n_bytes += len(chunk)
        if n_bytes > most:
            raise too_long
        yield chunk


def path_number(request: Request, name: str) -> int:
    """Return the positive number `name` of an address; raises HTTPException if it is not one."""
    digits = request.path_params[name]
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19 and int(digits) > 0):
        raise HTTPException(404)
    return int(digits)


def window_start(request: Request) -> int:
    """Return where a window of a list begins, 0 if the request does not say."""
    digits = request.query_params.get("start", "0")
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else 0


def required_text(body: dict[str, Any], key: str) -> str:
    """Return a text that is not blank; raises HTTPException if there is none."""
    value = body.get(key)
    if not isinstance(value, str) or not value.strip():
        raise HTTPException(400, f"The {key} is missing.")
    return value


def side_number(body: dict[str, Any], key: str) -> int:
    """Return 0 or 1, 0 if `key` is missing; raises HTTPException if it is anything else."""
    value = body.get(key, 0)
    if type(value) is not int or value not in (0, 1):
        raise HTTPException(400, f"The {key} is neither 0 nor 1.")
    return value


def required_numbers(body: dict[str, Any], key: str) -> list[int]:
    """Return a list of positive numbers; raises HTTPException if it is empty or anything else."""
    value = body.get(key)
    if not isinstance(value, list) or not value:
        raise HTTPException(400, f"Select some {key} first.")
    if not all(type(number) is int and 0 < number < 2**62 for number in value):
        raise HTTPException(400, f"The {key} are not numbers.")
    return value


async def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request holds; raises HTTPException if it holds none."""
    require_type(request, "application/json")
    data = b"".join([chunk async for chunk in body_chunks(request, MAX_JSON_BYTES)])
    try:
        value = json.loads(data or b"{}")
    except (ValueError, RecursionError) as error:  # RecursionError: brackets in brackets
        raise HTTPException(400, "This is not JSON.") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "This is not a JSON object.")
    return value
