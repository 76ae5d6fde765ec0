"""Datasets: how they are made, what they say of themselves, what operations keep."""

import gc
import multiprocessing
import operator
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.dataset.places import KINDS, Memory, foreign_tar, put
from tests.http_server import FileServer

import atdata
from atdata import Dataset, DictSample, SampleBatch, SampleKeyError, ShardError, SourceError
from atdata.shard.mapped import forget_open_shards
from atdata.sources.url import URLSource


@atdata.packable
class Point:
    """A small sample."""

    name: str
    n: int


@atdata.packable
class Named:
    """What it can be viewed as."""

    name: str
    n: int
    via: str = "structure"


@atdata.packable
class Doubled:
    """What that can be viewed as."""

    n: int


@atdata.packable
class Box[T]:
    """A generic sample."""

    value: T


@atdata.lens
def named(s: Point) -> Named:
    """A lens that leaves a trace."""
    return Named(s.name, s.n + 100, "lens")


@atdata.lens
def doubled(s: Named) -> Doubled:
    """Another."""
    return Doubled(2 * s.n)


class Points(Dataset[Point]):
    """A dataset with its type."""


def is_odd(s: Any) -> bool:
    return bool(s.n % 2)


def tripled(s: Point) -> Point:
    return Point(s.name, 3 * s.n)


def points(n: int = 6) -> list[Point]:
    return [Point(f"p{i}", i) for i in range(n)]


@pytest.fixture
def ds(tmp_path: Path) -> Dataset[Point]:
    """Six points in three shards."""
    return atdata.write_samples(points(), tmp_path / "p.tar", maxcount=2, key="name")


# -- forms


def test_a_dataset_is_made_in_many_ways(tmp_path: Path, ds: Dataset[Point]) -> None:
    """By path, `Path`, braces, list, source; its type in brackets, as argument or by subclass."""
    braces = str(tmp_path / "p-{000000..000002}.tar")
    shards = ds.list_shards()
    paths = [Path(shard) for shard in shards]
    made: list[Dataset[Point]] = [
        Dataset[Point](braces),
        Dataset(braces, sample_type=Point),
        Dataset[Point](url=braces),
        Dataset[Point](shards),
        Dataset[Point](paths),
        Dataset[Point](URLSource(braces)),
        Dataset(Memory({p.name: p.read_bytes() for p in paths}), sample_type=Point),
        Points(braces),
        Points(shards, on_error="skip"),
    ]

    for one in made:
        assert list(one) == points()
        assert one.sample_type is Point
        assert one.list_shards() == list(one.shards)

    assert list(Dataset[Point](paths[0])) == points(2)


def test_without_a_type_samples_are_dict_samples(ds: Dataset[Point]) -> None:
    """`Dataset(source)` reads anything."""
    found = list(Dataset(ds.list_shards()))

    assert found == [DictSample(name=p.name, n=p.n) for p in points()]


def test_a_generic_sample_type_has_its_arguments(tmp_path: Path) -> None:
    """`Dataset[Box[int]]` reads boxes of ints, and no others."""
    atdata.write_samples([Box(1), Box(2)], tmp_path / "b.tar")

    assert list(Dataset[Box[int]](tmp_path / "b.tar")) == [Box(1), Box(2)]
    assert Dataset[Box[int]](tmp_path / "b.tar").schema == {"value": int}
    with pytest.raises(atdata.SchemaError, match="value"):
        list(Dataset[Box[str]](tmp_path / "b.tar"))


