"""`load_dataset`: one call from a place or a name to a dataset, or to one for each split."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, overload

from atdata._exceptions import printable, shard_name
from atdata._protocols import DataSource
from atdata.dataset import Dataset, DictSample
from atdata.dataset._asking import Question
from atdata.load import _slices
from atdata.load._buckets import Access, from_environment, settings_in, source_in
from atdata.load._dict import DatasetDict
from atdata.load._refs import Catalogue, Network, is_reference, open_reference
from atdata.load._resolve import Found, find, folder_at
from atdata.load._splits import TRAIN, by_split, one_split
from atdata.pipeline.chosen import Missing
from atdata.sources.joined import joined
from atdata.transport.credentials import S3Settings
from atdata.transport.s3 import split_url

type Files = str | Path | Sequence[str | Path]
"""A path, an address or a pattern, or a list of those."""


@overload
def load_dataset[T](
    path: Files,
    sample_type: type[T],
    *,
    split: str,
    data_files: Files | Mapping[str, Files] | None = None,
    streaming: bool = False,
    index: Catalogue | None = None,
    atmosphere: Network | None = None,
    where: Question | None = None,
    missing: Missing = "error",
) -> Dataset[T]: ...
@overload
def load_dataset[T](
    path: Files,
    sample_type: type[T],
    *,
    split: None = None,
    data_files: Files | Mapping[str, Files] | None = None,
    streaming: bool = False,
    index: Catalogue | None = None,
    atmosphere: Network | None = None,
    where: Question | None = None,
    missing: Missing = "error",
) -> DatasetDict[T]: ...
@overload
def load_dataset(
    path: Files,
    sample_type: None = None,
    *,
    split: str,
    data_files: Files | Mapping[str, Files] | None = None,
    streaming: bool = False,
    index: Catalogue | None = None,
    atmosphere: Network | None = None,
    where: Question | None = None,
    missing: Missing = "error",
) -> Dataset[DictSample]: ...
@overload
def load_dataset(
    path: Files,
    sample_type: None = None,
    *,
    split: None = None,
    data_files: Files | Mapping[str, Files] | None = None,
    streaming: bool = False,
    index: Catalogue | None = None,
    atmosphere: Network | None = None,
    where: Question | None = None,
    missing: Missing = "error",
) -> DatasetDict[DictSample]: ...
def load_dataset(
    path: Files,
    sample_type: type[Any] | None = None,
    *,
    split: str | None = None,
    data_files: Files | Mapping[str, Files] | None = None,
    streaming: bool = False,
    index: Catalogue | None = None,
    atmosphere: Network | None = None,
    where: Question | None = None,
    missing: Missing = "error",
) -> Dataset[Any] | DatasetDict[Any]:
    """Load a dataset from files, folders, addresses, or by its name in an index.

    Files are found now, and an error says what is missing. Samples are read when they are asked
    for. The splits follow from the files' names, or from the folders nearest to them below
    `path`: `train`, `training`; `test`, `testing`; `val`, `valid`, `validation`, `dev`,
    `development`. If no name says anything, all files are `train`. If some do, the others are the
    split `other`, and a warning is logged.

    Args:
        path: A file; a folder, with all shards in it and below it; a pattern with `*`, `?`,
            `[…]`, `**` or braces; an address (`http:`, `https:`, `s3:`), with patterns where the
            server lists its folders; a list of those; or a name, `@repository/name@version`.
        sample_type: The samples' type. Without it: what the index has stored for a name (a type
            checker sees `DictSample`, any attribute of which is `Any`), else `DictSample`.
        split: Which samples: `"train"`, `"train+test"`, `"train[:10%]"`, `"train[100:200]"`,
            `"train[-5:]"`, `"all"`. Without it, all splits, by name.
        data_files: Files relative to the folder `path`, patterns too: those of the split `train`,
            or of each split by its name.
        streaming: Keep nothing on this machine. Otherwise, shards from elsewhere that are read
            shuffled are kept in the local cache.
        index: Where names are looked up, and whose credentials are used for its own store.
            Without it, the default index for names, and no index for addresses.
        atmosphere: What opens names that accounts have published.
        where: Of these samples only those of which this is true, as with `Dataset.where`.
        missing: What to do then about shards without a manifest that can be used: `"error"`, or
            `"scan"`, which reads all of their samples.

    Returns:
        A `Dataset`, or a `DatasetDict` if there is no `split`.

    Raises:
        ShardNotFoundError: A file, or anything that fits a pattern, is not there. It is a
            `FileNotFoundError`.
        SourceError: A place refused or failed.
        ValueError: There is no such split, or an argument makes no sense.
        UnknownFieldError: The samples have no field that `where` names.

    Examples:
        >>> import atdata
        >>> for name in ["train-0.tar", "train-1.tar", "test.tar"]:
        ...     _ = atdata.write_samples([atdata.DictSample(of=name)], tmp / "digits" / name)
        >>> splits = load_dataset(tmp / "digits")
        >>> splits.num_shards
        {'train': 2, 'test': 1}
        >>> [sample.of for sample in load_dataset(tmp / "digits", split="train[1:]+test")]
        ['train-1.tar', 'test.tar']
    """
    if isinstance(sample_type, str):
        raise TypeError(
            f"sample_type is a class, not the text {printable(sample_type)!r}"
            "\n  A split is given by name: split='train'."
        )
    if isinstance(index, str | Path):
        raise TypeError(f"index is an Index and no {type(index).__name__}: Index(path=...)")
    if split is not None and not isinstance(split, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need not check types
        raise TypeError(f"split is a str such as 'train[:10%]', not {type(split).__name__}")
    if isinstance(path, str) and is_reference(path):
        if data_files is not None:
            raise ValueError(
                f"{printable(path)!r} is a name, and data_files are files of a folder"
            )
        named = open_reference(path, sample_type, index, atmosphere)
        splits = {TRAIN: named.with_options(streaming=True) if streaming else named}
    else:
        splits = {
            name: Dataset(
                _source(files, index),
                sample_type=DictSample if sample_type is None else sample_type,
                streaming=streaming,
            )
            for name, files in _files(path, data_files, _access(index)).items()
        }
    if split is not None:
        picked = _slices.pick(splits, split)
        return picked if where is None else picked.where(where, missing=missing)
    if where is not None:
        splits = {name: ds.where(where, missing=missing) for name, ds in splits.items()}
    return DatasetDict(splits, sample_type, streaming)


def _files(
    path: Files, data_files: Files | Mapping[str, Files] | None, access: Access
) -> dict[str, list[Found]]:
    if data_files is None:
        return by_split(find(path, access=access))
    if not isinstance(path, str | Path):
        raise TypeError("data_files are files of one folder, and path is a list")
    base = folder_at(path)
    if not isinstance(data_files, Mapping):
        return one_split(find(data_files, base, access))
    if not data_files:
        raise ValueError("data_files names no split: it is empty")
    splits = {name: find(files, base, access) for name, files in data_files.items()}
    _check_apart(splits)
    return splits


def _check_apart(splits: Mapping[str, Sequence[Found]]) -> None:
    """Refuse a file that is of two splits: what is trained on must not be tested with."""
    of: dict[object, str] = {}
    for name, files in splits.items():
        for one in files:
            other = of.setdefault(one.identity, name)
            if other != name:
                shown = shard_name(str(one.shard))
                raise ValueError(
                    f"{shown!a} would be of two splits, {other!a} and {name!a}"
                    "\n  Let data_files name each file once. To use a split twice, load it twice."
                )


def _access(index: Catalogue | None) -> Access:
    """Who lists buckets: the index, as it would read from them, or whom the environment names."""
    if index is None:
        return from_environment

    def access(url: str) -> S3Settings:
        source = index.source_for([f"s3://{split_url(url)[0]}/any.tar"])
        return settings_in(source) or from_environment(url)

    return access


def _source(files: Sequence[Found], index: Catalogue | None) -> DataSource:
    places: list[str | Path | DataSource] = []
    for origin, some in groupby(files, key=lambda one: one.origin):
        run = list(some)
        if not origin.startswith("s3://"):
            places += [one.shard for one in run]
        elif index is not None:
            places.append(index.source_for([str(one.shard) for one in run]))
        else:
            keys = ["/".join(one.where) for one in run]
            bucket = origin.removeprefix("s3://")
            places.append(source_in(bucket, keys, from_environment(origin)))
    return joined(places)
