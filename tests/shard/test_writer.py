"""The shard writer: the same bytes each time, limits met exactly, all or nothing."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shard.archives import Blobs, array_of, mapped, read, write_shard, write_shards
from webdataset.tariterators import group_by_keys, tar_file_expander
from xxhash import xxh3_64_intdigest

import atdata
from atdata.shard.digest import blocks_of
from atdata.shard.headers import running_headers
from atdata.shard.index import SUFFIX, Head, build, encode_head, index_span, parse, payload_size
from atdata.shard.keys import check_key, running_key
from atdata.shard.scan import scan_one_by_one
from atdata.shard.tar import END, header, member_header
from atdata.shard.writer import ShardWriter

SIZES = st.lists(st.integers(0, 3000) | st.sampled_from([511, 512, 513]), min_size=1, max_size=60)
KEYS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="./"),
    min_size=1,
    max_size=60,
).filter(lambda key: not key.startswith("__"))


def blobs(sizes: list[int]) -> list[bytes]:
    """Payloads of these sizes that all differ."""
    return [bytes([i % 256]) * size for i, size in enumerate(sizes)]


@given(
    st.integers(0, 10**9 + 50),
    st.lists(st.integers(0, 8**11 - 1) | st.integers(0, 600), max_size=30),
)
def test_headers_made_together_are_those_made_one_by_one(first: int, sizes: list[int]) -> None:
    """Headers written as arrays equal the general way's, for any numbers and sizes."""
    made = running_headers(first, np.array(sizes, np.int64))

    each = [header(f"{running_key(first + i)}.msgpack".encode(), s) for i, s in enumerate(sizes)]
    assert made.tobytes() == b"".join(each)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_header_is_what_tarfile_reads(name: str) -> None:
    """Names of any length and script come back from `tarfile`."""
    data = member_header(name + ".msgpack", 3) + b"abc".ljust(512, b"\0") + END

    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        info = tar.next()

    assert info is not None
    assert info.name == name + ".msgpack"
    assert (info.size, info.mtime, info.uid, info.gid) == (3, 0, 0, 0)


@st.composite
def laid_out(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Sizes and offsets of samples, some of them with three headers."""
    sizes = draw(st.lists(st.integers(0, 400_000), max_size=30))
    heads = draw(st.lists(st.sampled_from([512, 1536]), min_size=len(sizes), max_size=len(sizes)))
    at, end = [], 0
    for size, head in zip(sizes, heads, strict=True):
        at.append(end + head)
        end += head + (size + 511) // 512 * 512
    return np.array(at, np.int64), np.array(sizes, np.int64), end


@given(layout=laid_out(), data=st.data())
def test_an_index_says_what_it_was_built_from(
    layout: tuple[np.ndarray, np.ndarray, int], data: st.DataObject
) -> None:
    """Offsets, sizes, keys, digests and words come back; its size is what was reckoned."""
    at, size, end = layout
    starts = np.concatenate([[0], ((at + size + 511) // 512 * 512)[:-1]])[: len(at)]
    n_blocks = len(blocks_of(starts, end))
    digests = st.lists(st.binary(min_size=32, max_size=32), min_size=n_blocks, max_size=n_blocks)
    proof = data.draw(st.none() | digests)
    damage = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=n_blocks, max_size=n_blocks))
    keys = data.draw(st.none() | st.lists(KEYS, min_size=len(at), max_size=len(at)))
    about = data.draw(st.none() | st.dictionaries(st.text(), st.integers(-5, 5)))
    head = encode_head(Head("T", 7 if keys is None else None, about))

    tail = build(
        head=head, at=at, size=size, keys=keys, end=end, damage=damage, proof=proof
    )  # fmt: skip
    span = index_span(tail[-SUFFIX:], end + len(tail))
    index = parse(tail)

    n_keys = None if keys is None else len("".join(keys).encode())
    payload = payload_size(len(at), n_blocks, n_keys, len(head), proof=proof is not None)
    assert span == len(tail) == 512 + payload + len(END)
    assert (index.at.tolist(), index.size.tolist()) == (at.tolist(), size.tolist())
    assert list(index.keys) == (keys or [running_key(7 + i) for i in range(len(at))])
    assert index.damage.tolist() == damage
    assert (index.proof is None) == (proof is None)
    assert proof is None or index.proof is None or index.proof.tobytes() == b"".join(proof)
    assert (index.end, len(index), index.head.content_metadata) == (end, len(at), about)
    for row, key in enumerate(index.keys):
        assert index.keys[index.keys.find(key)] == key
        assert index.keys.find(key) <= row
    assert index.keys.find("no such key") == -1


def file_size(n: int, sizes: list[int], digest: bool, keys: list[str] | None) -> int:
    """What a shard of the first samples weighs, by writing it."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = write_shard(Path(folder), blobs(sizes[:n]), keys and keys[:n], digest=digest)
        return path.stat().st_size


@settings(max_examples=25)
@given(
    sizes=SIZES,
    pieces=st.lists(st.integers(1, 20), max_size=8),
    maxcount=st.integers(1, 70),
)
def test_a_shard_ends_at_its_maximal_count(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], pieces: list[int], maxcount: int
) -> None:
    """Each shard but the last holds exactly `maxcount` samples."""
    shards = write_shards(
        tmp_path_factory.mktemp("s"), blobs(sizes), pieces=pieces, maxcount=maxcount
    )

    counts = [shard.n_samples for shard in shards]
    assert counts[:-1] == [maxcount] * (len(counts) - 1)
    assert 0 < counts[-1] <= maxcount
    assert sum(counts) == len(sizes)


