"""Write a gallery as the code of a checkout does, as SQL text: how schema_1.sql ... were made.

    PYTHONPATH=CHECKOUT:CHECKOUT/indexes:CHECKOUT/tests/facesearch python write.py > schema_N.sql

CHECKOUT is the last commit of that schema. Faces are made up: see fake_model.py.
"""

import sqlite3
import sys
import tempfile
from pathlib import Path

from deciding import confirm, dismiss, reject
from fake_model import FakeModel, save_photo

from facesearch.gallery import Gallery
from facesearch.model import Model

ADA, GRACE, HEDY, STRANGER = 10, 20, 30, 40


def tell_a_story(gallery, folder):
    """Decide everything that the checkout knows: enroll, rename, merge, reject, group, dismiss."""

    def shoot(*faces):
        name = "_".join(f"{person}-{picture}" for person, picture in faces)
        return save_photo(folder / f"{name}.png", *faces)

    photos = [("Augusta", shoot((ADA, 1))), ("Grace", shoot((GRACE, 1)))]
    list(gallery.enroll(photos))
    gallery.people.rename("Augusta", "Ada")
    list(gallery.enroll([("Ada", shoot((ADA, 2))), ("Hedy", shoot((HEDY, 1)))]))
    if not hasattr(gallery.people, "merge"):
        return
    list(gallery.enroll([("Ada L.", shoot((ADA, 3)))]))
    gallery.people.merge(["Ada L."], "Ada")
    gallery.people.not_same("Grace", "Hedy")
    reject(gallery, shoot((ADA, 4), (GRACE, 4)), "Hedy", 2)
    confirm(gallery, shoot((HEDY, 2)), "Hedy")
    gallery.history.undo()
    gallery.duplicates.not_same_photos([("0" * 64, "f" * 64)])
    if hasattr(gallery, "review"):
        list(gallery.review.cluster([shoot((STRANGER, k)) for k in (2, 3, 4)]).groups)
    if hasattr(gallery.faces, "dismiss"):
        dismiss(gallery, shoot((STRANGER, 5)), "stranger")


def main():
    Model.load = lambda name: FakeModel()
    with tempfile.TemporaryDirectory() as name:
        with Gallery(Path(name) / "gallery.db", "fake") as gallery:
            tell_a_story(gallery, Path(name))
        db = sqlite3.connect(Path(name) / "gallery.db")
        for pragma in ("application_id", "user_version"):
            ((value,),) = db.execute(f"PRAGMA {pragma}")
            sys.stdout.write(f"PRAGMA {pragma} = {value};\n")
        for line in db.iterdump():
            sys.stdout.write(line.replace(name, "/photos") + "\n")


if __name__ == "__main__":
    main()
