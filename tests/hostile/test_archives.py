"""Archives made by hand to lie: each is an error of ours that says where, or reads right."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hostile.damage import (
    Bytes,
    Small,
    check_skipping,
    dataset,
    error_of,
    error_or,
    small,
    written,
)
from tests.shard.archives import COMPRESSED, errors, mapped, read, streamed, tar_of
from xxhash import xxh3_64_intdigest

from atdata import Dataset, DictSample, SchemaError, ShardError
from atdata.shard import index as shard_index
from atdata.shard.tar import END, header

SAMPLE = small(2)[1]
PAYLOAD = SAMPLE.packed


def sealed(block: bytes) -> bytes:
    """A header with the checksum that its bytes have."""
    bare = block[:148] + b" " * 8 + block[156:]
    return bare[:148] + b"%06o\0 " % sum(bare) + bare[156:]


def with_size(field: bytes, name: bytes = b"a.msgpack") -> bytes:
    """A header whose size is any twelve bytes."""
    block = header(name, 0)
    return sealed(block[:124] + field.ljust(12, b"\0")[:12] + block[136:])


def padded(data: bytes) -> bytes:
    """Bytes filled up to whole blocks."""
    return data + bytes(-len(data) % 512)


def member(name: bytes, data: bytes, flag: bytes = b"0") -> bytes:
    """A header and its contents."""
    return header(name, len(data), typeflag=flag) + padded(data)


def pax(records: bytes, flag: bytes = b"x") -> bytes:
    """An extended header of any records."""
    return member(b"././@PaxHeader", records, flag)


def record(key: bytes, value: bytes) -> bytes:
    """One true record of an extended header."""
    body = b" " + key + b"=" + value + b"\n"
    size = len(body) + 1
    while len(b"%d" % size) + len(body) != size:
        size = len(b"%d" % size) + len(body)
    return b"%d" % size + body


GOOD = member(b"a.msgpack", PAYLOAD)

LIES: dict[str, bytes] = {
    "size beyond the file": with_size(b"%011o" % 99_999) + padded(PAYLOAD) + END,
    "size of eight gibibytes": with_size(b"77777777777") + padded(PAYLOAD) + END,
    "size in base 256": with_size(b"\x80" + b"\0" * 3 + b"\x7f" * 8) + padded(PAYLOAD) + END,
    "size of all ones": with_size(b"\xff" * 12) + padded(PAYLOAD) + END,
    "negative size": with_size(b"\xff" * 11 + b"\xfe") + padded(PAYLOAD) + END,
    "negative octal size": with_size(b"-0000000001") + padded(PAYLOAD) + END,
    "decimal size": with_size(b"00000000099") + padded(PAYLOAD) + END,
    "size in words": with_size(b"large") + padded(PAYLOAD) + END,
    "size too small": with_size(b"%011o" % 3) + padded(PAYLOAD) + END,
    "size of none": with_size(b"%011o" % 0) + padded(PAYLOAD) + END,
    "no end": GOOD,
    "half an end": GOOD + bytes(512),
    "end cut": GOOD + bytes(1023),
    "data behind the end": GOOD + END + b"x",
    "an archive behind the end": GOOD + END + GOOD + END,
    "hard link": header(b"a.msgpack", 0, typeflag=b"1") + END,
    "symbolic link": header(b"a.msgpack", 0, typeflag=b"2") + END,
    "link with contents": header(b"a.msgpack", 700, typeflag=b"2") + padded(PAYLOAD) + END,
    "link without extension": header(b"latest", 0, typeflag=b"2") + END,
    "character device": header(b"a.msgpack", 0, typeflag=b"3") + END,
    "block device": header(b"a.msgpack", 0, typeflag=b"4") + END,
    "pipe": header(b"a.msgpack", 0, typeflag=b"6") + END,
    "unknown type": member(b"a.msgpack", PAYLOAD, b"!") + END,
    "directory with contents": member(b"d", PAYLOAD, b"5") + END,
    "sparse": member(b"a.msgpack", PAYLOAD, b"S") + END,
    "sparse by pax": pax(record(b"GNU.sparse.major", b"1")) + GOOD + END,
    "sparse by pax 0.1": pax(record(b"GNU.sparse.map", b"0,5") * 2) + GOOD + END,
    "global path": pax(record(b"path", b"x.msgpack"), b"g") + GOOD + END,
    "global size": pax(record(b"size", b"1"), b"g") + GOOD + END,
    "pax size too large": pax(record(b"size", b"99999999")) + GOOD + END,
    "pax size of 19 digits": pax(record(b"size", b"9" * 19)) + GOOD + END,
    "pax size of 400 digits": pax(record(b"size", b"9" * 400)) + GOOD + END,
    "pax size negative": pax(record(b"size", b"-5")) + GOOD + END,
    "pax size in words": pax(record(b"size", b"big")) + GOOD + END,
    "pax record without end": pax(b"99 path=x") + GOOD + END,
    "pax record of length 0": pax(b"0 path=x\n") + GOOD + END,
    "pax record of length 3": pax(b"3 path=x\n") + GOOD + END,
    "pax record without equals": pax(b"9 pathxyz\n") + GOOD + END,
    "pax record without newline": pax(b"8 path=xy") + GOOD + END,
    "pax record with a sign": pax(b"+9 path=x\n") + GOOD + END,
    "pax record of many digits": pax(b"0" * 400 + b"9 path=x\n") + GOOD + END,
    "pax header without member": pax(record(b"path", b"b.msgpack")) + END,
    "pax header at the end of the file": GOOD + pax(record(b"path", b"b.msgpack")),
    "pax and global header without member": pax(record(b"path", b"b")) + pax(b"", b"g") + END,
    "extended header of 2 MB": pax(record(b"comment", b"c" * (2 << 20))) + GOOD + END,
    "long name of 2 MB": member(b"L", b"n" * (2 << 20) + b"\0", b"L") + GOOD + END,
    "many extended headers": pax(record(b"comment", b"c" * 900_000)) * 4 + GOOD + END,
    "endless extended headers": pax(b"") * 5000 + GOOD + END,
    "extended header cut short": header(b"x", 900, typeflag=b"x") + record(b"path", b"x"),
    "name of 100 KB": pax(record(b"path", b"k" * 100_000 + b".msgpack")) + GOOD + END,
    "invalid UTF-8": member(b"\xff\xfe.msgpack", PAYLOAD) + END,
    "invalid UTF-8 by pax": pax(record(b"path", b"\xc3.msgpack")) + GOOD + END,
    "zero byte in a name": pax(record(b"path", b"a\0b.msgpack")) + GOOD + END,
    "two members of one name": GOOD + GOOD + END,
    "no payload": member(b"a.txt", b"text") + END,
    "empty payload": member(b"a.msgpack", b"") + END,
    "zero header between": GOOD + bytes(512) + GOOD + END,
    "checksum of words": GOOD[:148] + b"checksum" + GOOD[156:] + END,
    "not a tar at all": b"\x7fELF" + bytes(range(256)) * 8,
    "a zip": b"PK\x03\x04" + bytes(2000),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_an_error_that_says_where(tmp_path: Path, name: str) -> None:
    """Both readers refuse, each naming the shard and the place, and skip it when told to."""
    path, data = tmp_path / "lie.tar", LIES[name]

    for place in (path, Bytes(b"")):
        assert error_of(place, data, []) is not None
        check_skipping(place, data, [("a", SAMPLE)])
    assert len(read(mapped(path).chunks())) == len(read(streamed(data).chunks()))
    assert isinstance(error_of(Bytes(b""), gzip.compress(data), []), ShardError | SchemaError)


FINE: dict[str, tuple[bytes, list[str]]] = {
    "traversal": (member(b"../../etc/a.msgpack", PAYLOAD) + END, ["../../etc/a"]),
    "absolute name": (member(b"/etc/a.msgpack", PAYLOAD) + END, ["/etc/a"]),
    "upper case": (member(b"A.MSGPACK", PAYLOAD) + END, ["A"]),
    "dotted key": (member(b"k.1.msgpack", PAYLOAD) + member(b"k.2.msgpack", PAYLOAD) + END,
                   ["k.1", "k.2"]),
    "key of 60 KB": (pax(record(b"path", b"k" * 60_000 + b".msgpack")) + GOOD + END,
                     ["k" * 60_000]),
    "control characters": (member(b"a\x1b[31m\n.msgpack", PAYLOAD) + END, ["a\x1b[31m\n"]),
    "directories": (header(b"d/", 0, typeflag=b"5") + member(b"d/a.msgpack", PAYLOAD) + END,
                    ["d/a"]),
    "other parts": (member(b"a.json", b"{}") + GOOD + member(b"a.txt", b"") + END, ["a"]),
    "a link beside a payload": (GOOD + header(b"a.json", 0, typeflag=b"2") + END, ["a"]),
    "what has no key": (member(b"README", b"words") + member(b".hidden", b"") +
                        member(b"._a.msgpack", b"junk") + GOOD + END, ["a"]),
    "meta members behind a payload": (GOOD + member(b"__m__/b.msgpack", b"junk") + END, ["a"]),
    "global words": (pax(record(b"comment", b"hello"), b"g") + GOOD + END, ["a"]),
    "times": (pax(record(b"mtime", b"1.5")) + GOOD + END, ["a"]),
    "size in base 256": (with_size(b"\x80" + len(PAYLOAD).to_bytes(11, "big")) +
                         padded(PAYLOAD) + END, ["a"]),
    "size by pax": (pax(record(b"size", b"%d" % len(PAYLOAD))) + with_size(b"0") +
                    padded(PAYLOAD) + END, ["a"]),
    "size with spaces": (with_size(b"%o " % len(PAYLOAD)) + padded(PAYLOAD) + END, ["a"]),
    "long name": (member(b"././@LongLink", b"n" * 300 + b".msgpack\0", b"L") + GOOD + END,
                  ["n" * 300]),
    "contiguous file": (member(b"a.msgpack", PAYLOAD, b"7") + END, ["a"]),
    "file of an old archive": (member(b"a.msgpack", PAYLOAD, b"\0") + END, ["a"]),
    "blocking of 20": (GOOD + bytes(20 * 512), ["a"]),
    "a key that comes again later": (GOOD + member(b"b.msgpack", PAYLOAD) + GOOD + END,
                                     ["a", "b", "a"]),
    "nothing": (END, []),
}  # fmt: skip


@pytest.mark.parametrize("name", FINE)
def test_what_is_strange_and_true_is_read(tmp_path: Path, name: str) -> None:
    """Rare but valid archives give their samples, mapped, streamed and compressed."""
    data, keys = FINE[name]
    items = [(key, SAMPLE) for key in keys]

    assert error_of(tmp_path / "fine.tar", data, items) is None
    for compress in COMPRESSED.values():
        assert error_of(Bytes(b""), compress(data), items) is None


def test_nothing_is_written_where_a_name_points(tmp_path: Path) -> None:
    """Reading never unpacks: names that climb out of a folder stay names."""
    (tmp_path / "in").mkdir()
    data = member(b"../out.msgpack", PAYLOAD) + END

    found = list(dataset(tmp_path / "in" / "a.tar", data))

    assert found == [SAMPLE]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_messages_hold_no_control_characters(tmp_path: Path) -> None:
    """Names from an archive are escaped and cut before they reach a terminal."""
    data = member(b"a\x1b[2J" + b"x" * 60 + b".msgpack", b"\xc1") + END

    error = error_of(tmp_path / "a.tar", data, [])

    assert "\x1b" not in str(error)
    long = pax(record(b"path", b"k" * 60_000 + b".txt")) + GOOD + END
    assert len(str(error_of(tmp_path / "a.tar", long, []))) < 5000


def test_a_sample_of_endless_members_is_refused(tmp_path: Path) -> None:
    """A key under which hundreds of thousands of members lie is a fault, and takes no memory."""
    data = b"".join(header(b"a.%d" % i, 0) for i in range(20_000)) + GOOD + END
    path = tmp_path / "a.tar"
    path.write_bytes(data)

    for shard in (mapped(path), streamed(data)):
        (error,) = errors(shard.chunks())
        assert "more than 1000 members" in error.reason


# -- compressed bombs


def zeros_in(compress: Callable[[bytes], bytes], head: bytes, n: int) -> bytes:
    """A compressed stream that begins with `head` and goes on with zeros."""
    return compress(head + bytes(n))


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz", "zst"])
@pytest.mark.parametrize(
    "head",
    [b"", GOOD, with_size(b"77777777777"), with_size(b"77777777777", b"a.bin"),
     with_size(b"77777777777", b"__index__"), header(b"x", 8**11 - 1, typeflag=b"x")],
    ids=["zeros", "zeros behind a member", "payload", "other member", "index", "extended header"],
)  # fmt: skip
def test_endless_zeros_are_refused_at_once(compression: str, head: bytes) -> None:
    """A small file that swells to much more ends in an error, and soon."""
    data = COMPRESSED[compression](head + bytes(20 << 20))
    start = time.process_time()

    found = errors(streamed(data * 20).chunks())

    assert len(found) == 1
    assert time.process_time() - start < 10


def test_a_stream_that_swells_without_end_is_stopped() -> None:
    """Beyond any ratio that samples have, decompression is given up."""
    packed = bz2.compress(bytes(100 << 20))
    head = bz2.compress(with_size(b"77777777777", b"a.bin"))
    start = time.process_time()

    (error,) = errors(streamed(head + packed * 50).chunks())

    assert "swells" in error.reason
    assert time.process_time() - start < 10


def test_a_window_that_is_too_large_is_refused() -> None:
    """Xz that asks for a gigabyte of memory is an error."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 28}]
    data = lzma.compress(GOOD + END, filters=filters)

    (error,) = errors(streamed(data).chunks())

    assert "compression" in error.reason
    assert error.offset == 0


