"""What must hold whatever happens, and where it is tested.

| what must hold | tests |
| --- | --- |
| a write that is said to have worked has worked | `test_write`: a missing bucket |
| names that share shards do not share what is said | `test_insert`: one dataset, two names |
| classes of one name do not share a schema | `test_schemas`: two classes of one name |
| the latest is what was written last | `test_labels`, `test_versions`, `test_model` |
| a name is a name, whatever is in it | `test_names`; here: names in a database |
| limits and arguments are kept or refused | `test_write`, `test_insert`, `test_repos` |
| a named repository is whole | `test_repos`, `test_lenses` |
| what is stored can be read back | `test_schemas`, `test_write`: metadata |
| one damaged record stops nothing else | `test_find`, `test_schemas`, `test_lenses`, `test_gc` |
| a search finds what a filter finds | `test_search` |
| a lens does what it did when it was stored | `test_lenses` |
| a loop over a catalogue ends | `test_find`: writing while iterating |
| a catalogue may move with its shards | here |
| nothing that a record says is run or opened | here, `test_lenses`, `test_schemas` |
| an early end leaves nothing, or what can be cleaned | here, `test_write`, `test_gc` |
| threads, forks and processes may share an index | `test_sharing`, `test_append`; here: races |
"""

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from tests.index.kinds import (
    FILES,
    Point,
    files,
    is_empty,
    numbers,
    pending,
    points,
    shards,
)
from tests.index.shapes import named

import atdata
from atdata import AtdataError, Index, RecordExistsError, StorageError, UnsafeURLError
from atdata._exceptions import SchemaRecordError
from atdata.model.record import ENTRY, SCHEMA, Put, Row
from atdata.model.shard import FinishedShard, beside
from atdata.providers import SqliteProvider
from atdata.services import PostgresServer, RedisServer
from atdata.stores import LocalDiskStore
from atdata.stores.s3 import S3DataStore


def test_a_catalogue_moves_with_its_shards(tmp_path: Path) -> None:
    """Also to another machine: entries, CIDs and digests stay, and more can be added there."""
    (tmp_path / "old").mkdir()
    with Index(path=tmp_path / "old/index.db") as index:
        index.write(points(4), name="a/ds", version="1.0.0", maxcount=2)
        before = index.append(points(1, 4), name="a/ds")
    (tmp_path / "old").rename(tmp_path / "new")

    with Index(path=tmp_path / "new/index.db") as index:
        after = index.get_dataset("a/ds")
        assert after.cid == before.cid
        assert after.data_urls == [url.replace("/old/", "/new/") for url in before.data_urls]
        assert numbers(index.open("a/ds")) == [0, 1, 2, 3, 4]
        assert index.verify("a/ds").ok
        index.append(points(1, 5), name="a/ds")
        index.delete_dataset("a/ds")
        assert shards(index) == []


def test_shards_move_without_their_catalogue(tmp_path: Path) -> None:
    """The store is named where it is then; a bucket does as well as a folder."""
    provider = SqliteProvider(tmp_path / "index.db")
    with Index(provider, data_store=LocalDiskStore(tmp_path / "here")) as index:
        cid = index.write(points(4), name="ds", maxcount=2).cid
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    shutil.rmtree(tmp_path / "here")

    with Index(provider, data_store=LocalDiskStore(tmp_path / "there")) as index:
        assert numbers(index.open("ds")) == [0, 1, 2, 3]
        assert index.get_dataset("ds").cid == cid
        assert index.verify("ds").ok


def test_shards_move_into_a_bucket(tmp_path: Path, s3_store: S3DataStore) -> None:
    """And keep their CID: it is of what they are called in the store."""
    provider = SqliteProvider(tmp_path / "index.db")
    with Index(provider, data_store=LocalDiskStore(tmp_path / "here")) as index:
        before = index.write(points(4), name="ds", maxcount=2)
    for shard in before.shards:
        path = Path(shard.url)
        beside_it = tuple(path.with_name(beside(path.name, one.suffix)) for one in shard.sidecars)
        facts = shard.n_samples or 0, shard.n_bytes or 0, shard.sha256
        finished = FinishedShard(path, *facts, beside_it)
        s3_store.put(finished, key=str(path.relative_to(tmp_path / "here")))

    with Index(provider, data_store=s3_store) as index:
        assert numbers(index.open("ds")) == [0, 1, 2, 3]
        assert index.get_dataset("ds").cid == before.cid
        assert index.verify("ds").ok


def forged(index: Index, name: str, urls: list[str]) -> None:
    """An entry as someone else may have put it into a shared database."""
    ref = index.publish_schema(Point)
    body = json.dumps({"name": name, "schemaRef": ref, "shards": [{"url": url} for url in urls]})
    index.provider.commit([Put(Row(ENTRY, name, "bafyforged", body, ("cid:bafyforged",)))])
    index.label(name, "bafyforged")


