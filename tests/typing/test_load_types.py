"""What type checkers see of loading. Checked by mypy and pyright; running it costs little."""

from dataclasses import dataclass
from pathlib import Path
from typing import assert_type

import atdata
from atdata import Dataset, DatasetDict, DictSample, SampleBatch, SampleStream, load_dataset
from atdata.index import Index


@dataclass
class Point:
    n: int


@dataclass
class View:
    n: int


def written(folder: Path) -> Path:
    atdata.write_samples([Point(i) for i in range(4)], folder / "train.tar")
    return folder


def test_a_type_and_a_split_give_a_dataset_of_that_type(tmp_path: Path) -> None:
    """`load_dataset(path, T, split=...)` is `Dataset[T]`; without a split, a `DatasetDict[T]`."""
    path = written(tmp_path)
    assert_type(load_dataset(path, Point, split="train"), Dataset[Point])
    assert_type(load_dataset(str(path), Point, split="train[:1]"), Dataset[Point])
    assert_type(load_dataset([path], Point), DatasetDict[Point])
    assert_type(load_dataset(path, Point)["train"], Dataset[Point])
    assert_type(load_dataset(path, Point, streaming=True).num_shards, dict[str, int])


def test_without_a_type_samples_are_dict_samples(tmp_path: Path) -> None:
    """Any attribute of a `DictSample` is `Any`, so what a stored schema says can be used too."""
    path = written(tmp_path)
    assert_type(load_dataset(path, split="train"), Dataset[DictSample])
    assert_type(load_dataset(path), DatasetDict[DictSample])
    assert_type(load_dataset([str(path)], data_files=None), DatasetDict[DictSample])


def test_data_files_are_text_paths_lists_or_a_mapping(tmp_path: Path) -> None:
    """Each way to write files is accepted."""
    path = written(tmp_path)
    load_dataset(path, Point, data_files="train.tar")
    load_dataset(path, Point, data_files=["train.tar", Path("train.tar")])
    load_dataset(path, Point, data_files={"a": "train.tar"})
    assert_type(load_dataset(path, Point, data_files={"a": ["*.tar"]}, split="a"), Dataset[Point])


def test_a_split_alone_has_the_types_of_its_dataset(tmp_path: Path) -> None:
    """What is forwarded is typed as the dataset's own."""
    splits = load_dataset(written(tmp_path), Point)
    assert_type(splits.ordered(), SampleStream[Point])
    assert_type(splits.ordered(batch_size=2), SampleStream[SampleBatch[Point]])
    assert_type(splits.shuffled(seed=1), SampleStream[Point])
    assert_type(splits.shuffled(batch_size=2), SampleStream[SampleBatch[Point]])
    assert_type(splits.head(1), list[Point])
    assert_type(splits.as_type(View), Dataset[View])
    assert_type(splits.list_shards(), list[str])
    assert_type(splits.map(lambda s: s.n), DatasetDict[int])
    assert_type(splits.filter(lambda s: s.n > 1), DatasetDict[Point])
    assert_type(splits.sample_type, type[Point] | None)
    assert_type(list(splits), list[str])


def test_an_index_is_accepted_as_one(tmp_path: Path) -> None:
    """What is named is of the type that was given."""
    with Index(path=tmp_path / "index.db") as index:
        index.write([Point(1)], name="points")
        assert_type(load_dataset("@local/points", Point, index=index), DatasetDict[Point])
        assert_type(load_dataset("@local/points", index=index, split="train"), Dataset[DictSample])
