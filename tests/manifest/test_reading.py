"""A manifest is believed only if it is whole, sound, and of this very shard."""

import json
import os
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

import atdata
from atdata import ManifestError
from atdata.manifest.document import DocumentError, read_document, write_document
from atdata.manifest.manifest import Manifest
from atdata.manifest.reader import open_manifest, open_manifests
from atdata.predicate import F
from atdata.sources.url import URLSource

VECTORS = Path(__file__).parents[1] / "vectors"


def opened(path: Path) -> Manifest:
    return open_manifest(URLSource(path), str(path))


def reason(path: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        _use(opened(path))
    assert caught.value.shards == [str(path)]
    assert "atdata manifest build " in str(caught.value)
    return caught.value.reasons[str(path)]


def _use(manifest: Manifest) -> None:
    """Ask everything that there is."""
    manifest.rows(F.n > 3)
    assert len(manifest.at) == len(manifest.keys) == len(manifest.payload_digest)
    for name in manifest.columns:
        manifest.column(name)
        manifest.value_counts(name)


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    samples = [atdata.DictSample(n=i, name=f"s{i}") for i in range(20)]
    atdata.write_samples(samples, tmp_path / "a.tar", manifest=True)
    return tmp_path / "a.tar"


def beside(shard: Path, kind: str) -> Path:
    return shard.with_name(f"a.manifest.{kind}")


def test_what_is_missing_names_the_shard_and_the_command(shard: Path) -> None:
    """No manifest is an error that says what to do, and never an empty answer."""
    beside(shard, "json").unlink()

    assert reason(shard) == "its manifest is missing"


def test_errors_are_gathered_and_pickle(shard: Path) -> None:
    """Of many shards the first are named and all are counted."""
    source = URLSource([str(shard)] + [str(shard.with_name(f"b{i}.tar")) for i in range(9)])
    found = open_manifests(source, source.list_shards())

    assert isinstance(found[0], Manifest)
    reasons = {
        s: r for one in found if isinstance(one, ManifestError) for s, r in one.reasons.items()
    }
    error = ManifestError(reasons)
    again: ManifestError = pickle.loads(pickle.dumps(error))
    assert "9 shards have no usable manifest" in str(error)
    assert "and 4 more" in str(error)
    assert issubclass(ManifestError, LookupError)
    assert (again.shards, again.reasons, str(again)) == (error.shards, error.reasons, str(error))


def test_a_shard_that_was_rewritten_makes_its_manifest_stale(shard: Path) -> None:
    """Also where the new shard is as long as the old one, and its time is the same."""
    kept = {kind: beside(shard, kind).read_bytes() for kind in ("json", "parquet")}
    opened(shard)
    before = os.stat(shard)
    atdata.write_samples([atdata.DictSample(n=i, name=f"t{i}") for i in range(20)], shard)
    assert shard.stat().st_size == before.st_size
    os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))
    for kind, raw in kept.items():
        beside(shard, kind).write_bytes(raw)

    assert "stale" in reason(shard)


def test_a_foreign_shard_that_was_changed_makes_its_manifest_stale(tmp_path: Path) -> None:
    """Shards without an index are known by the digest of the whole file."""
    from atdata.dataset._manifests import build_manifests

    path = tmp_path / "a.tar"
    shutil.copy(VECTORS / "scalars.tar", path)
    build_manifests(path)
    assert len(opened(path)) == 10
    raw = bytearray(path.read_bytes())
    raw[600] ^= 1
    path.write_bytes(raw)

    assert "stale" in reason(path)


def test_writing_without_a_manifest_removes_the_one_that_was_there(shard: Path) -> None:
    """Also those of an earlier, longer write."""
    samples = [atdata.DictSample(n=i) for i in range(20)]
    folder = shard.parent / "b"
    atdata.write_samples(samples, folder / "s.tar", maxcount=5, manifest=True)
    atdata.write_samples(samples, folder / "s.tar", maxcount=10, manifest=True)
    names = sorted(one.name for one in folder.iterdir())
    atdata.write_samples(samples, shard)

    assert sorted(one.name for one in shard.parent.iterdir()) == ["a.tar", "b"]
    assert names == [
        f"s-00000{n}{end}" for n in range(2)
        for end in (".manifest.json", ".manifest.parquet", ".tar")
    ]  # fmt: skip


