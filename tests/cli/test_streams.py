"""Closed streams, full disks, readers that leave: no command ends with a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from every_command import COMMANDS, run_each

from facesearch_cli.main import app

pytestmark = [
    pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full"),
    pytest.mark.timeout(600),  # one fixture runs all
]
FULL, READER_GONE = 4, 141
SLOW = {"web", "train", "doctor"}  # seconds each; test_offline.py runs them
TRIED = {name: words for name, words in COMMANDS.items() if name not in SLOW}


def names_of(group, before=()):
    """Return the words of every command in a group, joined."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from names_of(command, (*before, name))
        else:
            yield " ".join((*before, name))


def test_the_table_has_every_command():
    assert set(names_of(typer.main.get_command(app))) <= COMMANDS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("words", TRIED.values(), ids=TRIED)
def test_a_stream_that_fails_gives_no_traceback_and_the_right_exit_code(answers, words):
    normal, said, _ = answers[tuple(words), ""]
    assert normal in (0, 1, 2, 3, 4)
    assert answers[tuple(words), "closed"][0] == normal
    assert answers[tuple(words), "full"][0] == (FULL if said else normal)
    gone, _, complaints = answers[tuple(words), "no reader"]
    assert gone == (READER_GONE if said else normal)
    assert "Traceback" not in complaints


@pytest.fixture(scope="module")
def answers(_gallery_of_portraits, portraits):
    """What each command gives, by words and edge."""
    cases = [(w, edge) for w in TRIED.values() for edge in ("", "closed", "full", "no reader")]
    filled = [([w.replace("PHOTO", str(portraits.grace)) for w in ws], e) for ws, e in cases]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    given = run_each(filled, _gallery_of_portraits, env)
    return {
        (tuple(words), edge): answer for (words, edge), answer in zip(cases, given, strict=True)
    }


@pytest.mark.parametrize(
    ("words", "redirection", "code"),
    [
        ("people list", ">&-", 0),
        ("people list", "2>&-", 0),
        ("people forget Nobody", "<&-", 1),
        ("people list", "<&- >&- 2>&-", 0),
        ("--version", ">/dev/full", 4),
        ("--version", ">&-", 0),
        ("who", "2>/dev/full", 2),
    ],
)
def test_a_shell_closes_streams_crudini_67(command, enrolled_gallery, words, redirection, code):
    env = {**os.environ, "FACESEARCH_HOME": str(enrolled_gallery)}
    line = f'"{command[0]}" -m facesearch_cli {words} {redirection}'
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=env)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_a_closed_stderr_never_becomes_a_file_of_ours(command, enrolled_gallery, tmp_path):
    """Otherwise what a library prints on stderr would be written into the gallery."""
    code = (
        "import os; from facesearch_cli.streams import prepare_streams; prepare_streams();"
        f"print(os.open({str(tmp_path / 'a')!r}, os.O_CREAT) > 2)"
    )
    line = f'"{command[0]}" -c "{code}" <&- 2>&-'
    done = subprocess.run(["sh", "-c", line], stdout=subprocess.PIPE, text=True)
    assert done.stdout == "True\n"