@settings(max_examples=25)
@given(
    sizes=SIZES,
    pieces=st.lists(st.integers(1, 20), max_size=8),
    room=st.integers(0, 60_000),
    digest=st.booleans(),
    keyed=st.booleans(),
)
def test_a_shard_ends_at_its_maximal_size(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    pieces: list[int],
    room: int,
    digest: bool,
    keyed: bool,
) -> None:
    """No file is larger than `maxsize`, and none could have held one more sample."""
    payloads = blobs(sizes)
    keys = [f"{'k' * (i * 7 % 120)}{i}" for i in range(len(sizes))] if keyed else None
    folder = tmp_path_factory.mktemp("s")
    alone = [
        write_shard(folder, [p], keys and [keys[i]], digest=digest).stat().st_size
        for i, p in enumerate(payloads)
    ]
    maxsize = max(alone) + room

    shards = write_shards(folder, payloads, keys, pieces=pieces, maxsize=maxsize, digest=digest)

    first = 0
    for shard in shards:
        stop = first + shard.n_samples
        assert shard.n_bytes == shard.path.stat().st_size <= maxsize
        if stop < len(sizes):
            more = write_shards(
                folder / "more",
                payloads[first : stop + 1],
                keys and keys[first : stop + 1],
                digest=digest,
            )
            assert more[0].n_bytes > maxsize - (0 if keys else _key_slack(first))
        first = stop
    assert first == len(sizes)


def _key_slack(first: int) -> int:
    """A head that counts from another number may be a few bytes, so one block, longer."""
    return 512 if first else 0


@settings(max_examples=25)
@given(sizes=SIZES, pieces=st.lists(st.integers(1, 20), max_size=10), keyed=st.booleans())
def test_pieces_make_no_difference(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], pieces: list[int], keyed: bool
) -> None:
    """The same samples make the same file, however many of them come at a time."""
    payloads = blobs(sizes)
    keys = [f"key-{i:03d}" for i in range(len(sizes))] if keyed else None

    (whole,) = write_shards(tmp_path_factory.mktemp("a"), payloads, keys)
    (pieced,) = write_shards(tmp_path_factory.mktemp("b"), payloads, keys, pieces=pieces)

    assert whole.path.read_bytes() == pieced.path.read_bytes()
    assert whole.sha256 == pieced.sha256


