"""Looking at many photos, but only at those that no earlier run has looked at."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from facesearch.errors import FacesearchError
from facesearch.identification import NO_CROPS, Seen
from facesearch.parallel import in_order
from facesearch.review.seen import SeenBefore, state_of

if TYPE_CHECKING:
    from facesearch.duplicates.photo_cache import FileState

Failure = TypeVar("Failure", bound=FacesearchError)


@dataclass(frozen=True, slots=True)
class PhotoAt:
    """A photo to look at."""

    path: str | None  # None: the gallery does not know where it is
    key: str | None = None  # of the picture that the gallery knows it by


@dataclass(frozen=True, slots=True)
class _Job:
    photo: PhotoAt
    state: "FileState | None"  # of the file before it is read; None: it cannot be read
    known: Seen | None


def seen_or_remembered(
    photos: Iterable[PhotoAt],
    look: Callable[[PhotoAt], Seen | Failure],
    memory: SeenBefore,
    workers: int,
) -> Iterator[tuple[PhotoAt, Seen | Failure]]:
    """Yield each of `photos` with what it shows, without crops, or why that cannot be said.

    The memory has no crops either: so the run that looks and the run that remembers say the same
    of every face.
    """

    def jobs() -> Iterator[_Job]:
        for photo in photos:
            state = None if photo.path is None else state_of(photo.path)
            known = None
            if photo.path is not None and state is not None:
                known = memory.recall(photo.path, state)
            yield _Job(photo, state, known)

    def work(job: _Job) -> Seen | Failure:
        return job.known or look(job.photo)

    for job, seen in in_order(work, jobs(), workers):
        if not isinstance(seen, Seen):
            yield job.photo, seen
            continue
        if job.known is None and job.state is not None and job.photo.path is not None:
            memory.keep(job.photo.path, job.state, seen)
        yield job.photo, replace(seen, crops=NO_CROPS)
