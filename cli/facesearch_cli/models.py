"""facesearch models: the models that compare faces, and their licenses."""

from typing import Annotated, Any

import typer

from facesearch_cli.options import AsJson, examples
from facesearch_cli.render import Column, Screen, print_json

app = typer.Typer(help="List and show models.", no_args_is_help=True)


@app.command("list", epilog=examples("facesearch models list"))
def list_models(as_json: AsJson = False) -> None:
    """List the models that come with facesearch."""
    from facesearch import shipped_models, wire

    models = [wire.model(name) for name in shipped_models()]
    if as_json:
        print_json(models=models)
        return
    columns = (
        Column("model"),
        Column("default"),
        Column("for"),
        Column("numbers", right=True),
        Column("license", share=1, style="dim"),
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
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Model name or folder.")
    ] = "default",
    as_json: AsJson = False,
) -> None:
    """Show a model: version, fingerprint, licenses and measured figures."""
    from facesearch import wire

    facts = wire.model(model)
    if as_json:
        print_json(**facts)
        return
    rows: list[tuple[str, Any]] = []
    for key, fact in facts.items():
        nested = fact.items() if isinstance(fact, dict) else [("", fact)]
        rows += [(f"{key} {part}".strip(), value) for part, value in nested]
    Screen().table((Column("", style="dim"), Column("", share=1)), rows)