@pytest.mark.parametrize("size", [10, 1000, 400_000, 3_000_000])
def test_digests_are_those_of_the_bytes(tmp_path: Path, size: int) -> None:
    """SHA-256 is the file's; XXH3 and BLAKE3 of each block are those of its bytes."""
    payloads = [os.urandom(size + i) for i in range(1 + 8_000_000 // (size + 512))][:3000]

    (shard,) = write_shards(tmp_path, payloads, pieces=[1, 7, 100])

    data = shard.path.read_bytes()
    index = parse(data[-(index_span(data[-SUFFIX:], len(data)) or 0) :])
    assert shard.sha256 == hashlib.sha256(data).hexdigest()
    assert (shard.n_samples, shard.n_bytes) == (len(payloads), len(data))
    assert index.proof is not None
    for block in range(len(index.blocks)):
        part = data[index.blocks.at[block] : index.blocks.at[block + 1]]
        assert xxh3_64_intdigest(part) == index.damage[block]
        assert blake3(part).digest() == index.proof[block].tobytes()


def test_digests_can_be_left_out(tmp_path: Path) -> None:
    """Without them a shard has no SHA-256 and no BLAKE3, and still XXH3."""
    (shard,) = write_shards(tmp_path, [b"one"], digest=False)

    index = mapped(shard.path).index
    assert shard.sha256 is None
    assert index is not None
    assert index.proof is None
    assert len(index.damage) == 1


def test_a_shard_without_samples_has_an_index(tmp_path: Path) -> None:
    """The writer makes no file for no samples; an index of none can be read all the same."""
    tail = build(
        head=encode_head(Head(first_key=0)),
        at=np.zeros(0, np.int64),
        size=np.zeros(0, np.int64),
        keys=None,
        end=0,
        damage=[],
        proof=None,
    )
    path = tmp_path / "none.tar"
    path.write_bytes(tail)

    assert write_shards(tmp_path / "w", []) == []
    assert mapped(path).index is not None
    assert read(mapped(path).chunks()) == []


# -- all or nothing


def digits(n: int) -> Iterator[atdata.DictSample]:
    """Some samples."""
    return (atdata.DictSample(name=f"s{i}", value=i) for i in range(n))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("after", [0, 1, 5000])
def test_samples_that_fail_to_come_leave_nothing_behind(
    tmp_path: Path, error: type[BaseException], after: int
) -> None:
    """An exception in the middle of the samples leaves no file, finished, half or temporary."""

    def failing() -> Iterator[atdata.DictSample]:
        yield from digits(after)
        raise error

    with pytest.raises(error):
        atdata.write_samples(failing(), tmp_path / "a.tar", maxcount=1000)

    assert list(tmp_path.iterdir()) == []


def test_failed_writing_leaves_what_was_there(tmp_path: Path) -> None:
    """A second write that fails leaves the shards of the first as they were."""
    atdata.write_samples(digits(30), tmp_path / "a.tar", maxcount=10)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(atdata.SchemaError):
        atdata.write_samples([*digits(15), object()], tmp_path / "a.tar", maxcount=10)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_samples_leave_no_file(tmp_path: Path) -> None:
    """An empty iterable is refused and leaves no empty archive that looks complete."""
    with pytest.raises(ValueError, match="non-empty"):
        atdata.write_samples([], tmp_path / "a.tar")

    assert list(tmp_path.iterdir()) == []


def test_fewer_shards_replace_all_that_were_there(tmp_path: Path) -> None:
    """Writing fewer shards under a name removes those that are left of the earlier write."""
    atdata.write_samples(digits(50), tmp_path / "a.tar", maxcount=10)
    (tmp_path / "b-000004.tar").write_bytes(b"another's")

    ds = atdata.write_samples(digits(15), tmp_path / "a.tar", maxcount=10)

    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a-000000.tar", "a-000001.tar", "b-000004.tar"]
    assert len(ds) == 15


def test_an_index_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """If the last shard cannot be finished, those before it go too."""
    words: dict[str, object] = {}
    writer = ShardWriter(
        lambda n: tmp_path / f"{n}.tar", maxcount=2, head=Head(content_metadata=words)
    )
    writer.add(Blobs([b"1", b"2", b"3"]), None)
    words["x"] = object()

    with pytest.raises(TypeError):
        writer.close()

    assert list(tmp_path.iterdir()) == []


def test_a_name_that_cannot_be_given_leaves_no_temporary_file(tmp_path: Path) -> None:
    """If a folder stands where a shard should go, only what was there is left."""
    (tmp_path / "0.tar").mkdir()

    with pytest.raises(OSError), ShardWriter(lambda n: tmp_path / f"{n}.tar") as writer:
        writer.add(Blobs([b"1", b"2", b"3"]), None)

    assert [path.name for path in tmp_path.iterdir()] == ["0.tar"]


@pytest.mark.parametrize("keyed", [False, True])
def test_one_sample_over_the_limit_is_refused(tmp_path: Path, keyed: bool) -> None:
    """A sample that no shard could hold is a ValueError that says which, and nothing is left."""
    payloads = [bytes(10), bytes(20_000), bytes(10)]

    with pytest.raises(ValueError, match="sample 1 alone"):
        write_shards(tmp_path, payloads, ["a", "b", "c"] if keyed else None, maxsize=15_000)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [0, -1])
def test_limits_that_hold_nothing_are_refused(tmp_path: Path, limit: int) -> None:
    """`maxcount` and `maxsize` below one are errors of the caller."""
    with pytest.raises(ValueError, match="maxcount"):
        atdata.write_samples(digits(3), tmp_path / "a.tar", maxcount=limit)
    with pytest.raises(ValueError, match="maxsize"):
        atdata.write_samples(digits(3), tmp_path / "a.tar", maxsize=limit)


# -- the same bytes

_WRITE = """
import sys, atdata
import numpy as np
from numpy.typing import NDArray
@atdata.packable
class S:
    name: str
    tags: set[str]
    x: NDArray
samples = [S(f"s{i}", {"b", "a", f"t{i}"}, np.arange(i, dtype="f4")) for i in range(300)]
atdata.write_samples(samples, sys.argv[1], key=lambda s: "k" * 99 + s.name)
"""


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    """Shards do not depend on the process, the hash seed, the time zone or the clock."""
    digests = set()
    for seed in ("0", "1", "77"):
        path = tmp_path / f"{seed}.tar"
        environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": f"UTC+{seed[0]}"}
        subprocess.run([sys.executable, "-c", _WRITE, str(path)], check=True, env=environment)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())

    assert len(digests) == 1


