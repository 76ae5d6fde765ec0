"""What loading takes and refuses: files by split, missing files, names, and what it gives."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.load.folders import fill, number, read

import atdata
from atdata import Dataset, DictSample, ShardNotFoundError, SourceError, UnsafeURLError, URLSource
from atdata._protocols import DataSource
from atdata.index import Index, set_default_index
from atdata.load import DatasetDict, load_dataset

MANY = [f"{split}-{n}.tar" for split in ("train", "test") for n in (1, 2)]


@atdata.packable
class Numbered:
    n: int


@atdata.packable
class Viewed:
    n: int


# -- data_files


@pytest.mark.parametrize(
    ("data_files", "wanted"),
    [
        ("a.tar", {"train": ["a.tar"]}),
        ("b/*.tar", {"train": ["b/test-1.tar", "b/test-2.tar"]}),
        ("b", {"train": ["b/test-1.tar", "b/test-2.tar"]}),
        (["c-{2,1}.tar", "a.tar"], {"train": ["c-2.tar", "c-1.tar", "a.tar"]}),
        ({"x": "a.tar", "y": "b/**"}, {"x": ["a.tar"], "y": ["b/test-1.tar", "b/test-2.tar"]}),
        ({"test": ["c-1.tar", "a.tar"]}, {"test": ["c-1.tar", "a.tar"]}),
        ({"train": Path("c-1.tar")}, {"train": ["c-1.tar"]}),
    ],
)
def test_data_files_name_the_files_of_each_split(
    tmp_path: Path, data_files: Any, wanted: dict[str, list[str]]
) -> None:
    """Text, lists and mappings, with patterns, relative to the folder."""
    root = fill(tmp_path, ["a.tar", "b/test-1.tar", "b/test-2.tar", "c-1.tar", "c-2.tar", "d.txt"])

    for path in (root, str(root), f"file://{root}"):
        splits = load_dataset(path, data_files=data_files)

        assert {name: read(dataset) for name, dataset in splits.items()} == wanted
        assert list(splits) == list(wanted)


def test_data_files_may_lie_elsewhere(tmp_path: Path) -> None:
    """A whole path is taken as it is, whatever the folder."""
    root = fill(tmp_path / "[1]", ["a.tar"])
    far = fill(tmp_path / "far", ["b.tar"])

    dataset = load_dataset(root, data_files=["*.tar", f"{far}/*.tar"], split="train")

    assert read(dataset) == ["a.tar", "b.tar"]


def test_files_of_several_splits_are_not_put_into_one(tmp_path: Path) -> None:
    """A pattern that catches what to train with and what to test with is refused."""
    fill(tmp_path, MANY)

    with pytest.raises(ValueError, match=r"test \(test-1.tar\), train \(train-1.tar\)"):
        load_dataset(tmp_path, data_files="*.tar")


def test_a_file_is_not_of_two_splits(tmp_path: Path) -> None:
    """What is trained on is not tested with, unless one says so by loading twice."""
    fill(tmp_path, MANY)

    with pytest.raises(ValueError, match="test-1.tar' would be of two splits, 'train' and 'test'"):
        load_dataset(tmp_path, data_files={"train": "*.tar", "test": f"{tmp_path}/./test-*.tar"})


@pytest.mark.parametrize(
    ("path", "data_files", "said"),
    [
        ([], None, "the list of files is empty"),
        (".", [], "the list of files is empty"),
        (".", {}, "it is empty"),
        (".", {"train": []}, "the list of files is empty"),
        ("a.tar", "b.tar", "is a file"),
        ("https://example.org/*", "b.tar", "no folder but a pattern"),
        ("https://example.org/?a=b", "b.tar", "has a query"),
        ("https://example.org/data", "../b.tar", "leads out of"),
        ("@lab/mnist", "b.tar", "is a name"),
        ("*/../a.tar", None, "cannot stand behind a wildcard"),
        ("{0..9999999}.tar", None, "at most"),
        ("a-{1.tar", None, "without a '}'"),
    ],
)
def test_arguments_that_make_no_sense_are_value_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any, data_files: Any, said: str
) -> None:
    """The message says which argument, and why."""
    monkeypatch.chdir(fill(tmp_path, ["a.tar"]))

    with pytest.raises(ValueError, match=said):
        load_dataset(path, data_files=data_files)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: load_dataset(7), "a path is a str or Path"),  # type: ignore[call-overload]
        (lambda: load_dataset([7]), "a path is a str or Path"),  # type: ignore[list-item]
        (lambda: load_dataset("a.tar", "train"), "split='train'"),  # type: ignore[call-overload]
        (lambda: load_dataset("a.tar", split=["train"]), "split is a str"),  # type: ignore[call-overload]
        (lambda: load_dataset(["a.tar"], data_files="b.tar"), "path is a list"),
    ],
)
def test_arguments_of_another_type_are_type_errors(call: Any, said: str) -> None:
    """What users of other libraries would write is answered with what is written here."""
    with pytest.raises(TypeError, match=said):
        call()


# -- what is not there


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("train-3.tar", r"the folder \. holds train-2.tar, train-1.tar, .* more"),
        ("none/train-1.tar", "holds"),
        ("train-{1..3}.tar", "train-3.tar"),
        (["train-1.tar", "train-9.tar"], "train-9.tar"),
        ("valid-*.tar", r"no file there fits; .* holds"),
        ("{train,valid}-*.tar", "valid-"),
        ("none/*.tar", "no such file or folder"),
        ("*/a.tar", "a link that leads nowhere"),
        ("*/*-9.tar", "no file there fits"),
        (Path("train-*.tar"), "write it as a str"),
        ("empty", "a shard's name ends in .tar"),
        ("empty/*", "holds readme.md"),
        ("train-1.tar/x", "no such file or folder"),
        ("x" * 300, "file name too long"),
        ("broken", "broken"),
        ("linked", "linked"),
    ],
)
def test_missing_files_are_noticed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any, said: str
) -> None:
    """The error is a FileNotFoundError that tells what is there instead."""
    monkeypatch.chdir(fill(tmp_path, [*MANY, "empty/readme.md"]))
    Path("broken").symlink_to("nowhere.tar")
    Path("linked").mkdir()
    Path("linked", "a.tar").symlink_to("nowhere.tar")
    wanted = SourceError if path == "x" * 300 else ShardNotFoundError

    with pytest.raises(wanted, match=said) as caught:
        load_dataset(path)

    assert isinstance(caught.value, FileNotFoundError) or wanted is SourceError
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_link_that_cannot_be_followed_is_no_folder(tmp_path: Path) -> None:
    """What is not meant does not keep the rest from being loaded."""
    fill(tmp_path, ["a.tar", "x/b.tar"])
    loop = tmp_path / "x" / "self"
    loop.symlink_to(loop)

    splits = load_dataset(tmp_path)

    assert read(splits["train"]) == ["a.tar", "x/b.tar"]


@pytest.mark.parametrize(
    "path",
    [
        "pipe:touch ran",
        "pipe:touch {a,b}",
        "-",
        "",
        "ftp://example.org/a.tar",
        "mem:a",
        "file://x/a",
    ],
)
def test_nothing_is_run_and_no_other_kind_of_address_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """`pipe:` and the like are refused, alone, in a list and as data_files."""
    monkeypatch.chdir(tmp_path)

    for call in (
        lambda: load_dataset(path),
        lambda: load_dataset([path]),
        lambda: load_dataset(tmp_path, data_files=path),
        lambda: load_dataset(tmp_path, data_files={"train": [path]}),
    ):
        with pytest.raises(UnsafeURLError):
            call()

    assert list(tmp_path.iterdir()) == []


def test_a_name_with_two_words_is_refused(tmp_path: Path) -> None:
    """No guess is made about what a file is for."""
    fill(tmp_path, ["train-test-0.tar", "train.tar"])

    with pytest.raises(ValueError, match="could be of the splits test and train"):
        load_dataset(tmp_path)


def test_messages_show_no_secrets_and_no_control_characters(tmp_path: Path) -> None:
    """What a folder holds and what an address hides is shown with care."""
    (tmp_path / "a\x1b[31m.txt").touch()

    with pytest.raises(ShardNotFoundError) as caught:
        load_dataset(tmp_path)
    assert "\x1b" not in str(caught.value)

    with pytest.raises(ValueError) as refused:
        load_dataset("https://me:secret@example.org/*.tar?sig=hidden")
    assert "secret" not in str(refused.value)
    assert "hidden" not in str(refused.value)


# -- what it gives


def test_without_a_type_samples_are_dict_samples(tmp_path: Path) -> None:
    """With a type, they are of that type."""
    root = number(tmp_path, 3)

    assert load_dataset(root, split="train")[0] == DictSample(n=0)
    assert load_dataset(root, Numbered, split="train")[0] == Numbered(0)
    assert load_dataset(root, Numbered).sample_type is Numbered
    assert load_dataset(root).sample_type is DictSample


def test_a_split_alone_can_be_used_as_its_dataset(tmp_path: Path) -> None:
    """`ordered`, `shuffled`, `as_type`, `head` and others are those of the split."""
    splits = load_dataset(number(tmp_path, 5), Numbered)

    assert list(splits) == ["train"]
    assert len(splits) == 1
    assert [s.n for s in splits.ordered()] == [0, 1, 2, 3, 4]
    assert [b.n.tolist() for b in splits.ordered(batch_size=3)] == [[0, 1, 2], [3, 4]]
    assert sorted(s.n for s in splits.shuffled(seed=1)) == [0, 1, 2, 3, 4]
    assert splits.head(2) == [Numbered(0), Numbered(1)]
    assert splits.as_type(Viewed).head(1) == [Viewed(0)]
    assert splits.list_shards() == splits["train"].list_shards()
    assert [s.n for s in splits.take(1)] == [0]
    assert splits.column_names == ["n"]


def test_several_splits_say_that_one_is_to_be_selected(tmp_path: Path) -> None:
    """The error names the splits there are; hasattr says no."""
    splits = load_dataset(fill(tmp_path, MANY))

    with pytest.raises(
        AttributeError, match=r"2 splits: train, test\n  Select one: splits\['train'\]"
    ):
        splits.ordered()
    assert not hasattr(splits, "head")
    with pytest.raises(KeyError):
        splits["dev"]


def test_an_empty_dict_has_no_dataset() -> None:
    """An error of its own, and never StopIteration."""
    empty: DatasetDict[Any] = DatasetDict()

    with pytest.raises(AttributeError, match="no splits"):
        empty.ordered()
    assert empty.sample_type is None
    assert empty.num_shards == {}
    assert repr(empty) == "DatasetDict({})"


def test_other_names_are_no_attributes(tmp_path: Path) -> None:
    """A misspelt name fails as on any object."""
    splits = load_dataset(number(tmp_path, 1))

    with pytest.raises(AttributeError, match="has no attribute 'oredred'"):
        _ = splits.oredred


def test_all_splits_are_filtered_and_mapped(tmp_path: Path) -> None:
    """`filter` and `map` give splits again."""
    root = number(number(tmp_path, 5), 3, "test.tar")

    changed = load_dataset(root).filter(lambda s: s.n > 1).map(lambda s: s.n * 10)

    assert {name: list(ds) for name, ds in changed.items()} == {
        "train": [20, 30, 40],
        "test": [20],
    }


def test_splits_survive_pickling(tmp_path: Path) -> None:
    """Type, streaming and datasets arrive in another process."""
    splits = load_dataset(number(tmp_path, 5), Numbered, streaming=True)

    again = pickle.loads(pickle.dumps(splits))

    assert type(again) is DatasetDict
    assert (again.sample_type, again.streaming, again.num_shards) == (Numbered, True, {"train": 2})
    assert [s.n for s in again["train"]] == [0, 1, 2, 3, 4]


def test_the_repr_shows_each_split(tmp_path: Path) -> None:
    """Which splits, of what type, and how many shards."""
    shown = repr(load_dataset(fill(tmp_path, MANY)))

    assert shown.startswith("DatasetDict({\n    'train': Dataset[DictSample](")
    assert shown.count("2 shards") == 2


# -- names


class Shelf:
    """An index of datasets by name and version."""

    def __init__(self, **versions: Dataset[Any]) -> None:
        self._versions = versions
        self.repos = {"lab": None, "lab.v2": None}  # as names of repositories may have dots
        self.asked: list[tuple[str, object]] = []
        self.urls: list[str] = []

    def open(self, ref: str, sample_type: type[Any] | None = None) -> Dataset[Any]:
        self.asked.append((ref, sample_type))
        version = ref.rpartition("@")[2]
        if version not in self._versions:
            raise KeyError(f"no such version: {version}")
        found = self._versions[version]
        return found if sample_type is None else found.as_type(sample_type)

    def source_for(self, urls: Sequence[str]) -> DataSource:
        self.urls += urls
        return URLSource([url.replace("s3://", "https://") for url in urls])


def test_a_name_is_opened_by_the_index(tmp_path: Path) -> None:
    """The whole reference goes to the index, which knows the type; one split is given."""
    shelf = Shelf(v1=Dataset[Numbered](number(tmp_path, 6) / "train-000000.tar"))

    splits = load_dataset("@lab/numbers@v1", index=shelf)

    assert list(splits) == ["train"]
    assert splits.head(1) == [Numbered(0)]
    assert [s.n for s in load_dataset("@lab/numbers@v1", index=shelf, split="train[1:3]")] == [
        1,
        2,
    ]
    assert load_dataset("atdata://lab/dataset/numbers@v1", Numbered, index=shelf).head(1)[0].n == 0
    assert shelf.asked[-1] == ("atdata://lab/dataset/numbers@v1", Numbered)
    assert load_dataset("@lab.v2/numbers@v1", index=shelf).head(1) == [Numbered(0)]


def test_another_split_or_version_of_a_name_is_an_error(tmp_path: Path) -> None:
    """Nothing else is given in the place of what was asked for."""
    shelf = Shelf(v1=Dataset[Numbered](number(tmp_path, 6) / "train-000000.tar"))

    with pytest.raises(ValueError, match="Split 'test' not found; available: 'train'"):
        load_dataset("@lab/numbers@v1", index=shelf, split="test")
    with pytest.raises(KeyError, match="9.9.9"):
        load_dataset("@lab/numbers@9.9.9", index=shelf)


@pytest.mark.parametrize(
    "ref", ["at://did:plc:abc/x/y", "@alice.example.org/mnist", "@did:plc:abc/mnist@1.0.0"]
)
def test_the_atmosphere_is_plugged_in_or_said_to_be_missing(tmp_path: Path, ref: str) -> None:
    """Names of accounts are opened by what is given for that, and by nothing else."""
    published = Dataset[Numbered](number(tmp_path, 6) / "train-000000.tar")
    network = Shelf(**{ref.rpartition("@")[2]: published})

    with pytest.raises(SourceError, match="atmosphere is not available"):
        load_dataset(ref, index=Shelf())
    assert load_dataset(ref, index=Shelf(), atmosphere=network, split="train").head(1) == [
        Numbered(0)
    ]


def test_the_index_reads_addresses_of_buckets() -> None:
    """A store's credentials are the index's to use; it is asked for buckets alone."""
    shelf = Shelf()

    splits = load_dataset("https://example.org/a.tar", index=shelf)

    assert shelf.urls == []
    assert splits.list_shards() == ["https://example.org/a.tar"]


def test_what_an_index_wrote_is_loaded_by_name_and_version(tmp_path: Path) -> None:
    """A real index gives the stored types, and the versions that were asked for."""
    with Index(path=tmp_path / "index.db") as index:
        for n, version in enumerate(("1.0.0", "2.0.0"), start=1):
            index.write([Numbered(n * 10 + i) for i in range(3)], name="numbers", version=version)

        assert [s.n for s in load_dataset("@local/numbers@1.0.0", index=index, split="train")] == [
            10,
            11,
            12,
        ]
        assert load_dataset("@local/numbers", Numbered, index=index).head(1) == [Numbered(20)]
        latest = load_dataset("atdata://local/dataset/numbers@2.0.0", index=index, streaming=True)
        assert (latest.streaming, [s.n for s in latest.ordered()]) == (True, [20, 21, 22])
        with pytest.raises(KeyError, match="numbers"):
            load_dataset("@local/numbers@9.9.9", index=index)
        with pytest.raises(KeyError, match="nmbers"):
            load_dataset("@local/nmbers", index=index)
        with pytest.raises(ValueError, match="Split 'test' not found; available: 'train'"):
            load_dataset("@local/numbers", index=index, split="test")
        with pytest.raises(SourceError, match="atmosphere is not available"):
            load_dataset("@alice.example.org/numbers", index=index)


def test_names_are_looked_up_in_the_default_index(tmp_path: Path) -> None:
    """Without `index=`, the index is that of the process."""
    with Index(path=tmp_path / "index.db") as index:
        index.write([Numbered(1)], name="one")
        set_default_index(index)
        try:
            assert load_dataset("@local/one", Numbered, split="train")[0] == Numbered(1)
        finally:
            set_default_index(None)
