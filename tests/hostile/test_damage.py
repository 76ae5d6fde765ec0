"""A flipped, lost or added byte anywhere in a shard is noticed, and wrong data is never given."""

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from tests.hostile.damage import (
    Bytes,
    Items,
    Small,
    check_noticed,
    check_skipping,
    dataset,
    error_of,
    error_or,
    small,
    written,
)
from tests.shard.archives import COMPRESSED, tar_of

from atdata import SchemaError

BLOCK = 512


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, Items]:
    """A place for damaged shards, a good one and its samples."""
    folder = tmp_path_factory.mktemp("damage")
    data, items = written(folder)
    assert error_of(folder / "bad.tar", data, items) is None
    return folder / "bad.tar", data, items


type Shard = tuple[Path, bytes, Items]


def flipped(data: bytes, at: int, bits: int) -> bytes:
    """The bytes with one changed."""
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]


def test_every_flipped_byte_is_noticed(shard: Shard) -> None:
    """A byte that is turned around, in a header, payload, filling, index or end, is an error."""
    path, data, items = shard

    quiet = [at for at in range(len(data)) if not error_of(path, flipped(data, at, 0xFF), items)]

    assert quiet == []


def test_flipped_bits_are_noticed_or_do_no_harm(shard: Shard) -> None:
    """With one bit changed, what is skipped is counted and the rest is what was written."""
    path, data, items = shard

    for at in range(0, len(data), 2):
        check_skipping(path, flipped(data, at, 1 << at // 2 % 8), items)


def test_flipped_bytes_are_noticed_by_position_and_in_batches(shard: Shard) -> None:
    """Reading by index, by key, by selection and in batches gives an error or what was written."""
    path, data, items = shard
    samples = [sample for _, sample in items]

    for at in range(0, len(data), 29):
        bad = flipped(data, at, 0x55)
        for read, wanted in (
            (lambda ds: [ds[i] for i in range(len(ds))], samples),
            (lambda ds: [ds[-1], ds[0]], [samples[-1], samples[0]]),
            (lambda ds: ds.select([3, 3, 1]), [samples[3], samples[3], samples[1]]),
            (lambda ds: [ds.get(key) for key, _ in items], samples),
            (lambda ds: [s for batch in ds.ordered(batch_size=4) for s in batch], samples),
            (lambda ds: sorted(ds.shuffled(seed=1), key=lambda s: s.value), samples),
        ):
            found = error_or(lambda read=read, bad=bad: read(dataset(path, bad)))
            assert found == wanted or found.shard_id == str(path)


def test_every_lost_byte_is_noticed(shard: Shard) -> None:
    """A shard from which one byte is missing, wherever it was, is an error."""
    path, data, items = shard

    quiet = [
        at for at in range(len(data)) if not error_of(path, data[:at] + data[at + 1 :], items)
    ]

    assert quiet == []


def test_every_cut_is_noticed(shard: Shard) -> None:
    """A shard that ends too early is an error, also at a member's border, where it looks whole."""
    path, data, items = shard
    borders = range(0, len(data), BLOCK)
    places = {*borders, *(at + 1 for at in borders), *range(3, len(data), 41)}

    for at in sorted(places):
        assert error_of(path, data[:at], items) is not None
        check_skipping(path, data[:at], items)


def test_a_cut_at_a_member_border_names_its_place(shard: Shard) -> None:
    """The error for missing end blocks says where the shard ends, and what came before is read."""
    path, data, items = shard
    at = data.index(b"000000004.msgpack")

    error = error_of(path, data[:at], items)

    assert error is not None
    assert error.offset == at
    assert "end-of-archive" in str(error)
    stream = dataset(path, data[:at], "skip").ordered()
    assert list(stream.items()) == items[:4]
    assert stream.n_skipped == 1
    assert stream.skipped[0].offset == at


def test_a_flip_in_the_extended_header_of_a_member_is_noticed(tmp_path: Path) -> None:
    """A bit in a pax header, which used to end a shard in silence, is an error or does no harm."""
    members = [(f"{i}.msgpack", sample.packed) for i, sample in enumerate(small(4))]
    data = tar_of(members, form=2, mtime=1795373396.9726925)
    items = [(str(i), sample) for i, sample in enumerate(small(4))]
    path = tmp_path / "pax.tar"
    third = data.index(b"././@PaxHeader", 5000)

    for at in range(third, third + 3 * BLOCK, 2):
        check_skipping(path, flipped(data, at, 1 << at // 2 % 8), items)


def test_damaged_blocks_are_noticed(shard: Shard) -> None:
    """Blocks of the file that are zeroed, lost, doubled or exchanged are errors."""
    path, data, items = shard
    blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    zero = bytes(BLOCK)
    bad: list[list[bytes]] = []
    for i in range(len(blocks)):
        bad.append([*blocks[:i], zero, *blocks[i + 1 :]])
        bad.append([*blocks[:i], *blocks[i + 1 :]])
        bad.append([*blocks[:i], blocks[i], *blocks[i:]])
    for i, j in combinations(range(len(blocks)), 2):
        exchanged = list(blocks)
        exchanged[i], exchanged[j] = blocks[j], blocks[i]
        bad.append(exchanged)

    for one in bad:
        damaged = b"".join(one)
        if damaged.rstrip(b"\0") != data.rstrip(b"\0"):  # not only a block of the end
            check_noticed(path, damaged, items)
            assert error_of(path, damaged, items) is not None


def test_what_is_added_is_noticed(shard: Shard) -> None:
    """Bytes behind a shard, or another shard behind it, are an error; zeros are tar's filling."""
    path, data, items = shard

    for more in (b"x", b"\n", b"x" * 512, data, data[:512], data[-2048:], bytes(1024) + b"x"):
        assert error_of(path, data + more, items) is not None
        check_skipping(path, data + more, [*items, *items])
    for fill in (1, 512, 9728, 1 << 20):
        assert error_of(path, data + bytes(fill), items) is None


@pytest.mark.parametrize("data", [b"", b"\n", b"x" * 600, bytes(512), bytes(1023), bytes(5 << 20)])
def test_what_is_no_archive_is_an_error(shard: Shard, data: bytes) -> None:
    """An empty file, text, or zeros that are no end of an archive are not taken for a shard."""
    path, _, _ = shard

    assert error_of(path, data, []) is not None
    assert error_of(Bytes(b""), data, []) is not None


@pytest.mark.parametrize("compression", COMPRESSED)
def test_streams_notice_flipped_and_lost_bytes(shard: Shard, compression: str) -> None:
    """A stream shows damage before it ends, or gives what was written."""
    _, data, items = shard
    packed = COMPRESSED[compression](data)
    place = Bytes(b"")
    step = max(1, len(packed) // 400)

    for at in range(0, len(packed), step):
        check_noticed(place, flipped(packed, at, 0xFF), items)
        check_noticed(place, flipped(packed, at, 1 << at % 8), items)
        check_noticed(place, packed[:at] + packed[at + 1 :], items)


@pytest.mark.parametrize("compression", COMPRESSED)
def test_streams_notice_cuts(shard: Shard, compression: str) -> None:
    """A stream that ends too early is an error, and what came before it is what was written."""
    _, data, items = shard
    packed = COMPRESSED[compression](data)
    place = Bytes(b"")

    for at in range(0, len(packed), max(1, len(packed) // 120)):
        assert error_of(place, packed[:at], items) is not None
        check_skipping(place, packed[:at], items)


def test_streams_notice_damaged_blocks(shard: Shard) -> None:
    """Blocks that are zeroed, lost, doubled or exchanged in a stream are noticed at its end."""
    _, data, items = shard
    blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    place = Bytes(b"")

    for i, j in combinations(range(len(blocks)), 2):
        exchanged = list(blocks)
        exchanged[i], exchanged[j] = blocks[j], blocks[i]
        check_noticed(place, b"".join(exchanged), items)
    for i in range(len(blocks)):
        check_noticed(place, b"".join([*blocks[:i], *blocks[i + 1 :]]), items)
        check_noticed(place, b"".join([*blocks[:i], bytes(BLOCK), *blocks[i + 1 :]]), items)


def test_foreign_shards_hold_what_can_be_held(tmp_path: Path) -> None:
    """Without an index a flip inside a payload cannot be told; all others are noticed."""
    samples = small()
    data = tar_of((f"{i}.msgpack", sample.packed) for i, sample in enumerate(samples))
    items = [(str(i), sample) for i, sample in enumerate(samples)]
    payloads: set[int] = set()
    for _, sample in items:
        at = data.index(sample.packed)
        payloads |= set(range(at, at + (len(sample.packed) + 511) // 512 * 512))
    path = tmp_path / "foreign.tar"

    for at in range(0, len(data) - 10_000, 3):
        bad = flipped(data, at, 1 << at % 8)
        if at not in payloads:
            check_skipping(path, bad, items)
            continue
        for place in (path, Bytes(b"")):
            found = error_or(lambda place=place, bad=bad: list(dataset(place, bad)))
            if isinstance(found, list):
                assert [type(sample) for sample in found] == [Small] * len(items)
            else:
                assert found.offset is not None


def test_bytes_behind_the_message_of_a_payload_are_an_error(tmp_path: Path) -> None:
    """A payload is one msgpack map and nothing after it; what follows is not passed over."""
    sample = small(1)[0]
    for more in (b"\0", b"\xc0", sample.packed):
        data = tar_of([("a.msgpack", sample.packed + more)])

        error = error_of(tmp_path / "a.tar", data, [])

        assert isinstance(error, SchemaError)
        assert (error.key, error.offset) == ("a", 512)


_CHILD = """
import json, random, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
from tests.hostile.damage import Bytes, check_noticed, small, written
folder = Path(sys.argv[1])
data, items = written(folder)
status = Path("/proc/self/status").read_text()
now = int(status.partition("VmSize:")[2].split()[0]) << 10
resource.setrlimit(resource.RLIMIT_AS, (now + (200 << 20),) * 2)
rng = random.Random(int(sys.argv[2]))
for _ in range(250):
    bad = bytearray(data)
    kind = rng.randrange(4)
    at = rng.randrange(len(bad))
    n = rng.choice([1, 2, 7, 512, 3000])
    if kind == 0:
        bad[at : at + n] = rng.randbytes(len(bad[at : at + n]))
    elif kind == 1:
        del bad[at : at + n]
    elif kind == 2:
        bad[at:at] = rng.randbytes(n)
    else:
        bad[at : at + n] = b"\\xff" * len(bad[at : at + n])
    check_noticed(folder / "bad.tar", bytes(bad), items)
    check_noticed(Bytes(b""), bytes(bad), items)
print("held")
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_any_damage_stays_within_bounds(tmp_path: Path, seed: int) -> None:
    """In a process with 200 MB and half a minute, damage of any kind neither kills nor hangs."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(tmp_path), str(seed)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout == "held\n"