def test_the_same_samples_make_the_same_bytes(tmp_path: Path) -> None:
    """Written twice, shards are equal to the last byte."""
    for name in ("a", "b"):
        atdata.write_samples(digits(3000), tmp_path / name / "d.tar", maxsize=1_000_000)

    first, second = (sorted((tmp_path / name).iterdir()) for name in ("a", "b"))
    assert len(first) > 2
    assert [p.name for p in first] == [p.name for p in second]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


# -- keys


@atdata.packable
class Named:
    name: str
    value: int


def named(*names: str) -> list[Named]:
    """Samples with these names."""
    return [Named(name, i) for i, name in enumerate(names)]


def test_keys_come_from_a_field_or_a_function(tmp_path: Path) -> None:
    """`key=` names a field of text, or is a function of the sample."""
    samples = named("b", "a", "dir/c")

    by_field = atdata.write_samples(samples, tmp_path / "a.tar", key="name")
    by_function = atdata.write_samples(samples, tmp_path / "b.tar", key=lambda s: f"v{s.value}")

    assert list(by_field.items()) == [(sample.name, sample) for sample in samples]
    assert [key for key, _ in by_function.items()] == ["v0", "v1", "v2"]
    assert by_field.get("dir/c") == samples[2]


def test_keys_must_differ(tmp_path: Path) -> None:
    """Two samples with one key are refused, near each other, far apart or in two shards."""
    for names in (["a", "a"], ["a", *map(str, range(3000)), "a"]):
        with pytest.raises(ValueError, match="two samples have the key 'a'"):
            atdata.write_samples(named(*names), tmp_path / "a.tar", key="name", maxcount=100)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "key",
    ["", "a.b", "dir/a.b", ".a", "/a", "a/", "a//b", "../a", "a/../b", "./a", "__a__", "__a__/b",
     "a\0b", "\ud800", "k" * 60_001],
)  # fmt: skip
def test_keys_that_readers_would_change_are_refused(tmp_path: Path, key: str) -> None:
    """Keys that come back otherwise, or lie outside the folder of the archive, are errors."""
    with pytest.raises(ValueError, match="key"):
        check_key(key)
    with pytest.raises(ValueError, match="key"):
        atdata.write_samples([Named("x", 1)], tmp_path / "a.tar", key=lambda _: key)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", [None, 1, b"a", 1.5])