def test_compressed_twice_is_no_archive() -> None:
    """Only one layer of compression is taken off."""
    data = gzip.compress(gzip.compress(GOOD + END))

    assert len(errors(streamed(data).chunks())) == 1


# -- indexes that lie


def forged(data: bytes, **changes: int) -> bytes:
    """A shard whose footer says something else, with a digest that fits."""
    names = ["magic", "version", "flags", "n", "b", "n_head", "n_keys", "end", "total", "digest"]
    at = len(data) - shard_index.SUFFIX
    fields = dict(zip(names, struct.unpack("<8sIIQQQQQQQ", data[at:-1024]), strict=True))
    end = fields["end"]
    fields |= changes
    body = bytearray(data[end + 512 : -1024])
    body[-72:] = struct.pack("<8sIIQQQQQQQ", *fields.values())
    body[-8:] = struct.pack("<Q", xxh3_64_intdigest(bytes(body[:-8])))
    return data[: end + 512] + bytes(body) + data[-1024:]


@given(
    field=st.sampled_from(["version", "flags", "n", "b", "n_head", "n_keys", "end", "total"]),
    value=st.integers(0, 300)
    | st.sampled_from([2**31, 2**32 - 1, 2**61])
    | st.integers(0, 2**64 - 1),
)
def test_an_index_that_lies_is_found_out(tmp_path: Path, field: str, value: int) -> None:
    """Counts that do not fit are errors before anything is made of them, whatever the digest."""
    data, items = written(tmp_path)
    if field in ("version", "flags"):
        value %= 2**32

    error = error_of(tmp_path / "bad.tar", forged(data, **{field: value}), items)

    assert isinstance(error, ShardError) or forged(data, **{field: value}) == data


@given(
    at=st.lists(st.integers(0, 60).map(lambda n: n * 512), max_size=6),
    size=st.lists(st.integers(0, 4000), max_size=6),
    end=st.integers(0, 20).map(lambda n: n * 512),
)
def test_offsets_that_lie_are_found_out(at: list[int], size: list[int], end: int) -> None:
    """Samples that overlap, fall back or leave the shard are refused when the index is read."""
    n = min(len(at), len(size))
    tail = shard_index.build(
        head=shard_index.encode_head(shard_index.Head(first_key=0)),
        at=np.array(at[:n], np.int64),
        size=np.array(size[:n], np.int64),
        keys=None,
        end=end,
        damage=[0] if n else [],
        proof=None,
    )
    place = 0
    true = True
    for one, length in zip(at[:n], size[:n], strict=True):
        true &= one >= place + 512
        place = one + (length + 511) // 512 * 512
    true &= place <= end and bool(n or not end)

    try:
        index = shard_index.parse(tail)
    except shard_index.IndexDamageError:
        assert not true
    else:
        assert true
        assert index.at.tolist() == at[:n]


@pytest.mark.parametrize("keys", [["é", "b"], ["aé", "c"]])
def test_keys_cut_inside_a_character_are_found_out(keys: list[str]) -> None:
    """An index whose keys end within a character is refused when it is read."""
    raw = "".join(keys).encode()
    tail = shard_index.build(
        head=b"\x80",
        at=np.array([512, 1024], np.int64),
        size=np.zeros(2, np.int64),
        keys=keys,
        end=1024,
        damage=[0],
        proof=None,
    )
    ends = tail.index(raw) - 8
    first = len(keys[0].encode()) - 1
    body = bytearray(tail[512:-1024])
    body[ends - 512 : ends - 508] = struct.pack("<I", first)
    body[-8:] = struct.pack("<Q", xxh3_64_intdigest(bytes(body[:-8])))

    with pytest.raises(shard_index.IndexDamageError, match="inside a character"):
        shard_index.parse(tail[:512] + bytes(body) + END)