def test_wrong_arguments_are_refused_when_a_dataset_is_made() -> None:
    """With what is missing, or what is allowed."""
    with pytest.raises(TypeError, match="missing required argument 'source'"):
        Dataset[Point]()
    with pytest.raises(TypeError, match="not both"):
        Dataset("a.tar", url="b.tar")
    with pytest.raises(ValueError, match="on_error is 'ignore'"):
        Dataset("a.tar", on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="verify is 'yes'"):
        Dataset("a.tar", verify="yes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="verify is 'yes'"):
        Dataset("a.tar").with_options(verify="yes")  # type: ignore[arg-type]


def test_making_and_changing_a_dataset_touches_no_data(tmp_path: Path) -> None:
    """A missing file is noticed on iteration, as a `FileNotFoundError`."""
    ds = Dataset[Point](tmp_path / "none.tar").filter(is_odd).take(3).repeat(2).map(tripled)
    described = ds.describe()

    assert described["num_shards"] == 1
    assert "none.tar" in repr(ds)
    assert bool(ds)
    for read in (list, len, Dataset.head, lambda d: d[0], lambda d: d.get("a")):
        with pytest.raises(FileNotFoundError, match=r"none\.tar"):
            read(ds)


def test_braces_and_percent_signs_in_a_path_are_no_patterns(tmp_path: Path) -> None:
    """What was written under such a name is what the returned dataset reads."""
    for name in ("a{1,2}.tar", "100%/b.tar", "{x}/c%d.tar"):
        for maxcount in (None, 4):
            ds = atdata.write_samples(points(), tmp_path / name, maxcount=maxcount)

            assert list(ds) == points()
            assert list(Dataset(ds.url, sample_type=Point)) == points()


# -- order of operations


def test_filters_and_maps_apply_to_batches_too(ds: Dataset[Point]) -> None:
    """Ordered or shuffled."""
    odd = ds.filter(is_odd).map(tripled)

    assert [b.n.tolist() for b in odd.ordered(batch_size=2)] == [[3, 9], [15]]
    assert sorted(n for b in odd.shuffled(batch_size=2) for n in b.n.tolist()) == [3, 9, 15]


def test_a_filter_behind_a_map_sees_what_the_map_made(ds: Dataset[Point]) -> None:
    """Operations apply in the order written."""
    assert [p.n for p in ds.map(tripled).filter(lambda p: p.n >= 9)] == [9, 12, 15]
    assert [p.n for p in ds.filter(lambda p: p.n >= 3).map(tripled)] == [9, 12, 15]


def test_a_view_keeps_what_was_done_before(ds: Dataset[Point]) -> None:
    """Filters and maps before `as_type` apply, and so do those behind it."""
    seen = ds.filter(is_odd).as_type(Named).filter(lambda s: s.n > 101)

    assert list(seen) == [Named("p3", 103, "lens"), Named("p5", 105, "lens")]


def test_views_follow_one_another(ds: Dataset[Point]) -> None:
    """The second lens gets what the first one gives."""
    twice = ds.as_type(Named).as_type(Doubled)

    assert [s.n for s in twice] == [200 + 2 * i for i in range(6)]
    assert [s.n for b in twice.ordered(batch_size=4) for s in b] == [s.n for s in twice]
    assert twice[1] == twice.get("p1") == Doubled(202)


def test_a_map_may_return_anything_even_none(ds: Dataset[Point]) -> None:
    """Nothing is dropped for being None."""
    nothing = ds.map(lambda p: None if p.n % 2 else p.n)

    assert list(nothing) == [0, None, 2, None, 4, None]
    assert [nothing[i] for i in range(6)] == nothing.select([*range(6)]) == list(nothing)
    assert len(nothing) == 6
    assert sorted(map(str, nothing.shuffled(seed=1))) == sorted(map(str, nothing))
    assert [b.samples for b in nothing.ordered(batch_size=4)] == [[0, None, 2, None], [4, None]]


def test_get_applies_what_is_done_to_samples(ds: Dataset[Point]) -> None:
    """A sample that a filter drops has no key, and a mapped one is mapped."""
    assert ds.map(tripled).get("p2") == Point("p2", 6)
    assert ds.as_type(Named).get("p2") == Named("p2", 102, "lens")
    with pytest.raises(SampleKeyError):
        ds.filter(is_odd).get("p2")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["", "0", "9" * 5000, "a" * 100_000, "\ud800", "00000000a"])
def test_keys_that_are_not_there(tmp_path: Path, kind: str, key: str) -> None:
    """A `KeyError` of ours for any text."""
    ds = put(tmp_path, points(3), kind)

    with pytest.raises(SampleKeyError) as found:
        ds.get(key)

    assert isinstance(found.value, KeyError)
    assert found.value.key == key
    assert len(str(found.value)) < 500