@pytest.mark.parametrize(
    "url",
    [
        "pipe:touch {canary}",
        "pipe:touch {canary} #.tar",
        "PIPE:touch {canary}",
        "|touch {canary}",
        "; touch {canary}",
        "gopher://127.0.0.1/x.tar",
        "data:text/plain,x",
        "-",
        "../../{canary}",
        "a/../../../etc/hostname",
        "ds/{{a,b}}.tar",
        "$(touch {canary})",
    ],
)
def test_no_address_of_a_record_is_run(local: Index, tmp_path: Path, url: str) -> None:
    """An entry that says so is refused, and listing goes on."""
    local.write(points(1), name="good")
    canary = tmp_path / "canary"
    forged(local, "evil", [url.format(canary=canary)])

    for call in (
        lambda: list(local.open("evil")),
        lambda: list(local.open("evil", Point)),
        lambda: list(atdata.load_dataset("@local/evil", index=local, split="train")),
    ):
        with pytest.raises((AtdataError, ValueError)):
            call()
    report = local.verify("evil")

    assert set(report.statuses.values()) == {"skipped"} or not report.ok
    assert "good" in [entry.name for entry in local.list_datasets()]
    assert not canary.exists()
    local.delete_dataset("evil")


def test_addresses_that_are_not_opened_say_so(local: Index) -> None:
    """With an error that is told apart from others."""
    forged(local, "evil", ["pipe:touch x"])

    with pytest.raises(UnsafeURLError, match="pipe"):
        local.open("evil")


@pytest.mark.parametrize("stubs", [False, True])
def test_no_code_of_a_record_is_run(tmp_path: Path, stubs: bool) -> None:
    """Neither in a type's name, nor in a version, a field, a default or a description."""
    canary = tmp_path / "canary"
    code = f"__import__('os').system('touch {canary}')"
    text = f'"""\nimport os\nos.system("touch {canary}")\n"""'
    kind = {"$type": "local#primitive", "primitive": "int"}
    fine = {"name": "x", "fieldType": kind}
    records: list[tuple[str, str, dict[str, Any]]] = [
        ("A", "1.0.0", {"fields": [{"name": "x", "fieldType": kind | {"primitive": code}}]}),
        ("B", text, {"fields": [fine]}),
        ("C", "1.0.0", {"fields": [fine | {"name": code}]}),
        ("D", "1.0.0", {"fields": [fine], "description": text}),
        ("E", "1.0.0", {"fields": [fine | {"default": code}]}),
        ("F", "1.0.0", {"fields": [{"name": "x", "fieldType": {"$type": code}}]}),
        (code, "1.0.0", {"fields": [fine]}),
        ("../G", "1.0.0", {"fields": [fine]}),
        ("H", "../../x", {"fields": [fine]}),
    ]
    stub_dir = tmp_path / "in/stubs" if stubs else None
    with Index(path=tmp_path / "index.db", stub_dir=stub_dir) as index:
        for name, version, body in records:
            index.provider.commit([Put(Row(SCHEMA, name, version, json.dumps(body)))])
            try:
                made = index.get_schema_type(f"atdata://local/schema/{name}@{version}")
            except (SchemaRecordError, ValueError, KeyError):
                assert name not in {"D", "H"}
            else:
                assert name in {"D", "H"}
                assert made(x=7).x == 7
        assert {schema.name for schema in index.schemas} <= {"D", "E", "H"}

    if stubs:
        for path in (tmp_path / "in").rglob("*.py"):
            subprocess.run(
                [sys.executable, "-I", "-c", f"compile(open({str(path)!r}).read(), 'x', 'exec')"],
                check=True,
            )
    assert not canary.exists()
    outside = [path for path in files(tmp_path) if not path.startswith(("index", "in/stubs/"))]
    assert outside == []


