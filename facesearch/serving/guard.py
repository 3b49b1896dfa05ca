"""Requests -> those of the user's own browser, from our own page; every other one is refused.

The server listens on this machine only, if it is not told otherwise, but any page in the user's
browser can send requests to it, and any program of any user of the machine can, too. Against the
former: Host, Origin and content type. Against the latter: the token. Pure ASGI, so that uploads and
answers stream.
"""

import hmac
from collections.abc import Sequence
from html import escape
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPES = ("application/json", "application/octet-stream")  # no form can send either
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # a page on another port of this machine is "same-site": cookies do not stop it, these do
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """The application behind it is called for requests that may be answered, and no others."""

    def __init__(self, app: ASGIApp, *, names: Sequence[str], port: int, token: str) -> None:
        self._app = app
        self._token = token.encode()
        self._cookie = f"facesearch-{port}"  # cookies are of a host, whatever the port
        self._hosts = {f"{name}:{port}" for name in names}
        if port == 80:  # which browsers leave out
            self._hosts.update(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._answer(scope)
        await (answer or self._app)(scope, receive, send_guarded)

    def _answer(self, scope: Scope) -> Response | None:
        """Return what to say in place of the application, None if the request is allowed."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return refusal(scope, 421, "This page answers to its own address only.")
        changes = scope["method"] not in ("GET", "HEAD")
        if changes and headers.getlist("origin") != [f"http://{hosts[0]}"]:
            return refusal(scope, 403, "Another page asked for this change; nothing was changed.")
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if tokens is not None and not changes:
            if len(tokens) == 1 and self._is_token(tokens[0]):
                return self._welcome()
            return refusal(scope, 403, UNKNOWN)
        cookies = [cookie_parser(line) for line in headers.getlist("cookie")]
        if not any(self._is_token(cookie.get(self._cookie, "")) for cookie in cookies):
            return refusal(scope, 403, UNKNOWN)
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if changes and content_type not in CONTENT_TYPES:
            return refusal(scope, 415, f"Changes come as {' or '.join(CONTENT_TYPES)}.")
        return None

    def _is_token(self, told: str) -> bool:
        return hmac.compare_digest(told.encode("utf-8", "replace"), self._token)

    def _welcome(self) -> Response:
        """Return the page that keeps the token in a cookie and goes on without it in the address.

        Not a redirect: one that began on another site, as of a terminal in the browser, would
        arrive without the cookie, since that is a strict one.
        """
        head = '<meta http-equiv="refresh" content="0; url=/">'
        response = HTMLResponse(plain_page("facesearch", '<p><a href="/">Go on</a></p>', head))
        response.set_cookie(
            self._cookie, self._token.decode(), path="/", httponly=True, samesite="strict"
        )
        return response


UNKNOWN = "Open the address that facesearch web printed when it was started: it holds the key."


def refusal(scope: Scope, status: int, sentence: str) -> Response:
    """Return the answer that says why there is none: a plain page, JSON for scripts."""
    headers = {"Connection": "close"} if scope["method"] not in ("GET", "HEAD") else None
    if wants_json(scope):
        return JSONResponse({"error": sentence}, status, headers)
    body, head = f"<p>{escape(sentence)}</p>", ""
    if status not in (403, 421):  # who may not see anything does not get our style either
        body = f'<h1>{escape(sentence)}</h1><p><a href="/">To the start</a></p>'
        head = '<link rel="stylesheet" href="/static/style.css">'
    page = plain_page(f"facesearch: {status}", body, head)
    return HTMLResponse(page, status, headers)


def wants_json(scope: Scope) -> bool:
    """Return whether it is a script that asks, not somebody who opens a page."""
    accepted = Headers(scope=scope).get("accept", "")
    return scope["method"] not in ("GET", "HEAD") or "application/json" in accepted


def plain_page(title: str, body: str, head: str = "") -> str:
    """Return a page of some HTML, which needs nothing but what `head` says."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{head}'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" '
        f'content="light dark"><title>{escape(title)}</title></head>'
        f"<body><main>{body}</main></body></html>\n"
    )
