"""Ray: reading and writing datasets on a cluster, and work on whole shards there."""

import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from enum import Enum
from itertools import islice
from pathlib import Path
from random import Random
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from tests.dataset.places import KINDS, Memory, foreign_tar, put
from tests.properties.kinds import OTHER, PLAIN, lists_of

import atdata
from atdata import Dataset, DictSample, PartialFailureError, SchemaError, Shape, ShardError
from atdata.adapters._ray_columns import Columns
from atdata.adapters.ray import from_ray
from atdata.codec.compile import codec_of
from atdata.dataset._export import row_of
from atdata.pipeline.world import World

ray: Any = pytest.importorskip("ray", reason="Ray is not installed: pip install 'atdata[ray]'")

NodeAffinitySchedulingStrategy: Any = pytest.importorskip(
    "ray.util.scheduling_strategies"
).NodeAffinitySchedulingStrategy

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes on this machine; this process is connected to it."""
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")  # sockets in it may not have long names
    here = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    node = {"num_cpus": 1, "object_store_memory": 150 << 20, "node_ip_address": "127.0.0.2"}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray uses what it deprecates, when it starts
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        made = Cluster(
            initialize_head=True,
            head_node_args={**node, "include_dashboard": False, "temp_dir": folder},
        )
        made.add_node(**node)
        ray.init(
            address=made.address,
            _node_ip_address="127.0.0.2",
            logging_level="ERROR",
            log_to_driver=False,
            runtime_env={"env_vars": here},
        )
        pytest.importorskip("ray.data").DataContext.get_current().enable_progress_bars = False
        yield made.address
        ray.shutdown()
        made.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _connected(cluster: str) -> None:
    """Each test here needs the cluster."""


@atdata.packable
class Point:
    """A small sample."""

    n: int


@atdata.packable
class Shifted:
    """What it can be viewed as."""

    n: int


@atdata.packable
class Vector:
    """A sample with an array."""

    n: int
    vector: Annotated[NDArray[np.float32], Shape(3)]


@atdata.lens
def shifted(s: Point) -> Shifted:
    """A lens that leaves a trace."""
    return Shifted(s.n + 100)


class Colour(Enum):
    """One of a few."""

    RED = "red"
    BLUE = "blue"


@atdata.packable
class Box:
    """Part of a sample."""

    corner: tuple[int, int]
    label: str | None


@atdata.packable
class Everything:
    """One field of each kind."""

    n: int
    share: float
    is_good: bool
    name: str
    raw: bytes
    perhaps: int | None
    colour: Colour
    day: datetime.date
    at: datetime.datetime
    id: uuid.UUID
    image: Annotated[NDArray[np.uint8], Shape(2, 3)]
    mask: Annotated[NDArray[np.bool_], Shape(None)]
    ragged: NDArray[np.float32]
    perhaps_array: NDArray[np.int64] | None
    waves: NDArray[np.complex64]
    box: Box
    boxes: list[Box]
    words: list[str]
    marks: set[int]
    table: dict[str, float]
    anything: Any


def everything(i: int) -> Everything:
    """The i-th of many different samples."""
    return Everything(
        n=2**63 + i if i == 3 else -i,
        share=float("nan") if i == 4 else i / 2,
        is_good=bool(i % 2),
        name=f"näme {i}",
        raw=bytes([i, 0]),
        perhaps=None if i % 3 else i,
        colour=Colour.BLUE if i % 2 else Colour.RED,
        day=datetime.date(2000 + i, 1, 2),
        at=datetime.datetime(2000, 1, 1, 2, 3, 4, i, datetime.UTC if i % 2 else None),
        id=uuid.UUID(int=i),
        image=np.full((2, 3), i, np.uint8),
        mask=np.arange(i) % 2 == 0,
        ragged=np.full((i, 2), i, ">f4" if i == 5 else "<f4"),
        perhaps_array=None if i % 2 else np.arange(i),
        waves=np.full(2, 1j * i, np.complex64),
        box=Box((i, 1), None),
        boxes=[Box((i, b), str(b)) for b in range(i % 3)],
        words=["a"] * (i % 3),
        marks={i, i + 1},
        table={f"key {i}": 0.5},
        anything=[i, {"x": None}, b"y"],
    )


def unpack_row(row: dict[str, Any]) -> Everything:
    """The sample that a row was."""
    return codec_of(Everything).from_data(row)


def points(n: int) -> list[Point]:
    return [Point(i) for i in range(n)]


def numbers(samples: list[Any]) -> list[int]:
    return [s.n for s in samples]


def in_order(rds: Any) -> list[dict[str, Any]]:
    """All rows in the order of the dataset."""
    rds.context.execution_options.preserve_order = True
    return list(rds.take_all())


def several(folder: Path) -> dict[str, Dataset[Any]]:
    """Datasets with all that may be done to them."""
    ds = atdata.write_samples(points(10), folder / "p.tar", maxcount=3)
    good = foreign_tar(points(3))
    memory = Dataset(Memory({"a": good, "b": good[:3000], "c": good}), sample_type=Point)
    joined = ds.concat(memory, put(folder, points(5), "gz", maxcount=2))
    least = 100
    return {
        "stages": ds.as_type(Shifted).filter(lambda s: s.n > least).map(lambda s: Point(-s.n)),
        "windows": ds.filter(lambda s: s.n % 2).skip(1).take(3),
        "sources": joined.with_options(on_error="skip").filter(lambda s: s.n != 1),
        "repeated": ds.skip(1).repeat(2).filter(lambda s: s.n % 2),
        "untyped": Dataset(ds.list_shards()).skip(2),
    }


CASES = ["stages", "windows", "sources", "repeated", "untyped"]


# -- reading


def test_rows_hold_what_the_samples_hold(tmp_path: Path) -> None:
    """Numbers, text and arrays as such, nested samples as dicts, the rest as it is."""
    given = [everything(i) for i in range(8)]
    ds = atdata.write_samples(given, tmp_path / "e.tar", maxcount=3)

    rows = in_order(ds.to_ray())

    given[5].ragged = given[5].ragged.astype("<f4")
    found = [unpack_row(row) for row in rows]
    assert list(map(atdata.pack, found)) == list(map(atdata.pack, given))
    six = rows[6]
    assert (six["n"], six["name"], six["raw"], six["perhaps"]) == (-6, "näme 6", b"\x06\0", 6)
    assert (six["colour"], six["day"]) == ("red", datetime.date(2006, 1, 2))
    assert six["box"] == {"corner": (6, 1), "label": None}
    assert (six["marks"], six["table"]) == ({6, 7}, {"key 6": 0.5})
    assert (six["image"].dtype, six["image"].shape) == (np.uint8, (2, 3))
    assert (six["ragged"].dtype, six["ragged"].shape) == (np.float32, (6, 2))
    assert [row["mask"].tolist() for row in rows[:3]] == [[], [True], [True, False]]
    assert rows[3]["at"] == datetime.datetime(2000, 1, 1, 2, 3, 4, 3, datetime.UTC)


def native(value: Any) -> Any:
    """A value with its arrays in this machine's byte order."""
    if isinstance(value, np.ndarray):
        return value.astype(value.dtype.newbyteorder("="))
    return list(map(native, value)) if isinstance(value, list) else value


