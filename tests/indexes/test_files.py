"""Index files under faults: the right index is loaded or none, never a wrong one."""

import errno
import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facesearch_indexes import files
from facesearch_indexes.faiss_index import FaissIndex
from facesearch_indexes.files import load_newest, save

DIM = 64
GENERATION = "beef"
every_kind = pytest.mark.parametrize("kind", ["flat", "fp16", "pq"])


def make_index(seed=0, kind="flat", count=700):
    rows = np.random.default_rng(seed).integers(-3, 4, (count, DIM)).astype(np.float32)
    return FaissIndex.build(np.arange(1000, 1000 + count), rows, kind)


def probes():
    return np.random.default_rng(99).normal(size=(5, DIM)).astype(np.float32)


def assert_same(index, other):
    found, expected = (one.search(probes(), 800) for one in (index, other))
    assert (index.kind, index.dim, len(index)) == (other.kind, other.dim, len(other))
    assert np.array_equal(found.ids, expected.ids)
    assert np.array_equal(found.scores, expected.scores)


def assert_is(loaded, index, seq):
    assert loaded is not None
    assert loaded[1] == seq
    assert_same(loaded[0], index)


def plant(folder, content, generation=GENERATION, seq=5):
    """Write a file whose name has the right checksum."""
    path = folder / f"{generation}-{seq}-{hashlib.sha256(content).hexdigest()}.index"
    path.write_bytes(content)
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "Gesichter ü 顔"


@pytest.fixture
def old_and_new(folder):
    """Files of seq 3 and 5, both sound: (index of seq 3, path of seq 5)."""
    old = make_index(seed=3)
    old_path = save(old, folder, GENERATION, 3)
    content = old_path.read_bytes()
    new_path = save(make_index(seed=5), folder, GENERATION, 5)
    old_path.write_bytes(content)
    return old, new_path


@every_kind
def test_a_saved_index_is_loaded_and_can_be_changed(folder, kind):
    index = make_index(kind=kind)
    index.remove(np.arange(1010, 1020))
    path = save(index, folder, GENERATION, 7)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert [path] == list(folder.iterdir())
    assert path.name == f"beef-7-{sha256}.index"
    loaded = load_newest(folder, GENERATION, DIM, newest_seq=7)
    assert_is(loaded, index, 7)
    for one in (index, loaded[0]):
        one.upsert(np.array([1, 1001]), probes()[:2])
        one.remove(np.arange(1100, 1400))
    assert_same(loaded[0], index)


@every_kind
def test_an_empty_index_is_saved_and_loaded(folder, kind):
    save(FaissIndex(DIM, kind), folder, GENERATION, 0)
    assert_is(load_newest(folder, GENERATION, DIM, 0), FaissIndex(DIM, kind), 0)


def test_a_folder_that_is_missing_or_empty_has_no_index(folder):
    assert load_newest(folder, GENERATION, DIM, 9) is None
    folder.mkdir()
    assert load_newest(folder, GENERATION, DIM, 9) is None


def test_the_newest_file_is_loaded(old_and_new, folder):
    loaded = load_newest(folder, GENERATION, DIM, newest_seq=12)
    assert_is(loaded, make_index(seed=5), 5)
    assert len(list(folder.iterdir())) == 2


def test_seq_9_is_older_than_seq_10(folder):
    content = save(make_index(seed=9), folder, GENERATION, 9)
    kept = content.read_bytes()
    save(make_index(seed=10), folder, GENERATION, 10)
    content.write_bytes(kept)
    assert_is(load_newest(folder, GENERATION, DIM, 10), make_index(seed=10), 10)


def test_save_deletes_older_unfinished_and_foreign_files_and_no_others(folder):
    folder.mkdir()
    gone = [
        plant(folder, b"older", seq=4),
        plant(folder, b"same seq", seq=5),
        plant(folder, b"foreign", generation="abc", seq=9),
        folder / "beef-4-k3_x9.tmp",
    ]
    gone[-1].write_bytes(b"unfinished")
    stay = [plant(folder, b"newer", seq=6), folder / "notes.txt", folder / "my.index"]
    for path in stay:
        path.touch()
    path = save(make_index(), folder, GENERATION, 5)
    assert set(folder.iterdir()) == {path, *stay}


@pytest.mark.parametrize(("generation", "seq"), [("../x", 1), ("BEEF", 1), ("", 1), ("beef", -1)])
def test_a_state_that_no_gallery_has_is_refused(folder, generation, seq):
    with pytest.raises(ValueError, match="do not name a state"):
        save(make_index(), folder, generation, seq)
    assert not folder.exists()


