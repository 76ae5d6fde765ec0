"""What `where`, `order_by` and the rest give in places where orders, damage and changes meet."""

import linecache
import sys
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from tests.http_server import FileServer, serving

import atdata
from atdata import Dataset, DictSample, F, ShardError
from atdata.lens import Lens
from atdata.lens._copied import copied_fields


def counted(n: int, path: Path, first: int = 0, **options: Any) -> Dataset[DictSample]:
    samples = [DictSample(n=i) for i in range(first, first + n)]
    return atdata.write_samples(samples, path, manifest=True, **options)


def numbers(samples: Any) -> list[int]:
    return [sample.n for sample in samples]


def test_rows_that_are_wanted_again_have_their_own_values(tmp_path: Path) -> None:
    ds = counted(3, tmp_path / "a.tar")
    assert numbers(ds.where(F.n == 2).repeat(3).select("n")) == [2, 2, 2]
    assert numbers(ds.order_by("n", descending=True).select("n")) == [2, 1, 0]


def test_readings_of_cut_and_joined_datasets_are_resumed(tmp_path: Path) -> None:
    a, b = counted(20, tmp_path / "a.tar"), counted(5, tmp_path / "b.tar", 100)
    even = a.filter(lambda s: s.n % 2 == 0).take(4)
    for make in (lambda: even.concat(b), lambda: even.repeat(2), lambda: even.concat(b).repeat(2)):
        stream = make().ordered()
        begun = iter(stream)
        first = [next(begun).n for _ in range(3)]
        resumed = make().ordered()
        resumed.load_state_dict(stream.state_dict())
        assert first + numbers(resumed) == numbers(make())


def test_what_is_cut_behind_an_order_is_cut_before_it_is_shuffled(tmp_path: Path) -> None:
    a, b = counted(50, tmp_path / "a.tar"), counted(50, tmp_path / "b.tar", 100)
    for whole in (a.order_by("n", descending=True).concat(b), a.order_by("n").repeat(2)):
        head, rest = whole.take(60), whole.skip(60)
        assert sorted(numbers(head.shuffled(seed=1))) == sorted(numbers(head))
        both = numbers(head.shuffled(seed=1)) + numbers(rest.shuffled(seed=2))
        assert sorted(both) == sorted(numbers(whole))
        assert numbers(head.shuffled(seed=1)) != numbers(head)
        assert numbers(head.shuffled(seed=1)) == numbers(head.shuffled(seed=1))


@atdata.packable
class Source:
    """What lenses of code see."""

    a: str
    b: str
    tags: list[str]


@atdata.packable
class Seen:
    """What they show."""

    x: str
    y: str


@atdata.packable
class Tagged:
    """What they show of a list."""

    x: int
    tags: list[str]


def changed(source: Source) -> str:
    source.b = source.b.upper()
    return source.a


def popped(tags: list[str]) -> int:
    tags.append("more")
    return len(tags)


def by_call(s: Source) -> Seen:
    return Seen(changed(s), s.b)


def by_setattr(s: Source) -> Seen:
    return Seen(str(setattr(s, "b", "M")), s.b)


def by_walrus(s: Source) -> Seen:
    return Seen((s := Source("other", "other", [])).a, s.b)


def by_method(s: Source) -> Seen:
    return Seen(str(s.__setattr__("b", "M")), s.b)


def by_list(s: Source) -> Tagged:
    return Tagged(popped(s.tags), s.tags)


def by_hand(s: Source) -> Seen:
    return Seen(y=s.a, x=s.b.strip())


@pytest.mark.parametrize(
    ("code", "copied"),
    [
        (by_call, {}), (by_setattr, {}), (by_walrus, {}), (by_method, {}), (by_list, {}),
        (by_hand, {"y": "a"}),
    ],
)  # fmt: skip
def test_only_code_that_does_nothing_else_is_seen_through(
    code: Any, copied: dict[str, str]
) -> None:
    assert copied_fields(Lens(code)) == copied