@settings(max_examples=100)
@given(lists_of([*PLAIN, *OTHER]))
def test_samples_of_any_type_come_back(given: list[Any]) -> None:
    """What a row holds makes the sample again, whatever its fields are."""
    kind = type(given[0])
    accessor = pytest.importorskip("ray.data.block").BlockAccessor

    tables = Columns(kind).tables(map(row_of, given), None)
    rows = [row for one in tables for row in accessor.for_block(one).iter_rows(True)]

    expected = [kind(*(native(value) for value in vars(sample).values())) for sample in given]
    found = [codec_of(kind).from_data(row) for row in rows]
    assert list(map(atdata.pack, found)) == list(map(atdata.pack, expected))


@pytest.mark.parametrize("case", CASES)
def test_all_that_is_done_to_samples_is_done_there(tmp_path: Path, case: str) -> None:
    """The same samples as here, in the same order."""
    ds = several(tmp_path)[case]

    assert [row["n"] for row in in_order(ds.to_ray())] == [sample.n for sample in ds]


def test_arrays_of_one_shape_are_tensors(tmp_path: Path) -> None:
    """A batch of them is one array."""
    ds = atdata.write_samples([everything(i) for i in range(4)], tmp_path / "e.tar")

    batch = next(iter(ds.to_ray(fields=["image", "n"]).iter_batches(batch_size=4)))

    assert list(batch) == ["image", "n"]
    assert (batch["image"].dtype, batch["image"].shape) == (np.uint8, (4, 2, 3))