def damages():
    """Ways in which a disk may damage 180,000 bytes, as (name, function of the content)."""
    for share in (0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.99999):
        yield (
            f"truncated to {share}",
            lambda content, share=share: content[: int(len(content) * share)],
        )
    for block in range(45):
        at = 4096 * block + block

        def flip(content, at=at, bit=1 << block % 8):
            return content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]

        yield f"bit flipped at {at}", flip
    for at in (0, 4096, 65536, 176_128):
        yield (
            f"zeroed at {at}",
            lambda content, at=at: content[:at] + bytes(4096) + content[at + 4096 :],
        )
    yield "one byte longer", lambda content: content + b"\0"
    yield "last byte lost", lambda content: content[:-1]


def test_a_damaged_file_is_deleted_before_faiss_sees_it(old_and_new, folder, monkeypatch):
    old, new_path = old_and_new
    sound = new_path.read_bytes()
    assert 180_000 < len(sound) < 190_000
    given_to_faiss = []
    read = FaissIndex.read

    def watched_read(stream, *header):
        given_to_faiss.append(stream.name)
        return read(stream, *header)

    monkeypatch.setattr(FaissIndex, "read", watched_read)
    for name, damage in damages():
        damaged = damage(sound)
        assert damaged != sound, name
        new_path.write_bytes(damaged)
        assert_is(load_newest(folder, GENERATION, DIM, 5), old, 3)
        assert not new_path.exists(), name
    assert str(new_path) not in given_to_faiss


def test_a_single_damaged_file_gives_no_index(folder):
    path = save(make_index(), folder, GENERATION, 5)
    path.write_bytes(path.read_bytes()[:-1])
    assert load_newest(folder, GENERATION, DIM, 5) is None
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("renamed", "asked"),
    [
        ({"-5-": "-4-"}, (GENERATION, DIM, 9)),
        ({"-5-": "-6-"}, (GENERATION, DIM, 9)),
        ({"beef": "cafe"}, ("cafe", DIM, 9)),
        ({}, ("cafe", DIM, 9)),
        ({}, (GENERATION, DIM, 4)),
        ({}, (GENERATION, DIM + 1, 9)),
    ],
    ids=[
        "renamed to an older seq",
        "renamed to a newer seq",
        "renamed to another generation",
        "of another generation",
        "ahead of the gallery",
        "of another dimension",
    ],
)
def test_a_sound_file_of_another_state_is_deleted_and_not_used(folder, renamed, asked):
    path = save(make_index(), folder, GENERATION, 5)
    for old, new in renamed.items():
        path.rename(path.with_name(path.name.replace(old, new)))
    assert load_newest(folder, *asked) is None
    assert list(folder.iterdir()) == []


def test_files_of_another_generation_are_deleted_even_beside_a_sound_one(old_and_new, folder):
    foreign = plant(folder, b"", generation="abc", seq=1)
    assert_is(load_newest(folder, GENERATION, DIM, 5), make_index(seed=5), 5)
    assert not foreign.exists()


@pytest.mark.parametrize(
    "forge",
    [
        lambda content: b"",
        lambda content: b"\xff\xfe not an index",
        lambda content: b"[]\n",
        lambda content: b"{}\n",
        lambda content: content.replace(b'"facesearch_index": 1', b'"facesearch_index": 2'),
        lambda content: content.replace(b'"kind": "flat"', b'"kind": "fp16"'),
        lambda content: content.replace(b'"kind": "flat"', b'"kind": "hnsw"'),
        lambda content: content.replace(b'"count": 700', b'"count": 699'),
        lambda content: content.replace(b'"count": 700', b'"count": 999999'),
        lambda content: content.split(b"\n")[0] + b"\n",
        lambda content: content[:-4],
    ],
    ids=[
        "empty",
        "something else",
        "a list for a header",
        "an empty header",
        "a later format",
        "rows of another kind",
        "an unknown kind",
        "one id too few",
        "more ids than bytes",
        "a header alone",
        "the last number missing",
    ],
)
def test_a_file_with_the_right_checksum_and_wrong_content_is_deleted(folder, forge):
    path = save(make_index(), folder, GENERATION, 5)
    content = path.read_bytes()
    path.unlink()
    forged = forge(content)
    assert forged != content
    plant(folder, forged)
    assert load_newest(folder, GENERATION, DIM, 5) is None
    assert list(folder.iterdir()) == []


def test_rows_of_another_dimension_than_the_header_says_are_refused(folder):
    path = save(FaissIndex(DIM), folder, GENERATION, 5)
    forged = path.read_bytes().replace(b'"dim": 64', b'"dim": 65')
    plant(folder, forged)
    assert load_newest(folder, GENERATION, DIM + 1, 5) is None


def test_a_file_that_cannot_be_read_or_deleted_is_not_used(folder, old_and_new):
    old, new_path = old_and_new
    new_path.unlink()
    new_path.mkdir()  # opens like no file, even for root
    assert_is(load_newest(folder, GENERATION, DIM, 5), old, 3)


def test_a_folder_that_cannot_be_listed_gives_no_index(tmp_path, caplog):
    path = tmp_path / "file"
    path.touch()
    assert load_newest(path, GENERATION, DIM, 5) is None
    assert "cannot be read" in caplog.text


