import io
import lzma
import os
import shutil
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from made_up_pictures import middle, png, save, whole
from PIL import Image

from facesearch import DataError
from facesearch.evaluation import omniglot
from facesearch.evaluation.pictures import (
    omniglot_parts,
    read_lake_trials,
    read_pictures,
    sample_photos,
)

ROOT = Path(os.environ.get("FACESEARCH_DATA", Path(__file__).parents[4] / "shared" / "data"))

# A small Omniglot: 20 characters, each drawn once by 20 drawers, in two alphabets. In run r of the
# trials all support is by drawer r, all probes are by the next one, in the opposite order.
ALPHABETS = ("Greek", "Tibetan")
CHARACTERS = [f"{alphabet}/character{n:02d}" for alphabet in ALPHABETS for n in range(1, 11)]
DRAWINGS = np.random.default_rng(0).integers(2, size=(20, 20, 105, 105), dtype=np.uint8)  # 1 = ink
ANSWERS = np.arange(20)[::-1]


@cache
def drawn(number, drawer):
    """Return the bytes of a drawing's file."""
    return png(DRAWINGS[number, drawer - 1])


def lake_file(number, drawer):
    """Return where Lake has a drawing: image_background/... from the folder of both zips on."""
    alphabet, character = CHARACTERS[number].split("/")
    part = "images_background" if alphabet == "Greek" else "images_evaluation"
    return f"{part}/{alphabet}/{character}/{number + 1:04d}_{drawer:02d}.png"


def write_zips(folder, *, left_out=(), more=(), around=""):
    """Write Lake's three zips; `more` are (zip, name, content) to add, `around` a folder."""
    folder.mkdir(exist_ok=True)
    for zip_name in omniglot.IMAGE_ZIPS:
        with zipfile.ZipFile(folder / zip_name, "w") as archive:
            for number in range(20):
                for drawer in range(1, 21):
                    name = lake_file(number, drawer)
                    if name.startswith(zip_name.removesuffix(".zip")) and name not in left_out:
                        archive.writestr(name, drawn(number, drawer))
            for where, name, content in more:
                if where == zip_name:
                    archive.writestr(name, content)
    with zipfile.ZipFile(folder / omniglot.TRIALS_ZIP, "w") as archive:
        for run in range(20):
            place = f"run{run + 1:02d}"
            labels = ""
            for i in range(20):
                support, probe = drawn(i, run + 1), drawn(ANSWERS[i], (run + 1) % 20 + 1)
                archive.writestr(f"{around}{place}/training/class{i + 1:02d}.png", support)
                archive.writestr(f"{around}{place}/test/item{i + 1:02d}.png", probe)
                right = ANSWERS[i] + 1
                labels += (
                    f"{place}/test/item{i + 1:02d}.png {place}/training/class{right:02d}.png\n"
                )
            archive.writestr(f"{around}{place}/class_labels.txt", labels)
    return folder


def packed_arrays():
    support = np.array([[i * 20 + run for i in range(20)] for run in range(20)])
    probes = np.array([[ANSWERS[i] * 20 + (run + 1) % 20 for i in range(20)] for run in range(20)])
    return {
        "drawings": np.packbits(DRAWINGS.reshape(20, 20, -1), axis=-1),
        "alphabet_names": np.array(ALPHABETS),
        "alphabet_is_evaluation": np.array([False, True]),
        "character_alphabet": np.repeat([0, 1], 10).astype(np.uint8),
        "character_lake_id": np.arange(1, 21, dtype=np.uint16),
        "trial_train": support.astype(np.uint16),
        "trial_test": probes.astype(np.uint16),
        "trial_answer": np.tile(ANSWERS, (20, 1)).astype(np.uint8),
    }


def write_packed(folder, arrays, save_npz=np.savez):
    folder.mkdir(exist_ok=True)
    content = io.BytesIO()
    save_npz(content, **arrays)
    file = folder / omniglot.PACKED
    file.write_bytes(lzma.compress(content.getvalue(), preset=0))
    return file


