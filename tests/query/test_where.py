"""`where` and what goes with it: the answers are those of reading everything."""

import math
import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import atdata
from atdata import Dataset, DictSample, F, ManifestError, UnknownFieldError, World, col
from atdata.lens import cast, mapping


@atdata.packable
class Photo:
    """Fields of several kinds, and one that no manifest holds."""

    label: str
    score: float
    n: int
    tags: list[str]
    data: bytes
    note: str | None = None


@atdata.packable
class Card:
    """Another view: two fields renamed, one worked out."""

    title: str
    quality: float
    width: str


@atdata.packable
class Shout:
    """A view whose class changes what it is given."""

    label: str

    def __post_init__(self) -> None:
        self.label = self.label.upper()


N = 200


def photo(i: int) -> Photo:
    return Photo(
        label="cdb"[i % 3],
        score=math.nan if i % 50 == 7 else i / N,
        n=i,
        tags=[f"t{i % 4}"] * (i % 3),
        data=bytes([i % 256]) * (i % 5),
        note=None if i % 6 else f"note {i}",
    )


PHOTOS = [photo(i) for i in range(N)]


@pytest.fixture
def ds(tmp_path: Path) -> Dataset[Photo]:
    return atdata.write_samples(PHOTOS, tmp_path / "p.tar", maxcount=30, manifest=True)


def numbers(samples: Any) -> list[int]:
    return [sample.n for sample in samples]


def of(test: Callable[[Photo], bool]) -> list[int]:
    return [one.n for one in PHOTOS if test(one)]


def test_samples_that_are_asked_for_come_in_their_order(ds: Dataset[Photo]) -> None:
    Q = ds.fields
    bright = ds.where((Q.score > 0.5) & (Q.label == "c"))
    assert numbers(bright) == of(lambda p: p.score > 0.5 and p.label == "c")
    assert len(bright) == len(numbers(bright))
    assert bright[2] == list(bright)[2]
    assert numbers(ds.where(Q.score > 0.5, Q.label == "c")) == numbers(bright)
    assert numbers(ds.where(Q.score > 0.5).where(Q.label == "c")) == numbers(bright)


def test_it_goes_with_all_that_datasets_can_do(ds: Dataset[Photo]) -> None:
    Q = ds.fields
    chosen = ds.where(Q.n >= 20)
    wanted = of(lambda p: p.n >= 20)
    assert numbers(chosen.filter(lambda p: p.n % 2 == 0)) == [n for n in wanted if n % 2 == 0]
    assert numbers(ds.filter(lambda p: p.n % 2 == 0).where(Q.n >= 20)) == [
        n for n in wanted if n % 2 == 0
    ]
    assert list(chosen.map(lambda p: p.n)) == wanted
    assert numbers(chosen.skip(3).take(40).where(Q.n < 40)) == list(range(23, 40))
    assert numbers(ds.take(40).where(Q.n >= 20)) == list(range(20, 40))
    assert numbers(ds.skip(10).where(Q.n < 15)) == list(range(10, 15))
    assert numbers(chosen.repeat(2)) == wanted * 2
    assert numbers(chosen.repeat(2).take(190)) == (wanted * 2)[:190]
    assert numbers(chosen.concat(ds.where(Q.n < 3))) == [*wanted, 0, 1, 2]
    assert sorted(numbers(chosen.shuffled(seed=1))) == wanted
    batches = list(chosen.ordered(batch_size=50))
    assert [n for batch in batches for n in batch.n.tolist()] == wanted
    assert numbers(chosen.select([0, -1, 5])) == [20, N - 1, 25]
    assert chosen.get("000000021").n == 21
    with pytest.raises(atdata.SampleKeyError):
        chosen.get("000000003")
    mixed = atdata.mix({ds.where(Q.n < 5): 1, ds.where(Q.n >= 195): 1})
    assert sorted(numbers(mixed.take(10))) == [0, 1, 2, 3, 4, 195, 196, 197, 198, 199]
    assert numbers(atdata.mix({chosen: 1, ds: 1}).where(Q.n < 22).take(4)) == [20, 0, 21, 1]


