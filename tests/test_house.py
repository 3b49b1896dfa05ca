"""The shape of the source: ceilings, no import circle, all packages in layers, SQL in storage only.

The checks read the source and import nothing. An exception is listed with its reason; one that is
no longer needed fails its test, so the lists only shrink. Complexity is checked by ruff (C901).
"""

import ast
import graphlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {  # package -> the folder that holds it
    "facesearch": ROOT,
    "facesearch_cli": ROOT / "cli",
    "facesearch_indexes": ROOT / "indexes",
}
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 8  # without self and cls; options of a command are parameters, so not in the CLI

# Exceptions: module, or module:function -> why it may break the ceiling.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
MANY_PARAMETERS: dict[str, str] = {}
CIRCULAR_IMPORTS: dict[tuple[str, str], str] = {}  # (importing, imported) module -> why
SQL_ELSEWHERE = {"facesearch.duplicates.photo_cache": "a cache with a database of its own"}
UNLAYERED_PACKAGES: dict[str, str] = {}

Function = ast.FunctionDef | ast.AsyncFunctionDef
SQL = re.compile(
    r"\b(SELECT|INSERT INTO|DELETE FROM|UPDATE \w+ SET|CREATE (TABLE|INDEX|TRIGGER)|PRAGMA|WHERE"
    r"|ORDER BY|GROUP BY|VACUUM|BEGIN IMMEDIATE)\b"
)


def module_name(file: Path, folder: Path) -> str:
    parts = file.relative_to(folder).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_name(file, folder): file
    for package, folder in SOURCES.items()
    for file in sorted((folder / package).rglob("*.py"))
}
TEXTS = {module: file.read_text("utf-8") for module, file in FILES.items()}
TREES = {module: ast.parse(text) for module, text in TEXTS.items()}


def functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Yield the qualified name and the node of every function below `node`, methods included."""
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, Function | ast.ClassDef):
            name = f"{prefix}.{child.name}" if prefix else child.name
            if isinstance(child, Function):
                yield name, child
        yield from functions(child, name)


FUNCTIONS = {
    f"{module}:{name}": node for module, tree in TREES.items() for name, node in functions(tree)
}


def n_lines(function: Function) -> int:
    """Return the lines from `def` to the last line, without decorators."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def n_parameters(function: Function) -> int:
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def imported_modules(module: str) -> set[str]:
    """Return the modules of the three packages that `module` imports.

    Imports under TYPE_CHECKING and inside functions count; that importing a.b runs a/__init__.py
    does not.
    """
    found: set[str] = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:  # relative to the package that holds the module
                up = node.level - (FILES[module].name == "__init__.py")
                package = module.split(".")[: -up or None]
                source = ".".join([*package, source] if source else package)
            for name in node.names:
                submodule = f"{source}.{name.name}"
                found.add(submodule if submodule in FILES else source)
    return (found & FILES.keys()) - {module}


IMPORTS = {module: imported_modules(module) for module in FILES}


def leads_to(start: str, goal: str) -> bool:
    """Return whether `start` imports `goal`, directly or through other modules."""
    reached, to_visit = {start}, [start]
    while to_visit:
        new = IMPORTS[to_visit.pop()] - reached
        reached |= new
        to_visit.extend(new)
    return goal in reached


def over_ceiling(measured: dict[str, int], ceiling: int) -> dict[str, int]:
    return {name: number for name, number in measured.items() if number > ceiling}


CEILINGS = {
    "file of at most 500 lines": (
        over_ceiling({m: len(text.splitlines()) for m, text in TEXTS.items()}, MAX_FILE_LINES),
        LONG_FILES,
    ),
    "function of at most 60 lines": (
        over_ceiling({name: n_lines(node) for name, node in FUNCTIONS.items()}, MAX_FUNCTION_LINES),
        LONG_FUNCTIONS,
    ),
    "at most 8 parameters": (
        over_ceiling(
            {
                name: n_parameters(node)
                for name, node in FUNCTIONS.items()
                if not name.startswith("facesearch_cli")
            },
            MAX_PARAMETERS,
        ),
        MANY_PARAMETERS,
    ),
}


@pytest.mark.parametrize("ceiling", CEILINGS)
def test_the_source_keeps_to_its_ceilings(ceiling):
    broken, excepted = CEILINGS[ceiling]
    new = {name: number for name, number in broken.items() if name not in excepted}
    assert not new, f"not {ceiling}: {new}"


@pytest.mark.parametrize("ceiling", CEILINGS)
def test_no_exception_to_a_ceiling_outlives_its_need(ceiling):
    broken, excepted = CEILINGS[ceiling]
    unneeded = sorted(excepted.keys() - broken.keys())
    assert not unneeded, f"take these out of the exceptions to {ceiling!r}: {unneeded}"


def test_no_module_imports_itself_through_others():
    graph = {
        module: {name for name in imported if (module, name) not in CIRCULAR_IMPORTS}
        for module, imported in IMPORTS.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle = " <- ".join(error.args[1])
        pytest.fail(f"modules import each other in a circle: {circle}")


def test_no_exception_for_a_circular_import_outlives_the_circle():
    unneeded = [
        (module, imported)
        for module, imported in CIRCULAR_IMPORTS
        if imported not in IMPORTS.get(module, ()) or not leads_to(imported, module)
    ]
    assert not unneeded


def packages_without_layer() -> set[str]:
    """Return the packages that no layers contract of import-linter places.

    A contract places the packages that it names and those inside them. One that names a top package
    places none inside it, and one that names a part of a top package places that top package.
    """
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers: set[str] = set()
    for contract in settings["contracts"]:
        if contract["type"] == "layers":
            for container in contract.get("containers", [""]):
                for layer in contract["layers"]:
                    for name in layer.replace(":", "|").split("|"):
                        layers.add(f"{container}.{name.strip(' ()')}".lstrip("."))
    return {
        package
        for package, file in FILES.items()
        if file.name == "__init__.py"
        and package not in layers
        and not any(package.startswith(f"{layer}.") for layer in layers - SOURCES.keys())
        and not (package in SOURCES and any(layer.startswith(f"{package}.") for layer in layers))
    }


def test_every_package_is_in_a_layer():
    new = packages_without_layer() - UNLAYERED_PACKAGES.keys()
    assert not new, f"no layers contract in pyproject.toml names {sorted(new)}"


def test_no_exception_for_a_package_without_layer_outlives_its_need():
    unneeded = UNLAYERED_PACKAGES.keys() - packages_without_layer()
    assert not unneeded


def modules_with_sql() -> set[str]:
    return {
        module
        for module, tree in TREES.items()
        if not module.startswith("facesearch.storage")
        and any(
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and SQL.search(node.value)
            for node in ast.walk(tree)
        )
    }


def test_only_storage_holds_sql():
    assert sorted(modules_with_sql() - SQL_ELSEWHERE.keys()) == []


def test_no_exception_for_sql_elsewhere_outlives_its_need():
    assert sorted(SQL_ELSEWHERE.keys() - modules_with_sql()) == []


def test_a_folder_of_modules_is_a_package():
    folders = {file.parent for file in FILES.values()}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []
