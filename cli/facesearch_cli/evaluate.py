"""facesearch evaluate: how well a model tells classes apart, on pictures sorted into them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch_cli.options import OPENVINO_FROM, UNREADABLE, AsJson, load_model
from facesearch_cli.render import (
    Column,
    Screen,
    complain_of_skipped,
    counted,
    print_json,
    printable,
)

if TYPE_CHECKING:
    from facesearch.evaluation.one_shot import Estimate
    from facesearch.evaluation.pictures import Pictures
    from facesearch.evaluation.report import Comparison, Report


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its name or folder.")],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A folder with a subfolder of pictures for each class (a person, a character), or "
            "Omniglot: packed, unpacked, or as Lake's zips.",
        ),
    ],
    pairs: Annotated[
        int, typer.Option(min=2, help="Pairs to verify: half of one class, half of two.")
    ] = 20_000,
    ways: Annotated[int, typer.Option(min=2, help="Classes in a one-shot episode.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Draws other pairs and episodes.")] = 0,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Save the pairs it got most wrong as a picture."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model on pictures sorted into classes that it was not trained on.

    Verification: are two pictures of one class? By random pairs. One-shot: which of several
    classes, known by one picture each, is this? Both by the model's head and by the cosine of what
    it searches by. Of Omniglot only the ten alphabets of Lake's trials count.
    """
    from facesearch.evaluation.pictures import read_lake_trials, read_pictures
    from facesearch.evaluation.report import evaluate, model_cropper

    if sheet is not None:
        check_free(sheet)
    loaded = load_model(model, OPENVINO_FROM)  # such data has many pictures
    screen = Screen()
    with counting(screen, "Reading") as advance:
        pictures = read_pictures(data, model_cropper(loaded), unseen=True, advance=advance)
    lake = read_lake_trials(data, pictures)
    with counting(screen, "Embedding") as advance:
        report = evaluate(
            loaded, pictures, lake, n_pairs=pairs, ways=ways, seed=seed, advance=advance
        )
    if as_json:
        print_json(model=loaded.name, data=str(data), **as_object(report, pictures), seed=seed)
    else:
        print_report(screen, loaded.name, report, pictures)
    complain_of_skipped("Could not be used:", pictures.skipped)
    if sheet is not None:  # last: a full disk does not cost the figures
        from facesearch.evaluation.sheet import save_sheet

        save_sheet(sheet, pictures, report)
    if pictures.skipped:
        raise typer.Exit(UNREADABLE)


def check_free(sheet: Path) -> None:
    """Raise typer.BadParameter unless a new file `sheet` can be written, before minutes of work."""
    if not sheet.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {sheet.parent}", param_hint="--sheet")
    if sheet.is_symlink() or sheet.exists():
        raise typer.BadParameter(f"{sheet} is there already; name a new file", param_hint="--sheet")


@contextmanager
def counting(screen: Screen, what: str) -> Iterator[Callable[[int], None]]:
    """Yield what counts one picture of so many, and shows it from the first on."""
    with ExitStack() as stack:
        shown: list[Callable[[], None]] = []

        def advance(total: int) -> None:
            if not shown:
                shown.append(stack.enter_context(screen.progress(what, total)))
            shown[0]()

        yield advance


def print_report(screen: Screen, model: str, report: "Report", pictures: "Pictures") -> None:
    """Print what was measured on what, and for Omniglot what others published."""
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
    """Return the table: what was measured, by the head, by the cosine; shares in percent."""
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
        row("TAR at FAR 1 %", lambda way: tar(way, 0.01)),
        row("TAR at FAR 0.1 %", lambda way: tar(way, 0.001)),
        ("pairs decided rightly at even odds", share(report.accuracy), "-"),
        row("the same at the best threshold", lambda way: share(way.best_accuracy)),
    ]
    if report.ways is not None:
        fewest = "" if report.fewest_ways == report.ways else f"{report.fewest_ways}- to "
        what = f"{fewest}{report.ways}-way one-shot, random episodes"
        rows.append(row(what, lambda way: estimated(way.one_shot)))
    if report.head.lake is not None:
        rows.append(row("Lake's 400 one-shot trials", lambda way: estimated(way.lake)))
    return rows


def share(value: float | None) -> str:
    """Return a share in percent; unlike a probability one may be 100."""
    return "-" if value is None else f"{100 * value:.2f} %"


def estimated(estimate: "Estimate | None") -> str:
    """Return an accuracy with its 95 % interval."""
    if estimate is None:
        return "-"
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{share(estimate.accuracy)} ({low:.1f} to {high:.1f})"


def as_object(report: "Report", pictures: "Pictures") -> dict[str, Any]:
    """Return the JSON of a report; shares from 0 to 1, null where the data is too small to say."""
    fields: dict[str, Any] = {
        "pictures": len(pictures.crops),
        "classes": len(pictures.class_names),
        "groups": len(pictures.group_names),
        "pairs": len(report.pairs),
        "ways": report.ways,
        "fewest_ways": report.fewest_ways,
        "accuracy_at_even_odds": round(report.accuracy, 6),
    }
    for name, way in (("head", report.head), ("cosine", report.cosine)):
        fields |= {
            f"{name}_auc": round(way.auc, 6),
            f"{name}_eer": round(way.eer, 6),
            f"{name}_best_accuracy": round(way.best_accuracy, 6),
            f"{name}_tar_at_far_0.01": rounded(way.tar_at(0.01)),
            f"{name}_tar_at_far_0.001": rounded(way.tar_at(0.001)),
            f"{name}_roc": [[far, rounded(tar)] for far, tar in way.roc],
        }
        for protocol, estimate in (("one_shot", way.one_shot), ("lake_400", way.lake)):
            key = f"{name}_{protocol}"
            fields[key] = None if estimate is None else rounded(estimate.accuracy)
            fields[f"{key}_interval"] = (
                None if estimate is None else [rounded(estimate.low), rounded(estimate.high)]
            )
    return fields | {"skipped": [list(pair) for pair in pictures.skipped]}


def rounded(value: float | None) -> float | None:
    """Return a share for JSON."""
    return None if value is None else round(value, 6)