def test_it_is_described_and_read_only_when_asked(tmp_path: Path) -> None:
    ds = Dataset[Photo](tmp_path / "not there.tar")
    chosen = ds.where(ds.fields.n > 3, ds.fields.label == "it's")
    assert ".where(n > 3).where(label == 'it''s')" in repr(chosen)
    with pytest.raises(ManifestError):
        len(chosen)


def test_resumed_and_shared_readings_miss_nothing(ds: Dataset[Photo]) -> None:
    Q = ds.fields
    chosen = ds.where(Q.label != "d")
    wanted = of(lambda p: p.label != "d")
    shares = [
        numbers(chosen.shuffled(seed=4, world=World(rank, 3, worker, 2)))
        for rank in range(3)
        for worker in range(2)
    ]
    assert sorted(n for share in shares for n in share) == wanted
    stream = chosen.shuffled(seed=4, batch_size=8)
    begun = iter(stream)
    first = [n for _ in range(5) for n in next(begun).n.tolist()]
    resumed = pickle.loads(pickle.dumps(chosen)).shuffled(seed=4, batch_size=16)
    resumed.load_state_dict(stream.state_dict())
    rest = [n for batch in resumed for n in batch.n.tolist()]
    assert first + rest == numbers(chosen.shuffled(seed=4))
    other = ds.where(Q.label != "c").shuffled(seed=4, batch_size=16)
    with pytest.raises(atdata.StateError):
        other.load_state_dict(stream.state_dict())


def test_workers_of_other_processes_read_the_same(ds: Dataset[Photo]) -> None:
    chosen = ds.where(ds.fields.n >= 150)
    assert numbers(chosen.shuffled(seed=2, workers=2)) == numbers(chosen.shuffled(seed=2))


def test_renamed_fields_are_asked_of_manifests(ds: Dataset[Photo]) -> None:
    fields = {"title": "label", "quality": "score", "width": cast("n", "int->str")}
    atdata.LensNetwork().register(mapping(Photo, Card, fields))
    cards = ds.as_type(Card)
    C = cards.fields
    found = cards.where((C.quality > 0.5) & (C.title == "c") & (C.width != "102"))
    wanted = [p for p in PHOTOS if p.score > 0.5 and p.label == "c" and p.n != 102]
    assert list(found) == [Card(p.label, p.score, str(p.n)) for p in wanted]
    told = found.explain()
    assert told.by_manifest == ("score > 0.5", "label == 'c'")
    assert told.by_samples == ("width != '102'",)
    assert [card.width for card in cards.order_by(C.quality, descending=True).limit(2)] == [
        "199",
        "198",
    ]
    with pytest.raises(TypeError, match="worked out while samples are read"):
        cards.order_by(C.width)


def test_a_lens_of_code_that_only_copies_is_seen_through(ds: Dataset[Photo]) -> None:
    @atdata.packable
    class Named:
        name: str
        twice: int

    @atdata.lens
    def named(one: Photo) -> Named:
        return Named(name=one.label, twice=2 * one.n)

    views = ds.as_type(Named)
    found = views.where(col(views.fields.name).isin(["c"]) & (views.fields.twice > 390))
    assert [view.twice for view in found] == [396]
    assert found.explain().by_manifest == ("label in ('c')",)
    assert found.explain().by_samples == ("twice > 390",)


def test_a_class_that_changes_its_fields_is_asked_itself(ds: Dataset[Photo]) -> None:
    views = ds.as_type(Shout)
    found = views.where(views.fields.label == "C")
    assert len(list(found)) == sum(p.label == "c" for p in PHOTOS)
    assert found.explain().by_manifest == ()