@pytest.fixture(scope="module")
def zips(tmp_path_factory):
    return write_zips(tmp_path_factory.mktemp("zips"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return write_packed(tmp_path_factory.mktemp("packed"), packed_arrays())


def write_unpacked(folder):
    for number in range(20):
        for drawer in range(1, 21):
            file = folder / lake_file(number, drawer)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(drawn(number, drawer))
    return folder


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    return write_unpacked(tmp_path_factory.mktemp("unpacked"))


@pytest.mark.parametrize("form", ["packed", "zips", "unpacked"])
def test_omniglot_is_the_same_in_each_of_its_forms(form, request):
    pictures = read_pictures(request.getfixturevalue(form), whole)
    assert list(pictures.class_names) == CHARACTERS
    assert pictures.group_names == ALPHABETS
    assert pictures.groups.tolist() == [0] * 10 + [1] * 10
    assert pictures.classes.tolist() == np.repeat(np.arange(20), 20).tolist()
    assert pictures.drawers.tolist() == list(range(1, 21)) * 20
    ink = DRAWINGS.reshape(400, 105, 105)
    assert (pictures.crops == 255 * (1 - ink[..., None])).all()
    assert pictures.skipped == ()


def test_lakes_trials_are_the_same_packed_and_in_zips(packed, zips, tmp_path):
    in_folder = write_zips(tmp_path, around="all_runs/")
    pictures = read_pictures(packed, middle_or_corner)
    expected = read_lake_trials(packed, pictures)
    for source in (zips, in_folder):
        trials = read_lake_trials(source, pictures)
        for part in ("support", "probes", "answers"):
            assert (getattr(trials, part) == getattr(expected, part)).all()


@pytest.mark.parametrize("form", ["packed", "zips"])
def test_lakes_trials_are_rows_of_the_pictures_or_of_a_part(form, request):
    source = request.getfixturevalue(form)
    pictures = read_pictures(source, whole)
    part = pictures.only(np.arange(20)[::-1])
    for some in (pictures, part):
        trials = read_lake_trials(source, some)
        assert trials.support.shape == trials.probes.shape == trials.answers.shape == (20, 20)
        for run in range(20):
            names = [some.class_names[c] for c in some.classes[trials.support[run]]]
            assert names == CHARACTERS
            assert set(some.drawers[trials.support[run]]) == {run + 1}
            assert set(some.drawers[trials.probes[run]]) == {(run + 1) % 20 + 1}
            right = trials.support[run][trials.answers[run]]
            assert (some.classes[trials.probes[run]] == some.classes[right]).all()


def test_the_folder_of_the_packed_file_is_a_source_too(packed):
    assert len(read_pictures(packed.parent, middle_or_corner).crops) == 400


def middle_or_corner(photo):
    return photo.pixels()[:1, :1]


@pytest.mark.parametrize(
    ("where", "drawings"),
    [("all_runs", "zips"), ("python/one-shot/all_runs", "unpacked"), (".", "unpacked")],
)
def test_unpacked_trials_are_read_but_not_as_classes(where, drawings, packed, tmp_path):
    if drawings == "zips":
        write_zips(tmp_path)
    else:
        write_unpacked(tmp_path)
        write_zips(tmp_path / "around")
        shutil.move(tmp_path / "around" / omniglot.TRIALS_ZIP, tmp_path)
        shutil.rmtree(tmp_path / "around")
    pictures = read_pictures(tmp_path, middle_or_corner)
    with_zip = read_lake_trials(tmp_path, pictures)
    with zipfile.ZipFile(tmp_path / omniglot.TRIALS_ZIP) as archive:
        archive.extractall(tmp_path / where)
    (tmp_path / omniglot.TRIALS_ZIP).unlink()
    assert read_pictures(tmp_path, middle_or_corner).class_names == pictures.class_names
    assert pictures.skipped == ()
    expected = read_lake_trials(packed, pictures)
    for trials in (with_zip, read_lake_trials(tmp_path, pictures)):
        for part in ("support", "probes", "answers"):
            assert (getattr(trials, part) == getattr(expected, part)).all()
    next(tmp_path.rglob("run07/test/item03.png")).unlink()
    with pytest.raises(DataError, match="a file or a drawing is missing"):
        read_lake_trials(tmp_path, pictures)


def test_folders_named_like_trials_are_classes_if_the_data_is_not_omniglot(tmp_path):
    for name in ("run01/training/class01.png", "run01/test/item01.png"):
        save(tmp_path / name)
    pictures = read_pictures(tmp_path, middle)
    assert pictures.class_names == ("run01/test", "run01/training")
    assert read_lake_trials(tmp_path, pictures) is None


def test_trials_are_none_if_absent_and_refused_if_their_drawings_are_missing(
    tmp_path, unpacked, packed
):
    pictures = read_pictures(unpacked, middle_or_corner)
    assert read_lake_trials(unpacked, pictures) is None
    with pytest.raises(DataError, match=r"Tibetan/character01 by drawer 1, .* is missing"):
        read_lake_trials(packed, pictures.only(range(10)))
    less = write_zips(tmp_path / "less", left_out=[lake_file(3, 4)])
    with pytest.raises(DataError, match="a file or a drawing is missing"):
        read_lake_trials(less, read_pictures(less, middle_or_corner))


def test_the_parts_of_omniglot_are_recognized_by_the_names_of_alphabets(packed, tmp_path):
    pictures = read_pictures(packed, middle_or_corner)
    parts = omniglot_parts(pictures)
    assert {part: classes.tolist() for part, classes in parts.items()} == {
        "background": list(range(10)),
        "validation": [],
        "trial": list(range(10, 20)),
    }
    assert omniglot_parts(pictures.only(range(10, 20)))["trial"].tolist() == list(range(10))
    save(tmp_path / "Greek" / "character01" / "1.png")
    save(tmp_path / "Tibetan" / "character01" / "1.png")
    assert omniglot_parts(read_pictures(tmp_path, middle))["trial"].tolist() == [1]
    for name in ("Greek/alpha/1.png", "Klingon/character01/1.png"):
        save(tmp_path / "others" / name)
    assert omniglot_parts(read_pictures(tmp_path / "others", middle)) == {}


@pytest.mark.parametrize(
    "around", ["images_background", "python/images_background", "data", "images_background_small1"]
)
def test_omniglot_is_recognized_whatever_folders_are_around_it(tmp_path, around):
    for name in ("Greek/character01/0394_01.png", "Tibetan/character02/1402_20.png"):
        save(tmp_path / around / name)
    pictures = read_pictures(tmp_path, middle)
    assert pictures.class_names == ("Greek/character01", "Tibetan/character02")
    assert pictures.group_names == ("Greek", "Tibetan")
    assert pictures.drawers.tolist() == [1, 20]
    assert omniglot_parts(pictures)["trial"].tolist() == [1]


@pytest.mark.parametrize(
    ("stray", "named"),
    [
        ("figures/overview.png", "figures"),
        ("images_background/sheet.png", "images_background"),
        ("images_background/Greek/sheet.png", "images_background/Greek"),
        (
            "images_background/Klingon/character01/0001_01.png",
            "images_background/Klingon/character",
        ),
        ("run01/training/glyph01.png", "run01/training"),
    ],
)
@pytest.mark.parametrize("read", [read_pictures, lambda source, _: sample_photos(source, 3)])
def test_omniglot_mixed_with_other_pictures_is_refused(tmp_path, stray, named, read):
    for name in ("Greek/character01/0394_01.png", "Greek/character02/0395_01.png", stray):
        save(tmp_path / ("" if name == stray else "images_background") / name)
    with pytest.raises(
        DataError, match=rf"^Greek/character01 is a character .* but {named}.* is not"
    ):
        read(tmp_path, middle)


def test_parts_of_a_mixture_are_refused(packed):
    pictures = read_pictures(packed, middle_or_corner)
    mixed = replace(pictures, class_names=(*pictures.class_names[:19], "Tibetan/alpha"))
    with pytest.raises(DataError, match="but Tibetan/alpha is not"):
        omniglot_parts(mixed)


def test_a_drawing_that_exists_twice_is_read_once(tmp_path):
    for folder, grey in (("images_background", 1), ("images_background_small1", 2)):
        save(tmp_path / folder / "Greek" / "character01" / "0394_01.png", grey)
    save(tmp_path / "images_background" / "Greek" / "character02" / "0395_01.png", 3)
    pictures = read_pictures(tmp_path, middle)
    assert pictures.crops.ravel()[::3].tolist() == [1, 3]
    ((path, why),) = pictures.skipped
    assert path.endswith("images_background_small1/Greek/character01/0394_01.png")
    assert why == "another drawing of Greek/character01 by drawer 1 was found before"


@pytest.mark.parametrize("form", ["packed", "zips", "unpacked"])
def test_unseen_reads_only_the_alphabets_of_lakes_trials(form, request):
    cut, told = [], []

    def counted(photo):
        cut.append(photo)
        return whole(photo)

    source = request.getfixturevalue(form)
    unseen = read_pictures(source, counted, unseen=True, advance=told.append)
    everything = read_pictures(source, whole)
    expected = everything.only(omniglot_parts(everything)["trial"])
    assert told == [200] * 200
    assert len(cut) == 200
    assert unseen.class_names == expected.class_names
    assert (unseen.group_names, unseen.groups.tolist()) == (("Tibetan",), [0] * 10)
    assert (unseen.crops == expected.crops).all()
    assert (unseen.classes == expected.classes).all()


def test_unseen_refuses_omniglot_without_the_alphabets_of_the_trials(tmp_path):
    for name in ("Greek/character01/0394_01.png", "Keble/character01/1247_01.png"):
        save(tmp_path / name)
    with pytest.raises(DataError, match="has none of the ten"):
        read_pictures(tmp_path, middle, unseen=True)


def test_unseen_reads_all_of_other_data(tmp_path):
    for name in ("Ann/1.png", "Bea/1.png"):
        save(tmp_path / name)
    assert read_pictures(tmp_path, middle, unseen=True).class_names == ("Ann", "Bea")


def test_odd_names_and_a_bomb_in_a_zip_are_skipped(tmp_path):
    where = "images_evaluation.zip"
    inside = "images_evaluation/Tibetan/character01"
    large = Image.new("1", (3000, 3000), 1)
    bomb = io.BytesIO()
    large.save(bomb, "PNG")  # 9 megapixels in few bytes
    odd = [
        (where, f"{inside}/0011_90.png", b"\0" * 50_000_000),  # 50 kB of zip
        (where, f"{inside}/0011_91.png", bomb.getvalue()),
        (where, f"{inside}/0011_92.png", b"not a picture"),
        (where, "../../etc/passwd.png", b""),
        (where, "images_evaluation/Klingon/character01/0001_01.png", b""),
        (where, f"__MACOSX/{inside}/._0011_01.png", b""),
        (where, "images_evaluation/.DS_Store", b""),
    ]
    pictures = read_pictures(write_zips(tmp_path, more=odd), middle_or_corner)
    assert len(pictures.crops) == 400
    reasons = {path.split(where)[1]: why for path, why in pictures.skipped}
    assert len(reasons) == 5
    assert "too large for a drawing" in reasons[f"/{inside}/0011_90.png"]
    assert "more than the limit" in reasons[f"/{inside}/0011_91.png"]
    assert "not a picture" in reasons[f"/{inside}/0011_92.png"]
    assert reasons["/../../etc/passwd.png"] == "Omniglot has no drawing of that name"


def test_a_damaged_drawing_in_a_zip_is_skipped(tmp_path):
    write_zips(tmp_path)
    file = tmp_path / "images_background.zip"
    content = bytearray(file.read_bytes())
    content[200:220] = bytes(20)  # within the first drawing
    file.write_bytes(content)
    pictures = read_pictures(tmp_path, middle_or_corner)
    assert len(pictures.crops) == 399
    assert pictures.skipped[0][0].endswith(lake_file(0, 1))


def test_files_that_only_look_like_omniglot_are_refused(tmp_path, packed):
    file = tmp_path / omniglot.PACKED
    file.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"is not the packed Omniglot, or damaged"):
        read_pictures(file, middle)
    file.write_bytes(lzma.compress(b"something else"))
    with pytest.raises(DataError, match=r"is not the packed Omniglot, or damaged"):
        read_pictures(file, middle)
    write_packed(tmp_path, {"numbers": np.arange(3)})
    with pytest.raises(DataError, match=r"it lacks character_alphabet"):
        read_pictures(file, middle)
    write_packed(tmp_path, packed_arrays() | {"drawings": np.zeros((20, 20, 3), np.uint8)})
    with pytest.raises(DataError, match=r"drawings has shape \(20, 20, 3\)"):
        read_pictures(file, middle)
    (tmp_path / "images_background.zip").write_bytes(b"PK no zip")
    file.unlink()
    with pytest.raises(DataError, match=r"images_background.zip is not a zip"):
        read_pictures(tmp_path, middle)


def npy_of(shape):
    """Return an .npy file that claims `shape` and ends there."""
    file = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def changed(name, place, value, kind=np.int64):
    array = packed_arrays()[name].astype(kind)
    array.flat[place] = value
    return {name: array}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (changed("character_alphabet", 3, 2), "character_alphabet has values other .* 0 to 1"),
        (changed("character_alphabet", 3, -1), "character_alphabet has values other"),
        (changed("character_lake_id", 3, 10_000), "character_lake_id has values other"),
        (changed("trial_train", 5, 60_000), "trial_train has values other .* 0 to 399"),
        (changed("trial_train", 5, 400), "trial_train has values other"),
        (changed("trial_test", 5, -3), "trial_test has values other"),
        (changed("trial_test", 5, 400), "trial_test has values other .* 0 to 399"),
        (changed("trial_answer", 5, 77), "trial_answer has values other .* 0 to 19"),
        (changed("drawings", 5, np.nan, float), "drawings has values other"),
        (changed("drawings", 5, 256), "drawings has values other"),
        ({"character_alphabet": np.array(0)}, r"character_alphabet has shape \(\), not \(1,\)"),
        ({"character_alphabet": np.array(["0", "1"] * 10)}, "character_alphabet has values other"),
        ({"character_lake_id": np.array(["7"] * 20)}, "character_lake_id has values other"),
        ({"alphabet_names": np.array(["Greek", "Klingon"])}, "not Omniglot's"),
        ({"alphabet_names": np.array("Greek")}, "not Omniglot's"),
        ({"alphabet_names": np.array([["Greek"], ["Tibetan"]])}, "not Omniglot's"),
        ({"alphabet_names": None}, "it lacks alphabet_names"),
        ({"trial_answer": None}, "it lacks trial_answer"),
        ({"alphabet_names": np.array(["Greek", {}], object)}, "allow_pickle"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_impossible_values_in_the_packed_file_are_refused(tmp_path, arrays, message):
    kept = {name: a for name, a in (packed_arrays() | arrays).items() if a is not None}
    file = write_packed(tmp_path, kept)
    with pytest.raises(DataError, match=f"damaged .*{message}"):
        read_pictures(file, middle_or_corner)


@pytest.mark.parametrize(
    "content",
    [
        b"no array",
        npy_of((10**14,)),
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': ('" + b"\x80" * 106,
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': (" + b" " * 107,
    ],
    ids=["no npy", "91 TiB", "no text", "no end"],
)
def test_a_damaged_array_in_the_packed_file_is_refused(tmp_path, content):
    file = io.BytesIO()
    np.savez(file, **packed_arrays())
    with zipfile.ZipFile(file) as good, zipfile.ZipFile(tmp_path / "npz", "w") as bad:
        for name in good.namelist():
            spoilt = name == "character_alphabet.npy"
            bad.writestr(name, content if spoilt else good.read(name))
    packed_file = tmp_path / omniglot.PACKED
    packed_file.write_bytes(lzma.compress((tmp_path / "npz").read_bytes(), preset=0))
    with pytest.raises(DataError, match="is not the packed Omniglot, or damaged"):
        read_pictures(packed_file, middle_or_corner)


def test_other_arrays_in_the_packed_file_are_not_read(tmp_path):
    more = packed_arrays() | {"other": np.array([{}], object)}  # loading it would be refused
    assert len(read_pictures(write_packed(tmp_path, more), middle_or_corner).crops) == 400


def test_a_packed_file_that_takes_too_much_memory_to_unpack_is_refused(packed, monkeypatch):
    monkeypatch.setattr(omniglot, "MAX_XZ_MEMORY", 100_000)
    with pytest.raises(DataError, match="Memory usage limit"):
        read_pictures(packed, middle_or_corner)


def test_a_file_without_read_permission_is_reported(packed, monkeypatch):
    def refused(path, mode):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(DataError, match=r"omniglot.npz.xz cannot be read: Permission denied"):
        read_pictures(packed, middle_or_corner)


@pytest.mark.parametrize("save_npz", [np.savez, np.savez_compressed], ids=["xz", "zip in xz"])
def test_a_packed_bomb_is_refused(tmp_path, monkeypatch, save_npz):
    empty = packed_arrays() | {"drawings": np.zeros((20, 20, 1379), np.uint8)}
    file = write_packed(tmp_path, empty, save_npz)
    assert file.stat().st_size < 10_000
    monkeypatch.setattr(omniglot, "MAX_ARCHIVE_BYTES", 500_000)  # it has 560,000 unpacked
    with pytest.raises(DataError, match="far too large"):
        read_pictures(file, middle)
    monkeypatch.setattr(omniglot, "MAX_ARCHIVE_BYTES", 1000)
    with pytest.raises(DataError, match="is too large to be part of Omniglot"):
        read_pictures(file, middle)


@pytest.mark.skipif(not (ROOT / "omniglot").is_dir(), reason="the shared Omniglot is not here")
def test_the_real_omniglot_has_its_parts_and_its_trials():
    source = ROOT / "omniglot"
    pictures = read_pictures(source, lambda photo: photo.pixels()[::15, ::15])
    assert (len(pictures.crops), len(pictures.class_names)) == (32_460, 1623)
    parts = omniglot_parts(pictures)
    assert {part: len(c) for part, c in parts.items()} == {
        "background": 964,
        "validation": 277,
        "trial": 382,
    }
    assert set(pictures.group_names) == omniglot.ALPHABETS
    part = pictures.only(parts["trial"])
    trials = read_lake_trials(source, part)
    right = np.take_along_axis(trials.support, trials.answers, 1)
    assert (part.classes[trials.probes] == part.classes[right]).all()
    for run in range(20):  # one alphabet, all support by one drawer, all probes by another
        assert len(set(part.groups[part.classes[trials.support[run]]])) == 1
        assert len(set(part.drawers[trials.support[run]])) == 1
        assert not set(part.drawers[trials.support[run]]) & set(part.drawers[trials.probes[run]])
