import os
import signal
import subprocess
from pathlib import Path

import pytest
import typer

from facesearch_cli.main import EXIT_CODES, app


def every_command():
    root = typer.main.get_command(app)
    for name, command in root.commands.items():
        yield (name,)
        yield from ((name, sub) for sub in getattr(command, "commands", ()))


@pytest.mark.parametrize("words", [*every_command()], ids=" ".join)
def test_every_command_has_help_with_an_example(facesearch, words):
    result = facesearch(*words, "--help")
    assert result.exit_code == 0
    group = len(words) == 1 and words[0] in ("people", "gallery", "models")
    assert group or f"facesearch {' '.join(words)}" in result.stdout.split("Examples:")[1]


def test_the_help_names_every_exit_code(facesearch):
    result = facesearch("--help")
    assert result.exit_code == 0
    for line in EXIT_CODES.splitlines()[2:]:
        assert line.strip() in result.stdout


def test_version_is_one_line(facesearch):
    result = facesearch("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("facesearch ")
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize("words", [["nonsense"], ["identify"], ["identify", "--nonsense", "x"]])
def test_wrong_usage_exits_2_and_prints_no_result(facesearch, words):
    result = facesearch(*words)
    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (MemoryError(), 4, "Error: not enough memory\n"),
        (OSError(5, "Input/output error", "a\x1b.db"), 4, "Error: a\\x1b.db: Input/output error\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
    ],
)
def test_an_error_is_one_sentence(facesearch, monkeypatch, error, exit_code, said):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("facesearch_cli.options.open_gallery", fail)
    result = facesearch("people", "list")
    assert result.exit_code == exit_code
    assert result.stderr == said


def test_a_bug_shows_its_traceback_and_exits_70(facesearch, monkeypatch):
    monkeypatch.setattr("facesearch_cli.options.open_gallery", lambda *_, **__: 1 / 0)
    result = facesearch("people", "list")
    assert result.exit_code == 70
    assert "ZeroDivisionError" in result.stderr
    assert "please report it" in result.stderr


def test_a_closed_pipe_is_quiet(command, enrolled_gallery):
    process = subprocess.Popen(
        [*command, "people", "list", "--gallery", enrolled_gallery],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 141
    assert errors == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error(facesearch_process, enrolled_gallery):
    with Path("/dev/full").open("w") as full:
        result = facesearch_process(
            *("people", "list", "--gallery", enrolled_gallery),
            capture_output=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert result.returncode == 4
    assert result.stderr == "Error: No space left on device\n"


def test_a_character_that_the_terminal_lacks_is_escaped(facesearch_process, enrolled_gallery):
    from facesearch import Gallery

    with Gallery(enrolled_gallery) as gallery:
        gallery.people.rename("Grace Hopper", "Zoë 李")
    western = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    result = facesearch_process(
        "people", "list", "--gallery", enrolled_gallery, env=western, encoding="cp1252"
    )
    assert result.returncode == 0
    assert "Zoë \\u674e" in result.stdout


def test_interrupting_identify_prints_no_traceback(command, enrolled_gallery, portraits):
    process = subprocess.Popen(
        [*command, "identify", *[portraits.grace] * 50, "--json", "--gallery", enrolled_gallery],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "Interrupted.\n"
