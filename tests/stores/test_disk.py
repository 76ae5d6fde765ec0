"""Shards in a folder: what any store promises, and what a folder makes possible."""

import errno
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import atdata
from atdata import LocalDiskStore, ShardWriteResult
from atdata._exceptions import RecordExistsError, StorageError
from atdata._protocols import SupportsStaging
from atdata.model.shard import StoredShard
from atdata.testing.stores import DataStoreSuite, contents, finished, keys, run


class TestDisk(DataStoreSuite):
    """The suite, on a folder."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalDiskStore:
        return LocalDiskStore(tmp_path / "the store")


@pytest.fixture
def store(tmp_path: Path) -> LocalDiskStore:
    return LocalDiskStore(tmp_path / "store")


def test_no_root_is_the_folder_for_the_users_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a root, shards lie where the system keeps the user's data; nothing is made yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("HOME", str(tmp_path))

    store = LocalDiskStore()

    assert store.root.parts[-2:] == ("atdata", "data")
    assert store.root.is_relative_to(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_root_is_absolute_and_without_links(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Changing the working directory later changes nothing, and `~` is the home."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert LocalDiskStore("link/s").root == tmp_path / "real" / "s"
    assert LocalDiskStore("~/s").root == tmp_path / "s"
    assert LocalDiskStore("s") == LocalDiskStore(tmp_path / "s")
    assert repr(LocalDiskStore("s")) == f"LocalDiskStore({str(tmp_path / 's')!r})"


def test_a_staged_shard_is_only_given_its_name(store: LocalDiskStore) -> None:
    """A shard that was written into the store's own staging is not copied."""
    folder = store.staging("set")
    shard = finished(folder / "part.tar", b"x" * 1000)
    inode = shard.path.stat().st_ino

    store.put(shard, key="set/a.tar")

    assert isinstance(store, SupportsStaging)
    assert (store.root / "set/a.tar").stat().st_ino == inode
    assert not shard.path.exists()
    assert keys(store) == ["set/a.tar"]


def test_a_staged_shard_that_was_cut_is_refused(store: LocalDiskStore) -> None:
    """A part that is shorter than it was is not given a name."""
    shard = finished(store.staging("set") / "part.tar", b"x" * 1000)
    shard.path.write_bytes(b"x")

    with pytest.raises(StorageError, match="it has 1 bytes and not 1000"):
        store.put(shard, key="set/a.tar")

    assert not (store.root / "set").exists()


def test_a_staged_shard_that_is_there_already_is_taken_away(store: LocalDiskStore) -> None:
    """Of two equal shards one is kept, and no part is left over."""
    for _ in range(2):
        store.put(finished(store.staging("set") / "part.tar", b"same"), key="set/a.tar")

    assert keys(store) == ["set/a.tar"]


def test_parts_are_found_under_the_key_they_were_to_have(store: LocalDiskStore) -> None:
    """A cleaner that looks for a dataset's keys finds what a killed write left of it."""
    (store.staging("set/7f") / ".a-000000.tar.0123.tmp").write_bytes(b"left over")
    (store.staging("other") / "b.tar").write_bytes(b"left over")

    found = keys(store, "set/7f/a-000000")

    assert found == [".staging/set/7f/.a-000000.tar.0123.tmp"]
    assert keys(store, ".staging/") == [*sorted([*found, ".staging/other/b.tar"])]
    for key in keys(store):
        store.remove(key)
    assert list(store.root.iterdir()) == []


