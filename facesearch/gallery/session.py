"""What every part of an open gallery works on: its file, its log, its model and its live index."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from facesearch.errors import GalleryError, UnknownPerson
from facesearch.gallery.live_index import LiveIndex
from facesearch.manifest import subject
from facesearch.model import Model
from facesearch.names import folded, person_name
from facesearch.pictures import KeptPicture, Picture
from facesearch.storage.decisions import DecisionLog
from facesearch.storage.store import Store


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """One open gallery."""

    path: Path
    store: Store
    log: DecisionLog
    model: Model
    live: LiveIndex

    @property
    def what(self) -> str:
        """What the model names: face, character, leaf ..."""
        return subject(self.model.manifest)

    def kept(self, picture: Picture, path: str | os.PathLike[str] | None = None) -> KeptPicture:
        """Return a picture that is seen now, in the file at `path`, as the gallery knows it.

        If a former version knew its bytes, it is noted which picture they are; if it was enrolled
        from a file that is gone, that it is at `path` now. Call outside of transactions.
        """
        store = self.store
        is_new = store.pictures.is_new(picture)
        now_at = path and self._moved_to(store.pictures.kept(picture).key, path)
        if not store.read_only and (is_new or now_at):
            with suppress(GalleryError), store.transaction():  # else it is noted next time
                store.pictures.note(picture)
                if now_at:
                    store.photos.move(store.pictures.kept(picture).key, now_at)
        return store.pictures.kept(picture)

    def _moved_to(self, key: str, path: str | os.PathLike[str]) -> str | None:
        """Return the absolute `path` if the photo was enrolled from a file that is gone."""
        was = self.store.photos.path_of(key)
        return None if was is None or os.path.lexists(was) else str(Path(path).absolute())

    def counted(self, n_faces: int) -> str:
        """Return "1 face", "1,204 faces"."""
        return f"{n_faces:,} {self.what}{'' if n_faces == 1 else 's'}"

    def person(self, name: str) -> int:
        """Return the id of the person called `name`; raises UnknownPerson, ValueError.

        The sentence says whom somebody was merged into, or suggests a name that is nearly equal.
        """
        wanted = person_name(name)
        found = self.store.people.id_of(wanted)
        if found is not None:
            return found
        near = [other for other in self.store.people.names() if folded(other) == folded(wanted)]
        hint = f"; is it {near[0]}?" if near else ""
        merged = self.log.merge_of(wanted)
        if merged is not None:
            number, into = merged
            (who,) = self.store.people.names_of([into]).values()
            hint = f": {name} was merged into {who} in decision {number}"
        raise UnknownPerson(f"nobody called {name} is enrolled in {self.store.path}{hint}")

    def name(self, person: int) -> str:
        """Return the name of a person who is enrolled."""
        return self.store.people.names_of([person])[person]
