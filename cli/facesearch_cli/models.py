"""facesearch models: what compares faces, and under which licence."""

from typing import Annotated, Any

import typer

from facesearch_cli.options import AsJson, examples
from facesearch_cli.render import Column, Screen, print_json

app = typer.Typer(help="List and show models.", no_args_is_help=True)


@app.command("list", epilog=examples("facesearch models list"))
def list_models(as_json: AsJson = False) -> None:
    """List the models that come with facesearch."""
    from facesearch import shipped_models

    models = [described(name) for name in shipped_models()]
    if as_json:
        print_json(models=models)
        return
    columns = (
        Column("model"),
        Column("default"),
        Column("for"),
        Column("numbers", right=True),
        Column("licence", share=1, style="dim"),
    )
    Screen().table(
        columns,
        [
            (m["name"], "yes" if m["default"] else "", m["kind"], m["dim"], m["licence"]["weights"])
            for m in models
        ],
    )


@app.command(epilog=examples("facesearch models show", "facesearch models show path/to/model"))
def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its name or folder.")] = "default",
    as_json: AsJson = False,
) -> None:
    """Show a model: version, fingerprint, licences and the figures it reached."""
    facts = described(model)
    if as_json:
        print_json(**facts)
        return
    rows: list[tuple[str, Any]] = []
    for key, fact in facts.items():
        nested = fact.items() if isinstance(fact, dict) else [("", fact)]
        rows += [(f"{key} {part}".strip(), value) for part, value in nested]
    Screen().table((Column("", style="dim"), Column("", share=1)), rows)


def described(name_or_folder: str) -> dict[str, Any]:
    """Return what people want to know of a model; raises ModelError."""
    from facesearch.manifest import fingerprint_of, read_manifest
    from facesearch.shipped import DEFAULT, model_folder

    folder = model_folder(name_or_folder)
    manifest = read_manifest(folder)
    keys = ("name", "version", "kind", "detector", "dim", "licence", "figures")
    return {
        **{key: manifest.get(key) for key in keys},
        "search_dim": manifest.get("search_dim", manifest["dim"]),
        "default": folder == model_folder(DEFAULT),
        "fingerprint": fingerprint_of(manifest),
        "folder": str(folder),
    }
