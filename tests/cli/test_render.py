import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from facesearch_cli.render import (
    Column,
    Screen,
    csv_cell,
    csv_line,
    end_of,
    percent,
    printable,
)


@pytest.fixture
def terminal():
    """A screen on a terminal of 80 columns, and what was drawn there."""

    class Terminal(Screen):
        def __init__(self):
            self.is_terminal = True
            self.console = Console(file=io.StringIO(), width=80, highlight=False, markup=False)

        @property
        def lines(self):
            return self.console.file.getvalue().splitlines()

    return Terminal()


COLUMNS = (
    Column("photo", share=2, keep_end=True),
    Column("face", right=True),
    Column("person", share=1),
)


def test_a_streamed_table_keeps_its_columns_and_fits(terminal):
    path = f"holidays/{'sea ' * 30}/beach.jpg"
    rows = terminal.stream(COLUMNS, [[path, "a.jpg"], ["99"], []])
    rows([(path, 1, ("李" * 30, "bold"))])
    rows([("a.jpg", 2, "[red]Ann[/red]")])
    heading, *lines = terminal.lines
    assert "…/beach.jpg" in lines[0]
    assert lines[-1].index("[red]Ann[/red]") == heading.index("person")
    assert max(map(cell_len, terminal.lines)) <= 80
    assert "".join(terminal.lines).count("李") == 30  # folded, not cut off


def test_a_table_is_no_wider_than_its_texts_need(terminal):
    terminal.table(COLUMNS, [("a.jpg", 1, "Ann")])
    assert [line.rstrip() for line in terminal.lines] == ["photo  face  person", "a.jpg     1  Ann"]


def test_an_empty_table_is_its_heading(terminal):
    terminal.table(COLUMNS, [])
    assert [line.split() for line in terminal.lines] == [["photo", "face", "person"]]


def test_a_pipe_gets_tab_separated_lines(capsys):
    Screen().table(COLUMNS, [("a\tb.jpg", 1, ("Ann", "bold"))])
    assert capsys.readouterr().out == "a\\tb.jpg\t1\tAnn\n"


@given(st.text())
def test_printable_text_is_one_line_without_control_characters(text):
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert not set(shown) & set(map(chr, [*range(32), *range(127, 160), 0x202E, 0x2066]))
    shown.encode()


def test_printable_leaves_readable_text_alone():
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # joiners hold this emoji together
    assert printable(f"Zoë 李 {family}") == f"Zoë 李 {family}"
    assert printable("\udcff\x1b\u202e\u2028") == "\\xff\\x1b\\u202e\\u2028"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(start):
    assert csv_cell(f"{start}1") == f"'{start}1"
    assert csv_cell(f"a{start}1") == f"a{start}1"


def test_negative_numbers_are_not_guarded_as_formulas():
    assert csv_line([-1.5, "-1.5", None, 'a"b,']) == '-1.5,\'-1.5,,"a""b,"'


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(1.0, ">99.9%"), (0.9985, "99.9%"), (0.5, "50.0%"), (0.001, "0.1%"), (0.0, "<0.1%")],
)
def test_no_probability_is_shown_as_certain_or_impossible(probability, shown):
    assert percent(probability) == shown


@given(st.text(), st.integers(2, 40))
def test_a_long_path_is_shortened_at_its_front(path, room):
    shown = end_of(path, room, cell_len)
    assert cell_len(shown) <= max(room, 1)
    assert path.endswith(shown.removeprefix("…")) or shown == path
