"""The gallery's templates in memory: the index and how strangers score, up to date with the file.

The SQLite file is the truth and the index a cache of it. The index proposes template ids; whose
they are and how alike is read from the file, so that a wrong index never gives a wrong name. At
worst it misses one until it is rebuilt.
"""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facesearch.candidates import find_candidates, mean_templates
from facesearch.errors import GalleryError
from facesearch.gallery.files import check_model
from facesearch.model import Model
from facesearch.openset import Strangers, fit_strangers
from facesearch.storage.store import Store
from facesearch.vectors import Floats
from facesearch_indexes import IndexStore, VectorIndex

if TYPE_CHECKING:
    from facesearch.duplicates.judge import Judge

STATISTICS_PEOPLE = 20_000  # enough for a mean and a variance; a gallery may hold more
INDEX_FILE_FROM = 100_000  # templates; below, rebuilding is faster than checking a file
# Shares of the templates that are new:
REFIT_SHARE = 0.001  # ...from which statistics are refitted before identifying
REBUILD_SHARE = 0.1  # ...from which they are refitted at all, and the index file written again

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class View:
    """What is kept in memory of the gallery as it was after change number `seq`."""

    store: Store
    model: Model
    stamp: str  # differs from that of a change that got the same number after a restore
    seq: int
    index: VectorIndex
    strangers: Strangers
    fitted_seq: int = -1  # the change number that `strangers` belongs to; -1: not fitted
    filed_seq: int = -1  # the change number that the index file belongs to; -1: there is none
    kept_references: dict[int, Floats] = field(default_factory=dict)  # person id -> mean template
    judge: "Judge | None" = None  # of who may be one person; made when it is first needed
    judged_seq: int = -1  # the change number that `judge` belongs to

    def candidates(self, embeddings: Floats) -> list[dict[int, Floats]]:
        """Return the candidates of each of `embeddings` (n, dim), see `find_candidates`.

        Call inside the snapshot or transaction in which the view is current.
        """
        return find_candidates(embeddings, self.model, self.index, self.strangers, self)

    def people_of(self, template_ids: NDArray[np.int64]) -> Mapping[int, int]:
        """Return template id -> person id of those of `template_ids` that are enrolled."""
        return self.store.templates.people_of(template_ids)

    def references(self, people: Collection[int]) -> Mapping[int, Floats]:
        """Return person id -> reference (dim,) of at least those of `people` who have one."""
        missing = set(people) - self.kept_references.keys()
        if missing:
            owners, rows = self.store.templates.of_people(missing)
            if len(owners):
                means = mean_templates(owners, rows)
                self.kept_references.update(zip(np.unique(owners).tolist(), means, strict=True))
        return self.kept_references


class LiveIndex:
    """Keeps a `View` of one gallery up to date; use its methods inside a snapshot or transaction.

    Only `reading` opens a snapshot of its own.
    """

    def __init__(self, store: Store, model: Model, indexes: IndexStore) -> None:
        self._store = store
        self._model = model
        self._indexes = indexes
        self._view: View | None = None

    def preload(self) -> None:
        """Load the index library, so that the first search need not wait for it."""
        self._indexes.preload()

    @contextmanager
    def reading(self, *, refit: bool = True) -> Iterator[View]:
        """Let everything read inside be of one moment, that of the view; see `current`."""
        with self._store.snapshot():
            view = self.current(refit=refit)
            yield view
        self._keep(view)

    def current(self, *, refit: bool = True) -> View:
        """Return the view, brought up to date with the gallery file.

        Its statistics of strangers' scores may be of a gallery that was smaller by REFIT_SHARE;
        without `refit`, by REBUILD_SHARE.
        """
        seq, view = self._store.templates.seq(), self._view
        if view is None or self._store.templates.stamp(view.seq) != view.stamp:
            view = self._load()
        if view.seq < seq:
            added, removed = self._store.templates.changes_since(view.seq)
            view.index.remove(np.array(removed, np.int64))
            ids, rows = self._store.templates.with_ids(added)
            if len(ids):
                view.index.upsert(ids, self._model.search_codes(rows))
            view.seq, view.stamp = seq, self._store.templates.stamp(seq) or ""
            view.kept_references.clear()
        n_new = view.seq - view.fitted_seq
        share = REFIT_SHARE if refit else REBUILD_SHARE
        if view.fitted_seq < 0 or n_new > share * len(view.index):
            view.strangers = self._fit()
            view.fitted_seq = seq
        self._view = view
        return view

    def drop(self) -> None:
        """Forget what is in memory: the next reading loads everything from the file."""
        self._view = None

    def erase(self) -> int:
        """Delete the index files; return how many there were. Raises OSError."""
        return self._indexes.erase()

    def _load(self) -> View:
        """Return a view of the newest index that was kept, else of all templates."""
        store, model = self._store, self._model
        check_model(store, model)  # another program may have migrated the gallery
        none = np.zeros((0, model.dim), np.float32)
        nobody = fit_strangers(none, 0, model.cohort, model.head)
        kept = self._indexes.open(model.search_dim, store.templates.seq(), store.templates.stamp)
        if kept is not None:
            index, seq = kept
            stamp = store.templates.stamp(seq) or ""
            return View(store, model, stamp, seq, index, nobody, filed_seq=seq)
        ids, rows = store.templates.all()
        if len(ids):
            index = self._indexes.build(ids, model.search_codes(rows))
        else:
            index = self._indexes.empty(model.search_dim)
        seq = store.templates.seq()
        return View(store, model, store.templates.stamp(seq) or "", seq, index, nobody)

    def _keep(self, view: View) -> None:
        """Save the index if that saves time: it is large, and no file of it is nearly as new."""
        n_new = view.seq - view.filed_seq
        if len(view.index) < INDEX_FILE_FROM or (
            view.filed_seq >= 0 and n_new <= REBUILD_SHARE * len(view.index)
        ):
            return
        view.filed_seq = view.seq  # one attempt
        try:
            with self._store.transaction():  # nobody may be forgotten while their rows are written
                if self._store.templates.stamp(self._store.templates.seq()) == view.stamp:
                    self._indexes.keep(view.index, view.stamp, view.seq)
        except (OSError, GalleryError) as error:  # costs time, not the answer
            log.warning("the index of %s could not be kept: %s", self._store.path, error)

    def _fit(self) -> Strangers:
        """Return how strangers score against the gallery, from at most STATISTICS_PEOPLE people."""
        people = list(self._store.templates.count_by_person())
        sample = people
        if len(people) > STATISTICS_PEOPLE:
            places = np.linspace(0, len(people) - 1, STATISTICS_PEOPLE).astype(int)
            sample = [people[place] for place in places]
        owners, rows = self._store.templates.of_people(sample)
        means = np.zeros((0, self._model.dim), np.float32)
        if len(owners):
            means = mean_templates(owners, rows)
        return fit_strangers(means, len(people), self._model.cohort, self._model.head)
