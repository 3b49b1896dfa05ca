"""The page uses `serving`, never the other way round."""

import ast
from pathlib import Path

import pytest

import facesearch.serving


@pytest.mark.slow
def test_serving_imports_nothing_of_the_page():
    for module in Path(facesearch.serving.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            imported = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith("facesearch.web") for name in imported), module.name
