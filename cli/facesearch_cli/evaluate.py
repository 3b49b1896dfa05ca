"""facesearch evaluate: measure how well a model tells classes apart, on sorted pictures."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.options import (
    OPENVINO_FROM,
    UNREADABLE,
    AsJson,
    load_model,
    say_rest_of_classes,
)
from facesearch_cli.render import (
    Column,
    Screen,
    counted,
    list_problems,
    print_json,
    printable,
)

if TYPE_CHECKING:
    from facesearch.evaluation.one_shot import Estimate
    from facesearch.evaluation.pictures import Pictures
    from facesearch.evaluation.report import Comparison, Report


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model name or folder.")],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A folder with one subfolder of pictures per class (a person, a character), or "
            "Omniglot: packed, unpacked, or as Lake's zips.",
        ),
    ],
    pairs: Annotated[
        int,
        typer.Option(
            min=2, help="Pairs to verify: half of the same class, half of different ones."
        ),
    ] = 20_000,
    ways: Annotated[int, typer.Option(min=2, help="Classes in a one-shot episode.")] = 20,
    seed: Annotated[
        int, typer.Option(min=0, help="Another seed draws other pairs and episodes.")
    ] = 0,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Save a picture of the worst errors."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model on sorted pictures of classes that it was not trained on.

    Verification, on random pairs: do two pictures show the same class? One-shot: which of several
    classes, known by one picture each, does this picture show? Both are measured for the model's
    head and for the cosine of its search embeddings. Of Omniglot, only the ten alphabets of Lake's
    trials are used.
    """
    from facesearch import wire
    from facesearch.evaluation.pictures import read_lake_trials, read_pictures
    from facesearch.evaluation.report import evaluate, model_cropper

    check_free(sheet)
    say_rest_of_classes(data)
    loaded = load_model(model, OPENVINO_FROM)  # as fast as for many photos
    screen = Screen()
    with counting(screen, "Reading") as advance:
        pictures = read_pictures(data, model_cropper(loaded), unseen=True, advance=advance)
    lake = read_lake_trials(data, pictures)
    with counting(screen, "Embedding") as advance:
        report = evaluate(
            loaded, pictures, lake, n_pairs=pairs, ways=ways, seed=seed, advance=advance
        )
    if as_json:
        figures = wire.evaluation(report, pictures)
        print_json(model=loaded.name, data=str(data), **figures, seed=seed)
    else:
        print_report(screen, loaded.name, report, pictures)
    list_problems("Could not be used:", pictures.skipped)
    if sheet is not None:  # last, so that a full disk does not lose the figures
        from facesearch.evaluation.sheet import save_sheet

        save_sheet(sheet, pictures, report)
    if pictures.skipped:
        raise typer.Exit(UNREADABLE)


def check_free(sheet: Path | None) -> None:
    """Raise typer.BadParameter if `sheet` is not a new file in a folder, before minutes of work."""
    if sheet is None:
        return
    if not sheet.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {sheet.parent}", param_hint="--sheet")
    if sheet.is_symlink() or sheet.exists():
        raise typer.BadParameter(f"{sheet} exists already; name a new file", param_hint="--sheet")


@contextmanager
def counting(screen: Screen, what: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts one more picture, given their total, on a progress bar."""
    with ExitStack() as stack:
        shown: list[Callable[[], None]] = []

        def advance(total: int) -> None:
            if not shown:
                shown.append(stack.enter_context(screen.progress(what, total)))
            shown[0]()

        yield advance


def print_report(screen: Screen, model: str, report: "Report", pictures: "Pictures") -> None:
    """Print the figures, and for Omniglot those that others published."""
    from facesearch.evaluation.report import PUBLISHED

    groups = len(pictures.group_names)
    in_groups = f" in {groups:,} groups" if groups > 1 else ""
    screen.line(
        f"{printable(model)} on {counted(len(pictures.crops), 'picture')} of "
        f"{counted(len(pictures.class_names), 'class', 'classes')}{in_groups}, "
        f"{counted(len(report.pairs), 'pair')}"
    )
    columns = (Column(""), Column("head", right=True), Column("cosine", right=True))
    screen.table(columns, rows_of(report))
    if report.head.lake is not None:
        screen.line("")
        columns = (
            Column("Omniglot", share=1),
            Column("verification", right=True),
            Column("one-shot, Lake's 400", right=True),
        )
        ours = (f"this model ({model})", report.accuracy, report.head.lake.accuracy)
        screen.table(
            columns, [(who, share(v), share(one_shot)) for who, v, one_shot in (*PUBLISHED, ours)]
        )


def rows_of(report: "Report") -> list[tuple[str, str, str]]:
    """Return the rows of the table: a figure by the head and by the cosine, in percent."""
    from facesearch.evaluation.report import pairs_needed

    ways = (report.head, report.cosine)

    def tar(way: "Comparison", far: float) -> str:
        needed = f"needs {pairs_needed(far):,} pairs"
        value = way.tar_at(far)
        return needed if value is None else share(value)

    def row(what: str, value: Callable[["Comparison"], str]) -> tuple[str, str, str]:
        return what, value(ways[0]), value(ways[1])

    rows = [
        row("area under the ROC", lambda way: share(way.auc)),
        row("equal error rate", lambda way: share(way.eer)),
        row("TAR at FAR 1%", lambda way: tar(way, 0.01)),
        row("TAR at FAR 0.1%", lambda way: tar(way, 0.001)),
        ("accuracy on pairs at even odds", share(report.accuracy), "-"),
        row("accuracy on pairs at the best threshold", lambda way: share(way.best_accuracy)),
    ]
    if report.ways is not None:
        fewest = "" if report.fewest_ways == report.ways else f"{report.fewest_ways}- to "
        what = f"{fewest}{report.ways}-way one-shot, random episodes"
        rows.append(row(what, lambda way: estimated(way.one_shot)))
    if report.head.lake is not None:
        rows.append(row("Lake's 400 one-shot trials", lambda way: estimated(way.lake)))
    return rows


def share(value: float | None) -> str:
    """Return a share in percent; unlike a probability it may be shown as 100%."""
    return "-" if value is None else f"{100 * value:.2f}%"


def estimated(estimate: "Estimate | None") -> str:
    """Return an accuracy with its 95% confidence interval."""
    if estimate is None:
        return "-"
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{share(estimate.accuracy)} ({low:.1f} to {high:.1f})"
