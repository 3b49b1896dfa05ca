"""Photos -> the faces that nobody has named, in groups and in the order in which to ask."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from facesearch.boxes import same_place
from facesearch.errors import FaceError, FacesearchError, PhotoError, Refused
from facesearch.gallery.decisions import Decision
from facesearch.gallery.faces import Faces, Who
from facesearch.gallery.files import photo_cache_file
from facesearch.gallery.identifying import identify_faces, probe
from facesearch.gallery.lookup import PhotoFace
from facesearch.gallery.session import Session
from facesearch.identification import Seen, look, referenced
from facesearch.names import person_name
from facesearch.parallel import in_order
from facesearch.photo import read_photo
from facesearch.vectors import Floats

if TYPE_CHECKING:
    from facesearch.review.groups import Unnamed, UnnamedFace, UnnamedGroup
    from facesearch.review.queue import Review as ReviewQueue
    from facesearch.review.queue import Waiting

FPIR, PRIOR = 0.01, 0.5  # at which faces are named before the rest is grouped


@dataclass(slots=True)
class _Survey:
    """What was found in the photos of one review so far."""

    waiting: "dict[UnnamedFace, Waiting]" = field(default_factory=dict)
    faces: "list[UnnamedFace]" = field(default_factory=list)  # all that are large enough
    embeddings: list[Floats] = field(default_factory=list)  # of `faces`
    unnamed: "set[UnnamedFace]" = field(default_factory=set)  # those of `faces` without a name
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # photo, why
    hashes: set[str] = field(default_factory=set)  # keys of the pictures looked at
    n_named: int = 0
    n_dismissed: int = 0
    n_small: int = 0  # faces that are too small to be grouped


class Review:
    """The faces that no human decided about; `Gallery.review` is one."""

    def __init__(self, session: Session, faces: Faces) -> None:
        self._session = session
        self._store = session.store
        self._faces = faces

    def cluster(
        self,
        photos: Iterable[str | os.PathLike[str]],
        *,
        workers: int = 1,
        small: bool = False,
        advance: Callable[[], None] = lambda: None,
    ) -> "Unnamed":
        """Return the faces in `photos` of people who are not enrolled, in groups, largest first.

        A group is probably one person, and has no two faces of one photo, unless these are nearly
        identical. Naming somebody leaves the other groups as they are. Faces under LEAST_HEIGHT_PX
        are in no group, unless `small`. Until somebody is forgotten a group keeps
        its id from run to run, also when photos are added. What was seen is kept beside the
        gallery, so that an interrupted run can simply be started again. `name_group` enrolls a
        group. `advance` is called after every photo. Raises GalleryError.
        """
        return self.queue(photos, workers=workers, small=small, advance=advance).unnamed

    def queue(
        self,
        photos: Iterable[str | os.PathLike[str]],
        *,
        workers: int = 1,
        small: bool = False,
        advance: Callable[[], None] = lambda: None,
    ) -> "ReviewQueue":
        """Return the faces in `photos` that no human decided about, the most telling first.

        Those without a name wait in their groups, see `cluster`. Raises GalleryError.
        """
        from facesearch.review.groups import Unnamed, assign_group_ids, group_unnamed
        from facesearch.review.queue import Review as ReviewQueue
        from facesearch.review.queue import joined, most_informative_first

        with self._store.transaction():
            pass  # fails here, not after the last photo, if it must
        survey = self._survey(photos, workers, advance, small=small)
        model = self._session.model
        embeddings = np.array(survey.embeddings, np.float32).reshape(-1, model.dim)
        groups = group_unnamed(survey.faces, embeddings, survey.unnamed, model)
        several = [group for group in groups if len(group) > 1]
        with self._store.transaction():
            kept = assign_group_ids(several, self._store)
        together = [
            joined([survey.waiting.pop(face) for face in group.faces], group.id) for group in kept
        ]
        return ReviewQueue(
            Unnamed(
                groups=kept,
                alone=len(groups) - len(several),
                named=survey.n_named,
                dismissed=survey.n_dismissed,
                small=survey.n_small,
                photos=len(survey.hashes),
                unreadable=tuple(survey.unreadable),
            ),
            most_informative_first([*together, *survey.waiting.values()]),
        )

    def _survey(
        self,
        photos: Iterable[str | os.PathLike[str]],
        workers: int,
        advance: Callable[[], None],
        *,
        small: bool,
    ) -> _Survey:
        """Return what all photos show; of photos with the same picture the first counts."""
        from facesearch.review.groups import LEAST_HEIGHT_PX, UnnamedFace
        from facesearch.review.queue import waiting_face

        survey = _Survey()
        least_px = 0 if small or self._session.what != "face" else LEAST_HEIGHT_PX
        for path, seen in self._look_at_all(photos, workers):
            advance()
            if not isinstance(seen, Seen):
                survey.unreadable.append((path, str(seen)))
                continue
            kept = self._session.kept(seen.picture, path)
            if kept.key in survey.hashes:
                continue
            survey.hashes.add(kept.key)
            found_faces = identify_faces(self._session, seen, FPIR, PRIOR)
            for place, found in enumerate(found_faces):
                box = kept.box(found.box)
                face = UnnamedFace(path, place + 1, box, found.score, kept.key, found.box)
                is_small = found.box[3] - found.box[1] < least_px
                if not is_small:
                    survey.faces.append(face)
                    survey.embeddings.append(seen.embeddings[place])
                if found.dismissed_as is not None:
                    survey.n_dismissed += 1
                    continue
                if found.decided_by == "machine":
                    survey.waiting[face] = waiting_face(face, seen, found)
                if found.person is not None or found.alternatives:
                    survey.n_named += 1
                elif is_small:
                    survey.n_small += 1
                else:
                    survey.unnamed.add(face)
        return survey

    def _look_at_all(
        self, photos: Iterable[str | os.PathLike[str]], workers: int
    ) -> Iterator[tuple[str, Seen | PhotoError]]:
        """Yield each of `photos` by its absolute path, with what it shows."""
        from facesearch.gallery.remembered import PhotoAt, seen_or_remembered
        from facesearch.review.seen import SeenBefore

        model = self._session.model
        # names stay as they are, links too
        paths = (PhotoAt(os.path.abspath(photo)) for photo in photos)  # noqa: PTH100
        memory = SeenBefore(photo_cache_file(self._session.path), model.fingerprint)
        with closing(memory):
            for photo, seen in seen_or_remembered(
                paths, lambda photo: probe(model, photo.path or ""), memory, workers
            ):
                yield photo.path or "", seen

    def still_waiting(self, waiting: "Waiting") -> "Waiting | None":
        """Return `waiting` as the gallery knows it now, without faces that a human decided about.

        None if that is all of them.
        """
        from facesearch.review.queue import REPROPOSED_FACES, joined, waiting_face

        left = [
            (face, seen)
            for face, seen in zip(waiting.faces, waiting.seen, strict=True)
            if self._faces.said_of(face.content_hash, face.box) is None
        ]
        if not left:
            return None
        asked = [
            waiting_face(
                face, seen, identify_faces(self._session, seen, FPIR, PRIOR)[face.number - 1]
            )
            for face, seen in left[:REPROPOSED_FACES]
        ]
        together = joined(asked, waiting.group)
        faces, seen_photos = zip(*left, strict=True)
        return replace(together, faces=faces, seen=seen_photos)

    # Deciding

    def name_waiting(
        self, waiting: "Waiting", name: str, *, known: bool = False, workers: int = 1
    ) -> Decision:
        """Enroll the faces of `waiting` as `name`, who may be new.

        `known` as in `name_group`: whoever is proposed may have another name now, or be gone. Of a
        group those are left out that `name_group` leaves out. Raises Refused if a human decided
        about all of them meanwhile, PhotoError, FaceError.
        """
        face, *more = self._faces.undecided(waiting.faces)
        if more:
            return self._name_group([face, *more], name, known=known, workers=workers)
        found = self._look_again(face)
        if not isinstance(found, PhotoFace):
            raise found
        return self._faces.confirm([found], name, who=_who(known), unless_decided=True)

    def name_group(
        self,
        group: "UnnamedGroup",
        name: str,
        *,
        known: bool = False,
        same_person_twice: bool = False,
        workers: int = 1,
    ) -> Decision:
        """Enroll the faces of `group` as `name`, who may be new; it is one decision.

        With `known` somebody has to bear the name, else UnknownPerson is raised. Somebody who was
        merged into another is that person. `Decision.left_out` says which photos were left out and
        why: one that cannot be read or has changed, that a human said something else of, or that
        shows the person already, unless `same_person_twice`. Refused if none is left.
        """
        twice = same_person_twice
        return self._name_group(group.faces, name, known=known, twice=twice, workers=workers)

    def _name_group(
        self,
        faces: "Sequence[UnnamedFace]",
        name: str,
        *,
        known: bool,
        workers: int,
        twice: bool = False,
    ) -> Decision:
        found: list[PhotoFace] = []
        left_out: list[tuple[str, str]] = []
        for wanted, face in in_order(self._look_again, faces, workers):
            if isinstance(face, PhotoFace):
                found.append(face)
            else:
                left_out.append((wanted.photo, str(face)))
        if not found:
            why = "; ".join(why for _, why in left_out[:3])
            raise Refused(f"none of the photos can be used: {why}")
        decision = self._faces.confirm(
            found, person_name(name), who=_who(known), as_group=True, same_person_twice=twice
        )
        return replace(decision, left_out=(*left_out, *decision.left_out))

    def reject(self, faces: "Sequence[UnnamedFace]", name: str) -> Decision:
        """Say that waiting faces are not `name`; see `Faces.reject`.

        Faces that a human decided about meanwhile are left out; Refused if none is left.
        """
        return self._faces.reject([_place_of(face) for face in faces], name, unless_decided=True)

    def dismiss(self, faces: "Sequence[UnnamedFace]", verdict: str) -> Decision:
        """Say of waiting faces that nobody is to be named; see `Faces.dismiss`, and `reject`."""
        places = [_place_of(face) for face in faces]
        return self._faces.dismiss(places, verdict, unless_decided=True)

    def _look_again(self, face: "UnnamedFace") -> PhotoFace | FacesearchError:
        """Return one face of a photo as a reference, or why it is not there."""
        try:
            photo = read_photo(face.photo)
            kept = self._session.kept(photo.picture)
            if kept.key != face.content_hash:
                return PhotoError(f"cannot read {face.photo}: the file has changed since")
            seen = look(photo, self._session.model)
        except PhotoError as error:
            return error
        for place, there in enumerate(seen.faces):
            if same_place(kept.box(there.box), face.box):
                # a copy of one: a slice would keep the crops of all faces in memory
                alone = referenced(seen.only(place), 0, self._session.model)
                return PhotoFace(kept.key, kept.box(there.box), face.photo, alone)
        return FaceError(f"the {self._session.what} is not found again")


def _who(known: bool) -> Who:
    return "enrolled" if known else "enrolled, merged or new"


def _place_of(face: "UnnamedFace") -> PhotoFace:
    return PhotoFace(face.content_hash, face.box, face.photo)