def test_the_type_of_mapped_samples_is_what_the_function_says(ds: Dataset[Point]) -> None:
    """Where it says nothing, or anything, the samples themselves tell when they are viewed."""

    def anything(s: Point) -> Any:
        return s

    assert ds.map(tripled).sample_type is Point
    assert ds.map(anything).sample_type is object
    assert ds.map(lambda p: p).as_type(Named).head(1) == [Named("p0", 100, "lens")]
    assert ds.map(anything).as_type(Named).head(1) == [Named("p0", 100, "lens")]


def test_windows_within_windows(ds: Dataset[Point]) -> None:
    """Nothing comes back that a window left out, however small it was."""
    assert list(ds.take(0).take(5)) == []
    assert list(ds.take(2).skip(5).take(3)) == []
    assert [p.n for p in ds.skip(1).take(4).skip(2)] == [3, 4]
    assert list(ds.skip(100)) == []
    for wrong in (lambda: ds.take(-1), lambda: ds.skip(-1), lambda: ds.repeat(-1)):
        with pytest.raises(ValueError, match=r"negative|-1"):
            wrong()
    with pytest.raises(ValueError, match="first -1"):
        ds.head(-1)


@pytest.mark.parametrize("kind", KINDS)
def test_skipping_counts_the_samples_of_shards_that_are_skipped(tmp_path: Path, kind: str) -> None:
    """Also of shards whose length is known only when they have been read."""
    ds = put(tmp_path, points(11), kind, maxcount=4)

    for skip in range(13):
        assert [p.n for p in ds.skip(skip)] == list(range(11))[skip:]
        assert [p.n for p in ds.skip(skip).take(3)] == list(range(11))[skip : skip + 3]
        assert len(ds.skip(skip)) == max(0, 11 - skip)


def test_concat_wants_one_type(ds: Dataset[Point]) -> None:
    """And says how to get there."""
    with pytest.raises(TypeError, match=r"ds\.as_type\(Point\)"):
        ds.concat(ds.as_type(Named))  # type: ignore[arg-type]


def test_datasets_are_not_changed_by_their_methods(ds: Dataset[Point]) -> None:
    """Each method gives a new one."""
    for change in (
        lambda d: d.take(1), lambda d: d.filter(is_odd), lambda d: d.map(tripled),
        lambda d: d.repeat(3), lambda d: d.concat(d), lambda d: d.as_type(Named),
        lambda d: d.with_options(on_error="skip"),
    ):  # fmt: skip
        change(ds)

        assert list(ds) == points()
        assert len(ds) == 6


# -- positions


@pytest.mark.parametrize("index", [1, -5, np.int32(1), np.uint8(1), np.array(1), True])
def test_positions_may_be_any_kind_of_int(ds: Dataset[Point], index: Any) -> None:
    """Python's or numpy's, from either end."""
    assert ds[index] == Point("p1", 1)


def test_many_positions_at_once(ds: Dataset[Point]) -> None:
    """Slices, lists, arrays, masks; in any order, repeated, empty."""
    assert [p.n for p in ds[1:5:2]] == [1, 3]
    assert [p.n for p in ds[::-1]] == [5, 4, 3, 2, 1, 0]
    assert [p.n for p in ds[[4, -1, 4]]] == [4, 5, 4]
    assert [p.n for p in ds[np.array([2, 0], np.uint16)]] == [2, 0]
    assert [p.n for p in ds[np.arange(6) % 3 == 0]] == [0, 3]
    assert ds.select([]) == ds[:0] == ds[[]] == ds[np.array([], np.int64)] == []
    first, again = ds.select([4, 4])
    assert first == again
    assert first is not again