def test_what_manifests_do_not_hold_is_asked_of_samples(ds: Dataset[Photo]) -> None:
    Q = ds.fields
    chosen = ds.where((F.data != b"") & (Q.n < 30))
    assert numbers(chosen) == of(lambda p: p.data != b"" and p.n < 30)
    assert [one.partition(" ")[0] for one in chosen.explain().by_samples] == ["data"]
    assert numbers(ds.where(col(Q.note).is_null() & (Q.n < 10))) == of(
        lambda p: p.note is None and p.n < 10
    )


def test_long_text_is_left_to_the_samples(tmp_path: Path) -> None:
    texts = [f"{i} " + "words " * 100 for i in range(40)]
    samples = [DictSample(text=text, n=i) for i, text in enumerate(texts)]
    ds = atdata.write_samples(samples, tmp_path / "t.tar", maxcount=10, manifest=True)
    chosen = ds.where(F.text.startswith("1"), F.n > 11)
    assert numbers(chosen) == [i for i in range(12, 40) if str(i).startswith("1")]
    assert chosen.explain().by_samples == ("text startswith '1'",)


def test_a_type_that_reads_other_values_than_are_stored_is_asked_itself(tmp_path: Path) -> None:
    samples = [DictSample(n=i) if i % 2 else DictSample(n=i, extra=1) for i in range(10)]
    path = tmp_path / "d.tar"
    atdata.write_samples(samples, path, manifest=True)

    @atdata.packable
    class WithDefault:
        n: int
        extra: int = 5

    ds = Dataset[WithDefault](path)
    assert numbers(ds.where(ds.fields.extra == 5)) == [1, 3, 5, 7, 9]
    assert numbers(Dataset(path).where(F.extra.is_null())) == [1, 3, 5, 7, 9]


def test_shards_without_manifests_are_an_error_or_read(tmp_path: Path) -> None:
    ds = atdata.write_samples(PHOTOS, tmp_path / "p.tar", maxcount=50, manifest=True)
    Q = ds.fields
    for file in tmp_path.glob("p-000002.manifest.*"):
        file.unlink()
    for ask in (
        lambda: len(ds.where(Q.n > 3)),
        lambda: ds.query(Q.n > 3),
        lambda: ds.value_counts("label"),
        lambda: ds.order_by("n")[0],
        lambda: ds.split({"a": 1, "b": 1}, by="label")["a"][0],
        lambda: ds.sql("select count(*) from this"),
    ):
        with pytest.raises(ManifestError, match=r"p-000002.*missing") as caught:
            ask()
        assert caught.value.shards == [str(tmp_path / "p-000002.tar")]
        assert "atdata manifest build" in str(caught.value)
    scanned = ds.where((Q.n > 90) & (Q.n < 120), missing="scan")
    assert numbers(scanned) == list(range(91, 120))
    assert scanned.explain().scanned == 1
    assert ds.value_counts("label", missing="scan") == dict(Counter(p.label for p in PHOTOS))
    assert numbers(ds.order_by("n", descending=True, missing="scan").limit(2)) == [199, 198]
    places = ds.query(Q.n == 110, missing="scan")
    assert numbers(ds.select(places)) == [110]
    with pytest.raises(ValueError, match="'error' or 'scan'"):
        ds.where(Q.n > 3, missing="skip")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_no_dataset_answers_without_its_manifests(tmp_path: Path) -> None:
    ds = atdata.write_samples(PHOTOS, tmp_path / "p.tar")
    with pytest.raises(ManifestError, match="manifest is missing"):
        ds.query(F.n > 3)
    with pytest.raises(atdata.AtdataError):
        Dataset[Photo](tmp_path / "nothing" / "p.tar").query(F.n > 3)


