"""Manifests come afterwards too: for shards of others, compressed ones, and those elsewhere."""

import gzip
import io
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from tests.http_server import FileServer
from xxhash import xxh3_64_intdigest

import atdata
from atdata import ManifestError
from atdata.dataset._manifests import build_manifests
from atdata.dataset._write import deliver_shards
from atdata.manifest.document import read_document
from atdata.manifest.manifest import Manifest
from atdata.manifest.reader import open_kept_manifest, open_manifest, open_manifests
from atdata.model.shard import FinishedShard
from atdata.predicate import F
from atdata.sources.url import URLSource


@atdata.packable
class Digit:
    label: int
    name: str
    image: Any


SAMPLES = [atdata.DictSample(n=i, name=f"s{i}", x=np.zeros((i % 3, 2))) for i in range(50)]


def opened(path: Path) -> Manifest:
    return open_manifest(URLSource(path), str(path))


def foreign(path: Path) -> list[bytes]:
    """A shard as webdataset writes it, with members that are no samples' payloads."""
    payloads = [sample.packed for sample in SAMPLES]
    with webdataset.TarWriter(str(path)) as sink:
        for i, payload in enumerate(payloads):
            sink.write({"__key__": f"dir/s_{i:03d}", "msgpack": payload, "txt": "about"})
    return payloads


@pytest.mark.parametrize("typed", [False, True])
def test_what_is_built_afterwards_is_what_is_written_in_the_same_pass(
    tmp_path: Path, typed: bool
) -> None:
    """Byte for byte, but for the time."""
    samples: list[Any] = list(SAMPLES)
    if typed:
        samples = [Digit(i, f"s{i}", None) for i in range(3000)]
    path = tmp_path / "a.tar"
    ds = atdata.write_samples(samples, path, manifest=True)
    parquet, text = (path.with_name(f"a.manifest.{end}") for end in ("parquet", "json"))
    rows, first = parquet.read_bytes(), read_document(text.read_bytes())
    again = build_manifests(ds)
    built = build_manifests(ds, force=True)
    second = read_document(text.read_bytes())

    assert ([one.was_fresh for one in again], [one.was_fresh for one in built]) == (
        [True],
        [False],
    )
    assert parquet.read_bytes() == rows
    second.created_at, second.shard.sha256 = first.created_at, first.shard.sha256
    assert first == second
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "a.manifest.json", "a.manifest.parquet", "a.tar",
    ]  # fmt: skip


def test_shards_of_others_have_true_offsets(tmp_path: Path) -> None:
    """Of payloads, though other members lie between them and each has an extended header."""
    path = tmp_path / "others.tar"
    payloads = foreign(path)
    build_manifests(path)
    manifest = opened(path)
    data = path.read_bytes()

    spans = zip(manifest.at.tolist(), manifest.size.tolist(), strict=True)
    assert [data[at : at + n] for at, n in spans] == payloads
    assert manifest.keys[7] == "dir/s_007"
    assert manifest.rows(F.n > 47).tolist() == [48, 49]
    assert manifest.column("x.shape").to_pylist()[:3] == [[0, 2], [1, 2], [2, 2]]


def test_compressed_shards_have_offsets_in_what_they_hold(tmp_path: Path) -> None:
    """The file's whole name stays, so that nothing else has that manifest."""
    foreign(tmp_path / "plain.tar")
    plain = (tmp_path / "plain.tar").read_bytes()
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(plain))
    build_manifests(path)
    manifest = opened(path)

    assert (tmp_path / "x.tar.gz.manifest.json").exists()
    at, n = int(manifest.at[9]), int(manifest.size[9])
    assert xxh3_64_intdigest(plain[at : at + n]) == int(manifest.payload_digest[9])
    assert (manifest.n_bytes, manifest.end) == (path.stat().st_size, len(plain))


def test_an_empty_shard_has_an_empty_manifest(tmp_path: Path) -> None:
    """It says so, and is asked like any."""
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w"):
        pass
    build_manifests(path)
    manifest = opened(path)

    assert (len(manifest), manifest.at.tolist(), list(manifest.keys)) == (0, [], [])
    assert manifest.columns == {}


def test_shards_elsewhere_have_manifests_in_a_folder(server: FileServer, tmp_path: Path) -> None:
    """Those of a server, with an index and without one; they are fresh the next time."""
    atdata.write_samples(SAMPLES, tmp_path / "a.tar")
    foreign(tmp_path / "b.tar")
    urls = [server.put(name, (tmp_path / name).read_bytes()) for name in ("a.tar", "b.tar")]
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="out="):
        build_manifests(urls)
    first = build_manifests(urls, out=out)
    second = build_manifests(urls, out=out)
    kept = [open_kept_manifest(URLSource(urls), url, out / url.rpartition("/")[2]) for url in urls]

    assert [one.was_fresh for one in first + second] == [False, False, True, True]
    assert [one.rows(F.n > 47).tolist() for one in kept] == [[48, 49]] * 2
    server.put("a.tar", (tmp_path / "a.tar").read_bytes()[:-1536] + bytes(1536))
    assert [one.was_fresh for one in _rebuilt(urls[1:], out)] == [True]
    with pytest.raises(ManifestError, match="stale"):
        open_kept_manifest(URLSource(urls[:1]), urls[0], out / "a.tar")


def _rebuilt(urls: list[str], out: Path) -> Any:
    return build_manifests(urls, out=out)


