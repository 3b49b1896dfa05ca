"""The command line: the Typer app; an error is one sentence on stderr and an exit code.

The commands import facesearch only when they run: `facesearch --help` should not wait for numpy,
and identifying one photo is mostly imports. tests/cli/test_cold_start.py checks it.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from facesearch_cli.cluster import cluster
from facesearch_cli.compare import search, verify
from facesearch_cli.dedupe import dedupe
from facesearch_cli.demo import demo
from facesearch_cli.doctor import doctor, version_of
from facesearch_cli.enroll import enroll
from facesearch_cli.evaluate import evaluate
from facesearch_cli.gallery import app as gallery
from facesearch_cli.history import history, undo
from facesearch_cli.identify import identify
from facesearch_cli.models import app as models
from facesearch_cli.options import INTERRUPTED, NO, READER_GONE, UNREADABLE, UNUSABLE, examples
from facesearch_cli.people import app as people
from facesearch_cli.render import complain
from facesearch_cli.streams import drop_unwritten, prepare_streams
from facesearch_cli.train import train
from facesearch_cli.web import web

BUG = 70  # EX_SOFTWARE of sysexits.h; Python's own 1 would mean "the answer is no"

EXIT_CODES = """\b
Exit codes:
  0    done
  1    done, and the answer is no: different people (verify), nobody known
       (identify, search, people), nobody enrolled (enroll),
       an earlier decision forbids it (people, undo)
  2    wrong usage
  3    some input could not be used; it is listed on stderr, the rest is done
  4    the gallery, the model or the machine cannot be used
  130  interrupted; everything reported as stored is stored
  141  the reader of the output has gone"""


class Commands(TyperGroup):
    """The commands; an error in one becomes a sentence on stderr and an exit code."""

    # typer.Context has a private base, so mypy sees two types
    def make_context(self, *words: Any, **options: Any) -> Any:
        """Parse the command line; --help and --version print here."""
        with in_a_sentence():
            return super().make_context(*words, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with in_a_sentence():
            return super().invoke(ctx)


@contextmanager
def in_a_sentence() -> Iterator[None]:
    """Print whatever is raised inside, and raise typer.Exit with the exit code for it."""
    try:
        yield
        return
    except KeyboardInterrupt:
        complain("Interrupted.")
        code = INTERRUPTED
    except typer.Abort:  # Ctrl-C, or the end of the input, at a question
        complain("\nInterrupted; nothing was changed.")
        code = INTERRUPTED
    except MemoryError:
        complain("Error: not enough memory")
        code = UNUSABLE
    except OSError as error:
        code = report_system_error(error)
    except SystemExit as leaving:
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise
        code = READER_GONE  # rich, which prints the help pages, leaves with 1
    except Exception as error:
        if hasattr(error, "exit_code"):  # Typer's own: wrong usage, Exit
            raise
        code = report_error(error)
    raise typer.Exit(code)


def report_system_error(error: OSError) -> int:
    """Print an error of the operating system; return the exit code."""
    if error.errno == errno.EPIPE:
        return READER_GONE
    where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    complain(f"Error: {where}{error.strerror or error}")
    return UNUSABLE


def report_error(error: Exception) -> int:
    """Print an error of facesearch, or the traceback of a bug; return the exit code."""
    from facesearch import FaceError, FacesearchError, PhotoError, Refused, UnknownPerson

    if not isinstance(error, FacesearchError):
        import traceback

        traceback.print_exception(error)
        complain("This is a bug in facesearch; please report it with the lines above.")
        return BUG
    complain(f"Error: {error}")
    if isinstance(error, UnknownPerson | Refused):
        return NO
    return UNREADABLE if isinstance(error, PhotoError | FaceError) else UNUSABLE


app = typer.Typer(
    name="facesearch",
    cls=Commands,
    help="Who is in this photo? Enroll people from photos, then identify them. All offline.",
    epilog="\n\n".join(
        [
            examples(
                "facesearch enroll people/       people/Ann/*.jpg, people/Bea/*.jpg, ...",
                "facesearch identify party.jpg --annotate named/",
                "facesearch identify holidays/ --json > who.jsonl",
                "facesearch verify a.jpg b.jpg && echo one person",
            ),
            EXIT_CODES,
        ]
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def print_version(asked: bool) -> None:
    """Print the version and exit, if asked to."""
    if asked:
        typer.echo(f"facesearch {version_of('facesearch')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=print_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass  # the option prints by itself


def add(command: Any, panel: str, *lines: str) -> None:
    """Add a command under a heading of the help page, with its examples."""
    app.command(rich_help_panel=panel, epilog=examples(*lines))(command)


ASK, KEEP, TRAIN = "Ask", "Manage", "Train"
add(
    identify,
    ASK,
    "facesearch identify party.jpg",
    "facesearch identify holidays/ --annotate named/",
    "facesearch identify holidays/ --fpir 0.001 --csv > who.csv",
    "facesearch identify --json *.jpg | jq -r '.faces[].person'",
)
add(demo, ASK, "facesearch demo", "facesearch demo --glyphs")
add(verify, ASK, "facesearch verify a.jpg b.jpg", "facesearch verify a.jpg b.jpg --json")
add(search, ASK, "facesearch search stranger.jpg", "facesearch search stranger.jpg -k 3 --json")
add(
    web,
    ASK,
    "facesearch web",
    "facesearch web photos/                      also review the people in these photos",
    "facesearch web --gallery family.db --port 8080 --no-browser",
)
add(
    enroll,
    KEEP,
    "facesearch enroll people/                   one subfolder per person, with their name",
    "facesearch enroll ann1.jpg ann2.jpg --name 'Ann Lee'",
    "facesearch enroll people/ --gallery family.db",
)
add(
    cluster,
    KEEP,
    "facesearch cluster photos/                  people without a name, in groups",
    "facesearch cluster photos/ --html groups.html",
    "facesearch cluster photos/ --name 3 'Ann Lee'",
)
app.add_typer(people, name="people", rich_help_panel=KEEP)
add(
    dedupe,
    KEEP,
    "facesearch dedupe photos/                   lists duplicates, changes nothing",
    "facesearch dedupe photos/ --html report.html",
    "facesearch dedupe photos/ --apply",
    "facesearch dedupe photos/ --undo-trash",
    "facesearch dedupe --not-same a.jpg b.jpg    remembered permanently",
)
add(history, KEEP, "facesearch history", "facesearch history 'Ann Lee' --limit 100 --json")
add(
    undo,
    KEEP,
    "facesearch undo                             the last decision",
    "facesearch undo 17                          a decision listed by facesearch history",
)
app.add_typer(gallery, name="gallery", rich_help_panel=KEEP)
app.add_typer(models, name="models", rich_help_panel=KEEP)
add(doctor, KEEP, "facesearch doctor", "facesearch doctor --json")
add(
    train,
    TRAIN,
    "facesearch train omniglot.npz.xz --out omniglot",
    "facesearch train leaves/ --out leaves       leaves/oak/*.jpg, leaves/elm/*.jpg, ...",
    "facesearch train leaves/ --out leaves --resume",
    "facesearch train people/ --from default --out mine",
)
add(
    evaluate,
    TRAIN,
    "facesearch evaluate sface people/           people/Ann/*.jpg, people/Bea/*.jpg, ...",
    "facesearch evaluate my-model omniglot.npz.xz --sheet worst.png",
    "facesearch evaluate my-model glyphs/ --ways 5 --json",
)


def run() -> None:
    """Run the command line and exit with its exit code."""
    # The BLAS of numpy and faiss would start a spinning thread per core for products that take a
    # millisecond on one: 0.25 s of CPU to identify one photo. The networks have their own threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    prepare_streams()
    try:
        app(prog_name="facesearch")
    finally:
        drop_unwritten()