def test_code_whose_source_was_edited_is_not_seen_through(tmp_path: Path) -> None:
    path = tmp_path / "edited_lenses.py"
    text = (
        "from tests.query.test_compositions import Seen, Source\n"
        "def seen(s: Source) -> Seen:\n    return Seen(s.a, {})\n"
    )
    path.write_text(text.format("s.b"))
    spec = util.spec_from_file_location("edited_lenses", path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules["edited_lenses"] = module
    try:
        spec.loader.exec_module(module)
        assert copied_fields(Lens(module.seen)) == {"x": "a", "y": "b"}
        path.write_text(text.format("s.a"))
        linecache.checkcache()
        assert copied_fields(Lens(module.seen)) == {}
    finally:
        del sys.modules["edited_lenses"]


def test_a_function_has_to_keep_the_rows_of_its_frame(tmp_path: Path) -> None:
    ds = counted(4, tmp_path / "f.tar")
    with pytest.raises(TypeError, match="in their order"):
        len(ds.where(lambda frame: frame.sort_values("n", ascending=False)["n"] < 2))
    assert numbers(ds.where(lambda frame: (frame["n"] < 2).tolist())) == [0, 1]


def test_what_was_asked_before_is_not_told_of_other_shards(tmp_path: Path) -> None:
    chosen = counted(20, tmp_path / "r.tar").where(F.n < 15).select("n")
    assert len(numbers(chosen)) == 15
    counted(20, tmp_path / "r.tar", 5)
    with pytest.raises(ShardError, match="replaced"):
        list(chosen)


def test_places_of_samples_that_are_left_out_are_refused(tmp_path: Path) -> None:
    ds = counted(5, tmp_path / "p.tar")
    places = ds.query(F.n == 1)
    assert numbers(ds.select(places)) == [1]
    with pytest.raises(IndexError, match="not in this dataset"):
        ds.where(F.n != 1).select(places)


def _damaged(path: Path, n: int) -> None:
    """Change a byte of the sample that has a number; its block is damaged by that."""
    ds = Dataset(path)
    place = ds.query(F.n == n)[0]
    data = bytearray(path.read_bytes())
    data[place.offset + place.size - 1] ^= 1
    path.write_bytes(data)


@pytest.fixture
def large(tmp_path: Path) -> Dataset[DictSample]:
    """Three shards of 100 samples of 50 KB, the second damaged in one block."""
    samples = [DictSample(data=bytes(50_000), n=i) for i in range(300)]
    folder = tmp_path / "served"
    folder.mkdir()
    ds = atdata.write_samples(samples, folder / "d.tar", maxcount=100, manifest=True)
    _damaged(folder / "d-000001.tar", 150)
    return ds


@pytest.fixture
def server(large: Dataset[DictSample]) -> Iterator[FileServer]:
    with serving(Path(large.list_shards()[0]).parent) as running:
        yield running


def test_what_comes_before_damage_is_delivered(large: Dataset[DictSample]) -> None:
    chosen = large.where(F.n % 5 == 0)
    got: list[int] = []

    def read() -> None:
        for sample in chosen:
            got.append(sample.n)

    with pytest.raises(ShardError):
        read()
    assert got == list(range(0, got[-1] + 1, 5))
    assert 100 <= got[-1] < 150
    batches: list[int] = []

    def read_batches() -> None:
        for batch in chosen.ordered(batch_size=7):
            batches.extend(batch.n.tolist())

    with pytest.raises(ShardError):
        read_batches()
    assert batches == got[: len(got) // 7 * 7]


def test_no_more_is_left_out_than_is_damaged(
    large: Dataset[DictSample], server: FileServer, tmp_path: Path
) -> None:
    here = large.with_options(on_error="skip")
    there = Dataset(
        server.url("d-{000000..000002}.tar"), on_error="skip", cache_dir=tmp_path / "cache"
    )
    wanted = numbers(here.filter(lambda s: s.n % 5 == 0))
    assert 60 > len(wanted) >= 50
    for ds in (here, there):
        chosen = ds.where(F.n % 5 == 0)
        assert numbers(chosen) == wanted
        assert len(chosen) == len(wanted)
        assert numbers(chosen.take(len(wanted) - 1)) == wanted[:-1]


def test_figures_of_odd_values(tmp_path: Path) -> None:
    pairs = [(0.0, 10**18), (-0.0, 10**18), (1.0, 0)]
    samples = [DictSample(x=x, big=big) for x, big in pairs]
    ds = atdata.write_samples(samples, tmp_path / "z.tar", manifest=True)
    assert ds.aggregate(by="x", n="count") == {"x": [0.0, 1.0], "n": [2, 1]}
    assert ds.aggregate(d=("x", "distinct"))["d"] == 2
    assert ds.aggregate(s=("big", "std"))["s"] == pytest.approx(10**18 / 3**0.5)
    nothing = ds.where(F.x > 5)
    assert nothing.aggregate(d=("x", "distinct"), low=("x", "min")) == {"d": 0, "low": None}
    with pytest.raises(ValueError, match="name of the groups"):
        ds.aggregate(by="x", x="count")
    lists = [DictSample(v=[1]), DictSample(v=[1]), DictSample(v=[])]
    ds = atdata.write_samples(lists, tmp_path / "v.tar", manifest=True)
    assert ds.aggregate(d=("v", "distinct"))["d"] == 2
    with pytest.raises(TypeError, match="no order"):
        ds.aggregate(low=("v", "min"))


def test_sql_reads_samples_where_manifests_are_missing(tmp_path: Path) -> None:
    ds = counted(10, tmp_path / "s.tar", maxcount=5)
    (tmp_path / "s-000001.manifest.json").unlink()
    found = ds.sql("select sum(n)::bigint as total from this", missing="scan")
    assert found.to_pydict() == {"total": [45]}
    plain = ds.map(lambda s: s.n).sql("select count(*) as n from this", missing="scan")
    assert plain.to_pydict() == {"n": [10]}
