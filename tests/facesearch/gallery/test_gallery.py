"""Opening a gallery: another model, a read-only file, two processes, the real model."""

import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest
from fake_model import FakeModel
from gallery_rows import execute
from gallery_steps import ADA, enroll, statuses, who

from facesearch.errors import EmbeddingMismatch, GalleryError
from facesearch.gallery import Gallery


def test_a_gallery_of_another_model_is_refused(trio, make_gallery, fake_model):
    other = replace(fake_model, name="other", fingerprint="0123")
    with pytest.raises(EmbeddingMismatch, match="made with the model fake"):
        make_gallery(model=other)
    execute(trio, "UPDATE template SET fingerprint = '0123' WHERE id = 1")
    assert any("another model" in problem for problem in trio.upkeep.check())


def test_a_gallery_that_cannot_be_written_still_identifies(trio, make_gallery, shoot, monkeypatch):
    trio.close()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    readable = make_gallery()
    assert who(readable, shoot((ADA, 9))) == ["Ada"]
    assert readable.upkeep.check() == []
    for write in (
        lambda: enroll(readable, ("Ada", shoot((ADA, 3)))),
        lambda: readable.forget("Ada"),
        lambda: readable.people.rename("Ada", "X"),
    ):
        with pytest.raises(GalleryError, match="cannot be written here"):
            write()


def enroll_in_process(path, photos, start):
    with Gallery(path, FakeModel()) as gallery:
        start.wait()
        list(gallery.enroll(photos))


@pytest.mark.slow
def test_two_processes_that_enroll_the_same_photos_add_each_once(home, shoot, make_gallery):
    photos = [(f"P{p}", shoot((p, k))) for p in range(1, 30) for k in (1, 2)]
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Event()
    arguments = (home / "gallery.db", photos, start)
    processes = [spawn.Process(target=enroll_in_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    gallery = make_gallery()
    assert gallery.upkeep.info()["template"] == len(photos)
    assert gallery.upkeep.check() == []


@pytest.mark.slow
def test_real_portraits_are_told_apart(home, request):
    pytest.importorskip("skimage", reason="scikit-image carries a portrait")
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib carries a portrait")
    import skimage

    collins = Path(skimage.__file__).parent / "data" / "astronaut.png"
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    from PIL import Image, ImageEnhance

    darker = home.parent / "darker.png"
    ImageEnhance.Brightness(Image.open(collins).convert("RGB")).enhance(0.6).save(darker)
    with Gallery(home) as gallery:
        done = enroll(gallery, ("Eileen Collins", collins))
        assert statuses(done) == ["enrolled"]
        assert who(gallery, hopper) == [None]
        assert statuses(enroll(gallery, ("Grace Hopper", hopper))) == ["enrolled"]
        assert who(gallery, darker) == ["Eileen Collins"]
        assert who(gallery, hopper) == ["Grace Hopper"]
        assert gallery.upkeep.check() == []
        gallery.forget("Eileen Collins")
        assert who(gallery, darker) == [None]