@pytest.mark.parametrize("head", [b"", b"\xc1", b"\x91" * 5000, b"\x81\xa9first_key\xa1x",
                                  b"\x81\xb0content_metadata\x91\x01"])  # fmt: skip
def test_a_head_that_cannot_be_read_is_damage(tmp_path: Path, head: bytes) -> None:
    """Words in an index that are no map of their kind, or nested without end, are damage."""
    tail = shard_index.build(
        head=head,
        at=np.array([512], np.int64),
        size=np.array([len(PAYLOAD)], np.int64),
        keys=None,
        end=len(GOOD),
        damage=[0],
        proof=None,
    )

    error = error_of(tmp_path / "a.tar", GOOD + tail, [])

    assert isinstance(error, ShardError)
    assert "head" in error.reason


@given(st.binary(max_size=3000))
def test_any_bytes_are_an_error_or_an_archive(tmp_path: Path, data: bytes) -> None:
    """Random bytes never crash a reader."""
    place = tmp_path / "any.tar"

    try:
        found = list(dataset(place, data))
    except (ShardError, SchemaError):
        pass
    else:
        assert found == []


@given(st.data())
def test_any_true_header_is_an_error_or_a_member(tmp_path: Path, data: st.DataObject) -> None:
    """Headers of random fields with a right checksum never crash a reader, and both agree."""
    blocks = b""
    for _ in range(data.draw(st.integers(1, 4))):
        block = header(data.draw(st.sampled_from([b"a.msgpack", b"b.msgpack", b"c"])), 0)
        block = bytearray(block)
        for _ in range(data.draw(st.integers(0, 2))):
            at = data.draw(st.sampled_from([0, 3, 99, 124, 135, 156, 257, 263, 345, 346]))
            piece = data.draw(st.binary(min_size=1, max_size=12))
            block[at : at + len(piece)] = piece
        blocks += sealed(bytes(block[:512])) + data.draw(st.sampled_from([b"", padded(PAYLOAD)]))
    path = tmp_path / "any.tar"
    whole = blocks + data.draw(st.sampled_from([END, b"", bytes(512)]))
    dataset(path, whole)

    assert read(mapped(path).chunks()) == read(streamed(whole).chunks())