def test_positions_that_are_not_there(ds: Dataset[Point]) -> None:
    """An `IndexError` that says how many samples there are; other types are a `TypeError`."""
    for wrong in (6, -7, 10**30):
        with pytest.raises(IndexError, match="not found in dataset of 6 samples"):
            ds[wrong]
        with pytest.raises(IndexError, match="not found in dataset of 6 samples"):
            ds.select([0, wrong])
    with pytest.raises(IndexError, match="mask of shape"):
        ds[np.array([True])]
    for no_int in (1.0, "1", None):
        with pytest.raises(TypeError, match="a position is an int"):
            ds[no_int]  # type: ignore[call-overload]


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_holds_at_least_one_sample(ds: Dataset[Point], size: int) -> None:
    """Any other size is an `IndexError`, at once."""
    for read in (ds.ordered, ds.shuffled):
        with pytest.raises(IndexError, match="batch_size"):
            read(batch_size=size)


# -- what it says of itself


def test_schema_and_column_names(ds: Dataset[Point], tmp_path: Path) -> None:
    """Field names with their annotations; of samples without a type there is nothing to say."""
    assert ds.schema == {"name": str, "n": int}
    assert ds.column_names == ["name", "n"]
    assert ds.as_type(Doubled).column_names == ["n"]
    untyped = Dataset(ds.list_shards())
    assert (untyped.schema, untyped.column_names) == ({"_data": dict}, [])
    assert ds.map(len).schema == {}  # type: ignore[arg-type]
    assert ds.batch_type == SampleBatch[Point]


def test_the_url_stands_for_all_shards(tmp_path: Path, ds: Dataset[Point]) -> None:
    """As it was given; a list is a pattern with braces, and reads as the list does."""
    assert ds.url == str(tmp_path.resolve() / "p-00000{0,1,2}.tar")
    assert Dataset(str(tmp_path / "p-{000000..000002}.tar")).url.endswith("{000000..000002}.tar")
    assert Dataset(Memory({"x": b"", "y": b""})).url == "x"
    assert Dataset(Memory({})).url == ""
    for names in (
        ["a,{b}.tar", "a,c.tar"],
        ["x.tar", "y.tar"],
        ["a.tar", "a-1.tar"],
        ["t", "t.t"],
    ):
        assert Dataset(Dataset([Path(n) for n in names]).url).list_shards() == names


def test_a_description_asks_no_server(server: FileServer, tmp_path: Path) -> None:
    """Nor does a repr."""
    server.put("m.msgpack", msgspec.msgpack.encode({"licence": "CC0"}))
    ds = Dataset[Point](server.url("a.tar"), server.url("m.msgpack")).filter(is_odd)

    described = ds.describe()
    repr(ds)

    assert server.seen == []
    assert described["metadata"] is None
    assert described["metadata_url"] == server.url("m.msgpack")
    assert ds.metadata == {"licence": "CC0"}
    assert ds.describe()["metadata"] == {"licence": "CC0"}


def test_a_description_shows_stages_and_lenses(ds: Dataset[Point]) -> None:
    """Lenses with how they were found."""
    described = ds.skip(1).take(4).filter(is_odd).as_type(Named).take(1).repeat(2).describe()

    assert described["sample_type"] == "Named"
    assert described["fields"] == {"name": str, "n": int, "via": str}
    assert described["num_shards"] == 3
    assert described["stages"] == [
        "skip(1)", "take(4)", "filter(is_odd)", "as_type(Named)", "take(1)", "repeat(2)",
    ]  # fmt: skip
    assert described["lenses"] == [{"name": "named", "kind": "declared"}]
    assert "url" in described
    json_able = {**described, "fields": list(described["fields"])}
    assert msgspec.json.decode(msgspec.json.encode(json_able))["num_shards"] == 3


def test_a_repr_is_one_short_line(ds: Dataset[Point]) -> None:
    """However long the path and the chain of stages."""
    long = Dataset[Point]("a" * 5000 + "\x1b[31m.tar")
    for _ in range(100):
        long = long.filter(is_odd)

    for one in (long, ds, ds.ordered(), ds.shuffled(batch_size=3, seed=1), ds.map(lambda p: p)):
        assert len(repr(one)) < 500
        assert repr(one).isprintable()
    assert repr(Points(ds.list_shards()[:1])).startswith("Dataset[Point]('")


SECRET = "hunter2"


