"""One decision: a transaction, its journal, its entry in the log, and how it is told."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from facesearch.errors import NamedTwice
from facesearch.gallery.session import Session
from facesearch.storage.decisions import DecisionRow
from facesearch.storage.journal import Journal
from facesearch.storage.rows import now

MAX_LISTED = 3  # decisions of a run, or people of an enrollment; then "and 7 more"


@dataclass(frozen=True, slots=True)
class Decision:
    """An entry of the gallery's history, or what a call did or would do.

    Everything that one `enroll` stored is one entry, and so are merges that were made at once.
    """

    id: int | None  # None: nothing was stored, since it was a dry run or was so already
    made_at: str
    made_by: str  # "human" or "machine"
    kind: str  # enroll, merge, split, move, confirm, reject, dismiss, rename, undo, ...
    summary: str  # what was decided, in the past tense
    photo: str | None  # the photo that it is about, if it is about one, unless that is forgotten
    undoes: int | None
    undone_by: int | None
    changed: dict[str, int]  # table -> rows that it inserted, changed or deleted
    left_out: tuple[tuple[str, str], ...] = ()  # faces it does not cover: (photo, why)


class Decisions:
    """Makes decisions and tells them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._store = session.store
        self._log = session.log
        self._twice = False  # whether the decision in progress may name a person twice in a photo

    @contextmanager
    def deciding(
        self, dry_run: bool = False, *, same_person_twice: bool = False
    ) -> Iterator[Journal]:
        """Make everything inside one step, which is rolled back if it is a dry run.

        `same_person_twice`: it may give a name twice in a photo, else that raises NamedTwice.
        """
        try:
            with self._store.transaction():
                self._twice = same_person_twice
                yield self._store.journal()
                if dry_run:
                    raise _DryRun
        except _DryRun:
            pass

    def decide(
        self,
        kind: str,
        summary: str,
        journal: Journal,
        person: int | None,
        others: Iterable[int] = (),
        *,
        photo: tuple[str, str] | None = None,
        dry_run: bool = False,
    ) -> Decision:
        """Append the decision that made the changes in `journal`, if it made any; return it.

        `photo` is (content hash, path) of the photo that it is about, if it is about one.
        """
        if not journal.changes:
            return nothing_stored(kind, summary, photo)
        row = self.append(kind, journal, person, others, summary=summary, photo=photo)
        decision = self.entry([row])
        return replace(decision, id=None) if dry_run else decision

    def append(
        self,
        kind: str,
        journal: Journal,
        person: int | None,
        others: Iterable[int],
        *,
        summary: str | None = None,
        photo: tuple[str, str] | None = None,
        undoes: int | None = None,
        run: Sequence[DecisionRow] = (),
    ) -> DecisionRow:
        """Append the decision that made the changes in `journal` to the log, after those of `run`.

        An undoing needs no summary: what it undid says it. Raises NamedTwice.
        """
        twice = self._names_twice(journal) or None
        said = {"summary": summary, "photo": photo, "same_person_twice": twice}
        payload = {key: value for key, value in said.items() if value is not None}
        return self._log.append(
            kind,
            person_id=person,
            others=others,
            payload={**payload, "changes": journal.changes},
            undoes=undoes,
            run=run[0].id if run else None,
        )

    def _names_twice(self, journal: Journal) -> bool:
        """Return whether a name is now twice in a photo, on purpose; raises NamedTwice if not."""
        given = {
            change.id
            for change in journal.changes
            if change.table == "face"
            and change.after is not None
            and (change.before or {}).get("person_id") != change.after["person_id"]
        }
        twice = False
        for face in sorted(given):
            for other, person, photo in self._store.faces.twins(face):
                if self._log.is_twice_on_purpose(face, other):
                    continue
                if not self._twice:
                    raise NamedTwice(
                        f"{photo} would show {person} twice; if it is a mirror or a collage, "
                        "say so with --same-person-twice"
                    )
                twice = True
        return twice

    def entry(
        self, run: Sequence[DecisionRow], undone: Mapping[int, int] | None = None
    ) -> Decision:
        """Return decisions that were made at once as one entry of the history."""
        first = run[0]
        photo = first.payload.get("photo")
        path = photo[1] if photo else None
        if first.kind == "enroll":
            summary, n_enrolled = self._enrollment(first.run)
        else:
            summary, n_enrolled = self.summary(run), 0
        if n_enrolled == 1:
            ((_, _, path),) = self._log.enrollments([first.id]).values()
        rows = {(change.table, change.id) for row in run for change in row.changes}
        changed = Counter(table for table, _ in sorted(rows))
        if n_enrolled:  # enrollments note no changes
            changed.update(face=n_enrolled, template=n_enrolled)
        return Decision(
            id=first.run,
            made_at=first.made_at,
            made_by=first.made_by,
            kind=first.kind,
            summary=summary,
            photo=path,
            undoes=self._log.summary_rows(first.undoes)[0].run if first.undoes else None,
            undone_by=(undone or {}).get(first.id),
            changed=dict(changed),
        )

    def summary(self, run: Sequence[DecisionRow]) -> str:
        """Return what decisions that were made at once decided, in the past tense."""
        first = run[0]
        if first.kind == "forget":
            return "forgot somebody"
        if first.kind == "enroll":
            return self._enrollment(first.run)[0]
        if first.undoes is not None:
            undone, verb = self._log.summary_rows(first.undoes), "undid"
            while undone[0].undoes is not None:  # an undoing undone does again what was undone
                undone = self._log.summary_rows(undone[0].undoes)
                verb = "redid" if verb == "undid" else "undid"
            return f"{verb} {undone[0].run}: {self.summary(undone)}"
        summaries = [row.payload["summary"] for row in run]
        more = len(run) - MAX_LISTED
        return "; ".join(
            summaries[:MAX_LISTED] + ([f"and {more:,} more like these"] if more > 0 else [])
        )

    def _enrollment(self, run: int) -> tuple[str, int]:
        """Return the summary of a run of enrollments, and how many faces it stored.

        People have their present names, or the last they had.
        """
        n_faces, n_people, some = self._log.enrollment_counts(run, MAX_LISTED)
        names = self._store.people.names_of(some)
        called = [names.get(person) or self._log.last_known_name(person) for person in some]
        words = [name or "somebody who is not there any more" for name in called]
        if n_people > len(some):
            words[-1:] = [f"{n_people - len(some) + 1:,} others"]
        people = " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
        return f"enrolled {self._session.counted(n_faces)} of {people}", n_faces


class _DryRun(Exception):
    """Ends a transaction that is not to be stored."""


def nothing_stored(kind: str, summary: str, photo: tuple[str, str] | None) -> Decision:
    """Return what is told of a decision that changes nothing, since it was so already."""
    path = photo[1] if photo else None
    return Decision(None, now(), "human", kind, summary, path, None, None, {})


def undo_first(said: Sequence[DecisionRow]) -> str:
    """Return the end of a refusal: which decision to undo to allow what it forbids."""
    return f" in decision {said[0].id}; undo that first" if said else ""