def test_a_task_reads_some_shards_or_part_of_one(tmp_path: Path) -> None:
    """As many tasks as were asked for, with more shards than that and with fewer."""
    ds = atdata.write_samples(points(100), tmp_path / "p.tar", maxcount=20)

    for blocks in (2, 7):
        found = ds.to_ray(override_num_blocks=blocks).materialize()
        sizes = [len(block) for block in ray.get(found.get_internal_block_refs())]
        assert len(sizes) >= blocks
        assert sum(sizes) == 100
        assert [row["n"] for row in in_order(ds.to_ray(override_num_blocks=blocks))] == list(
            range(100)
        )


def test_what_the_index_says_needs_no_reading(tmp_path: Path) -> None:
    """Counts and files are known of the dataset before anything is read."""
    ds = atdata.write_samples(points(10), tmp_path / "p.tar", maxcount=3)

    rds = ds.take(8).to_ray()
    lossy = ds.filter(lambda s: s.n > 1).to_ray()

    assert ds.take(0).to_ray().take_all() == []
    assert "num_rows=8" in repr(rds)
    assert (rds.count(), lossy.count()) == (8, 8)
    assert set(rds.input_files()) == set(ds.list_shards()[:3])
    assert "num_rows=?" in repr(lossy)
    for shard in ds.list_shards():
        Path(shard).unlink()
    assert rds.count() == 8
    with pytest.raises(atdata.ShardNotFoundError):
        ds.to_ray().take_all()


def test_fields_that_nobody_wants_are_not_sent(tmp_path: Path) -> None:
    """Chosen here, or by Ray's own `select_columns`; a wrong name is an error."""
    ds = atdata.write_samples([everything(i) for i in range(4)], tmp_path / "e.tar")

    rows = ds.to_ray(fields=["name", "n"]).select_columns(["n"]).take_all()

    assert sorted(row["n"] for row in rows) == [-2, -1, 0, 2**63 + 3]
    assert list(rows[0]) == ["n"]
    with pytest.raises(ValueError, match="there is no field 'nmae'"):
        ds.to_ray(fields=["nmae"])


@pytest.mark.parametrize("kind", KINDS)
def test_shards_of_any_kind_are_read(tmp_path: Path, kind: str) -> None:
    """Also those that cannot be counted, or divided, without reading them."""
    ds = put(tmp_path, points(12), kind, maxcount=5)

    assert [row["n"] for row in in_order(ds.to_ray(override_num_blocks=6))] == list(range(12))


def test_what_cannot_be_read_is_an_error_or_left_out(tmp_path: Path) -> None:
    """As the dataset's policy has it, and the error is ours."""
    good = foreign_tar(points(3))
    ds = Dataset(Memory({"a": good, "b": good[:3000]}), sample_type=Point)

    with pytest.raises(ShardError, match="cannot read shard b"):
        ds.to_ray().take_all()
    assert [row["n"] for row in in_order(ds.with_options(on_error="skip").to_ray())] == [
        0,
        1,
        2,
        0,
    ]


