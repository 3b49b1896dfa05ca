"""What a caller points at -> the enrolled face, or the place in a photo, that is meant."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from facesearch.boxes import Box
from facesearch.errors import FaceError, PhotoError
from facesearch.gallery.session import Session
from facesearch.identification import Seen
from facesearch.photo import read_photo
from facesearch.storage.rows import KnownFace, readable

PhotoFile = str | os.PathLike[str]
EnrolledIn = PhotoFile | KnownFace  # a photo, or just one enrolled face of it


class FaceInPhoto(Protocol):
    """Whatever has a place in a photo: a face that is enrolled, unnamed, or pointed at."""

    @property
    def content_hash(self) -> str:
        """Key of the photo, see storage/pictures.py."""

    @property
    def box(self) -> Box:
        """Where it is in the photo, as it is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class PhotoFace:
    """A face in a photo that somebody decides about, whether or not it is enrolled."""

    content_hash: str  # key of the photo, see storage/pictures.py
    box: Box  # as it is kept, see facesearch.pictures
    photo: PhotoFile
    seen: Seen | None = None  # that face alone as a reference; needed to enroll it

    @property
    def where(self) -> tuple[str, str]:
        """Content hash and absolute path of the photo, as a decision notes them."""
        return self.content_hash, readable(str(Path(self.photo).absolute()))


def nth_face(session: Session, photo: PhotoFile, n_faces: int, number: int | None) -> int:
    """Return the place, from 0, of face `number` of `photo`, from 1; None is the only one.

    Raises FaceError if the photo shows no such face, or several and `number` is None.
    """
    if not n_faces:
        raise FaceError(f"{photo}: no {session.what} found")
    shown = f"{photo} shows {session.counted(n_faces)}"
    if number is None and n_faces > 1:
        raise FaceError(f"{shown}: say which one, from 1 to {n_faces} as identify counts")
    if number is not None and not 1 <= number <= n_faces:
        raise FaceError(f"{shown}, so there is no {session.what} {number}")
    return (number or 1) - 1


def enrolled_faces_in(session: Session, person: int, photos: Iterable[EnrolledIn]) -> list[int]:
    """Return the ids of a person's enrolled faces in `photos`.

    A photo is known by its picture, by its hash, or, when the file is gone, by where it was.
    Raises FaceError for a photo that shows none of them, or if there are no `photos`.
    """
    theirs = session.store.faces.of_person(person)
    by_hash: dict[str, list[int]] = {}
    hash_at: dict[str, str] = {}
    for path, face in theirs:
        by_hash.setdefault(face.content_hash, []).append(face.id)
        if path is not None:
            hash_at[os.path.realpath(path)] = face.content_hash
    faces: dict[int, None] = {}
    for photo in photos:
        if isinstance(photo, KnownFace):
            if all(photo.id != face.id for _, face in theirs):
                raise FaceError(f"this {session.what} is not enrolled as {session.name(person)}")
            faces[photo.id] = None
            continue
        was = hash_at.get(os.path.realpath(readable(os.fspath(photo))))
        now_there = key_of(session, photo)
        found = by_hash.get(now_there or was or os.fspath(photo).lower())
        if not found and now_there and was:
            raise FaceError(
                f"{photo} is not the picture that {session.name(person)} was enrolled from; "
                f"name that one by its hash, {was}"
            )
        if not found:
            raise FaceError(f"{session.name(person)} is not enrolled from {photo}")
        faces.update(dict.fromkeys(found))
    if not faces:
        raise FaceError("no photo was named")
    return list(faces)


def key_of(session: Session, photo: PhotoFile) -> str | None:
    """Return the key of the picture in a file, None if it cannot be read."""
    try:
        return session.kept(read_photo(photo).picture).key
    except PhotoError:
        return None


def only_photo(faces: Sequence[PhotoFace]) -> tuple[str, str] | None:
    """Return content hash and path of the photo that a decision is about, None for several."""
    return faces[0].where if len(faces) == 1 else None
