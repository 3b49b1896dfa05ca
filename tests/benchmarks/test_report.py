"""How a benchmark shows its figures: a table, one JSON object instead of it, or one beside it."""

import json

from benchmarks.report import argument_parser, show

FIGURES = {"rank1": 0.5, "families_fmr": None}


def shown(words, capsys):
    arguments = argument_parser("What it measures.").parse_args(words)
    show(FIGURES, "Title", as_json=arguments.json)
    return capsys.readouterr().out


def test_without_json_there_is_a_table_in_which_a_missing_figure_is_a_dash(capsys):
    assert [line.split() for line in shown([], capsys).splitlines()] == [
        ["Title"],
        ["rank1", "0.5"],
        ["families_fmr", "-"],
    ]


def test_json_alone_prints_one_object_and_nothing_else(capsys):
    assert json.loads(shown(["--json"], capsys)) == FIGURES


def test_json_with_a_file_writes_the_object_there_and_prints_the_table(capsys, tmp_path):
    file = tmp_path / "figures.json"
    table = shown(["--json", str(file)], capsys)
    assert json.loads(file.read_text("utf-8")) == FIGURES
    assert table == shown([], capsys)