def test_secrets_of_an_address_are_shown_nowhere(server: FileServer, tmp_path: Path) -> None:
    """Neither password nor signature, in reprs, descriptions, errors, and what was skipped."""
    atdata.write_samples(points(), tmp_path / "p.tar")
    data = bytearray((tmp_path / "p.tar").read_bytes())
    data[700] ^= 1
    server.put("bad.tar", bytes(data))
    server.put("odd.tar", foreign_tar([DictSample(n="no int")]))
    server.put("bad.msgpack", b"\x01")
    base = server.base.replace("//", f"//me:{SECRET}@")
    shown: list[str] = []
    for name in ("bad.tar", "odd.tar", "none.tar"):
        ds = Dataset[Point](f"{base}/{name}?sig={SECRET}", f"{base}/bad.msgpack?sig={SECRET}")
        shown += [repr(ds), str(ds.describe()), repr(ds.source), repr(ds.ordered())]
        for read in (list, lambda d: d[0], lambda d: d.metadata, lambda d: d.process_shards(len)):
            with pytest.raises(atdata.AtdataError) as found:
                read(ds)
            shown += [str(found.value), repr(found.value)]
        skipping = ds.with_options(on_error="skip").ordered()
        assert list(skipping) == []
        assert skipping.n_skipped == 1
        shown += [repr(skipping.skipped)]
    shown += [repr(Dataset([f"{base}/a.tar?s={SECRET}", f"{base}/b.tar?s={SECRET}"]))]

    assert [text for text in shown if SECRET in text] == []


# -- metadata


@pytest.mark.parametrize("given", [{"licence": "CC0", "n": [1, 2.5, None]}, DictSample(a=1)])
def test_content_metadata_is_in_the_shards(tmp_path: Path, given: Any) -> None:
    """It is there when they are opened again, and whatever is done to the dataset."""
    wanted = given if isinstance(given, dict) else {"a": 1}
    written = atdata.write_samples(
        points(), tmp_path / "p.tar", maxcount=2, content_metadata=given
    )
    again = Dataset[Point](written.list_shards())

    assert written.content_metadata is given
    for ds in (
        again, again.filter(is_odd), again.map(tripled), again.as_type(Named), again.take(1),
        again.skip(1), again.repeat(2), again.concat(again), again.filter(is_odd).take(2),
        again.with_options(on_error="skip"), pickle.loads(pickle.dumps(again)),
    ):  # fmt: skip
        assert ds.content_metadata == wanted
        assert ds.describe()["content_metadata"] == wanted


def test_content_metadata_can_be_given_afterwards(ds: Dataset[Point]) -> None:
    """To the dataset itself, or to a new one."""
    other = ds.with_content_metadata({"a": 1})
    ds.content_metadata = "anything"

    assert (ds.content_metadata, other.content_metadata) == ("anything", {"a": 1})
    assert ds.filter(is_odd).content_metadata == "anything"


def test_metadata_is_fetched_once(server: FileServer, ds: Dataset[Point]) -> None:
    """One msgpack map over HTTP, and what is done to the dataset keeps the address."""
    url = server.put("m.msgpack", msgspec.msgpack.encode({"licence": "CC0"}))
    told = Dataset[Point](ds.list_shards(), url)

    assert ds.metadata is None
    assert told.metadata == {"licence": "CC0"}
    assert told.metadata == told.filter(is_odd).metadata == told.as_type(Named).metadata
    assert told.filter(is_odd).metadata_url == url
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "data", [b"", b"\x01", b"\x81\xa1a", b"\x80\x80", b"\x91" * 5000, b"\x81\x01\x02"]
)
def test_metadata_that_is_no_map_is_refused(server: FileServer, data: bytes) -> None:
    """With the address and the reason."""
    ds = Dataset[Point]("x.tar", server.put("m.msgpack", data))

    with pytest.raises(SourceError, match=r"m\.msgpack"):
        ds.metadata


def test_metadata_that_is_not_there(server: FileServer) -> None:
    """A missing file is told as such, and no file of this machine is read."""
    with pytest.raises(FileNotFoundError, match="none"):
        Dataset[Point]("x.tar", server.url("none")).metadata
    with pytest.raises(SourceError):
        Dataset[Point]("x.tar", "file:///etc/passwd").metadata


# -- processes