def test_wrong_questions_are_refused_at_once(ds: Dataset[Photo]) -> None:
    Q = ds.fields
    with pytest.raises(UnknownFieldError, match="score"):
        ds.where(F.scoer > 1)
    with pytest.raises(AttributeError, match="score"):
        Q.scoer  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        ds.where(F.score > "high")
    with pytest.raises(TypeError, match=r"\(a\) & \(b\)"):
        ds.where(F.score > 0.5 and F.n > 3)
    with pytest.raises(TypeError, match="between"):
        ds.where(0.4 < F.score < 0.6)
    with pytest.raises(TypeError):
        ds.where("score > 0.5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError):
        ds.where(True)
    with pytest.raises(UnknownFieldError):
        ds.value_counts("lable")
    with pytest.raises(UnknownFieldError):
        ds.select("lable")
    with pytest.raises(UnknownFieldError):
        ds.order_by("lable")


def test_a_function_on_a_frame_is_asked_of_each_manifest(ds: Dataset[Photo]) -> None:
    found = ds.query(lambda frame: (frame["n"] > 100) & frame["label"].isin(["c"]))
    assert [one.key for one in found] == [
        f"{n:09d}" for n in of(lambda p: p.n > 100 and p.label == "c")
    ]
    assert numbers(ds.where(lambda frame: frame.n < 3)) == [0, 1, 2]
    with pytest.raises(TypeError, match="a bool for each"):
        len(ds.where(lambda frame: frame.n))


def test_places_are_where_any_tool_finds_the_payload(ds: Dataset[Photo]) -> None:
    Q = ds.fields
    found = ds.query(Q.n >= 190)
    for place, wanted in zip(found, PHOTOS[190:], strict=True):
        data = Path(place.shard).read_bytes()[place.offset : place.offset + place.size]
        assert atdata.unpack(Photo, data) == wanted
    assert ds.select(found[::-1] + found[:1]) == [*PHOTOS[190:][::-1], PHOTOS[190]]
    moved = atdata.SampleLocation(found[0].shard, "x", found[0].offset + 512, 3)
    with pytest.raises(atdata.ShardError, match="no sample begins there"):
        ds.select([moved])
    with pytest.raises(KeyError):
        ds.select([atdata.SampleLocation("other.tar", "x", 512, 3)])
    assert [p.key for p in ds.where(Q.n >= 190).filter(lambda p: p.n % 2 == 1).query()] == [
        f"{n:09d}" for n in range(191, 200, 2)
    ]


def test_order_by(ds: Dataset[Photo]) -> None:
    Q = ds.fields
    by_score = sorted(PHOTOS, key=lambda p: (math.isnan(p.score), p.score))
    assert numbers(ds.order_by(Q.score)) == numbers(by_score)
    down = sorted(PHOTOS, key=lambda p: (math.isnan(p.score), -p.score))
    assert numbers(ds.order_by("score", descending=True)) == numbers(down)
    both = sorted(PHOTOS, key=lambda p: (p.label, -p.n))
    ordered = ds.order_by("label", "n", descending=[False, True])
    assert numbers(ordered) == numbers(both)
    assert ordered[5] == both[5]
    assert numbers(ordered.skip(10).take(5)) == numbers(both[10:15])
    assert numbers(ordered.where(Q.n > 100)) == [n for n in numbers(both) if n > 100]
    assert (
        numbers(ordered.filter(lambda p: p.n > 100).take(4))
        == [n for n in numbers(both) if n > 100][:4]
    )
    assert numbers(ordered.limit(20).order_by("n")) == sorted(numbers(both[:20]))
    assert [place.key for place in ordered.query(Q.n > 195)] == [
        f"{n:09d}" for n in numbers(both) if n > 195
    ]
    assert [b.n.tolist() for b in ordered.take(6).ordered(batch_size=4)] == [
        numbers(both[:4]),
        numbers(both[4:6]),
    ]
    assert numbers(ordered.repeat(2).take(N + 3)) == numbers(both) + numbers(both[:3])
    assert numbers(ordered.concat(ds.take(2))) == [*numbers(both), 0, 1]
    assert numbers(ordered.concat(ds.take(2)).take(N + 1)) == [*numbers(both), 0]
    assert sorted(numbers(ordered.shuffled(seed=1))) == list(range(N))
    stream = ordered.ordered()
    begun = iter(stream)
    first = [next(begun).n for _ in range(50)]
    resumed = ds.order_by("label", "n", descending=[False, True]).ordered()
    resumed.load_state_dict(stream.state_dict())
    assert first + numbers(resumed) == numbers(both)
    other = ds.order_by("n").ordered()
    with pytest.raises(atdata.StateError):
        other.load_state_dict(stream.state_dict())
    with pytest.raises(TypeError, match="no order"):
        len(ds.order_by("tags"))


def test_splits_have_nothing_in_common_and_keep_proportions(ds: Dataset[Photo]) -> None:
    shares = {"train": 0.8, "val": 0.1, "test": 0.1}
    parts = ds.split(shares, by="label", seed=3)
    assert sorted(n for part in parts.values() for n in numbers(part)) == list(range(N))
    counts = Counter(p.label for p in PHOTOS)
    for name, part in parts.items():
        assert abs(len(part) - shares[name] * N) <= 1
        for label, n in part.value_counts("label").items():
            assert abs(n - shares[name] * counts[label]) <= 1
    again = ds.split(shares, by="label", seed=3)
    assert {k: numbers(v) for k, v in again.items()} == {k: numbers(v) for k, v in parts.items()}
    other = ds.split(shares, by="label", seed=4)
    assert numbers(other["test"]) != numbers(parts["test"])
    plain = ds.split({"a": 3, "b": 1})
    assert (len(plain["a"]), len(plain["b"])) == (150, 50)
    odd = ds.filter(lambda p: p.n % 2 == 1).split({"a": 1, "b": 1})
    assert (len(odd["a"]), len(odd["b"])) == (50, 50)
    assert numbers(parts["test"].where(ds.fields.n > 100)) == [
        n for n in numbers(parts["test"]) if n > 100
    ]
    for bad in ({}, {"a": 0.0}, {"a": -1.0}, {"a": math.nan}):
        with pytest.raises(ValueError, match="above 0"):
            ds.split(bad)


def test_a_split_needs_no_manifest(tmp_path: Path) -> None:
    ds = atdata.write_samples(PHOTOS, tmp_path / "p.tar", maxcount=50)
    parts = ds.split({"a": 0.5, "b": 0.5}, seed=9)
    assert sorted(numbers(parts["a"]) + numbers(parts["b"])) == list(range(N))


def test_figures(ds: Dataset[Photo]) -> None:
    Q = ds.fields
    scores = [p.score for p in PHOTOS if not math.isnan(p.score)]
    found = ds.aggregate(
        n="count", low=("score", "min"), high=(Q.score, "max"), mean=("score", "mean"),
        std=("score", "std"), total=("n", "sum"), labels=("label", "distinct"),
        noted=("note", "count"), nulls=("note", "nulls"),
    )  # fmt: skip
    assert found["n"] == N
    assert (found["low"], found["high"]) == (min(scores), max(scores))
    assert found["mean"] == pytest.approx(np.mean(scores))
    assert found["std"] == pytest.approx(np.std(scores, ddof=1))
    assert found["total"] == sum(range(N))
    assert (found["labels"], found["nulls"]) == (3, sum(p.note is None for p in PHOTOS))
    assert found["noted"] + found["nulls"] == N
    by = ds.where(Q.n < 100).aggregate(by="label", n="count", top=("n", "max"))
    assert by == {"label": ["b", "c", "d"], "n": [33, 34, 33], "top": [98, 99, 97]}
    views = ds.map(lambda p: DictSample(half=p.n / 2))
    assert views.aggregate(top=("half", "max")) == {"top": (N - 1) / 2}
    assert ds.value_counts("tags")["t1"] == sum(p.tags.count("t1") for p in PHOTOS)
    assert ds.where(Q.n > N).aggregate(n="count", mean=("score", "mean")) == {"n": 0, "mean": None}
    with pytest.raises(ValueError, match="no figure"):
        ds.aggregate(x=("score", "median"))
    with pytest.raises(TypeError):
        ds.aggregate(x=("label", "sum"))


def test_sums_of_large_integers_are_exact(tmp_path: Path) -> None:
    samples = [DictSample(n=2**63 - 1) for _ in range(5)]
    ds = atdata.write_samples(samples, tmp_path / "big.tar", manifest=True)
    assert ds.aggregate(total=("n", "sum"))["total"] == 5 * (2**63 - 1)


def test_integers_stay_integers_whatever_their_size(tmp_path: Path) -> None:
    big = [-(2**63), 2**63 - 1, 2**63, 2**64 - 1, 0, 2**63, -1, 5]
    samples = [DictSample(n=n, ns=[n]) for n in big]
    ds = atdata.write_samples(samples, tmp_path / "i.tar", maxcount=2, manifest=True)
    assert ds.value_counts("n") == ds.value_counts("ns") == dict(Counter(big))
    assert {type(one) for one in ds.value_counts("n")} == {int}
    found = ds.aggregate(low=("n", "min"), high=("n", "max"), total=("n", "sum"))
    assert found == {"low": min(big), "high": max(big), "total": sum(big)}
    assert numbers(ds.order_by("n")) == sorted(big)
    assert numbers(ds.select("n")) == big
    assert [s.ns for s in ds.select("ns")] == [[n] for n in big]
    assert ds.aggregate(by="n", count="count")["n"] == sorted(set(big))


def test_values_of_several_types_are_told_apart_from_one(tmp_path: Path) -> None:
    mixed = [DictSample(n=1), DictSample(n=2.5)]
    ds = atdata.write_samples(mixed, tmp_path / "m.tar", maxcount=1, manifest=True)
    assert ds.aggregate(mean=("n", "mean")) == {"mean": 1.75}
    far = [DictSample(n=2**53 + 1), DictSample(n=2.5)]
    ds = atdata.write_samples(far, tmp_path / "f.tar", maxcount=1, manifest=True)
    with pytest.raises(TypeError, match="no float is"):
        ds.aggregate(mean=("n", "mean"))
    unlike = [DictSample(n="a"), DictSample(n=1)]
    ds = atdata.write_samples(unlike, tmp_path / "u.tar", maxcount=1, manifest=True)
    with pytest.raises(TypeError, match="several types"):
        ds.value_counts("n")
    assert len(ds.where(F.n == "a")) == 1


def test_fields_alone_come_from_manifests(ds: Dataset[Photo]) -> None:
    Q = ds.fields
    chosen = ds.where(Q.n < 40).select("n", "label", "tags")
    assert list(chosen) == [
        DictSample(n=p.n, label=p.label, tags=p.tags) for p in PHOTOS if p.n < 40
    ]
    for shard in ds.list_shards():
        data = bytearray(Path(shard).read_bytes())
        data[512:1500] = b"\xff" * 988  # the samples are gone; what ends the shard is there
        Path(shard).write_bytes(data)
    assert sorted(s.n for s in chosen) == list(range(40))
    with pytest.raises(atdata.ShardError):
        list(ds.select("n", "data"))


def test_sql_sees_what_is_left(ds: Dataset[Photo]) -> None:
    Q = ds.fields
    table = ds.where(Q.n < 90).sql(
        "select label, count(*) as n, max(n) as top, min(__key__) as first from this "
        "group by 1 order by 1"
    )
    assert table.to_pydict() == {
        "label": ["b", "c", "d"],
        "n": [30, 30, 30],
        "top": [89, 87, 88],
        "first": ["000000002", "000000000", "000000001"],
    }


def test_arrays_are_asked_for_their_shape(tmp_path: Path) -> None:
    @atdata.packable
    class Shaped:
        x: NDArray[Any]
        n: int

    samples = [Shaped(np.zeros((i % 3 + 1, 2), np.float32), i) for i in range(9)]
    ds = atdata.write_samples(samples, tmp_path / "s.tar", manifest=True)
    assert numbers(ds.where(F.x.shape.contains(3))) == [2, 5, 8]
    assert numbers(ds.where(F.x.dtype == "float32", F.n > 6)) == [7, 8]