def test_paths_mean_what_they_mean_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers run in another folder, and read and write in this one."""
    monkeypatch.chdir(tmp_path)
    atdata.write_samples(points(4), "p.tar", maxcount=2)
    ds = Dataset[Point]("p-{000000..000001}.tar")

    written = from_ray(ds.to_ray(), Point, "q.tar")

    assert list(written) == points(4)
    assert Path("q.tar").exists()
    assert ds.process_shards(len, engine="ray") == {"p-000000.tar": 2, "p-000001.tar": 2}


def test_a_shard_that_is_replaced_meanwhile_is_noticed(tmp_path: Path) -> None:
    """Rows that were counted are not read from another file."""
    ds = atdata.write_samples(points(8), tmp_path / "p.tar")
    rds = ds.to_ray(override_num_blocks=4)
    atdata.write_samples(points(9)[1:], tmp_path / "p.tar")

    with pytest.raises(ShardError, match="replaced after its samples were counted"):
        rds.take_all()


# -- writing


def files(written: Dataset[Any]) -> list[bytes]:
    return [Path(shard).read_bytes() for shard in written.list_shards()]


@pytest.mark.parametrize("maxcount", [None, 4, 100])
def test_what_is_written_is_what_write_samples_writes(
    tmp_path: Path, maxcount: int | None
) -> None:
    """The same bytes, whatever the blocks were."""
    given = [everything(i) for i in range(10)]
    options: dict[str, Any] = {"maxcount": maxcount, "content_metadata": {"licence": "CC0"}}
    ds = atdata.write_samples(given, tmp_path / "e.tar", **options)

    written = from_ray(
        ds.to_ray(override_num_blocks=3), Everything, tmp_path / "w/f.tar", **options
    )

    given[5].ragged = given[5].ragged.astype("<f4")
    assert files(written) == files(atdata.write_samples(given, tmp_path / "e.tar", **options))
    assert written.content_metadata == {"licence": "CC0"}
    assert len(list((tmp_path / "w").iterdir())) == len(written.list_shards())


def test_keys_are_those_of_write_samples_too(tmp_path: Path) -> None:
    """A field or a function gives them, and each must be another."""
    rds = ray.data.from_items([{"name": f"k{i:02}", "n": i} for i in range(9)])
    given = [DictSample(name=f"k{i:02}", n=i) for i in range(9)]

    written = from_ray(rds.repartition(3), DictSample, tmp_path / "k.tar", maxcount=4, key="name")

    assert sorted(key for key, _ in written.items()) == [sample.name for sample in given]
    assert written.get("k05").n == 5
    with pytest.raises(ValueError, match="two samples have the key 'same'"):
        from_ray(rds.repartition(3), DictSample, tmp_path / "s.tar", key=lambda sample: "same")
    assert not list(tmp_path.glob("*s.tar*"))


def test_a_row_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    """Not of the others either; the error is ours, and names the field."""
    rows = [{"n": i if i != 7 else "seven"} for i in range(10)]
    rds = ray.data.from_items(rows[:7]).union(ray.data.from_items(rows[7:8]))

    with pytest.raises(
        SchemaError, match="field   n\n  wanted  int\n  found   str 'seven'"
    ) as found:
        from_ray(rds, Point, tmp_path / "p.tar")

    assert found.value.path == "n"
    assert list(tmp_path.iterdir()) == []


def test_shards_that_are_there_are_not_replaced_unless_asked(tmp_path: Path) -> None:
    """If asked, those that a longer dataset left are removed as well."""
    atdata.write_samples(points(9), tmp_path / "p.tar", maxcount=2)
    rds = ray.data.from_items([{"n": 5}])
    before = sorted(tmp_path.iterdir())

    with pytest.raises(FileExistsError, match="overwrite=True"):
        from_ray(rds, Point, tmp_path / "p.tar", maxcount=2)
    assert sorted(tmp_path.iterdir()) == before
    written = from_ray(rds, Point, tmp_path / "p.tar", maxcount=2, overwrite=True)

    assert list(written) == [Point(5)]
    assert [path.name for path in tmp_path.iterdir()] == ["p-000000.tar"]


def test_nothing_cannot_be_written(tmp_path: Path) -> None:
    """Nor can it be read from what is no dataset of Ray's."""
    empty = ray.data.from_items([{"n": 1}]).limit(0)

    with pytest.raises(ValueError, match="there is nothing to write"):
        from_ray(empty, Point, tmp_path / "p.tar")
    with pytest.raises(TypeError, match="takes a ray.data.Dataset, not list"):
        from_ray([], Point, tmp_path / "p.tar")
    with pytest.raises(ValueError, match=r"plain tar files named '….tar'"):
        from_ray(empty, Point, tmp_path / "p.tar.gz")
    assert list(tmp_path.iterdir()) == []