def test_names_in_a_database_are_names(index: Index) -> None:
    """Also those that the index would refuse: no pattern, no separator, no quote means more."""
    names = ["a", "a@b", "*", "?", "[a]", "a%", "a_", "'", "\\", "a\0b", "é", "Label:a", "", "A"]
    for i, name in enumerate(names):
        index.provider.store_label(name, f"cid{i}")

    for i, name in enumerate(names):
        assert index.provider.get_label(name) == (f"cid{i}", None)
    assert sorted(index.provider.iter_labels()) == sorted(
        (name, f"cid{i}", None) for i, name in enumerate(names)
    )


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import atdata
from atdata import DictSample, Index, StorageError
folder = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Index(path=folder / "index.db") as index:
    index.write([DictSample(n=1)], name="before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    try:
        samples = (DictSample(data=bytes(1000)) for _ in range(int(sys.argv[2])))
        index.write(samples, name="full", maxsize=int(sys.argv[3]))
    except StorageError as error:
        print("refused", error.reason)
"""


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """The write is refused as what it is; what was there stays, and works."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), "1000", "10000000"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout.startswith("refused"), done.stdout + done.stderr
    with Index(path=tmp_path / "index.db") as index:
        assert [entry.name for entry in index.datasets] == ["before"]
        assert len(shards(index)) == FILES
        assert pending(index) == []
        index.write(points(1), name="full")


def test_a_store_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Where its folder should be, there is a file."""
    (tmp_path / "shards").write_bytes(b"in the way")
    with Index("memory", data_store=LocalDiskStore(tmp_path / "shards")) as index:
        with pytest.raises(StorageError):
            index.write(points(1), name="a")

        assert index.list_datasets() == []
        assert pending(index) == []


def test_a_database_that_is_none_is_refused_before_shards_are_written(tmp_path: Path) -> None:
    """With an error that names it; its bytes stay as they are."""
    (tmp_path / "garbage.db").write_bytes(b"no database" * 1000)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE mine (x)")
    other.close()
    for name in ("garbage.db", "other.db"):
        before = (tmp_path / name).read_bytes()
        with Index(path=tmp_path / name) as index:
            with pytest.raises(StorageError, match=name):
                index.write(points(1), name="a")
            with pytest.raises(StorageError, match=name):
                index.list_datasets()
            assert shards(index) == []
        assert (tmp_path / name).read_bytes() == before


def test_a_locked_database_is_waited_for(local: Index) -> None:
    """Someone else's transaction of a moment is no error."""
    local.write(points(1), name="a")
    held = sqlite3.connect(str(local.provider.path), check_same_thread=False)  # type: ignore[attr-defined]
    held.execute("BEGIN IMMEDIATE")

    def release() -> None:
        time.sleep(0.5)
        held.rollback()
        held.close()

    thread = threading.Thread(target=release)
    thread.start()
    local.write(points(2), name="a")
    thread.join()

    assert numbers(local.open("a")) == [0, 1]


def test_a_lost_connection_is_made_again(
    postgres_dsn: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """And a refused statement does not spoil those after it."""
    with Index(dsn=postgres_dsn, data_store=LocalDiskStore(tmp_path / "s")) as index:
        index.write(points(1), name="a")
        with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = %s AND pid <> pg_backend_pid()",
                [postgres_dsn.rpartition("/")[2].partition("?")[0]],
            )
        assert numbers(index.open("a")) == [0]
        with pytest.raises(ValueError, match="bytes"):
            index.provider.store_label("x" * 5000, "cid")
        index.write(points(2), name="a")
        assert numbers(index.open("a")) == [0, 1]
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            states = connection.execute(
                "SELECT state FROM pg_stat_activity WHERE datname = current_database()"
            ).fetchall()
        assert ("idle in transaction",) not in states


def test_a_lost_redis_connection_is_made_again(
    redis_url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Between two calls, as when the server was started anew."""
    with Index(redis=redis_url, data_store=LocalDiskStore(tmp_path / "s")) as index:
        index.write(points(1), name="a")
        with redis.Redis.from_url(redis_server.url) as client:
            client.client_kill_filter(_type="normal", skipme=True)
        assert numbers(index.open("a")) == [0]
        index.write(points(2), name="a")
        assert numbers(index.open("a")) == [0, 1]


def test_a_version_is_given_once(index: Index) -> None:
    """Of several who write it at once one gets it, and the others leave nothing."""

    def attempt(i: int) -> bool:
        try:
            index.write(points(i + 1), name="ds", version="1.0.0")
        except RecordExistsError:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        won = list(threads.map(attempt, range(4)))

    assert sum(won) == 1
    assert numbers(index.open("ds@1.0.0")) == list(range(won.index(True) + 1))
    assert len(shards(index)) == FILES
    assert pending(index) == []


def test_schemas_that_are_published_at_once_get_versions_of_their_own(index: Index) -> None:
    """None replaces another."""
    kinds = [named("Same") for _ in range(6)]
    for i, kind in enumerate(kinds):
        kind.__doc__ = f"Number {i}."

    with ThreadPoolExecutor(6) as threads:
        refs = list(threads.map(index.publish_schema, kinds))

    assert len(set(refs)) == len(kinds)
    for i, ref in enumerate(refs):
        assert index.get_schema(ref)["description"] == f"Number {i}."


def test_adding_and_removing_at_once(local: Index) -> None:
    """Whoever comes first, no dataset has shards that are gone, and no shards are left."""
    for _ in range(5):
        local.write(points(2), name="ds", version="1.0.0")
        with ThreadPoolExecutor(2) as threads:
            added = threads.submit(lambda: local.append(points(2, 2), name="ds"))
            gone = threads.submit(lambda: local.delete_dataset("ds"))
            added.exception()
            assert gone.exception() is None
        for entry in local.list_datasets():
            assert numbers(local.open(entry.name)) == list(range(entry.n_samples or 0))
            local.delete_dataset(entry.name)
        assert is_empty(local)