def test_a_listing_looks_only_where_its_keys_can_be(
    store: LocalDiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in other folders is not even seen, however much it is."""
    for key in ("set/7f/a.tar", "set/7f/b.tar", "set/7g/a.tar", "other/a.tar"):
        store.put(finished(tmp_path / "a", b"a"), key=key)
    (store.staging("set/7f") / ".a.tar.0123.tmp").write_bytes(b"left over")
    (store.staging("other") / "a.tar").write_bytes(b"left over")
    opened: list[str] = []
    scandir = os.scandir

    def seen(folder: Path) -> object:
        opened.append(str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", seen)
    found = [one.key for one in store.list_keys("set/7f/a")]

    assert found == [".staging/set/7f/.a.tar.0123.tmp", "set/7f/a.tar"]
    assert opened == [str(store.root / ".staging/set/7f"), str(store.root / "set/7f")]


def test_a_listing_is_that_of_all_keys_that_begin_so(
    store: LocalDiskStore, tmp_path: Path
) -> None:
    """For any beginning, just the keys of the whole store that have it, in the same order."""
    staged = ".staging/set/7f/.a.tar.0123.tmp"
    for key in ("set/7f/a.tar", "set/7f.tar", "set/7fa/b.tar", "a.tar", "set-1/a.tar"):
        store.put(finished(tmp_path / "a", b"a"), key=key)
    (store.staging("set/7f") / ".a.tar.0123.tmp").write_bytes(b"left over")
    (store.root / "link").symlink_to(store.root / "set")
    every = [one.key for one in store.list_keys()]

    names = {key: (key,) for key in every} | {staged: (staged, "set/7f/a.tar.0123.tmp")}

    for start in {name[:end] for some in names.values() for name in some for end in range(40)}:
        found = [one.key for one in store.list_keys(start)]
        assert found == [
            key for key in every if any(name.startswith(start) for name in names[key])
        ]
    assert len(every) == 6
    for none in ("/", "../", "set/../set/", "set//", "link/7f/", "set/7f/a.tar/", "\0/a", "no/a"):
        assert list(store.list_keys(none)) == []


def test_empty_folders_go_with_what_was_in_them(store: LocalDiskStore, tmp_path: Path) -> None:
    """Removing the last shard of a folder removes the folder; others and the root stay."""
    store.put(finished(tmp_path / "a", b"a"), key="x/y/a.tar")
    store.put(finished(tmp_path / "b", b"b"), key="x/b.tar")

    store.remove("x/y/a.tar")
    assert sorted(p.name for p in (store.root / "x").iterdir()) == ["b.tar"]
    store.remove("x/b.tar")
    shutil.rmtree(store.root / ".staging", ignore_errors=True)

    assert store.root.is_dir()
    assert list(store.root.iterdir()) == []


def test_a_store_may_be_moved(tmp_path: Path) -> None:
    """What a record says of a shard is true wherever the folder lies."""
    kept = LocalDiskStore(tmp_path / "here").put(finished(tmp_path / "a", b"abc"), key="set/a.tar")
    shutil.move(tmp_path / "here", tmp_path / "there")

    moved = LocalDiskStore(tmp_path / "there")

    assert kept.url == "set/a.tar"
    assert moved.url(kept.url) == str(tmp_path / "there/set/a.tar")
    assert contents(moved.source([kept])) == [b"abc"]


def test_a_link_out_of_the_store_is_not_followed(store: LocalDiskStore, tmp_path: Path) -> None:
    """A folder that leads elsewhere is neither written to nor read nor removed from."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.tar").write_bytes(b"mine")
    store.root.mkdir()
    (store.root / "set").symlink_to(outside)
    shard = finished(tmp_path / "b", b"b")

    for act in (
        lambda: store.put(shard, key="set/b.tar"),
        lambda: store.put(shard, key="set/deep/b.tar"),
        lambda: store.source([StoredShard("set/a.tar")]),
        lambda: store.remove("set/a.tar"),
    ):
        with pytest.raises(ValueError, match="leads out of the store"):
            act()

    assert [p.name for p in outside.iterdir()] == ["a.tar"]
    assert keys(store, "set") == []


def test_a_file_that_leads_out_is_not_read(store: LocalDiskStore, tmp_path: Path) -> None:
    """A shard that is a link to a file elsewhere is refused; removing it removes the link."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (store.root / "set").mkdir(parents=True)
    (store.root / "set/a.tar").symlink_to(secret)

    with pytest.raises(ValueError, match="leads out of the store"):
        store.source([StoredShard("set/a.tar")])
    with pytest.raises(RecordExistsError):
        store.put(finished(tmp_path / "s", b"secret"), key="set/a.tar")
    store.remove("set/a.tar")

    assert secret.read_bytes() == b"secret"
    assert not (store.root / "set").exists()


def test_a_folder_under_the_key_is_an_error(store: LocalDiskStore, tmp_path: Path) -> None:
    """What is there and is no shard is not taken for one."""
    shard = finished(tmp_path / "a", b"a")
    (store.root / "set/a.tar").mkdir(parents=True)
    (store.root / "file").touch()

    with pytest.raises(RecordExistsError):
        store.put(shard, key="set/a.tar")
    with pytest.raises(StorageError):
        store.put(shard, key="file/a.tar")

    assert keys(store) == ["file"]


LIMITED = """
import pickle, resource, sys
store, shard = pickle.loads(sys.stdin.buffer.read())
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    store.put(shard, key="set/a.tar")
except OSError as error:
    print(type(error).__name__, error.reason)
"""


def test_a_full_disk_leaves_nothing(store: LocalDiskStore, tmp_path: Path) -> None:
    """A write that fails in the middle is an error of the store, and nothing of it is left."""
    shard = finished(tmp_path / "a", b"x" * (3 << 20))
    command = [sys.executable, "-W", "error", "-c", LIMITED]

    run = subprocess.run(
        command, input=pickle.dumps((store, shard)), capture_output=True, check=True
    )

    assert run.stdout.decode().strip() == "StorageError file too large"
    assert keys(store) == []


def test_a_folder_that_may_not_be_written_to_is_an_error(tmp_path: Path) -> None:
    """What the system says is said, with what to do, and without changing anything."""
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="(?s)not a directory|file exists.*Nothing was kept"):
        LocalDiskStore(tmp_path / "file").put(finished(tmp_path / "a", b"a"), key="set/a.tar")


def test_a_file_system_without_hard_links_will_do(
    store: LocalDiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system knows no links, shards are renamed, and none is replaced."""

    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)

    kept = store.put(finished(tmp_path / "a", b"abc"), key="set/a.tar")
    with pytest.raises(RecordExistsError):
        store.put(finished(tmp_path / "b", b"xyz"), key="set/a.tar")

    assert contents(store.source([kept])) == [b"abc"]
    assert keys(store) == ["set/a.tar"]