def test_keys_are_text(tmp_path: Path, key: object) -> None:
    """A key of another type is a TypeError that says which."""
    with pytest.raises(TypeError, match="a sample key is a str"):
        atdata.write_samples([Named("x", 1)], tmp_path / "a.tar", key=lambda _: key)


def test_a_field_that_is_not_there_is_named(tmp_path: Path) -> None:
    """`key=` of a field that the type lacks says which fields there are."""
    with pytest.raises(ValueError, match="name, value"):
        atdata.write_samples(named("a"), tmp_path / "a.tar", key="nom")


@given(
    keys=st.lists(
        st.one_of(KEYS, st.integers(50, 200).map(lambda n: "é" * n), st.just("x/" * 200 + "y")),
        min_size=1,
        max_size=8,
        unique=True,
    )
)
def test_any_key_is_read_by_others(tmp_path: Path, keys: list[str]) -> None:
    """Long keys and keys of any script come back from `tarfile`, webdataset and our readers."""
    path = write_shard(tmp_path, [key.encode() for key in keys], keys)

    with tarfile.open(path) as tar:
        names = tar.getnames()
    stream = io.BytesIO(path.read_bytes())
    theirs = list(group_by_keys(tar_file_expander([{"url": "a", "stream": stream}])))

    assert names == [f"{key}.msgpack" for key in keys] + ["__index__"]
    assert [sample["__key__"] for sample in theirs] == keys
    assert [sample["msgpack"] for sample in theirs] == [key.encode() for key in keys]
    assert list(mapped(path).keys) == keys
    assert list(scan_one_by_one(array_of(path.read_bytes())[:], "a").keys) == keys


def test_ten_digit_numbers_are_keys_too(tmp_path: Path) -> None:
    """Running numbers grow beyond nine digits without a break."""
    writer = ShardWriter(lambda _: tmp_path / "a.tar")
    with writer:
        writer.n_samples = 10**9 - 2
        writer.add(Blobs([b"a", b"b", b"c"]), None)
    shard = mapped(tmp_path / "a.tar")

    assert list(shard.keys) == ["999999998", "999999999", "1000000000"]
    assert [shard.keys.find(key) for key in shard.keys] == [0, 1, 2]
    assert read(shard.chunks()) == list(zip(shard.keys, [b"a", b"b", b"c"], strict=True))
    assert list(scan_one_by_one(array_of((tmp_path / "a.tar").read_bytes()), "a").keys) == list(
        shard.keys
    )


def test_buffers_are_used_again_only_when_they_are_hashed(tmp_path: Path) -> None:
    """Samples of many sizes through few buffers keep every byte."""
    rng = np.random.default_rng(3)
    payloads = [rng.bytes(int(size)) for size in rng.integers(0, 60_000, 600)]

    path = write_shard(tmp_path, payloads)

    assert [sample[1] for sample in read(mapped(path).chunks(verify="proof"))] == payloads
