"""Nothing leaves the machine: no command opens a connection, nor writes files of others at home."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from every_command import COMMANDS, run_each

GUARD = """
import ipaddress, os, socket, sys

def local(host):
    if host in (None, "", b"", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

def guard(event, details):
    if event == "socket.getaddrinfo":
        hosts = [details[0]]
    elif event in ("socket.connect", "socket.sendto") and isinstance(details[1], tuple):
        hosts = [details[1][0]]
    elif event == "socket.gethostbyname":
        hosts = [details[0]]
    else:
        return
    if not all(map(local, hosts)):
        with open(os.environ["SEEN"], "a") as seen:
            seen.write(f"{sys.argv} {event} {hosts}\\n")

sys.addaudithook(guard)
"""


@pytest.fixture
def watched(tmp_path):
    """The environment of a process whose look-ups and connections are written to `SEEN`."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    (tmp_path / "me").mkdir()
    env = {name: value for name, value in os.environ.items() if name != "CI"}
    del env["FACESEARCH_HOME"]
    paths = os.pathsep.join([str(tmp_path / "guard"), *sys.path])
    return {
        **env,
        "HOME": str(tmp_path / "me"),
        "PYTHONPATH": paths,
        "SEEN": str(tmp_path / "seen"),
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_no_command_opens_a_connection_or_leaves_a_file_at_home(
    watched, tmp_path, enrolled_gallery, portraits
):
    many = tmp_path / "many"
    many.mkdir()
    for number in range(32):  # as many as OpenVINO is used for
        shutil.copy(portraits.grace, many / f"{number}.jpg")
    cases = {**COMMANDS, "identify with OpenVINO": ["identify", str(many)]}
    filled = [([w.replace("PHOTO", str(portraits.grace)) for w in ws], "") for ws in cases.values()]
    trace = tmp_path / "trace"
    strace = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        "trace=connect,sendto,sendmsg",
        "-o",
        str(trace),
    ]
    given = run_each(filled, enrolled_gallery, watched, strace if shutil.which("strace") else ())
    codes = dict(zip(cases, (code for code, _, _ in given), strict=True))
    assert codes.pop("web") == -signal.SIGTERM  # which the visitor sends who opened the page
    assert {name for name, code in codes.items() if code not in (0, 1, 2, 4)} == set()
    assert codes["identify with OpenVINO"] == codes["doctor"] == 0
    assert not (tmp_path / "seen").exists() or (tmp_path / "seen").read_text() == ""
    if trace.exists():
        lines = [line for line in trace.read_text().splitlines() if "AF_INET" in line]
        assert [line for line in lines if "127.0.0.1" not in line] == []
    assert [str(path) for path in (tmp_path / "me").rglob("*") if path.is_file()] == []


def test_the_guard_sees_a_look_up(watched):
    """Without this the test above would pass for a guard that sees nothing."""

    code = "import socket; socket.getaddrinfo('example.invalid', 80)"
    subprocess.run([sys.executable, "-c", code], env=watched, capture_output=True)
    assert "example.invalid" in Path(watched["SEEN"]).read_text()
