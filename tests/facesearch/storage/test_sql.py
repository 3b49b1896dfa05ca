"""All SQL of a gallery, and all bytes of templates, have one door each."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SQL = re.compile(
    r"\b(SELECT .+|INSERT (OR \w+ )?INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE|PRAGMA \w+)\b"
)
OTHER_DATABASES = {"facesearch/duplicates/photo_cache.py"}  # a cache of its own, no gallery
TEMPLATE_BYTES = re.compile(r"""["'][<=>]?f2["']""")


def product_files():
    folders = ("facesearch", "cli/facesearch_cli", "indexes/facesearch_indexes")
    return {
        file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
        for folder in folders
        for file in (ROOT / folder).rglob("*.py")
    }


def texts(code):
    """Return the text in a module, but for what only documents it."""
    tree = ast.parse(code)
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documents
    ]


@pytest.mark.slow
def test_only_storage_holds_sql_of_the_gallery():
    found = {path for path, code in product_files().items() if any(map(SQL.search, texts(code)))}
    outside = {path for path in found if not path.startswith("facesearch/storage/")}
    assert outside == OTHER_DATABASES
    assert len(found - outside) > 5, "the test would not notice SQL"


@pytest.mark.parametrize(
    "code",
    [
        'rows("SELECT id FROM face")',
        'db.execute("UPDATE photo SET path = NULL")',
        'x = "SELECT name " "FROM person"',
        'x = f"DELETE FROM {table}"',
    ],
)
def test_sql_is_distinguished_from_docstrings_and_sentences(code):
    assert any(map(SQL.search, texts(code)))
    assert not any(map(SQL.search, texts('"""SELECT id FROM face"""\nx = "Select a photo"')))


def test_only_the_codec_makes_and_reads_the_bytes_of_templates():
    found = {path for path, code in product_files().items() if TEMPLATE_BYTES.search(code)}
    assert found == {"facesearch/storage/codec.py"}