def test_two_processes_that_race_for_a_key(store: LocalDiskStore, tmp_path: Path) -> None:
    """Over many keys, exactly one of four processes is told that its shard is kept."""
    tasks = [(race, (store, tmp_path, number)) for number in range(4)]

    assert run("fork", tasks) == [0] * 4

    wins = [(tmp_path / f"won-{number}").read_text().split() for number in range(4)]
    assert sorted(key for mine in wins for key in mine) == [f"{i:02d}" for i in range(30)]
    for number, mine in enumerate(wins):
        for key in mine:
            assert (store.root / f"set/{key}.tar").read_bytes() == bytes([number]) * 1000


def race(store: LocalDiskStore, folder: Path, number: int) -> None:
    won: list[str] = []
    for i in range(30):
        shard = finished(folder / f"{number}-{i}", bytes([number]) * 1000)
        try:
            store.put(shard, key=f"set/{i:02d}.tar")
        except RecordExistsError:
            continue
        won.append(f"{i:02d}")
    (folder / f"won-{number}").write_text(" ".join(won))


def test_cleaning_meanwhile_disturbs_no_put(store: LocalDiskStore, tmp_path: Path) -> None:
    """Folders that a cleaner finds empty and removes are made again."""
    tasks = [(put_many, (store, tmp_path)), (prune_many, (store, tmp_path))]

    assert run("fork", tasks) == [0, 0]

    assert len(keys(store, "set/")) == 60


def put_many(store: LocalDiskStore, folder: Path) -> None:
    for i in range(60):
        store.put(finished(folder / f"{i}", b"x"), key=f"set/{i}/a.tar")
    (folder / "done").touch()


def prune_many(store: LocalDiskStore, folder: Path) -> None:
    while not (folder / "done").exists():
        for i in range(60):
            store.remove(f"set/{i}/none.tar")
            store.remove(f".staging/set/{i}/none.tar")
            store.remove(f".staging/set/{i}")


def test_datasets_are_written_and_read(store: LocalDiskStore, tmp_path: Path) -> None:
    """Samples go into shards of at most so many, and come back through their paths."""
    ds = atdata.write_samples([atdata.DictSample(n=i) for i in range(25)], tmp_path / "d.tar")

    urls = store.write_shards(ds, prefix="digits/train", maxcount=10)

    assert isinstance(urls, ShardWriteResult)
    assert [Path(url).parent for url in urls] == [store.root / "digits/train"] * 3
    assert all(store.read_url(url) == url for url in urls)
    assert store.supports_streaming() is True
    assert set(urls.checksums) == set(urls)
    assert [s.n for s in atdata.Dataset(list(urls))] == list(range(25))
    again = pickle.loads(pickle.dumps(urls))
    assert (again, again.checksums) == (urls, urls.checksums)
    other = store.write_shards(ds, prefix="digits/train")
    assert len(other) == 1
    assert not set(other) & set(urls)
    assert keys(store, ".staging") == []


def test_a_limit_in_bytes_is_kept(store: LocalDiskStore, tmp_path: Path) -> None:
    """No shard is larger than asked."""
    samples = [atdata.DictSample(x=os.urandom(5000)) for _ in range(20)]
    ds = atdata.write_samples(samples, tmp_path / "d.tar")

    urls = store.write_shards(ds, prefix="digits", maxsize=40_000)

    assert len(urls) > 2
    assert max(Path(url).stat().st_size for url in urls) <= 40_000
    assert [s.x for s in atdata.Dataset(list(urls))] == [s.x for s in samples]


def test_a_write_that_fails_leaves_nothing(store: LocalDiskStore, tmp_path: Path) -> None:
    """An error at a late sample removes the shards that were put before it."""
    samples = [atdata.DictSample(n=i, x=bytes(3 << 20)) for i in range(9)]
    ds = atdata.write_samples(samples, tmp_path / "d.tar")
    put: list[str] = []

    def wanted(sample: atdata.DictSample) -> bool:
        if sample.n == 8:
            put.extend(keys(store, "digits/"))
            raise RuntimeError("at the last sample")
        return True

    with pytest.raises(RuntimeError, match="last sample"):
        store.write_shards(ds.filter(wanted), prefix="digits", maxcount=1)

    assert len(put) >= 2
    assert keys(store) == []
    assert not (store.root / "digits").exists()


def test_a_dataset_without_samples_and_a_bad_prefix_are_refused(
    store: LocalDiskStore, tmp_path: Path
) -> None:
    """An empty dataset makes no shards, and a prefix cannot lead elsewhere."""
    ds = atdata.write_samples([atdata.DictSample(n=1)], tmp_path / "d.tar")

    with pytest.raises(ValueError, match="No shards written"):
        store.write_shards(ds.filter(lambda _: False), prefix="none")
    for prefix in ("../x", "/x", "a%d", "a{1..2}", ""):
        with pytest.raises(ValueError, match="is no key"):
            store.write_shards(ds, prefix=prefix)

    assert keys(store) == []