def test_rows_of_any_block_are_written(tmp_path: Path) -> None:
    """Pandas' blocks as well as Arrow's, and values that a function of the user's made."""
    ds = atdata.write_samples(points(6), tmp_path / "p.tar", maxcount=2)

    def framed(frame: Any) -> Any:
        frame["vector"] = [np.full(3, n, np.float32) for n in frame["n"]]
        return frame

    rds = ds.to_ray().map_batches(framed, batch_format="pandas")
    written = from_ray(rds, Vector, tmp_path / "v.tar")

    assert [(sample.n, sample.vector.tolist()) for sample in written] == [
        (n, [n] * 3) for n in range(6)
    ]


def test_a_killed_worker_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """The task is tried again, and what it had written before is not looked at."""
    marks = tmp_path / "marks"
    marks.mkdir()

    def name(sample: Point) -> str:
        """A key, for which one task dies while it writes."""
        if sample.n == 17 and not (mark := marks / "17").exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return f"k{sample.n}"

    options: dict[str, Any] = {"key": name, "maxcount": 8}
    marks.joinpath("17").touch()
    ds = atdata.write_samples(points(40), tmp_path / "p.tar", **options)
    marks.joinpath("17").unlink()

    written = from_ray(ds.to_ray(override_num_blocks=5), Point, tmp_path / "w/p.tar", **options)

    assert files(written) == files(ds)
    assert marks.joinpath("17").exists()
    assert len(list((tmp_path / "w").iterdir())) == 5


# -- work on shards


@pytest.mark.parametrize("case", CASES)
def test_shards_give_what_they_give_here(tmp_path: Path, case: str) -> None:
    """The same shards, samples and order, whatever is done to the samples."""
    ds = several(tmp_path)[case]

    found = ds.process_shards(lambda samples: numbers(samples), engine="ray")

    assert list(found.items()) == list(ds.process_shards(numbers).items())
    assert any(found.values())


class TwoPartError(Exception):
    """Cannot be pickled: what its constructor takes is not what it keeps."""

    def __init__(self, first: int, second: str) -> None:
        super().__init__(f"{first} {second}")
        self.first = first


def test_errors_come_home_as_what_they_are(tmp_path: Path) -> None:
    """Also those that do not pickle, or are of a class that only this process knows."""
    ds = atdata.write_samples(points(10), tmp_path / "p.tar", maxcount=3)

    class LocalError(ValueError):
        pass

    def fails(samples: list[Point]) -> object:
        if samples[0].n == 0:
            raise TwoPartError(1, "two")
        if samples[0].n == 3:
            raise LocalError("of nowhere")
        return sys.stdout if samples[0].n == 6 else len(samples)

    with pytest.raises(PartialFailureError, match="3/4 shards failed") as found:
        ds.process_shards(fails, engine="ray", workers=2)

    two, local, unsendable = found.value.errors.values()
    assert found.value.failed_shards == ds.list_shards()[:3]
    assert list(found.value.results.values()) == [1]
    assert isinstance(two, TwoPartError)
    assert (str(two), two.first) == ("1 two", 1)
    assert isinstance(local, LocalError)
    assert "in fails" in local.__notes__[0]
    assert "cannot be sent home" in str(unsendable)


def test_a_shard_whose_worker_dies_is_tried_again(tmp_path: Path) -> None:
    """If it dies each time, it is a failure of that shard."""
    ds = atdata.write_samples(points(9), tmp_path / "p.tar", maxcount=3)
    checkpoint = tmp_path / "checkpoint"

    def dies(samples: list[Point], times: int) -> list[int]:
        tries = len(list(tmp_path.glob(f"{times}-{samples[0].n}-*")))
        (tmp_path / f"{times}-{samples[0].n}-{tries}").touch()
        if samples[0].n == 3 and tries < times:
            os.kill(os.getpid(), signal.SIGKILL)
        return numbers(samples)

    with pytest.raises(PartialFailureError, match="1/3 shards failed"):
        ds.process_shards(lambda s: dies(s, 9), engine="ray", retries=1, checkpoint=checkpoint)
    assert len(list(tmp_path.glob("9-3-*"))) == 2
    assert len(checkpoint.read_bytes().splitlines()) == 2
    found = ds.process_shards(lambda s: dies(s, 1), engine="ray", checkpoint=checkpoint)

    assert found == ds.process_shards(numbers)
    assert sorted(path.name for path in tmp_path.glob("1-*")) == ["1-3-0", "1-3-1"]
    assert not checkpoint.exists()


