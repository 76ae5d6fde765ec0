"""All ways of reading a shard give the same samples."""

import io
import subprocess
import tarfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.http_server import Fault, FileServer
from tests.shard.archives import (
    COMPRESSED,
    array_of,
    errors,
    gnu_tar_of,
    mapped,
    read,
    samples_by_tarfile,
    streamed,
    tar_of,
    write_shard,
)

from atdata._exceptions import ShardError, SourceError
from atdata.pipeline.open import open_shard
from atdata.shard.ranged import open_ranged
from atdata.shard.scan import Scan, scan_one_by_one, scan_together
from atdata.shard.streamed import StreamedShard
from atdata.shard.tar import header
from atdata.sources.url import URLSource

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}

CONTENTS = st.binary(max_size=700) | st.integers(0, 2000).map(bytes)
ORDINARY = st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9_-]{1,8})?", fullmatch=True)
STRANGE = st.sampled_from([
    "a", "k.1", "k.2", ".hidden", "__meta__/x", "__index__", "____/y", "__a", "é", "日本/ü",
    "d.ir/a", "n" * 90, "m" * 99, "p/" * 70 + "q", "r" * 101, "s" * 300, "./a", "a b\tc",
])  # fmt: skip
EXTENSION = st.sampled_from(["msgpack"] * 6 + ["MSGPACK", "json", "cls.txt", "jpg", ""])


@st.composite
def member_names(draw: st.DrawFn) -> str:
    """A name, mostly of a sample's payload."""
    key, ext = draw(ORDINARY | STRANGE), draw(EXTENSION)
    return f"{key}.{ext}" if ext else key


MEMBERS = st.lists(st.tuples(member_names(), CONTENTS) | st.tuples(STRANGE, st.none()), max_size=8)
ORDINARY_MEMBERS = st.lists(
    st.tuples(ORDINARY.map(lambda key: f"{key}.msgpack"), CONTENTS),
    min_size=1,
    max_size=20,
    unique_by=lambda member: member[0],
)
MTIMES = st.sampled_from([0, 1795373396, 1795373396.97269])


def facts(scan: Scan) -> tuple[object, ...]:
    """A scan as plain values."""
    faults = [(row, error.key, error.reason, error.offset) for row, error in scan.faults]
    damage = scan.damage and (scan.damage.reason, scan.damage.offset)
    return scan.at.tolist(), scan.size.tolist(), list(scan.keys), faults, damage


def archive(members: list[tuple[str, bytes | None]], form: str, mtime: float) -> bytes:
    """An archive by `tarfile`, without names that its format cannot hold."""
    kept = [m for m in members if form != "ustar" or len(m[0].encode()) <= 100]
    return tar_of(kept, form=FORMATS[form], mtime=mtime)


@given(MEMBERS, st.sampled_from(sorted(FORMATS)), MTIMES)
def test_a_scan_of_all_headers_at_once_equals_the_walk(
    members: list[tuple[str, bytes | None]], form: str, mtime: float
) -> None:
    """Where headers are found together, samples are those found one by one."""
    data = array_of(archive(members, form, mtime))

    together = scan_together(data)

    assert together is None or facts(together) == facts(scan_one_by_one(data, "a"))


@given(ORDINARY_MEMBERS, st.sampled_from(sorted(FORMATS)), MTIMES)
def test_ordinary_archives_are_scanned_at_once(
    members: list[tuple[str, bytes | None]], form: str, mtime: float
) -> None:
    """Plain members, with or without times in pax headers, need no walk."""
    members = [member for member in members if b"usta" not in (member[1] or b"")]
    data = array_of(archive(members, form, mtime))

    together = scan_together(data)

    if members:
        assert together is not None
        assert facts(together) == facts(scan_one_by_one(data, "a"))


