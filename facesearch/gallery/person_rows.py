"""Row changes about one person that several verbs make."""

from facesearch.boxes import same_place
from facesearch.errors import Refused
from facesearch.storage.journal import Journal
from facesearch.storage.rows import now
from facesearch.storage.store import Store


def new_person(store: Store, journal: Journal, name: str) -> int:
    """Store a person called `name`, as `person_name` returns it; Refused if somebody bears it."""
    if store.people.id_of(name) is not None:
        raise Refused(f"there is a person called {name} already")
    return journal.insert("person", {"name": name, "created_at": now()})


def drop_rejections(store: Store, journal: Journal, person: int) -> None:
    """Delete the rejections that a human has just contradicted: the last word counts."""
    for rejection in store.verdicts.rejections_of(person):
        faces = store.faces.in_photo(rejection.content_hash)
        if any(f.person_id == person and same_place(f.box, rejection.box) for f in faces):
            journal.delete("rejection", rejection.id)