def test_half_a_manifest_is_none(shard: Path) -> None:
    """The Parquet file is missing, cut, or of another shard."""
    raw = beside(shard, "parquet").read_bytes()
    beside(shard, "parquet").write_bytes(raw[:-1])
    cut = reason(shard)
    beside(shard, "parquet").unlink()
    missing = reason(shard)
    beside(shard, "parquet").write_bytes(bytes([raw[0], raw[1] ^ 1]) + raw[2:])
    other = reason(shard)

    assert "partial" in cut
    assert "partial" in missing
    assert "damaged" in other


def test_every_flipped_byte_is_noticed(shard: Path) -> None:
    """A manifest with any one bit changed is refused, wherever it is."""
    rng = random.Random(7)
    raw = beside(shard, "json").read_bytes()
    for at in range(len(raw)):
        bad = bytearray(raw)
        bad[at] ^= 1 << rng.randrange(8)
        with pytest.raises(DocumentError):
            read_document(bytes(bad))
    for size in range(0, len(raw), 7):
        with pytest.raises(DocumentError):
            read_document(raw[:size])
    rows = beside(shard, "parquet").read_bytes()
    for at in rng.sample(range(len(rows)), 60):
        bad = bytearray(rows)
        bad[at] ^= 1 << rng.randrange(8)
        beside(shard, "parquet").write_bytes(bad)
        assert "damaged" in reason(shard)


def forged(shard: Path, change: Callable[[Any], None]) -> None:
    """Change a manifest's JSON, and make its digest right again."""
    document = read_document(beside(shard, "json").read_bytes())
    change(document)
    beside(shard, "json").write_bytes(write_document(document))


def _set(path: str, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        *steps, last = path.split("/")
        for step in steps:
            document = document[step] if isinstance(document, dict) else getattr(document, step)
        if isinstance(document, dict):
            document[last] = value
        else:
            setattr(document, last, value)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("num_samples", 21),
        _set("num_samples", -1),
        _set("num_samples", 1 << 60),
        _set("size_bytes", 1 << 50),
        _set("size_bytes", 7),
        _set("manifest_version", "3.0.0"),
        _set("shard/digest", "x"),
        _set("shard/end", 512),
        _set("shard/end", 1 << 63),
        _set("samples/row_groups", [10, 10]),
        _set("samples/row_groups", [20, 0]),
        _set("samples/blake3", "00" * 32),
        _set("fields/n/kind", "list[list[int]]"),
        _set("fields/n/kind", "str"),
        _set("fields/n/kind", "float"),
        _set("fields/n/min", "0"),
        _set("fields/n/min", 100),
        _set("fields/n/nulls", -1),
        _set("fields/n/nulls", 21),
        _set("fields/n/values", [(1, 1), (1, 1)]),
        _set("fields/n/values", [(1, 20)]),
        _set("fields/name/bloom", msgspec.json.decode(b'{"hashes":99,"bits":"AAAA"}')),
        lambda d: d.fields.update(gone=d.fields["n"]),
        lambda d: d.fields.update(__offset__=d.fields["n"]),
        lambda d: d.fields.update({"\0": d.fields["n"]}),
    ],
)
def test_what_cannot_be_is_refused(shard: Path, change: Callable[[Any], None]) -> None:
    """Counts, kinds and extremes that contradict each other, though the digest is right."""
    forged(shard, change)

    assert "damaged" in reason(shard) or "partial" in reason(shard)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("__offset__", lambda at: at - 512),
        ("__offset__", lambda at: at[::-1]),
        ("__offset__", lambda at: np.full_like(at, 512)),
        ("__offset__", lambda at: at + (1 << 40)),
        ("__offset__", lambda at: np.full_like(at, -(1 << 63))),
        ("__offset__", lambda at: np.full_like(at, (1 << 63) - 1)),
        ("__offset__", lambda at: at + 1),
        ("__size__", lambda size: -size),
        ("__size__", lambda size: size + 5000),
        ("__size__", lambda size: np.full_like(size, (1 << 63) - 1)),
    ],
)
def test_offsets_that_cannot_be_are_refused(
    shard: Path, name: str, change: Callable[[Any], Any]
) -> None:
    """They leave the shard, overlap, or do not rise."""
    table = pq.read_table(beside(shard, "parquet"))
    column = pa.array(change(table.column(name).to_numpy()))
    _replaced(shard, table.set_column(table.schema.get_field_index(name), name, column))

    assert "damaged" in reason(shard)