def test_the_warning_names_the_file_and_why_but_not_its_folder(folder, caplog):
    path = save(make_index(), folder, GENERATION, 5)
    with caplog.at_level(logging.WARNING):
        load_newest(folder, GENERATION, DIM, 4)
    (message,) = caplog.messages
    assert message == f"index file {path.name} is deleted and not used: it is ahead of the gallery"


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folder")
def test_bytes_reach_the_disk_before_the_name_and_the_name_before_deletions(folder, monkeypatch):
    save(make_index(), folder, GENERATION, 1)
    steps, synced_bytes = [], []
    for owner, name in ((os, "fsync"), (os, "replace"), (Path, "unlink")):
        real = getattr(owner, name)

        def step(*given, name=name, real=real, **options):
            steps.append(name)
            if name == "fsync":
                synced_bytes.append(os.fstat(given[0]).st_size)
            return real(*given, **options)

        monkeypatch.setattr(owner, name, step)
    path = save(make_index(count=5), folder, GENERATION, 2)
    assert synced_bytes[0] == path.stat().st_size
    assert steps == ["fsync", "replace", "fsync", "unlink"]


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folder")
@pytest.mark.parametrize(
    ("call", "nth", "loaded_seq"), [("fsync", 1, 3), ("replace", 1, 3), ("fsync", 2, 5)]
)
def test_a_save_that_fails_leaves_a_sound_index_and_no_unfinished_file(
    folder, monkeypatch, call, nth, loaded_seq
):
    save(make_index(seed=3), folder, GENERATION, 3)
    fail_at(monkeypatch, call, nth, errno.EIO)
    with pytest.raises(OSError, match="injected"):
        save(make_index(seed=5), folder, GENERATION, 5)
    assert_is(load_newest(folder, GENERATION, DIM, 5), make_index(seed=loaded_seq), loaded_seq)
    assert not list(folder.glob("*.tmp"))


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folder")
def test_a_file_system_that_cannot_sync_folders_is_no_reason_to_fail(folder, monkeypatch):
    fail_at(monkeypatch, "fsync", 2, errno.EINVAL)
    save(make_index(), folder, GENERATION, 5)
    assert_is(load_newest(folder, GENERATION, DIM, 5), make_index(), 5)


def fail_at(monkeypatch, call, nth, code):
    """Make the nth call of os.fsync or os.replace fail with `code`."""
    real, calls = getattr(os, call), []

    def failing(*given):
        calls.append(given)
        if len(calls) == nth:
            raise OSError(code, "injected")
        return real(*given)

    monkeypatch.setattr(os, call, failing)


KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from facesearch_indexes.faiss_index import FaissIndex
from facesearch_indexes.files import save
folder, call, nth = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if call == "full":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
else:
    owner = Path if call == "unlink" else os
    real, calls = getattr(owner, call), []
    def dying(*given, **options):
        calls.append(given)
        if len(calls) == nth:
            os._exit(9)
        return real(*given, **options)
    setattr(owner, call, dying)
rows = np.random.default_rng(5).integers(-3, 4, (700, 64)).astype(np.float32)
save(FaissIndex.build(np.arange(1000, 1700), rows), folder, "beef", 5)
"""


def run_killed(folder, call, nth=1):
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), call, str(nth)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folder")
@pytest.mark.parametrize(
    ("call", "nth", "loaded_seq"),
    [("fsync", 1, 3), ("replace", 1, 3), ("fsync", 2, 5), ("unlink", 1, 5)],
)
def test_a_process_killed_while_saving_leaves_a_sound_index(folder, call, nth, loaded_seq):
    save(make_index(seed=3), folder, GENERATION, 3)
    assert run_killed(folder, call, nth).returncode == 9
    assert_is(load_newest(folder, GENERATION, DIM, 5), make_index(seed=loaded_seq), loaded_seq)
    path = save(make_index(seed=6), folder, GENERATION, 6)
    assert list(folder.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_full_disk_is_an_os_error_and_leaves_the_old_index(folder):
    save(make_index(seed=3), folder, GENERATION, 3)
    result = run_killed(folder, "full")
    assert result.stderr.splitlines()[-1].startswith("OSError: ")
    assert_is(load_newest(folder, GENERATION, DIM, 5), make_index(seed=3), 3)
    assert len(list(folder.iterdir())) == 1


def test_an_unfinished_file_is_never_read(folder):
    path = save(make_index(), folder, GENERATION, 5)
    path.rename(folder / "beef-5-k3_x9.tmp")
    assert load_newest(folder, GENERATION, DIM, 5) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_the_owner_may_read_index_files(folder):
    path = save(make_index(), folder, GENERATION, 5)
    assert (folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)


def test_load_recognizes_the_file_names_of_save(folder):
    assert files.SAVED.fullmatch(save(make_index(), folder, "0af9", 12).name)
