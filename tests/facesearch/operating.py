"""A worker to be killed that changes a gallery, and notes each operation before and after it.

It owns the people whose names begin with Q; other programs enroll others meanwhile.
"""

import json
import os
import random
from pathlib import Path

from fake_model import OTHER, FakeModel, save_photo

import facesearch.review.groups  # noqa: F401
from facesearch.duplicates import trash
from facesearch.duplicates.photos import find_duplicates
from facesearch.errors import GalleryError, UnknownPerson
from facesearch.gallery import Gallery
from facesearch.gallery.migration import migrate_gallery

FIRST = 50_000  # number of the first person here
MODEL = FakeModel()


def fill_album(album):
    """Save three pictures, three identical files each."""
    for person in range(3):
        for copy in range(3):
            save_photo(album / str(copy) / f"{person}.png", (person + 1, 1))


def own_people(gallery):
    """Return name -> names of photos of the people that only this worker changes."""
    return {
        name: sorted(Path(path or "lost").name for path, _ in gallery.people.faces_of(name))
        for name in gallery.people.names()
        if name.startswith("Q")
    }


class Operator:
    """Carries out operations on an open gallery, one after the other."""

    def __init__(self, job):
        self.job, self.rng = job, random.Random(job["seed"])
        self.journal = os.open(job["journal"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.gallery = None
        self.before_last = None  # decision and state, if the last one can be undone

    def run(self):
        """Work until killed; the favorite operation comes up most often."""
        job = self.job
        self.reopen()
        while True:
            verb = job["favorite"] if self.rng.random() < 0.5 else self.rng.choice(job["verbs"])
            before = own_people(self.gallery)
            needs = {"merge": 2, "forget": 1}.get(verb, 0)
            if len(before) < needs or len(before) > 12:
                verb = "enroll" if len(before) < needs else "forget"
            if verb == "undo" and self.before_last is None:
                verb = "merge" if len(before) > 1 else "group"
            getattr(self, verb)(before)

    def reopen(self):
        if self.gallery is not None:
            self.gallery.close()
        self.gallery = Gallery(self.job["gallery"], MODEL, create=False)

    def note(self, **what):
        os.write(self.journal, (json.dumps(what) + "\n").encode())

    def begun(self, verb, before, after):
        """Note an operation that is about to begin; return what to call when it is done."""
        after = {name: sorted(photos) for name, photos in after.items()}
        self.note(verb=verb, before=before, after=after)
        self.before_last = None
        return lambda: self.note(verb=verb, after=after, done=True)

    def new_photos(self, count):
        """Return a name that nobody has, and photos of somebody new."""
        person = FIRST + self.rng.randrange(10_000)
        names = [f"q-{person}-{self.rng.randrange(10**9)}.png" for _ in range(count)]
        folder = Path(self.job["photos"])
        files = [save_photo(folder / name, (person, place + 1)) for place, name in enumerate(names)]
        return f"Q{person}", files

    def enroll(self, before):
        name, (photo,) = self.new_photos(1)
        if name in before:
            return
        done = self.begun("enroll", before, before | {name: [photo.name]})
        (enrolled,) = self.gallery.enroll([(name, photo)])
        assert enrolled.status == "enrolled", enrolled
        done()

    def merge(self, before):
        one, into = self.rng.sample(sorted(before), 2)
        after = before | {into: before[one] + before[into]}
        del after[one]
        done = self.begun("merge", before, after)
        decision = self.gallery.people.merge([one], into)
        done()
        self.before_last = decision.id, before

    def undo(self, before):
        decision, former = self.before_last
        done = self.begun("undo", before, former)
        self.gallery.history.undo(decision)
        done()

    def forget(self, before):
        name = self.rng.choice(sorted(before))
        after = {other: photos for other, photos in before.items() if other != name}
        done = self.begun("forget", before, after)
        try:
            self.gallery.forget(name)
        except GalleryError:  # another program is reading: the bytes go later, the rows are gone
            try:
                self.gallery.people.id_of(name)
            except UnknownPerson:
                done()
                return
            raise
        done()

    def group(self, before):
        name, photos = self.new_photos(2)
        groups = self.gallery.review.cluster(photos).groups
        if name in before or not groups:
            return
        done = self.begun("group", before, before | {name: [photo.name for photo in photos]})
        decision = self.gallery.review.name_group(groups[0], name)
        done()
        self.before_last = decision.id, before

    def migrate(self, before):
        done = self.begun("migrate", before, before)
        self.gallery.close()
        migrate_gallery(self.job["gallery"], OTHER)
        migrate_gallery(self.job["gallery"], MODEL)
        done()
        self.gallery = None
        self.reopen()

    def dedupe(self, before):
        album = Path(self.job["album"])
        place = trash.default_trash(album)
        groups = find_duplicates([album]).groups
        done = self.begun("dedupe", before, before)
        if groups:
            trash.apply(groups, place)
        elif trash.newest(place):
            trash.undo(place)
        done()


def operate(job):
    """Work until killed."""
    Operator(job).run()
