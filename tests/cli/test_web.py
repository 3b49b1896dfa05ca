"""facesearch web: starting, stopping, and errors."""

import queue
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import url2pathname

import pytest
import typer
from PIL import Image

from facesearch.extras import install_command
from facesearch_cli.web import open_browser, own_address

PAGE_MODULES = ("facesearch.web", "facesearch.serving")

pytest.importorskip("starlette", reason="the extra web is not installed")
pytest.importorskip("uvicorn", reason="the extra web is not installed")


def test_it_prints_its_address_and_ctrl_c_exits_0(command, own_home):
    process = subprocess.Popen(
        [*command, "web", "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    address = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert address.startswith("http://127.0.0.1:")
    assert "?token=" in address
    assert process.returncode == 0
    assert "Traceback" not in said


def test_a_missing_photo_is_an_error_before_the_page_opens(facesearch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = facesearch("web", "--no-browser", "nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr


def test_a_port_in_use_is_one_sentence(facesearch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = facesearch("web", "--no-browser", "--port", port)
    assert result.exit_code == 4
    assert result.stderr.count("\n") == 1
    assert f"port {port}" in result.stderr


@pytest.mark.parametrize("host", ["example.org", "0.0.0.0", "::", "224.0.0.1", "", "192.168.1.300"])
def test_a_host_that_is_not_the_address_of_one_machine_is_refused(facesearch, host):
    result = facesearch("web", "--no-browser", "--host", host)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_ipv4_mapped_ipv6_addresses_are_treated_as_ipv4():
    assert str(own_address("::ffff:127.0.0.1")) == "127.0.0.1"
    assert str(own_address("::1")) == "::1"
    with pytest.raises(typer.BadParameter):
        own_address("::ffff:0.0.0.0")


def test_an_address_of_another_machine_is_one_sentence(facesearch):
    result = facesearch("web", "--no-browser", "--host", "198.51.100.1")  # of documentation only
    assert result.exit_code == 4
    assert result.stderr.count("\n") == 1
    assert "198.51.100.1" in result.stderr


@pytest.mark.parametrize(
    ("options", "warned"), [((), False), (("--host", "10.1.2.3"), True)], ids=["own", "others"]
)
def test_it_warns_if_others_can_connect(facesearch, monkeypatch, own_home, options, warned):
    from facesearch.serving import server
    from facesearch.web import app

    own = server.listen()
    monkeypatch.setattr(server, "listen", lambda port, host: own)  # nobody need have that address
    monkeypatch.setattr(app, "make_app", lambda *_, **__: None)  # one that nobody would close
    monkeypatch.setattr(server, "serve", lambda *_, **__: None)
    result = facesearch("web", "--no-browser", *options)
    assert result.exit_code == 0
    assert result.stderr.count("Warning: ") == warned
    assert result.stderr.count("\n") == warned


def test_without_its_extra_it_says_how_to_install_it(facesearch, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(PAGE_MODULES)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette.requests", None)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = facesearch("web", "--no-browser")
    assert result.exit_code == 4
    assert install_command("web") in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_gallery_of_another_model_is_one_sentence(facesearch, enrolled_gallery):
    result = facesearch("web", "--no-browser", "--gallery", enrolled_gallery, "-m", "omniglot")
    assert result.exit_code == 4
    assert result.stderr.count("\n") == 1
    assert "was made with the model" in result.stderr


def test_a_file_that_is_not_a_gallery_is_one_sentence(facesearch, tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    result = facesearch("web", "--no-browser", "--gallery", tmp_path / "a.png")
    assert result.exit_code == 4
    assert result.stderr.count("\n") == 1


def test_the_key_is_on_no_command_line_since_every_user_can_read_those(tmp_path, monkeypatch):
    opened = queue.SimpleQueue()
    monkeypatch.setattr("webbrowser.open", opened.put)
    open_browser("http://127.0.0.1:1/?token=secret", tmp_path)
    address = opened.get(timeout=60)
    assert "secret" not in address
    page = Path(url2pathname(address.removeprefix("file:")))
    assert 'url=http://127.0.0.1:1/?token=secret"' in page.read_text()
    assert sys.platform == "win32" or page.stat().st_mode & 0o77 == 0
