"""Requests -> only those from our own page in the user's own browser; all others are refused.

The server listens on this machine only, unless `--host` says otherwise, but any page in the user's
browser can send requests to it, and so can any program of any user of this machine. Host, Origin
and content type keep out other pages; the token keeps out other programs. Pure ASGI, so that
uploads and answers stream.
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
    # a page on another port of this machine is "same-site": these stop it, cookies do not
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Calls the application behind it for allowed requests only."""

    def __init__(self, app: ASGIApp, *, names: Sequence[str], port: int, token: str) -> None:
        self._app = app
        self._token = token.encode()
        self._cookie = f"facesearch-{port}"  # all ports of a host share their cookies
        self._hosts = {f"{name}:{port}" for name in names}
        if port == 80:  # browsers leave it out
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
        """Return the answer in place of the application's, None if the request is allowed."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return refusal(scope, 421, "This page answers only at its own address.")
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
            return refusal(scope, 415, f"Send changes as {' or '.join(CONTENT_TYPES)}.")
        return None

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self._token)

    def _welcome(self) -> Response:
        """Return a page that stores the token in a cookie and moves on to an address without it.

        Not a redirect: if it began on another site, say in a terminal within the browser, it would
        arrive without the cookie, which is SameSite=Strict.
        """
        head = '<meta http-equiv="refresh" content="0; url=/">'
        response = HTMLResponse(plain_page("facesearch", '<p><a href="/">Continue</a></p>', head))
        response.set_cookie(
            self._cookie, self._token.decode(), path="/", httponly=True, samesite="strict"
        )
        return response


UNKNOWN = "Open the address that facesearch web printed when it started: it contains the key."


def refusal(scope: Scope, status: int, sentence: str, ask: str | None = None) -> Response:
    """Return an answer that refuses a request: a plain page, or JSON for scripts.

    `ask` is the key with which a script may repeat the request once the user agrees.
    """
    headers = {"Connection": "close"} if scope["method"] not in ("GET", "HEAD") else None
    if wants_json(scope):
        answer = {"error": sentence} | ({} if ask is None else {"ask": ask})
        return JSONResponse(answer, status, headers)
    body, head = f"<p>{escape(sentence)}</p>", ""
    if status not in (403, 421):  # the style sheet would be refused, too
        body = f'<h1>{escape(sentence)}</h1><p><a href="/">Home</a></p>'
        head = '<link rel="stylesheet" href="/static/style.css">'
    page = plain_page(f"facesearch: {status}", body, head)
    return HTMLResponse(page, status, headers)


def wants_json(scope: Scope) -> bool:
    """Return whether a script asks, rather than a user who opens a page."""
    accepted = Headers(scope=scope).get("accept", "")
    return scope["method"] not in ("GET", "HEAD") or "application/json" in accepted


def plain_page(title: str, body: str, head: str = "") -> str:
    """Return a page of some HTML, which loads nothing but what `head` names."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{head}'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" '
        f'content="light dark"><title>{escape(title)}</title></head>'
        f"<body><main>{body}</main></body></html>\n"
    )