def test_deep_and_swollen_payloads_are_refused(tmp_path: Path) -> None:
    """Payloads that nest for ever or promise gigabytes are errors that name the sample."""
    huge = b"\xff\xff\xff\xff"
    bombs = [b"\x91" * 100_000, b"\x81\xa1a" * 50_000, b"\xdf" + huge, b"\xdd" + huge]
    bombs += [b"\xc6" + huge, b"\x81\xa1a\xdb" + huge, b"\x01", b"\x90", b"\xc1"]
    for kind in (Small, DictSample):
        for bomb in bombs:
            path = tmp_path / "a.tar"
            path.write_bytes(tar_of([("a.msgpack", bomb)]))
            with pytest.raises(SchemaError) as caught:
                list(Dataset(path, sample_type=kind))
            assert (caught.value.shard_id, caught.value.key) == (str(path), "a")
            assert caught.value.offset == 512


def test_duplicate_fields_do_not_pass_in_silence(tmp_path: Path) -> None:
    """A payload that names a field twice is read as one of the two or refused, never mixed."""
    payload = b"\x82\xa1a\x01\xa1a\x02"
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of([("a.msgpack", payload)]))

    found = error_or(lambda: Dataset(path)[0]["a"])

    assert found in (1, 2) or isinstance(found, SchemaError)


def test_payloads_of_tarfile_members_beyond_memory_are_refused() -> None:
    """A stream that brings a payload of more than half a gibibyte is refused before it is read."""
    head = with_size(b"%011o" % ((1 << 29) + 1))

    (error,) = errors(streamed(head + bytes(2000)).chunks())

    assert "may bring" in error.reason
    assert error.offset == 0


def test_the_lies_are_lies_to_others_too() -> None:
    """The good member that lies are built around is one that `tarfile` reads."""
    with tarfile.open(fileobj=io.BytesIO(GOOD + END)) as tar:
        assert tar.getnames() == ["a.msgpack"]
    assert msgspec.msgpack.decode(PAYLOAD)["name"] == "s1"
