"""Only our own page in the user's own browser is answered, and the server survives the rest."""

import socket
import sys

import pytest

LIMIT = 512_000_000  # facesearch.photo.MAX_BYTES


@pytest.fixture(autouse=True)
def survives(site):
    """Check after every test that the server still answers."""
    yield
    assert site.ask("GET", "/")[0] == 200
    assert site.process.poll() is None


def head(site, line, *more, cookie=True, host=None):
    """Return the lines of a request."""
    lines = [line, f"Host: {host or site.host}", *more]
    return [*lines, f"Cookie: {site.cookie}"] if cookie else lines


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_requests_to_our_own_address_are_answered(site, name):
    assert site.status(*head(site, "GET / HTTP/1.1", host=f"{name}:{site.port}")) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "localhost",
        "127.0.0.1:1",
        "[::1]:{port}",
    ],
)
def test_requests_to_another_host_are_refused_as_in_dns_rebinding(site, host):
    host = host.format(port=site.port)
    assert site.status(*head(site, "GET / HTTP/1.1", host=host)) == 421


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of its own")
def test_a_server_at_another_address_accepts_only_that_host_and_origin(start_site, tmp_path):
    elsewhere = start_site("--host", "127.0.0.2", "--gallery", tmp_path / "home.db")
    assert elsewhere.host == f"127.0.0.2:{elsewhere.port}"
    assert elsewhere.ask("GET", "/")[0] == 200
    assert elsewhere.tell("/undo", number=1)[0] == 409
    for host in (f"127.0.0.1:{elsewhere.port}", f"localhost:{elsewhere.port}", "127.0.0.2"):
        assert elsewhere.ask("GET", "/", Host=host)[0] == 421
        assert elsewhere.ask("POST", "/undo", b"{}", Origin=f"http://{host}")[0] == 403
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", elsewhere.port), timeout=60)


def test_requests_without_a_host_or_with_two_are_refused(site):
    assert site.status("GET / HTTP/1.1", f"Cookie: {site.cookie}") in (400, 421)
    assert site.status("GET / HTTP/1.0", f"Cookie: {site.cookie}") in (400, 421)
    two = head(site, "GET / HTTP/1.1", "Host: evil.example")
    assert site.status(*two) in (400, 421)


def test_without_the_token_everything_is_refused(site):
    for path in ("/", "/static/style.css", "/photos/x/picture", "/nothing"):
        assert site.status(*head(site, f"GET {path} HTTP/1.1", cookie=False)) == 403
    wrong = f"Cookie: {site.cookie[:-1]}!"
    assert site.status(*head(site, "GET / HTTP/1.1", wrong, cookie=False)) == 403
    assert site.status(*head(site, "GET /?token=wrong HTTP/1.1", cookie=False)) == 403
    assert site.status(*head(site, "GET /?token= HTTP/1.1", cookie=False)) == 403
    foreign = "Cookie: facesearch-1=" + site.cookie.partition("=")[2]
    assert site.status(*head(site, "GET / HTTP/1.1", foreign, cookie=False)) == 403


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_cannot_use(site):
    status, headers, body = site.ask("GET", site.address.partition(site.host)[2], Cookie="")
    assert status == 200
    cookie = headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    token = site.address.partition("token=")[2]
    assert token.encode() not in body
    assert site.ask("POST", "/photos?token=" + token, b"x", Cookie="")[0] == 403


@pytest.mark.parametrize(
    "origin",
    ["Origin: https://evil.example", "Origin: null", "X-None: 1", "Origin: http://127.0.0.1:1"],
    ids=["another site", "null", "none", "another port"],
)
def test_a_change_requested_by_another_page_is_refused(site, origin):
    kind = "Content-Type: application/octet-stream"
    lines = head(site, "POST /photos?name=a.png HTTP/1.1", origin, kind, "Content-Length: 3")
    assert site.status(*lines, body=b"abc") == 403


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""],
)
def test_a_form_is_refused_even_from_our_own_page(site, kind):
    own = f"Origin: http://{site.host}"
    lines = head(site, "POST /photos HTTP/1.1", own, f"Content-Type: {kind}", "Content-Length: 3")
    assert site.status(*lines, body=b"a=b") == 415


def test_a_form_post_from_elsewhere_is_refused(site):
    kind = "Content-Type: application/x-www-form-urlencoded"
    elsewhere = "Origin: https://evil.example"
    lines = head(site, "POST /photos HTTP/1.1", elsewhere, kind, "Content-Length: 3")
    assert site.status(*lines, body=b"a=b") == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/../app.py",
        "/static/..%5capp.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/photos/..%2f..%2fetc%2fpasswd/picture",
        "/photos/%00/picture",
    ],
)
def test_no_address_reaches_a_file_outside_the_pages_own(site, path):
    assert site.status(*head(site, f"GET {path} HTTP/1.1")) == 404


def test_every_answer_forbids_everything_the_page_does_not_need(site):
    for path, cookie in (("/", site.cookie), ("/nothing", site.cookie), ("/", "")):
        _, headers, _ = site.ask("GET", path, Cookie=cookie)
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in headers if name.lower().startswith("access-control")]


def test_errors_are_plain_pages_and_json_for_scripts(site):
    _, headers, body = site.ask("GET", "/nothing")
    assert headers["content-type"].startswith("text/html")
    assert b"nothing at this address" in body
    _, headers, body = site.ask("GET", "/nothing", Accept="application/json")
    assert headers["content-type"] == "application/json"
    assert b'"error"' in body


def test_slow_clients_do_not_delay_others(site):
    slow = []
    for start in (b"GET / HT", b"POST /photos HTTP/1.1\r\nHost: "):
        for _ in range(20):
            slow.append(socket.create_connection(("127.0.0.1", site.port), timeout=60))
            slow[-1].sendall(start)
    uploading = head(
        *(site, "POST /photos HTTP/1.1", f"Origin: http://{site.host}"),
        *("Content-Type: application/octet-stream", "Content-Length: 1000"),
    )
    for _ in range(20):
        slow.append(socket.create_connection(("127.0.0.1", site.port), timeout=60))
        slow[-1].sendall("\r\n".join([*uploading, "", "x"]).encode())
    try:
        assert site.ask("GET", "/")[0] == 200
        assert site.ask("POST", "/photos", b"no picture")[0] == 422
    finally:
        for connection in slow:
            connection.close()


def upload(site, *more):
    own = f"Origin: http://{site.host}"
    kind = "Content-Type: application/octet-stream"
    return "\r\n".join([*head(site, "POST /photos HTTP/1.1", own, kind, *more), "", ""]).encode()


def test_an_upload_of_a_gigabyte_is_refused_before_it_comes(site):
    answer = site.raw(upload(site, "Content-Length: 1000000000"))
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_chunked_upload_of_a_gigabyte_is_refused_at_the_limit(site):
    chunk = b"%x\r\n%s\r\n" % (1_000_000, bytes(1_000_000))
    n_sent, answer = 0, b""
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(upload(site, "Transfer-Encoding: chunked"))
        try:
            for _ in range(1000):
                connection.sendall(chunk)
                n_sent += 1_000_000
        except OSError:  # the server closed the connection
            pass
        try:
            while some := connection.recv(65536):
                answer += some
        except ConnectionResetError:  # it may lose the answer
            pass
    assert answer[:12] in (b"HTTP/1.1 413", b"")
    assert LIMIT <= n_sent < 1.2 * LIMIT
