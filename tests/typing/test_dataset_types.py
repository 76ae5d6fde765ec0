"""What type checkers see of datasets. Checked by mypy and pyright; running it costs little."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_type

import numpy as np

import atdata
from atdata import Dataset, DictSample, SampleBatch, SampleStream


@dataclass
class Point:
    n: int


@dataclass
class View:
    n: int


class Points(Dataset[Point]):
    """A dataset with its type."""


def text_of(s: Point) -> str:
    return str(s.n)


def written(folder: Path) -> Dataset[Point]:
    return atdata.write_samples([Point(i) for i in range(4)], folder / "p.tar")


def test_writing_gives_a_dataset_of_what_was_written(tmp_path: Path) -> None:
    """`write_samples(list[T])` is `Dataset[T]`, and `key` takes a `T`."""
    assert_type(written(tmp_path), Dataset[Point])
    ds = atdata.write_samples((Point(i) for i in range(2)), tmp_path / "q.tar", key=text_of)
    assert_type(ds, Dataset[Point])


def test_a_dataset_is_made_with_its_type(tmp_path: Path) -> None:
    """In brackets, as argument, by a class of one's own, or of `DictSample`s."""
    path = written(tmp_path).list_shards()
    assert_type(Dataset[Point](path), Dataset[Point])
    assert_type(Dataset(path, sample_type=Point), Dataset[Point])
    assert_type(Dataset[DictSample](path), Dataset[DictSample])
    assert_type(list(Points(path)), list[Point])


def test_operations_change_the_type_as_they_change_the_samples(tmp_path: Path) -> None:
    """`as_type(V)` is `Dataset[V]`, `map(f)` of what `f` returns, and others keep it."""
    ds = written(tmp_path)
    assert_type(ds.as_type(View), Dataset[View])
    assert_type(ds.map(text_of), Dataset[str])
    assert_type(ds.map(lambda s: s.n + 1), Dataset[int])
    assert_type(ds.filter(lambda s: s.n > 1), Dataset[Point])
    assert_type(ds.take(1).skip(0).repeat(2), Dataset[Point])
    assert_type(ds.concat(ds, ds), Dataset[Point])
    assert_type(ds.with_options(on_error="skip"), Dataset[Point])
    assert_type(ds.with_content_metadata({"a": 1}), Dataset[Point])


def test_reading_gives_samples_or_batches(tmp_path: Path) -> None:
    """A `batch_size` makes the difference, ordered and shuffled, by keyword and by position."""
    ds = written(tmp_path)
    assert_type(ds.ordered(), SampleStream[Point])
    assert_type(ds.ordered(batch_size=2), SampleStream[SampleBatch[Point]])
    assert_type(ds.ordered(2), SampleStream[SampleBatch[Point]])
    assert_type(ds.shuffled(), SampleStream[Point])
    assert_type(ds.shuffled(seed=1, epoch=2), SampleStream[Point])
    assert_type(ds.shuffled(10, 10), SampleStream[Point])
    assert_type(ds.shuffled(batch_size=2), SampleStream[SampleBatch[Point]])
    assert_type(ds.shuffled(10, batch_size=2), SampleStream[SampleBatch[Point]])
    assert_type(ds.shuffled(10, 10, 2), SampleStream[SampleBatch[Point]])
    assert_type(iter(ds), Iterator[Point])
    assert_type(ds.items(), Iterator[tuple[str, Point]])
    assert_type(ds.ordered().items(), Iterator[tuple[str, Point]])
    assert_type(list(ds), list[Point])
    for sample in ds.as_type(View).shuffled():
        assert_type(sample, View)
    for batch in ds.as_type(View).ordered(batch_size=32):
        assert_type(batch, SampleBatch[View])
        assert_type(batch[0], View)
        assert_type(batch[:1], SampleBatch[View])
        assert_type(batch.samples, list[View])
        assert_type(batch.sample_type, type[View])
        assert_type(list(batch), list[View])
        assert_type(batch.n, Any)


def test_positions_give_a_sample_or_a_list(tmp_path: Path) -> None:
    """By what stands in the brackets."""
    ds = written(tmp_path)
    assert_type(ds[0], Point)
    assert_type(ds[np.int64(0)], Point)
    assert_type(ds[1:], list[Point])
    assert_type(ds[[0, 1]], list[Point])
    assert_type(ds[np.array([0, 1])], list[Point])
    assert_type(ds.select([0]), list[Point])
    assert_type(ds.get("000000001"), Point)
    assert_type(ds.head(), list[Point])
    assert_type(len(ds), int)


def test_what_a_dataset_says_of_itself(tmp_path: Path) -> None:
    """Its type, its batches' type, its shards."""
    ds = written(tmp_path)
    assert_type(ds.sample_type, type[Point])
    assert_type(ds.batch_type, type[SampleBatch[Point]])
    assert_type(ds.list_shards(), list[str])
    assert_type(ds.to_dict(), dict[str, list[Any]])
    assert_type(ds.process_shards(len), dict[str, Any])


def test_what_does_not_fit_is_refused_by_checkers(tmp_path: Path) -> None:
    """A checker that let one of these pass would find the comment unused."""
    ds = written(tmp_path)
    wrong: list[Callable[[], object]] = [
        lambda: ds.filter(lambda s: s.m),  # type: ignore[attr-defined]  # pyright: ignore
        lambda: ds.concat(ds.as_type(View)),  # type: ignore[arg-type]  # pyright: ignore
        lambda: ds["text"],  # type: ignore[index]  # pyright: ignore
        lambda: ds.ordered(batch_size="2"),  # type: ignore[call-overload]  # pyright: ignore
        lambda: ds.with_options(on_error="ignore"),  # type: ignore[arg-type]  # pyright: ignore
        lambda: Dataset[Point](3),  # type: ignore[arg-type]  # pyright: ignore
        lambda: ds.as_type(3),  # type: ignore[arg-type]  # pyright: ignore
    ]

    assert len(wrong) == 7