@given(
    ORDINARY_MEMBERS,
    st.sampled_from(sorted(FORMATS)),
    MTIMES,
    st.lists(st.tuples(st.integers(0), st.integers(0, 700), st.binary(min_size=1, max_size=12))),
)
def test_a_scan_of_changed_headers_equals_the_walk(
    members: list[tuple[str, bytes | None]],
    form: str,
    mtime: float,
    changes: list[tuple[int, int, bytes]],
) -> None:
    """Nothing passes the scan at once that does not pass the walk, whatever its bytes are."""
    changed = bytearray(archive(members, form, mtime))
    for block, within, piece in changes:
        at = (block * 512 + within) % len(changed)
        changed[at : at + len(piece)] = piece[: len(changed) - at]
    _mend_checksums(changed)
    data = array_of(bytes(changed))

    together = scan_together(data)

    assert together is None or facts(together) == facts(scan_one_by_one(data, "a"))


def _mend_checksums(data: bytearray) -> None:
    """Give each block that looks like a header the checksum of what it holds."""
    for at in range(0, len(data) - 511, 512):
        if data[at + 257 : at + 261] == b"usta":
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])


@pytest.mark.parametrize("size", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("record", [b"", b"1", b"9 mtime=", b"10 mtime=\n", b"0< mtime=1\n"])
def test_short_extended_headers_are_no_matter_for_the_scan(size: int, record: bytes) -> None:
    """Extended headers that are too short to hold a time do not confuse the scan."""
    records = record[:size] if size < 9 else record
    pax = header(b"x", len(records), typeflag=b"x") + records.ljust(512 if records else 0, b"\0")
    data = array_of(pax + header(b"a.msgpack", 0) + bytes(1024))

    together = scan_together(data)

    assert together is None or facts(together) == facts(scan_one_by_one(data, "a"))


def test_more_fill_than_tar_writes_is_refused_by_both_scans() -> None:
    """Endless zeros behind an archive are not passed by either scan."""
    data = array_of(header(b"a.msgpack", 0) + bytes(5 << 20))

    assert scan_together(data) is None
    assert scan_one_by_one(data, "a").damage is not None


@given(MEMBERS, st.sampled_from(sorted(FORMATS)), MTIMES)
@example([("k.msgpack", b"mine"), ("__meta__/x.msgpack", b"theirs")], "ustar", 0)
@example([("README", b"text"), ("a.msgpack", b"1"), ("._a.msgpack", b"2")], "gnu", 0)
def test_mapped_streamed_and_tarfile_agree(
    tmp_path: Path, members: list[tuple[str, bytes | None]], form: str, mtime: float
) -> None:
    """Keys, payloads and faults are those that the rules of WebDataset give, in both readers."""
    data = archive(members, form, mtime)
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    if any(name == "__index__" for name, _ in members):
        return  # the name is ours

    by_map, by_stream = read(mapped(path).chunks()), read(streamed(data).chunks())

    assert by_map == by_stream == samples_by_tarfile(data)


@pytest.mark.parametrize("compression", COMPRESSED)
@settings(max_examples=20)
@given(payloads=st.lists(st.binary(max_size=3000), max_size=30), digest=st.booleans())
def test_our_shards_read_alike_however_they_come(
    tmp_path_factory: pytest.TempPathFactory,
    compression: str,
    payloads: list[bytes],
    digest: bool,
) -> None:
    """A shard of ours gives the same samples from a map and from any compressed stream."""
    folder = tmp_path_factory.mktemp("s")
    path = write_shard(folder, [b"one", *payloads], digest=digest)
    data = path.read_bytes()

    by_map = read(mapped(path).chunks(verify="proof"))
    by_stream = read(streamed(COMPRESSED[compression](data)).chunks(verify="proof"))

    assert by_map == by_stream == samples_by_tarfile(data)
    assert [payload for _, payload in by_map] == [b"one", *payloads]


@pytest.mark.parametrize("form", ["v7", "ustar", "gnu", "oldgnu", "pax", "posix"])
def test_archives_of_the_tar_command_read_alike(tmp_path: Path, form: str) -> None:
    """Each format that GNU tar writes is read as `tarfile` reads it."""
    long = [] if form in {"v7", "ustar"} else [("long/" * 30 + "é.msgpack", b"long")]
    members = [
        ("a.msgpack", b"1" * 600),
        ("dir/b.msgpack", b""),
        ("dir/b.json", b"{}"),
        ("ü.msgpack", b"2"),
        ("k.1.msgpack", b"3"),
        *long,
    ]
    data = gnu_tar_of(tmp_path / "in", members, form)
    path = tmp_path / "a.tar"
    path.write_bytes(data)

    found = read(mapped(path).chunks())

    assert found == read(streamed(data).chunks()) == samples_by_tarfile(data)
    wanted = [contents for name, contents in members if name.endswith("msgpack")]
    assert [sample[1] for sample in found] == wanted


def test_chunks_can_begin_at_any_row(tmp_path: Path, server: FileServer) -> None:
    """Reading from a row on gives the rest of the samples, with their rows, in every reader."""
    payloads = [bytes([i % 251]) * (i % 3000) for i in range(1500)]
    data = write_shard(tmp_path, payloads).read_bytes()
    source = URLSource(server.put("a.tar", data))
    ranged = open_ranged(source, source.list_shards()[0])
    assert ranged is not None
    foreign = tmp_path / "foreign.tar"
    foreign.write_bytes(tar_of((f"{i:04d}.msgpack", p) for i, p in enumerate(payloads)))

    for start in (0, 1, 800, 1023, 1024, 1025, 1499, 1500, 1501):
        for shard in (mapped(tmp_path / "s-000.tar"), mapped(foreign), ranged, streamed(data)):
            row = min(start, 1500)
            for chunk in shard.chunks(start=start):
                assert not isinstance(chunk, ShardError)
                assert chunk.row == row
                for i in range(len(chunk)):
                    assert chunk.payload(i) == payloads[row + i]
                    assert int(chunk.key(i)) == row + i
                row += len(chunk)
            assert row == 1500


def test_a_chunk_knows_where_its_samples_are(tmp_path: Path, server: FileServer) -> None:
    """The offset that an error would name is that of the payload in the archive."""
    payloads = [b"%d" % i * 400 for i in range(1400)]
    path = write_shard(tmp_path, payloads)
    data = path.read_bytes()
    source = URLSource(server.put("a.tar", data))
    ranged = open_ranged(source, source.list_shards()[0])
    assert ranged is not None

    for shard in (mapped(path), ranged, streamed(data), streamed(COMPRESSED["gz"](data))):
        for chunk in shard.chunks(start=1):
            assert not isinstance(chunk, ShardError)
            for i in range(len(chunk)):
                at = chunk.offset(i)
                assert data[at : at + chunk.size[i]] == chunk.payload(i)


@settings(max_examples=20)
@given(
    sizes=st.lists(st.integers(0, 90_000), min_size=1, max_size=40),
    proof=st.booleans(),
)
def test_ranges_read_as_a_map(tmp_path: Path, sizes: list[int], proof: bool) -> None:
    """A shard read by ranges gives the samples, keys and offsets of the mapped file."""
    payloads = [bytes([i]) * size for i, size in enumerate(sizes)]
    path = write_shard(tmp_path, payloads, digest=proof)
    source = URLSource(path)
    ranged = open_ranged(source, str(path))
    by_map = mapped(path)

    assert ranged is not None
    assert read(ranged.chunks()) == read(by_map.chunks()) == list(zip(by_map.keys, payloads))
    assert ranged.at.tolist() == by_map.at.tolist()
    for row in range(len(sizes)):
        one = ranged.chunk_of(row, "auto")
        assert (one.key(0), bytes(one.payload(0))) == (by_map.keys[row], payloads[row])
        assert one.offset(0) == by_map.at[row]


def test_a_server_is_asked_once_for_an_index_and_once_a_block(
    tmp_path: Path, server: FileServer
) -> None:
    """Length and keys cost a size and a range; one sample costs the range of its block."""
    payloads = [bytes(300_000)] * 12
    data = write_shard(tmp_path, payloads).read_bytes()
    source = URLSource(server.put("a.tar", data))

    ranged = open_ranged(source, source.list_shards()[0])
    assert ranged is not None
    opening = len(server.seen)
    ranged.chunk_of(9, "auto")
    ranged.chunk_of(10, "auto")

    assert opening <= 2
    assert len(server.seen) - opening == 1


def test_a_damaged_answer_is_no_sample(tmp_path: Path, server: FileServer) -> None:
    """A server that sends other bytes of the shard is found out by the block's digest."""
    payloads = [bytes([i]) * 200_000 for i in range(12)]
    data = write_shard(tmp_path, payloads).read_bytes()
    source = URLSource(server.put("a.tar", data))
    ranged = open_ranged(source, source.list_shards()[0])
    assert ranged is not None
    server.put("a.tar", data[:100_000] + b"\xff" + data[100_001:])

    with pytest.raises((ShardError, SourceError)) as caught:
        ranged.chunk_of(0, "auto")

    assert not isinstance(caught.value, ShardError) or caught.value.offset == 0


def test_a_source_that_gives_too_little_is_found_out(tmp_path: Path) -> None:
    """Ranges that come short are an error of the shard, checked or not."""
    path = write_shard(tmp_path, [bytes(5000)] * 5)

    class Short(URLSource):
        short = 0

        def read_range(self, shard_id: str, start: int, length: int) -> bytes:
            return super().read_range(shard_id, start, length)[: length - self.short]

    source = Short(path)
    ranged = open_ranged(source, str(path))
    assert ranged is not None
    object.__setattr__(source, "short", 1)

    with pytest.raises(ShardError, match="gave"):
        list(ranged.chunks(verify="off"))
    with pytest.raises(ShardError, match="gave"):
        ranged.chunk_of(0, "off")
    with pytest.raises(ShardError, match="gave"):
        open_ranged(source, str(path))


def test_a_server_that_ignores_ranges_is_read_all_the_same(
    tmp_path: Path, server: FileServer
) -> None:
    """Where no parts are to be had, the whole is read, and is the same."""
    payloads = [b"%d" % i for i in range(50)]
    data = write_shard(tmp_path, payloads).read_bytes()
    source = URLSource(server.put("a.tar", data))
    server.always = Fault(ignore_range=True)

    shard = open_shard(source, source.list_shards()[0])

    assert [sample[1] for sample in read(shard.chunks())] == payloads


class Dripping(io.RawIOBase):
    """A stream that gives one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 1) if size >= 0 else 1)


@pytest.mark.parametrize("compression", COMPRESSED)
def test_a_stream_may_come_in_drops(tmp_path: Path, compression: str) -> None:
    """Neither the compression nor a header is missed where reads give less than asked for."""
    data = write_shard(tmp_path, [b"one", b"two"]).read_bytes()

    shard = StreamedShard(Dripping(COMPRESSED[compression](data)), "drops")

    assert read(shard.chunks()) == [("000000000", b"one"), ("000000001", b"two")]


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz", "zst"])
def test_a_stream_may_be_compressed_in_parts(tmp_path: Path, compression: str) -> None:
    """Several compressed streams one after the other are one, as the tools have it."""
    data = write_shard(tmp_path, [bytes(range(256)) * 40]).read_bytes()
    compress = COMPRESSED[compression]
    parts = b"".join(compress(data[at : at + 3000]) for at in range(0, len(data), 3000))

    samples = read(streamed(parts + (bytes(4) if compression == "xz" else b"")).chunks())

    assert samples == [("000000000", bytes(range(256)) * 40)]


def test_a_shard_filled_up_by_tar_keeps_its_index(tmp_path: Path) -> None:
    """Zeros behind the end, as tar writes them, do not hide the index."""
    path = write_shard(tmp_path, [b"one", b"two"])
    data = path.read_bytes()

    for n in (1, 100, 512, 1024, 10_240, 1 << 20):
        path.write_bytes(data + bytes(n))
        shard = mapped(path)
        assert shard.index is not None
        assert read(shard.chunks()) == read(streamed(data + bytes(n)).chunks())


def test_members_behind_the_index_are_read(tmp_path: Path) -> None:
    """What `tar --append` adds is read, and the index, which says nothing of it, is left alone."""
    path = write_shard(tmp_path, [b"one"])
    extra = tmp_path / "x.msgpack"
    extra.write_bytes(b"added")

    gnu_tar_append(path, extra)

    wanted = [("000000000", b"one"), ("x", b"added")]
    assert read(mapped(path).chunks()) == read(streamed(path.read_bytes()).chunks()) == wanted


def gnu_tar_append(archive: Path, file: Path) -> None:
    """Add a file to an archive with the `tar` command."""
    command = ["tar", "-r", "-f", str(archive), "-C", str(file.parent), file.name]
    subprocess.run(command, check=True, capture_output=True)


def test_empty_shards_are_fine(tmp_path: Path) -> None:
    """An archive without members has no samples, with the usual fill or without."""
    for data in (bytes(1024), bytes(10_240), tar_of([("d", None)])):
        path = tmp_path / "empty.tar"
        path.write_bytes(data)
        assert read(mapped(path).chunks()) == read(streamed(data).chunks()) == []


def test_faults_stand_where_their_samples_would(tmp_path: Path) -> None:
    """Samples that cannot be read are errors in their places, and reading goes on behind them."""
    members = [("a.msgpack", b"1"), ("b.txt", b"x"), ("c.msgpack", b"2"), ("c.msgpack", b"3"),
               ("d.msgpack", b"4")]  # fmt: skip
    data = tar_of(members)
    path = tmp_path / "a.tar"
    path.write_bytes(data)

    for shard in (mapped(path), streamed(data)):
        found = list(shard.chunks())
        assert read(iter(found)) == [("a", b"1"), "b", "c", ("d", b"4")]
        first, second = errors(iter(found))
        assert "no .msgpack member" in first.reason
        assert first.offset == 1024
        assert "two members" in second.reason


def test_many_faults_take_no_longer_than_many_samples(tmp_path: Path) -> None:
    """Every second sample at fault is read in a moment; endless faults end the reading."""
    data = tar_of((f"{i}.{'msgpack' if i % 2 else 'txt'}", b"") for i in range(12_000))
    path = tmp_path / "a.tar"
    path.write_bytes(data)

    assert len(errors(mapped(path).chunks())) == 6000

    data = tar_of((f"{i}.txt", b"") for i in range(10_050))
    path.write_bytes(data)

    for shard in (mapped(path), streamed(data)):
        found = errors(shard.chunks())
        assert len(found) == 10_001
        assert "more than 10000 samples" in found[-1].reason


def test_rows_of_blocks_cover_the_shard(tmp_path: Path) -> None:
    """Blocks are whole samples and rise without a gap to the end of the samples."""
    path = write_shard(tmp_path, [bytes(100_000)] * 40)

    index = mapped(path).index

    assert index is not None
    blocks = index.blocks
    assert blocks.first[0] == 0
    assert blocks.first[-1] == 40
    assert blocks.at[-1] == index.end
    assert all(b > a for a, b in pairwise(blocks.first.tolist()))
    assert [blocks.of_row(int(row)) for row in blocks.first[:-1]] == list(range(len(blocks)))
    assert np.array_equal(mapped(path).blocks_of_rows(blocks.first[:-1]), np.arange(len(blocks)))
