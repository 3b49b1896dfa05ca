"""Photos named on the command line -> the faces on them that no human decided about.

Those without a name wait in groups, and all of them in the queue of the review.

All of it happens in a thread and with a gallery of its own: it may take hours, and the page answers
meanwhile.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from facesearch.errors import FacesearchError
from facesearch.gallery import Decision, Gallery
from facesearch.review.groups import Unnamed, UnnamedFace, UnnamedGroup
from facesearch.review.queue import Review, Waiting


class Groups:
    """The groups and the queue on some photos, as far as they are found and not decided yet."""

    def __init__(self, gallery: Gallery, photos: Sequence[Path]) -> None:
        self._path = gallery.path
        self._model = gallery.model
        self.photos = photos
        self.n_looked = 0
        self.thread = ThreadPoolExecutor(1, "groups")  # in which they are found and named
        self._found: Future[Review] | None = None
        self._named: dict[int, int] = {}  # number of a decision -> id of the group it was about
        self._ended = False

    def start(self) -> None:
        """Begin to look."""
        self._found = self.thread.submit(self._find)

    def _find(self) -> Review:
        with closing(Gallery(self._path, self._model, create=False)) as gallery:
            return gallery.review.queue(
                self.photos, workers=os.cpu_count() or 1, advance=self._looked_at_one
            )

    def _looked_at_one(self) -> None:
        if self._ended:
            raise FacesearchError("the page was ended")
        self.n_looked += 1

    @property
    def found(self) -> Unnamed | None:
        """What was found, None as long as it is being looked for; raises what went wrong."""
        return review.unnamed if (review := self._review) is not None else None

    @property
    def _review(self) -> Review | None:
        return self._found.result() if self._found is not None and self._found.done() else None

    @property
    def queue(self) -> tuple[Waiting, ...]:
        """All who waited for a decision when that was found, what tells most first."""
        return review.waiting if (review := self._review) is not None else ()

    def unnamed(self) -> list[UnnamedGroup]:
        """Return the groups that were found and not named here, largest first."""
        named = set(self._named.values())
        return [group for group in self.found.groups if group.id not in named] if self.found else []

    def face(self, group_id: int, place: int) -> UnnamedFace | None:
        """Return a face of a group, from 1; None if there is no such."""
        for group in self.found.groups if self.found else ():
            if group.id == group_id and place <= len(group.faces):
                return group.faces[place - 1]
        return None

    def naming(self, group: UnnamedGroup, name: str) -> Callable[[], tuple[Decision, int]]:
        """Return what enrolls a group in this thread: the decision, and how many were left out."""

        def name_it() -> tuple[Decision, int]:
            workers = os.cpu_count() or 1
            with closing(Gallery(self._path, self._model, create=False)) as gallery:
                decision = gallery.review.name_group(group, name, workers=workers)
            if decision.id is not None:
                self._named[decision.id] = group.id
            return decision, len(decision.left_out)

        return name_it

    def answering(
        self, place: int, decide: Callable[[Gallery, Waiting], Decision]
    ) -> Callable[[], Decision]:
        """Return what decides, in this thread, about who is at `place` in the queue."""

        def decide_it() -> Decision:
            waiting = self.queue[place]
            with closing(Gallery(self._path, self._model, create=False)) as gallery:
                decision = decide(gallery, waiting)
                is_over = all(
                    gallery.faces.said_of(face.content_hash, face.box) for face in waiting.faces
                )
            if decision.id is not None and is_over and waiting.group is not None:
                self._named[decision.id] = waiting.group
            return decision

        return decide_it

    def undone(self, decision: int) -> None:
        """Show the group again that this decision was about, if it was one."""
        self._named.pop(decision, None)

    def close(self) -> None:
        """Stop looking; what was seen is kept for the next time."""
        self._ended = True
        self.thread.shutdown(cancel_futures=True)
