"""Photos named on the command line -> the faces in them that nobody has decided about yet.

Faces without a name wait in groups, and all undecided faces in the review's queue. Finding and
naming them may take hours, so both happen in a thread with a gallery of its own, while the server
keeps answering.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from facesearch.errors import FacesearchError
from facesearch.gallery import Decision, Gallery
from facesearch.review.groups import Unnamed, UnnamedFace, UnnamedGroup
from facesearch.review.queue import Review, Waiting

Result = TypeVar("Result")


class ReviewSession:
    """The groups and the queue of some photos, without those already decided in this run."""

    def __init__(self, gallery: Gallery, photos: Sequence[Path]) -> None:
        self._path = gallery.path
        self._model = gallery.model
        self.photos = photos
        self.n_read = 0  # photos read so far
        self._thread = ThreadPoolExecutor(1, "review")
        self._future: Future[Review] | None = None
        self._named: dict[int, int] = {}  # id of a decision -> id of the group it named
        self._closed = False

    def start(self) -> None:
        """Begin to read the photos."""
        self._future = self._thread.submit(self._read)

    def _read(self) -> Review:
        with self._gallery() as gallery:
            return gallery.review.queue(
                self.photos, workers=os.cpu_count() or 1, advance=self._count_photo
            )

    def _gallery(self) -> closing[Gallery]:
        return closing(Gallery(self._path, self._model, create=False))

    def _count_photo(self) -> None:
        if self._closed:
            raise FacesearchError("the server was stopped")
        self.n_read += 1

    @property
    def _review(self) -> Review | None:
        return self._future.result() if self._future is not None and self._future.done() else None

    @property
    def unnamed(self) -> Unnamed | None:
        """The faces without a name, None until all photos are read.

        Raises the error that ended the reading.
        """
        return review.unnamed if (review := self._review) is not None else None

    @property
    def queue(self) -> tuple[Waiting, ...]:
        """Everything that was undecided once all photos were read, in the review's order."""
        return review.waiting if (review := self._review) is not None else ()

    def groups(self) -> tuple[UnnamedGroup, ...]:
        """Return all groups that were found, also those named since, in their order."""
        return self.unnamed.groups if self.unnamed is not None else ()

    def is_open(self, group: UnnamedGroup) -> bool:
        """Return whether `group` was not named in this run."""
        return group.id not in self._named.values()

    def face(self, group_id: int, number: int) -> UnnamedFace | None:
        """Return face `number` (from 1) of a group, None if there is no such face."""
        for group in self.groups():
            if group.id == group_id and number <= len(group.faces):
                return group.faces[number - 1]
        return None

    async def name(self, group: UnnamedGroup, name: str) -> tuple[Decision, int]:
        """Enroll a group under `name`; return the decision and how many photos were left out."""

        def enroll() -> tuple[Decision, int]:
            with self._gallery() as gallery:
                workers = os.cpu_count() or 1
                decision = gallery.review.name_group(group, name, workers=workers)
            if decision.id is not None:
                self._named[decision.id] = group.id
            return decision, len(decision.left_out)

        return await self._run(enroll)

    async def decide(self, place: int, decide: Callable[[Gallery, Waiting], Decision]) -> Decision:
        """Return what `decide` decides about the entry at `place` (from 0) of the queue."""

        def decide_it() -> Decision:
            waiting = self.queue[place]
            with self._gallery() as gallery:
                decision = decide(gallery, waiting)
                is_over = all(
                    gallery.faces.said_of(face.content_hash, face.box) for face in waiting.faces
                )
            if decision.id is not None and is_over and waiting.group is not None:
                self._named[decision.id] = waiting.group
            return decision

        return await self._run(decide_it)

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def reopen(self, decision: int) -> None:
        """Show the group again that this decision, which was undone, had named."""
        self._named.pop(decision, None)

    def close(self) -> None:
        """Stop reading; what was read is kept for the next run."""
        self._closed = True
        self._thread.shutdown(cancel_futures=True)