def _replaced(shard: Path, table: Any) -> None:
    pq.write_table(table, beside(shard, "parquet"))
    raw = beside(shard, "parquet").read_bytes()

    def change(document: Any) -> None:
        document.samples.n_bytes, document.samples.blake3 = len(raw), blake3(raw).hexdigest()

    forged(shard, change)


def test_columns_of_another_kind_or_twice_are_refused(shard: Path) -> None:
    """What the JSON says of a column and what it is must be the same."""
    table = pq.read_table(beside(shard, "parquet"))
    _replaced(shard, table.append_column("n", table.column("n")))
    twice = reason(shard)
    _replaced(shard, table.drop_columns(["__digest__"]))
    gone = reason(shard)
    _replaced(shard, table.slice(0, 19))
    short = reason(shard)

    assert "twice" in twice or "2 times" in twice
    assert "0 times" in gone
    assert "damaged" in short


def test_garbage_is_refused(shard: Path) -> None:
    """Whatever lies there instead of a manifest."""
    deep = b"[" * 100_000
    for raw in (b"", b"{}", b"null", deep, b"\xff\xfe", b'{"num_samples": NaN}', os.urandom(2000)):
        beside(shard, "json").write_bytes(raw)
        assert "damaged" in reason(shard)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("scalars", "offsets are none of the tar"),
        ("arrays-000000", "of shard 'arrays'"),
        ("arrays-000001", "of shard 'arrays-000000'"),
        ("arrays-000002", "says that the shard is empty"),
    ],
)
def test_manifests_of_the_older_layout_are_refused_and_mended(
    tmp_path: Path, name: str, said: str
) -> None:
    """Each says why, and building it anew mends it."""
    from atdata.dataset._manifests import build_manifests

    for end in (".tar", ".manifest.json", ".manifest.parquet"):
        shutil.copy(VECTORS / f"{name}{end}", tmp_path)
    path = tmp_path / f"{name}.tar"
    with pytest.raises(ManifestError) as caught:
        opened(path)
    built = build_manifests(path)
    manifest = opened(path)
    wanted = json.loads((VECTORS / "expected_samples.json").read_text())

    assert said in str(caught.value)
    assert f"atdata manifest build {path}" in str(caught.value)
    assert [one.was_fresh for one in built] == [False]
    assert len(manifest) == len(list(atdata.Dataset(path))) > 0
    assert wanted


def test_only_the_row_groups_and_columns_that_are_needed_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that no row has touches no Parquet file, one that few have touches one row group."""
    import atdata.manifest.build as building
    from atdata.manifest.parquet import Table

    monkeypatch.setattr(building, "GROUP_ROWS", 100)
    path = tmp_path / "a.tar"
    samples = [atdata.DictSample(n=i, m=i % 7) for i in range(1000)]
    atdata.write_samples(samples, path, manifest=True)
    read: list[tuple[int, list[str]]] = []
    true_read: Any = vars(Table)["_parsed"]

    def noted(self: Any, group: int, kinds: dict[str, str]) -> Any:
        read.append((group, list(kinds)))
        return true_read(self, group, kinds)

    monkeypatch.setattr(Table, "_parsed", noted)
    manifest = opened(path)

    assert manifest.rows(F.m == 8).tolist() == []
    assert manifest.rows(F.n < 0).tolist() == []
    assert len(manifest.rows(F.n >= 0)) == 1000
    assert read == []
    assert manifest.rows(F.n == 512).tolist() == [512]
    assert manifest.rows(F.n == 512).tolist() == [512]
    assert read == [(5, ["n"])]
