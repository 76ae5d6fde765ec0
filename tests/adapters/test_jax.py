"""Batches for JAX and samples for Grain: right, in order, and resumed without loss."""

import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import atdata
from atdata import SchemaError, World
from atdata.adapters.jax import GrainSource, JaxBatches, to_jax

grain = pytest.importorskip("grain", reason="the tests of the JAX adapter need grain")
pytest.importorskip("jax", reason="the tests of the JAX adapter need jax")
ml_dtypes = pytest.importorskip("ml_dtypes", reason="comes with jax")

ROOT = Path(__file__).parents[2]
N = 100


@atdata.packable
class Digit:
    """A sample that is known by its label."""

    image: Annotated[NDArray[np.uint8], atdata.Shape(4, 4)]
    label: int


@atdata.packable
class Mixed:
    """A sample with all that is no array, and some that is."""

    text: str
    maybe: int | None
    ragged: NDArray[np.float32]
    when: NDArray[np.datetime64]
    listed: list[int]
    big: int
    samples: float
    x: NDArray[Any]
    half: Annotated[NDArray[Any], atdata.Shape(2)]


def digits(n: int = N) -> list[Digit]:
    return [Digit(np.full((4, 4), i % 251, np.uint8), i) for i in range(n)]


def is_odd(digit: Digit) -> bool:
    return digit.label % 2 == 1


@pytest.fixture(scope="module")
def ds(tmp_path_factory: pytest.TempPathFactory) -> atdata.Dataset[Digit]:
    return atdata.write_samples(digits(), tmp_path_factory.mktemp("jax") / "d.tar", maxcount=30)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> atdata.Dataset[Mixed]:
    def sample(i: int) -> Mixed:
        ragged = np.zeros(1 + i % 2, np.float32)
        when = np.array(["2026-01-01"], "M8[D]")
        x, half = np.full(2, i, ">i4"), np.full(2, i, ml_dtypes.bfloat16)
        return Mixed("text", i if i % 2 else None, ragged, when, [i], 2**63 + i, i / 2, x, half)

    samples = [sample(i) for i in range(4)]
    return atdata.write_samples(samples, tmp_path_factory.mktemp("jax") / "m.tar")


def order(seed: int | None) -> dict[str, Any]:
    return {"shuffle": seed is not None, "seed": seed}


def labels_of(batches: Any) -> list[int]:
    return [int(label) for batch in batches for label in batch["label"]]


# -- batches


@given(
    readers=st.integers(1, 5),
    batch_size=st.integers(1, 40),
    seed=st.none() | st.integers(0, 9),
    whole=st.booleans(),
)
def test_the_batches_of_all_processes_are_alike_and_none_is_given_twice(
    ds: atdata.Dataset[Digit], readers: int, batch_size: int, seed: int | None, whole: bool
) -> None:
    """Each process gets as many batches as any other; unasked, all are of one size."""
    given = [
        list(to_jax(ds, batch_size, **order(seed), drop_last=whole, world=World(reader, readers)))
        for reader in range(readers)
    ]

    sizes = [[len(batch["label"]) for batch in batches] for batches in given]
    labels = [label for batches in given for label in labels_of(batches)]
    assert sizes == [sizes[0]] * readers
    assert set(sizes[0][: -1 if not whole else None]) <= {batch_size}
    assert len(set(labels)) == len(labels) == readers * sum(sizes[0])
    assert len(labels) > N - readers * (batch_size if whole else 1)


def test_batches_are_dicts_of_arrays_in_the_order_of_the_stream(
    ds: atdata.Dataset[Digit],
) -> None:
    """They are the batches of `shuffled`, field by field."""
    batches = to_jax(ds, 8, shuffle=True, seed=3, epoch=2)

    stream = ds.shuffled(batch_size=8, seed=3, epoch=2, drop_last=True)
    assert len(batches) == len(stream) == N // 8
    for batch, wanted in zip(batches, stream, strict=True):
        assert batch.keys() == {"image", "label"}
        assert batch["image"].shape == (8, 4, 4)
        assert batch["image"].dtype == np.uint8
        np.testing.assert_array_equal(batch["image"], wanted.image)
        np.testing.assert_array_equal(batch["label"], wanted.label)


