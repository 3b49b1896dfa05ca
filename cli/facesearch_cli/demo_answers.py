"""The answers of the demo: pictures with known people, identified in a temporary gallery."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facesearch_cli.render import percent

if TYPE_CHECKING:
    from facesearch import Gallery, IdentifiedFace, IdentifiedPhoto

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture of the demo: its file, how it was made, who is in it."""

    file: str
    title: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What facesearch answered about a picture, and the right answer."""

    scene: Scene
    result: "IdentifiedPhoto"
    expected: tuple[str, ...]  # the right name of each face, in alphabetical order
    picture: Path  # for the page

    @property
    def names(self) -> tuple[str, ...]:
        """The name that each face was given, in alphabetical order."""
        return tuple(sorted(name_of(face) for face in self.result.faces))

    @property
    def as_expected(self) -> bool:
        """Whether every face got its right name."""
        return self.result.error is None and self.names == self.expected


@contextmanager
def new_gallery(model: str) -> "Iterator[Gallery]":
    """Yield an empty gallery that is deleted afterwards; raises ModelError."""
    import tempfile

    from facesearch import Gallery, Model

    loaded = Model.load(model)
    with (
        tempfile.TemporaryDirectory(prefix="facesearch-demo-") as temporary,
        Gallery(Path(temporary) / "demo.db", loaded) as gallery,
    ):
        yield gallery


def enroll(gallery: "Gallery", references: dict[str, Path]) -> list[str]:
    """Enroll each name from one picture; return a sentence per failure."""
    results = gallery.enroll(references.items())
    return [f"{r.person} was {r.status}: {r.remark}" for r in results if r.status != "enrolled"]


def identify(gallery: "Gallery", scenes: Sequence[Scene], folder: Path) -> list[Answer]:
    """Return the answers about the pictures of `scenes`, which are in `folder`."""
    enrolled = {row.name for row in gallery.people.all()}
    pictures = [folder / scene.file for scene in scenes]
    answers = []
    for scene, picture, result in zip(scenes, pictures, gallery.identify(pictures), strict=True):
        expected = sorted(name if name in enrolled else UNKNOWN for name in scene.people)
        answers.append(Answer(scene, result, tuple(expected), picture))
    return answers


def name_of(face: "IdentifiedFace") -> str:
    """Return the answer for a face: a name, several, or unknown."""
    return face.person or " or ".join(face.alternatives) or UNKNOWN


def likelihood(face: "IdentifiedFace") -> str:
    """Return the probability of the answer for a face."""
    known = face.person or face.alternatives
    return percent(face.probability if known else face.unknown_probability)


def rows(answer: Answer) -> list[tuple[object, ...]]:
    """Return the table's rows for a picture, one per face."""
    verdict = ("yes", "green") if answer.as_expected else ("no", "bold red")
    what = answer.scene.file, answer.scene.title
    if not answer.result.faces:
        return [(*what, ("nothing found", "red"), "", verdict)]
    return [
        (*what, (name_of(face), style_of(face)), likelihood(face), verdict)
        for face in answer.result.faces
    ]


def style_of(face: "IdentifiedFace") -> str:
    """Return the style of a name on the terminal."""
    return "bold green" if face.person else "dim"


def difference(answer: Answer) -> str:
    """Return a sentence with the expected names and the names found."""
    found = answer.result.error or ", ".join(answer.names) or "nothing"
    return f"{answer.scene.file}: expected {', '.join(answer.expected)}, got {found}"


def n_as_expected(answers: Sequence[Answer]) -> str:
    """Return how many of `answers` are right, in words."""
    right = sum(answer.as_expected for answer in answers)
    return f"{right} of {len(answers)} answers as expected"