def read_all(ds: Dataset[Any]) -> list[Any]:
    return [s.n for s in ds] + [ds[1].n, len(ds)]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_datasets_are_read_in_other_processes(
    ds: Dataset[Point], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They pickle with lenses and importable functions, before and after being read."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # a new process imports this module
    staged = ds.filter(is_odd).as_type(Named).map(operator.attrgetter("n")).map(Doubled)
    wanted = read_all(staged)

    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        found = list(pool.map(read_all, [staged, ds], timeout=60))

    assert found == [wanted, read_all(ds)]


def test_a_pickle_holds_the_description_alone(ds: Dataset[Point]) -> None:
    """Neither what was looked up nor what was opened."""
    before = len(pickle.dumps(ds.filter(is_odd)))
    used = ds.filter(is_odd)
    read_all(used)

    assert len(pickle.dumps(used)) <= before + 10
    assert read_all(pickle.loads(pickle.dumps(used))) == read_all(used)
    assert pickle.loads(pickle.dumps(Points(ds.list_shards()))).sample_type is Point


# -- adapters


def test_raw_records_become_samples(ds: Dataset[Point]) -> None:
    """As `webdataset` hands them on: through all stages, and refused if they are not records."""
    record = {"__key__": "k", "msgpack": atdata.pack(Point("a", 1))}
    staged = ds.skip(3).map(tripled).as_type(Named)

    assert ds.wrap(record) == Point("a", 1)
    assert staged.wrap(record) == Named("a", 103, "lens")
    batch = staged.wrap_batch({"msgpack": [record["msgpack"]] * 2})
    assert batch.n.tolist() == [103, 103]
    for method in (ds.wrap, ds.wrap_batch):
        with pytest.raises(ValueError, match="missing 'msgpack' key"):
            method({"__key__": "a"})
    with pytest.raises(ValueError, match="to be bytes"):
        ds.wrap({"msgpack": "text"})
    with pytest.raises(ValueError, match="drops"):
        ds.filter(lambda _: False).wrap(record)


def test_open_files_do_not_add_up(tmp_path: Path) -> None:
    """However many shards are read in whatever way, none stays open but those that are kept."""
    many: list[Dataset[Any]] = []
    for kind in KINDS:
        folder = tmp_path / kind
        folder.mkdir()
        many.append(put(folder, points(40), kind, maxcount=1))
    forget_open_shards()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))

    for ds in many:
        for read in (
            list,
            len,
            lambda d: list(d.shuffled()),
            lambda d: d[3],
            lambda d: d.get("p"),
        ):
            with suppress(SampleKeyError):
                read(ds)
        next(iter(ds.shuffled()))

    del ds
    many.clear()
    forget_open_shards()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_source_of_ones_own_may_fail_in_its_own_ways(tmp_path: Path) -> None:
    """What it raises is told with the shard, and can be skipped."""

    class Failing(Memory):
        failure: Exception

        def open_shard(self, shard_id: str) -> Any:
            if shard_id == "b":
                raise self.failure
            return super().open_shard(shard_id)

    data = {name: foreign_tar([Point(name, 1)]) for name in ("a", "b", "c")}
    failures: list[tuple[Exception, type[Exception]]] = [
        (KeyError("b"), FileNotFoundError),
        (FileNotFoundError("b"), FileNotFoundError),
        (PermissionError(13, "denied"), SourceError),
        (TimeoutError("slow"), SourceError),
        (ShardError("b", "bad"), ShardError),
    ]
    for failure, wanted in failures:
        source = Failing(data)
        source.failure = failure
        ds = Dataset(source, sample_type=Point)
        reading: list[Callable[[Dataset[Point]], object]] = [
            list, len, lambda d: list(d.shuffled()), lambda d: d[1], lambda d: d.get("none"),
        ]  # fmt: skip
        for read in reading:
            with pytest.raises(wanted):
                read(ds)
        skipping = ds.with_options(on_error="skip")
        assert [p.name for p in skipping] == ["a", "c"]
        assert sorted(p.name for p in skipping.shuffled()) == ["a", "c"]
        assert len(skipping) == 2
        assert skipping[1].name == "c"