@given(
    stops=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    readers=st.integers(1, 4),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.none() | st.integers(0, 9),
)
def test_a_training_goes_on_with_other_processes_and_batches(
    ds: atdata.Dataset[Digit], stops: list[int], readers: int, sizes: tuple[int, int], seed: Any
) -> None:
    """What some processes had taken when they stopped, and what others take then, is all."""
    kept: dict[str, Any] = {**order(seed), "tail": "keep", "drop_last": False}
    first: list[int] = []
    states: list[Any] = []
    for reader, stop in enumerate(stops):
        batches = to_jax(ds, sizes[0], world=World(reader, len(stops)), **kept)
        for _, batch in zip(range(stop), batches, strict=False):
            first += batch["label"].tolist()
        states.append(json.loads(json.dumps(batches.state_dict())))

    rest: list[int] = []
    for reader in range(readers):
        batches = to_jax(ds, sizes[1], world=World(reader, readers), **kept)
        batches.load_state_dict(states)
        rest += labels_of(batches)

    assert sorted(first + rest) == [*range(N)]


def test_each_epoch_has_its_order(ds: atdata.Dataset[Digit]) -> None:
    """`set_epoch` chooses it, and a new pass begins at its start."""
    batches = to_jax(ds, 10, shuffle=True, seed=1)

    first, again = labels_of(batches), labels_of(batches)
    batches.set_epoch(1)
    second = labels_of(batches)

    assert first == again != second
    assert sorted(first) == sorted(second) == [*range(N)]


def test_single_samples_are_no_batches(ds: atdata.Dataset[Digit]) -> None:
    """A stream without a batch size is refused, and so are fields that are no list of names."""
    with pytest.raises(TypeError, match="batch_size"):
        JaxBatches(ds.ordered())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"fields=\['label'\]"):
        to_jax(ds, 2, fields="label")
    with pytest.raises(ValueError, match="fields is empty"):
        GrainSource(ds, fields=[])


# -- what is no array

NO_ARRAYS = [
    ("text", "str"),
    ("maybe", "None in 2 of 4 samples"),
    ("ragged", r"arrays of float32 \(1,\) and float32 \(2,\)"),
    ("when", r"datetime64\[D\]"),
    ("listed", "list"),
    ("nothing", "no such field"),
]


@pytest.mark.parametrize(("field", "found"), NO_ARRAYS)
def test_a_field_that_is_no_array_is_named(
    mixed: atdata.Dataset[Mixed], field: str, found: str
) -> None:
    """The error says which field, what it holds, and which fields could be read instead."""
    with pytest.raises(SchemaError, match=found) as caught:
        next(iter(to_jax(mixed, 4, fields=["x", field])))

    assert caught.value.path == field
    assert f"fields={['big', 'samples', 'x', 'half'] if field == 'nothing' else ['x']}" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("field", "found"),
    [("text", "str"), ("maybe", "None"), ("big", "beyond int64"), ("nothing", "no such field")],
)
def test_a_field_of_a_grain_item_that_is_no_array_is_named(
    mixed: atdata.Dataset[Mixed], field: str, found: str
) -> None:
    """One by one as well; what Grain would make of texts or of large numbers is no use to JAX."""
    with pytest.raises(SchemaError, match=found) as caught:
        GrainSource(mixed, fields=[field])[0]

    assert caught.value.path == field


def test_arrays_are_of_dtypes_that_jax_takes(mixed: atdata.Dataset[Mixed]) -> None:
    """Whatever their bytes' order was; and a field may be called as a batch's own names are."""
    batch = next(iter(to_jax(mixed, 4, fields=["samples", "x", "half"])))
    item = GrainSource(mixed, fields=["samples", "x", "half"])[3]

    assert batch["x"].dtype == item["x"].dtype == np.dtype("=i4")
    assert batch["x"].tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]
    assert batch["half"].dtype == item["half"].dtype == np.dtype("bfloat16")
    assert (batch["samples"].tolist(), item["samples"]) == ([0, 0.5, 1, 1.5], 1.5)