# -- streams


class Reader:
    """An actor that reads its share of a stream."""

    def __init__(self, ds: Dataset[Any], world: World, states: list[dict[str, Any]]) -> None:
        self._stream = ds.shuffled(buffer_shards=3, seed=5, epoch=1, world=world)
        if states:
            self._stream.load_state_dict(states)
        self._rest = iter(self._stream)

    def read(self, n: int) -> tuple[list[int], dict[str, Any]]:
        """Some samples, and where that leaves the stream."""
        found = [sample.n for sample in islice(self._rest, n)]
        return found, self._stream.state_dict()


def read_for_a_while(
    ds: Dataset[Any], readers: int, states: list[dict[str, Any]], chance: Random
) -> tuple[list[int], list[dict[str, Any]]]:
    """Let actors on all nodes read, and kill them at some point each.

    Returns:
        What came home, and the state of each reader as it last came home.
    """
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    actors: list[Any] = []
    for reader in range(readers):
        node = NodeAffinitySchedulingStrategy(nodes[reader % len(nodes)], soft=False)
        make = ray.remote(Reader).options(num_cpus=0, scheduling_strategy=node)
        actors.append(make.remote(ds, World(reader, readers), states))
    delivered: list[int] = []
    last = [state for _, state in ray.get([actor.read.remote(0) for actor in actors])]
    calls = [chance.randrange(4) for _ in actors]
    for reader, actor in enumerate(actors):
        for _ in range(calls[reader]):
            found, last[reader] = ray.get(actor.read.remote(chance.randrange(1, 8)))
            delivered += found
    lost = [actor.read.remote(5) for actor in actors]  # whose result nobody sees
    for actor in actors:
        ray.kill(actor)
    del lost
    return delivered, json.loads(json.dumps(last))


def test_actors_that_are_killed_go_on_as_others(tmp_path: Path) -> None:
    """Each sample of the epoch is delivered once, whatever the numbers of readers were."""
    ds = atdata.write_samples(points(150), tmp_path / "p.tar", maxcount=20)
    ds = ds.filter(lambda s: s.n % 7 != 3)
    chance = Random(3)
    delivered: list[int] = []
    states: list[dict[str, Any]] = []

    for readers in (4, 3):
        found, states = read_for_a_while(ds, readers, states, chance)
        delivered += found
    last = [Reader(ds, World(reader, 2), states) for reader in range(2)]
    rest = [n for reader in last for n in reader.read(1000)[0]]

    assert len(delivered) > 10
    assert len(rest) > 10
    assert sorted(delivered + rest) == [sample.n for sample in ds]


# -- programs of their own


PROGRAM = """
import atdata, ray, sys, warnings

@atdata.packable
class Point:
    n: int

@atdata.packable
class Label:
    text: str

@atdata.lens
def labelled(point: Point) -> Label:
    return Label(f"point {{point.n}}")

warnings.simplefilter("ignore")
ray.init(address={address!r}, _node_ip_address="127.0.0.2", log_to_driver=False)
ray.data.DataContext.get_current().enable_progress_bars = False
ds = atdata.write_samples([Point(i) for i in range(6)], "m.tar", maxcount=2).as_type(Label)
print(sorted(row["text"] for row in ds.to_ray().take_all())[-1])
written = atdata.adapters.ray.from_ray(ds.to_ray(), Label, "n.tar")
print(list(written)[1])
print(list(ds.process_shards(lambda labels: labels[0].text, engine="ray").values()))
"""


def test_types_and_lenses_of_a_main_program_are_sent_along(cluster: str, tmp_path: Path) -> None:
    """A script or a notebook defines them where no worker could import them."""
    program = tmp_path / "program.py"
    program.write_text("import atdata.adapters.ray\n" + PROGRAM.format(address=cluster))

    run = subprocess.run(
        [sys.executable, program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert run.stdout.splitlines() == [
        "point 5",
        "Label(text='point 1')",
        "['point 0', 'point 2', 'point 4']",
    ], run.stderr
