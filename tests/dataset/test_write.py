"""Writing samples: what comes back, what is refused, what is left behind."""

import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import atdata
from atdata import Dataset, DictSample, SchemaError


@atdata.packable
class Point:
    """A small sample."""

    name: str
    n: int


@atdata.packable
class Other:
    """Another with the same fields."""

    name: str
    n: int


@atdata.packable
class Picture:
    """A large one."""

    image: NDArray[np.uint8]


def points(n: int = 6) -> list[Point]:
    return [Point(f"p{i}", i) for i in range(n)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_one_file_without_a_limit_and_numbered_files_with_one(tmp_path: Path) -> None:
    """Parent folders are made, and the dataset that is returned reads what was written."""
    one = atdata.write_samples(iter(points()), tmp_path / "new/folder/p.tar")
    many = atdata.write_samples(points(), str(tmp_path / "many/p.tar"), maxcount=4)
    placed = atdata.write_samples(points(), tmp_path / "many/q-%03d.tar", maxcount=4)

    assert names(tmp_path / "new") == ["p.tar"]
    assert names(tmp_path / "many") == [
        "p-000000.tar", "p-000001.tar", "q-000.tar", "q-001.tar",
    ]  # fmt: skip
    for ds in (one, many, placed):
        assert list(ds) == points()
        assert ds.sample_type is Point
        assert all(Path(shard).is_absolute() for shard in ds.shards)


def test_links_in_the_path_are_resolved(tmp_path: Path) -> None:
    """The returned dataset reads the file itself, wherever the link leads later."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    ds = atdata.write_samples(points(), tmp_path / "link/p.tar")

    assert ds.list_shards() == [str(tmp_path.resolve() / "real/p.tar")]


@pytest.mark.parametrize("limit", [{}, {"maxcount": 2}])
def test_an_iterable_that_raises_leaves_nothing(tmp_path: Path, limit: dict[str, int]) -> None:
    """Neither shards nor temporary files; what was there before is still there."""
    old = atdata.write_samples(points(3), tmp_path / "p.tar", **limit)
    before = names(tmp_path)

    def failing() -> Iterator[Point]:
        yield from points(5)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        atdata.write_samples(failing(), tmp_path / "p.tar", **limit)

    assert names(tmp_path) == before
    assert list(Dataset[Point](old.list_shards())) == points(3)


@pytest.mark.parametrize("samples", [[], iter(())])
def test_nothing_to_write_is_an_error_and_leaves_nothing(tmp_path: Path, samples: Any) -> None:
    """No empty shard."""
    with pytest.raises(ValueError, match="non-empty"):
        atdata.write_samples(samples, tmp_path / "p.tar")

    assert names(tmp_path) == []


def test_a_shorter_write_removes_the_shards_of_a_longer_one(tmp_path: Path) -> None:
    """And no file of another name."""
    atdata.write_samples(points(9), tmp_path / "p.tar", maxcount=2)
    for name in ("p.tar", "p-1.tar", "p-000009.tar.bak", "pp-000004.tar", "p-extra-000004.tar"):
        (tmp_path / name).write_bytes(b"mine")
    kept = set(names(tmp_path)) - {f"p-00000{i}.tar" for i in range(2, 5)}

    atdata.write_samples(points(3), tmp_path / "p.tar", maxcount=2)

    assert set(names(tmp_path)) == kept


def test_samples_of_another_type_are_refused(tmp_path: Path) -> None:
    """With their number, and before anything is visible."""
    mixed = [*points(40), Other("a", 1)]

    with pytest.raises(SchemaError, match="Other as sample 40"):
        atdata.write_samples(mixed, tmp_path / "p.tar")
    with pytest.raises(SchemaError, match="DictSample as sample 1"):
        atdata.write_samples([Point("a", 1), DictSample(name="a", n=1)], tmp_path / "p.tar")
    for no_sample in (1, "text", {"a": 1}, None):
        with pytest.raises(TypeError):
            atdata.write_samples([no_sample], tmp_path / "p.tar")

    assert names(tmp_path) == []


def test_a_sample_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """By its number and field, wherever it is."""
    for number in (0, 1, 500):
        bad = [Point(f"p{i}", "no int" if i == number else i) for i in range(600)]  # type: ignore[arg-type]

        with pytest.raises(SchemaError, match=f"number {number}, counted from 0") as found:
            atdata.write_samples(bad, tmp_path / "p.tar")
        assert found.value.path == "n"

    assert names(tmp_path) == []


@pytest.mark.parametrize("limit", [{"maxcount": 0}, {"maxcount": -1}, {"maxsize": 0}])
def test_limits_that_nothing_fits_are_refused(tmp_path: Path, limit: dict[str, int]) -> None:
    """Rather than making one shard per sample."""
    with pytest.raises(ValueError, match="maxcount|maxsize"):
        atdata.write_samples(points(), tmp_path / "p.tar", **limit)

    assert names(tmp_path) == []


def test_maxsize_counts_everything(tmp_path: Path) -> None:
    """No file is larger, none could take the next sample, and a sample too large is refused."""
    for key in (None, "name"):
        ds = atdata.write_samples(points(300), tmp_path / "p.tar", maxsize=40_000, key=key)

        sizes = [os.path.getsize(shard) for shard in ds.shards]
        assert max(sizes) <= 40_000
        assert min(sizes[:-1]) > 40_000 - 4 * 512
        assert list(ds) == points(300)
    with pytest.raises(ValueError, match="sample 0 alone"):
        atdata.write_samples(points(), tmp_path / "q.tar", maxsize=1000)
    assert not [name for name in names(tmp_path) if name.startswith((".", "q"))]


def test_maxcount_is_exact(tmp_path: Path) -> None:
    """All shards but the last hold just as many."""
    ds = atdata.write_samples(points(100), tmp_path / "p.tar", maxcount=7)

    counts = [len(Dataset(shard)) for shard in ds.shards]

    assert counts == [7] * 14 + [2]


def test_names_that_are_no_plain_tar_are_refused(tmp_path: Path) -> None:
    """A compressed shard could not be read by position."""
    for name in ("p.tar.gz", "p.zip", "p", "p-%d-%d.tar"):
        with pytest.raises(ValueError, match=r"\.tar|one place"):
            atdata.write_samples(points(), tmp_path / name, maxcount=3)

    assert names(tmp_path) == []


def test_keys_come_from_a_field_or_a_function(tmp_path: Path) -> None:
    """And are running numbers otherwise, over all shards."""
    by_field = atdata.write_samples(points(), tmp_path / "a.tar", key="name", maxcount=4)
    by_function = atdata.write_samples(points(), tmp_path / "b.tar", key=lambda p: f"x/{p.n}")
    of_dicts = atdata.write_samples([DictSample(k="ä" * 60)], tmp_path / "d.tar", key="k")
    running = atdata.write_samples(points(), tmp_path / "c.tar", maxcount=4)

    assert [key for key, _ in by_field.items()] == [f"p{i}" for i in range(6)]
    assert [key for key, _ in by_function.items()] == [f"x/{i}" for i in range(6)]
    assert [key for key, _ in running.items()] == [f"{i:09d}" for i in range(6)]
    assert (
        by_field.get("p5") == by_function.get("x/5") == running.get("000000005") == Point("p5", 5)
    )
    assert of_dicts.get("ä" * 60).k == "ä" * 60


@pytest.mark.parametrize(
    "key",
    [
        "no field", lambda p: "same", lambda p: p.n, lambda p: "a.b", lambda p: "", lambda p: None,
        lambda p: "/root", lambda p: "__meta__", lambda p: "a\0b", lambda p: "\ud800",
        lambda p: "x" * 100_000,
    ],
)  # fmt: skip
def test_keys_that_readers_could_not_give_back_are_refused(tmp_path: Path, key: Any) -> None:
    """Two that are the same, no text, with dots, or like a meta name; nothing is left."""
    with pytest.raises((ValueError, TypeError)):
        atdata.write_samples(points(), tmp_path / "p.tar", key=key)

    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "given", [3, "text", [1], {1: 2}, {"a": object()}, {"a": {1, 2}}, {"a": 2**70}, Point]
)
def test_content_metadata_must_be_plain(tmp_path: Path, given: Any) -> None:
    """It is checked before anything is read or written."""
    untouched = iter(points())

    with pytest.raises(TypeError, match="content_metadata must be"):
        atdata.write_samples(untouched, tmp_path / "p.tar", content_metadata=given)

    assert len(list(untouched)) == 6
    assert names(tmp_path) == []


def test_the_same_samples_make_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the time, the folder, the process, and how the samples come."""
    script = (
        "import sys, atdata\n"
        "@atdata.packable\n"
        "class Point:\n"
        "    name: str\n"
        "    n: int\n"
        "points = (Point(f'p{i}', i) for i in range(3000))\n"
        "atdata.write_samples(points, sys.argv[1], maxcount=2000)\n"
    )
    atdata.write_samples(points(3000), tmp_path / "a/p.tar", maxcount=2000)
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "b/p.tar")], check=True)

    for name in ("p-000000.tar", "p-000001.tar"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_writer_that_is_killed_leaves_no_shard(tmp_path: Path) -> None:
    """Only a temporary file, which no reader takes for a shard."""
    script = (
        "import sys, time, atdata\n"
        "def slowly():\n"
        "    for i in range(10**6):\n"
        "        yield atdata.DictSample(n=i, data=bytes(100_000))\n"
        "        if i == 100: print('go', flush=True)\n"
        "        if i > 100: time.sleep(0.01)\n"
        "atdata.write_samples(slowly(), sys.argv[1], maxcount=30)\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "p.tar")], stdout=subprocess.PIPE
    )
    with run:
        assert run.stdout is not None
        run.stdout.readline()
        run.send_signal(signal.SIGKILL)

    assert [name for name in names(tmp_path) if not name.startswith(".")] == []


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither to stdout nor to stderr, unless that is a terminal."""
    atdata.write_samples(points(5000), tmp_path / "p.tar", maxcount=1000)

    assert capfd.readouterr() == ("", "")


def test_large_and_small_samples_take_turns(tmp_path: Path) -> None:
    """Chunks of samples follow the size of the first of them; all come back."""
    given = [
        Picture(np.full((2000 if i % 50 == 49 else 1, 1000), i % 250, np.uint8))
        for i in range(200)
    ]

    ds = atdata.write_samples(given, tmp_path / "p.tar")

    assert list(ds) == given


def test_python_reads_what_was_written(tmp_path: Path) -> None:
    """`tarfile` finds the members, in order, with the samples' own bytes."""
    ds = atdata.write_samples(points(), tmp_path / "p.tar", key="name")

    with tarfile.open(ds.list_shards()[0]) as tar:
        members = tar.getmembers()
        payloads = [tar.extractfile(m).read() for m in members[:-1]]  # type: ignore[union-attr]

    assert [m.name for m in members] == [f"p{i}.msgpack" for i in range(6)] + ["__index__"]
    assert payloads == [atdata.pack(p) for p in points()]