def test_results_of_a_map_are_batched_by_field(ds: atdata.Dataset[Digit]) -> None:
    """If they are mappings; other values have no fields, which is said."""
    halves = ds.map(lambda digit: {"half": digit.label / 2})

    assert next(iter(to_jax(halves, 4)))["half"].tolist() == [0, 0.5, 1, 1.5]
    assert GrainSource(halves)[1] == {"half": 0.5}
    with pytest.raises(SchemaError, match="a sample with fields"):
        next(iter(to_jax(ds.map(lambda digit: digit.label), 4)))


# -- Grain


@given(at=st.integers(-N, N - 1))
def test_an_item_is_the_sample_at_its_position(ds: atdata.Dataset[Digit], at: int) -> None:
    """As a dict of arrays and numpy scalars, or as it is; the same from a pickled copy."""
    source = pickle.loads(pickle.dumps(GrainSource(ds)))

    assert (len(source), repr(source)) == (N, repr(GrainSource(ds)))
    assert source[at]["label"] == ds[at].label
    assert isinstance(source[at]["label"], np.int64)
    np.testing.assert_array_equal(source[np.int64(at)]["image"], ds[at].image)
    assert GrainSource(ds, typed=True)[at] == ds[at]


def test_what_is_no_position_is_refused(ds: atdata.Dataset[Digit]) -> None:
    """Positions end where the dataset does, and slices are none."""
    source = GrainSource(ds)

    with pytest.raises(IndexError):
        source[N]
    with pytest.raises(TypeError):
        source[1:3]  # type: ignore[index]
    with pytest.raises(ValueError, match="typed"):
        GrainSource(ds, fields=["label"], typed=True)


def test_grain_takes_it_for_a_data_source(ds: atdata.Dataset[Digit]) -> None:
    """By its protocol."""
    assert isinstance(GrainSource(ds), grain.sources.RandomAccessDataSource)


def test_the_repr_tells_data_and_reading(ds: atdata.Dataset[Digit], tmp_path: Path) -> None:
    """The same data is the same anywhere; other data, or another reading of it, is not."""
    for shard in ds.list_shards():
        shutil.copy(shard, tmp_path)
    other = atdata.write_samples(digits()[::-1], tmp_path / "other" / "d.tar", maxcount=30)

    there = repr(GrainSource(ds))

    assert repr(GrainSource(atdata.Dataset[Digit](sorted(tmp_path.glob("*.tar"))))) == there
    readings = [
        GrainSource(other), GrainSource(ds.take(9)), GrainSource(ds.filter(is_odd)),
        GrainSource(ds, fields=["label"]), GrainSource(ds, typed=True), GrainSource(ds.repeat(2)),
    ]  # fmt: skip
    assert len({there, *map(repr, readings)}) == 7


@pytest.mark.parametrize("made", ["filtered", "repeated", "mixed"])
def test_threads_and_copies_read_what_one_reader_reads(
    ds: atdata.Dataset[Digit], made: str
) -> None:
    """Grain reads with sixteen threads, in processes that were given a pickle."""
    more = {
        "filtered": ds.filter(is_odd),
        "repeated": ds.repeat(40),
        "mixed": atdata.mix({ds: 2, ds.take(7): 1}, stop="all").repeat(8),
    }[made]
    source = GrainSource(more, typed=True)
    places = np.random.default_rng(1).integers(0, len(source), 2000).tolist()
    wanted = [source[at].label for at in places]

    copy = pickle.loads(pickle.dumps(source))
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda at: copy[at].label, places))

    assert found == wanted