def test_manifests_on_a_server_are_read_from_there(server: FileServer, tmp_path: Path) -> None:
    """Beside their shards, several at once, and the Parquet file when it is needed."""
    ds = atdata.write_samples(SAMPLES, tmp_path / "a.tar", maxcount=20, manifest=True)
    for path in tmp_path.glob("a-*"):
        server.put(path.name, path.read_bytes())
    urls = [server.url(Path(one).name) for one in ds.list_shards()]
    source = URLSource(urls)
    found = open_manifests(source, urls, remote_check="footer")
    manifests = [one for one in found if isinstance(one, Manifest)]

    assert [len(one) for one in manifests] == [20, 20, 10]
    assert [one.rows(F.n > 30).tolist() for one in manifests] == [
        [], list(range(11, 20)), list(range(10)),
    ]  # fmt: skip
    (tmp_path / "served" / "a-000001.manifest.parquet").write_bytes(b"PAR1")
    again = open_manifest(source, urls[1])
    with pytest.raises(ManifestError, match="partial"):
        again.column("name")
    shard = tmp_path / "served" / "a-000000.tar"
    shard.write_bytes(shard.read_bytes()[:-2048])
    with pytest.raises(ManifestError, match="stale"):
        open_manifest(source, urls[0], remote_check="footer")


def test_two_shards_of_one_name_need_two_folders(server: FileServer, tmp_path: Path) -> None:
    """One manifest would overwrite the other."""
    atdata.write_samples(SAMPLES, tmp_path / "a.tar")
    urls = [server.put(f"{n}/a.tar", (tmp_path / "a.tar").read_bytes()) for n in range(2)]

    with pytest.raises(ValueError, match="one manifest"):
        build_manifests(urls, out=tmp_path / "out")


def test_a_damaged_shard_gets_no_manifest(tmp_path: Path) -> None:
    """And the others have theirs, so that the next run goes on from there."""
    ds = atdata.write_samples(SAMPLES, tmp_path / "a.tar", maxcount=20)
    ids = ds.list_shards()
    raw = bytearray(Path(ids[1]).read_bytes())
    raw[700] ^= 1
    Path(ids[1]).write_bytes(raw)

    with pytest.raises(atdata.PartialFailureError) as caught:
        build_manifests(ids)

    assert isinstance(caught.value.errors[ids[1]], atdata.ShardError)
    assert caught.value.failed_shards == [ids[1]]
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "a-000000.manifest.json", "a-000000.manifest.parquet",
        "a-000000.tar", "a-000001.tar",
        "a-000002.manifest.json", "a-000002.manifest.parquet", "a-000002.tar",
    ]  # fmt: skip


@pytest.mark.parametrize("maxcount", [None, 7])
def test_what_fails_leaves_nothing(tmp_path: Path, maxcount: int | None) -> None:
    """An error in the generator removes shards, manifests and what is temporary."""

    def samples() -> Any:
        yield from SAMPLES[:30]
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        atdata.write_samples(samples(), tmp_path / "a.tar", maxcount=maxcount, manifest=True)

    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    """Also where it is the manifest that finds no room."""
    program = """
import resource, signal, sys, atdata
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
samples = [atdata.DictSample(n=i, t=f"{i * 7919}" * 9) for i in range(300)]
for limit in range(2000, 220_000, 30_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        atdata.write_samples(samples, sys.argv[1] + "/a.tar", manifest=True)
    except OSError:
        pass
    else:
        sys.exit(1)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=60, check=False)

    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_nothing_that_is_believed(tmp_path: Path) -> None:
    """Whatever moment it is killed at: under final names are whole shards with their manifests."""
    program = """
import sys, atdata
samples = [atdata.DictSample(n=i) for i in range(4000)]
while True:
    atdata.write_samples(samples, sys.argv[1] + "/a.tar", maxcount=1000, manifest=True)
    print("written", flush=True)
"""
    for wait in (0.0, 0.031):
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        threading.Event().wait(wait)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        ids = [str(tmp_path / f"a-00000{n}.tar") for n in range(4)]
        for one in open_manifests(URLSource(ids), ids):
            if isinstance(one, Manifest):
                first = int(one.keys[0])
                assert one.column("n").to_pylist() == list(range(first, first + 1000))
            else:
                assert "missing" in str(one) or "stale" in str(one) or "partial" in str(one)


def test_delivered_shards_bring_their_files(tmp_path: Path) -> None:
    """Whoever is given a shard is given its manifest, under the name that it has."""
    done: list[FinishedShard] = []
    names = [tmp_path / f"{n}.tar" for n in range(3)]
    kind = type(SAMPLES[0])
    deliver_shards(SAMPLES, kind, names.__getitem__, done.append, maxcount=20, manifest=True)

    assert [one.path for one in done] == names
    for one in done:
        assert {path.name.partition(".")[2] for path in one.sidecars} == {
            "manifest.json", "manifest.parquet",
        }  # fmt: skip
        assert len(opened(one.path)) == one.n_samples
    plain: list[FinishedShard] = []
    deliver_shards(SAMPLES, kind, lambda n: tmp_path / f"p{n}.tar", plain.append)
    assert plain[0].sidecars == ()


def test_fields_that_payloads_lack_are_left_out(tmp_path: Path) -> None:
    """What stands for them is up to the class that reads, which may change."""

    @atdata.packable
    class Newer:
        n: int
        extra: int = 7

    ds = atdata.write_samples([atdata.DictSample(n=i) for i in range(5)], tmp_path / "a.tar")
    build_manifests(ds.list_shards(), sample_type=Newer)
    manifest = opened(tmp_path / "a.tar")

    assert manifest.columns == {"n": "int"}
    assert "default" in manifest.left_out["extra"]


def test_what_is_no_archive_is_an_error(tmp_path: Path) -> None:
    """It names the shard, and no manifest is left."""
    path = tmp_path / "a.tar"
    path.write_bytes(io.BytesIO(b"no archive" * 100).getvalue())

    with pytest.raises(atdata.ShardError, match="a.tar"):
        build_manifests(path)

    assert [one.name for one in tmp_path.iterdir()] == ["a.tar"]