def test_what_has_no_end_has_no_positions(ds: atdata.Dataset[Digit]) -> None:
    """An endless mixture says so."""
    with pytest.raises(TypeError, match="no end"):
        GrainSource(atdata.mix({ds: 1, ds.take(3): 1}, stop="never"))


def loader(source: GrainSource[Any], *, seed: int = 1, shards: Any = None) -> Any:
    sampler = grain.samplers.IndexSampler(len(source), shuffle=True, num_epochs=1, seed=seed)
    return grain.DataLoader(
        data_source=source,
        sampler=sampler,
        operations=[grain.transforms.Batch(8)],
        shard_options=shards or grain.sharding.NoSharding(),
        read_options=grain.ReadOptions(num_threads=2, prefetch_buffer_size=4),
    )


@settings(max_examples=15)
@given(stop=st.integers(0, N // 8), seed=st.integers(0, 9))
def test_a_grain_loader_resumes(ds: atdata.Dataset[Digit], stop: int, seed: int) -> None:
    """From its own checkpoint, with another copy of the source, as if it had never stopped."""
    whole = iter(loader(GrainSource(ds), seed=seed))
    before = [next(whole) for _ in range(stop)]
    checkpoint = whole.get_state()

    resumed = iter(loader(GrainSource(ds), seed=seed))
    resumed.set_state(checkpoint)

    rest = labels_of(resumed)
    assert rest == labels_of(whole)
    assert sorted(labels_of(before) + rest) == [*range(N)]


def test_a_grain_loader_refuses_a_checkpoint_of_other_data(
    ds: atdata.Dataset[Digit], tmp_path: Path
) -> None:
    """Also if it has as many samples at the same address."""
    other = atdata.write_samples(digits()[::-1], tmp_path / "d.tar", maxcount=30)
    checkpoint = iter(loader(GrainSource(ds))).get_state()

    with pytest.raises(ValueError, match="DataSource in checkpoint does not match"):
        iter(loader(GrainSource(other))).set_state(checkpoint)


@pytest.mark.parametrize("readers", [2, 3])
def test_grain_shards_are_disjoint(ds: atdata.Dataset[Digit], readers: int) -> None:
    """Together they are all, but for what does not go round, which Grain may leave out."""
    options = [grain.sharding.ShardOptions(reader, readers) for reader in range(readers)]

    labels = [labels_of(loader(GrainSource(ds), shards=one)) for one in options]

    each = sorted(label for one in labels for label in one)
    assert N - N % readers <= len(each) == len(set(each))


@settings(max_examples=15)
@given(stop=st.integers(0, N // 8))
def test_a_grain_map_dataset_resumes(ds: atdata.Dataset[Digit], stop: int) -> None:
    """Shuffled, batched, and stopped anywhere."""
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    chain = grain.MapDataset.source(GrainSource(ds)).shuffle(seed=4).batch(8)
    whole = iter(chain.to_iter_dataset(options))
    before = [next(whole) for _ in range(stop)]

    resumed = iter(chain.to_iter_dataset(options))
    resumed.set_state(whole.get_state())

    rest = labels_of(resumed)
    assert rest == labels_of(whole)
    assert sorted(labels_of(before) + rest) == [*range(N)]


def test_grain_maps_typed_samples(ds: atdata.Dataset[Digit]) -> None:
    """A pipeline may make its arrays itself, of whatever samples hold."""
    samples = grain.MapDataset.source(GrainSource(ds, typed=True))

    batch = samples.map(lambda digit: {"text": len(repr(digit)), "n": digit.label}).batch(4)[1]

    assert batch["n"].tolist() == [4, 5, 6, 7]


# -- in processes of their own


class Program:
    """The program of `jax_program`, with whatever processes it starts, and what it tells."""

    def __init__(self, ds: atdata.Dataset[Any], *, devices: int = 1, **wanted: Any) -> None:
        shards = f"{{000000..{len(ds.list_shards()) - 1:06}}}.tar"
        path = ds.list_shards()[0].replace("000000.tar", shards)
        code = "from tests.adapters.jax_program import main; main()"
        flags = f"--xla_force_host_platform_device_count={devices}"
        self._running = subprocess.Popen(
            [sys.executable, "-c", code, json.dumps({"path": path, **wanted})],
            cwd=ROOT,
            env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._patience = Timer(120, self.kill)
        self._patience.start()

    def told(self) -> Iterator[dict[str, Any]]:
        """Its lines; one that it did not finish is none."""
        assert self._running.stdout is not None
        lines = (line for line in self._running.stdout if line.startswith("{"))
        return (json.loads(line) for line in lines if line.endswith("\n"))

    def kill(self) -> int:
        """Kill it, then its workers, which outlive it."""
        self._running.kill()
        code = self._running.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._running.pid, signal.SIGTERM)
        return code

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self._patience.cancel()
        self.kill()
        self._running.__exit__(None, None, None)

    def code(self) -> int:
        """How it ended."""
        return self._running.wait(20)


@pytest.mark.parametrize(("kind", "stop"), [("workers", 5), ("map", 7), ("jax", 11)])
def test_a_killed_training_resumes_in_another_process(
    ds: atdata.Dataset[Digit], kind: str, stop: int
) -> None:
    """What was given before SIGKILL and what is given after it are each sample once."""
    with Program(ds, do="train", kind=kind, state=None, pause=0.05) as first:
        lines = first.told()
        before = [next(lines) for _ in range(stop)]
        killed = first.kill()
        before += lines
    with Program(ds, do="train", kind=kind, state=before[-1]["state"], pause=0) as second:
        after = list(second.told())
        ended = second.code()

    given = [label for line in before + after for label in line["labels"]]
    assert (killed, ended) == (-signal.SIGKILL, 0)
    assert stop <= len(before) < N // 4
    assert sorted(given) == [*range(N)]


def test_processes_of_jax_share_an_epoch(ds: atdata.Dataset[Digit]) -> None:
    """Two processes find out which they are, and get what their devices hold of each batch."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    wanted = {"do": "together", "port": port, "devices": 2}
    with Program(ds, process=0, **wanted) as one, Program(ds, process=1, **wanted) as other:
        said = [list(one.told()), list(other.told())]
        codes = [one.code(), other.code()]

    assert codes == [0, 0]
    for reader, lines in enumerate(said):
        names, _, split, shared, refused, _ = lines
        assert f"reader {reader} of 2 (JAX)" in names["repr"]
        assert f"reader {reader} of 2 (JAX sharding)" in split["repr"]
        assert "by the sharding it holds part 0 of 1" in refused["refused"]
        assert f"found   {2**40 + 3}" in refused["large"]
        assert ("this one has none" in refused["mine"]) == (reader == 1)
        assert "NamedSharding" in refused["other"]
    (names, grains, split, shared, _, taken), (names_, grains_, split_, shared_, _, taken_) = said
    assert names["source"] == names_["source"]
    assert sorted(grains["grain"] + grains_["grain"]) == [*range(N)]

    mine, theirs = split["rows"], split_["rows"]
    assert [len(rows) for rows in mine + theirs] == [4] * 24
    assert len({label for rows in mine + theirs for label in rows}) == 96
    assert split["whole"] == [8]
    assert split["sums"] == [sum(a + b) for a, b in zip(mine, theirs, strict=True)]

    # The first axis is split within each process only, so both hold all of a batch.
    assert shared["rows"] == shared_["rows"]
    assert (shared["whole"], shared["sums"]) == ([4], [sum(rows) for rows in shared["rows"]])
    assert sorted(label for rows in shared["rows"] for label in rows) == [*range(N)]

    alone = to_jax(ds, 7, shuffle=True, seed=6, world=World(), drop_last=False)
    alone.load_state_dict([taken["state"], taken_["state"]])
    given = [label for rows in taken["taken"] + taken_["taken"] for label in rows]
    assert sorted(given + labels_of(alone)) == [*range(N)]
