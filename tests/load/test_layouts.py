"""Which files are meant and of which split they are: one row for each way people lay data out."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.load.folders import fill, read

from atdata.load import load_dataset

TRIO = ["train.tar", "test.tar", "val.tar"]
SPLIT_TRIO = {"train": ["train.tar"], "validation": ["val.tar"], "test": ["test.tar"]}

# The files, what is asked for, and what each split reads.
ROWS: dict[str, tuple[list[str], Any, dict[str, list[str]]]] = {
    # single files
    "a file": (["a.tar"], "a.tar", {"train": ["a.tar"]}),
    "a file called test": (["test.tar"], "test.tar", {"test": ["test.tar"]}),
    "a file with another suffix": (["a.wds"], "a.wds", {"train": ["a.wds"]}),
    "a file in a folder called test": (["test/a.tar"], "test/a.tar", {"train": ["test/a.tar"]}),
    "a hidden file by its name": ([".a.tar"], ".a.tar", {"train": [".a.tar"]}),
    "a compressed file": (["dev.tar.gz"], "dev.tar.gz", {"validation": ["dev.tar.gz"]}),
    # flat folders
    "three files": (TRIO, ".", SPLIT_TRIO),
    "three files, slash": (TRIO, "./", SPLIT_TRIO),
    "numbered": (
        ["train-000.tar", "train-001.tar", "test-000.tar"],
        ".",
        {"train": ["train-000.tar", "train-001.tar"], "test": ["test-000.tar"]},
    ),
    "no words": (["a.tar", "b.tar"], ".", {"train": ["a.tar", "b.tar"]}),
    "natural order": (
        [f"d-{i}.tar" for i in (10, 2, 1, 11)],
        ".",
        {"train": ["d-1.tar", "d-2.tar", "d-10.tar", "d-11.tar"]},
    ),
    "a name that begins another": (
        ["data.tar", "data-1.tar", "data-10.tar"],
        ".",
        {"train": ["data-1.tar", "data-10.tar", "data.tar"]},
    ),
    "numbers with and without zeros": (
        ["a-010.tar", "a-9.tar", "a-1.tar"],
        ".",
        {"train": ["a-1.tar", "a-9.tar", "a-010.tar"]},
    ),
    "a number of very many digits": (
        [f"a-{'9' * 200}.tar", "a-7.tar"],
        ".",
        {"train": ["a-7.tar", f"a-{'9' * 200}.tar"]},
    ),
    "every compression": (
        ["a.tar", "b.tar.gz", "c.tar.bz2", "d.tar.xz", "e.tar.zst", "f.tgz"],
        ".",
        {"train": ["a.tar", "b.tar.gz", "c.tar.bz2", "d.tar.xz", "e.tar.zst", "f.tgz"]},
    ),
    "hidden and temporary": (
        ["a.tar", ".b.tar", ".c/d.tar", "e.tar.tmp", "f.tmp.tar", "~g.tar", "a/.h.tar"],
        ".",
        {"train": ["a.tar"]},
    ),
    "what lies beside shards": (
        ["a.tar", "readme.md", "a.manifest.json", "a.manifest.parquet", "notes.txt"],
        ".",
        {"train": ["a.tar"]},
    ),
    # words in names
    "word in the middle": (["x-test-0.tar"], ".", {"test": ["x-test-0.tar"]}),
    "word at the end": (["data-train.tar"], ".", {"train": ["data-train.tar"]}),
    "word behind a dot": (["a.test.tar"], ".", {"test": ["a.test.tar"]}),
    "word before a dot": (["test.a.tar"], ".", {"test": ["test.a.tar"]}),
    "word with a number": (
        ["test1.tar", "train0.tar"],
        ".",
        {"train": ["train0.tar"], "test": ["test1.tar"]},
    ),
    "word behind underscores": (["my_val_set.tar"], ".", {"validation": ["my_val_set.tar"]}),
    "word in capitals": (["TEST-0.tar"], ".", {"test": ["TEST-0.tar"]}),
    "training and testing": (
        ["training.tar", "testing.tar"],
        ".",
        {"train": ["training.tar"], "test": ["testing.tar"]},
    ),
    "all words for validation": (
        ["dev.tar", "development.tar", "val.tar", "valid.tar", "validation.tar"],
        ".",
        {"validation": ["dev.tar", "development.tar", "val.tar", "valid.tar", "validation.tar"]},
    ),
    "no word inside words": (
        ["latest.tar", "contest-0.tar", "trains.tar", "device.tar", "invalid.tar"],
        ".",
        {"train": ["contest-0.tar", "device.tar", "invalid.tar", "latest.tar", "trains.tar"]},
    ),
    "eval is no word": (["eval-0.tar"], ".", {"train": ["eval-0.tar"]}),
    "the same word twice": (["train-training.tar"], ".", {"train": ["train-training.tar"]}),
    "files that say nothing": (
        ["train.tar", "test.tar", "eval.tar", "more.tar"],
        ".",
        {"train": ["train.tar"], "test": ["test.tar"], "other": ["eval.tar", "more.tar"]},
    ),
    # folders in folders
    "a folder for each split": (
        ["train/a.tar", "train/b.tar", "test/a.tar"],
        ".",
        {"train": ["train/a.tar", "train/b.tar"], "test": ["test/a.tar"]},
    ),
    "deep folders": (
        ["x/y/train/z/a.tar", "x/y/test/z/a.tar"],
        ".",
        {"train": ["x/y/train/z/a.tar"], "test": ["x/y/test/z/a.tar"]},
    ),
    "the name before the folder": (["test/train-0.tar"], ".", {"train": ["test/train-0.tar"]}),
    "the nearest folder": (["train/dev/a.tar"], ".", {"validation": ["train/dev/a.tar"]}),
    "folders in natural order": (
        ["p10/a.tar", "p2/a.tar", "p2/b.tar"],
        ".",
        {"train": ["p2/a.tar", "p2/b.tar", "p10/a.tar"]},
    ),
    "a folder whose name ends as a shard's": (["a.tar/b.tar"], ".", {"train": ["a.tar/b.tar"]}),
    "a folder called test": (["test/a.tar"], "test", {"train": ["test/a.tar"]}),
    # patterns
    "star": (["a-1.tar", "a-2.tar", "b.tar"], "a-*.tar", {"train": ["a-1.tar", "a-2.tar"]}),
    "star and splits": (TRIO, "*.tar", SPLIT_TRIO),
    "open star": ([*TRIO, "train.md"], "*", SPLIT_TRIO),
    "open star in the middle": (["train.tar", "train.txt"], "tr*", {"train": ["train.tar"]}),
    "question mark": (["a-1.tar", "a-10.tar"], "a-?.tar", {"train": ["a-1.tar"]}),
    "set": (["a1.tar", "a2.tar", "a3.tar"], "a[13].tar", {"train": ["a1.tar", "a3.tar"]}),
    "all but a set": (["a1.tar", "a2.tar", "a3.tar"], "a[!13].tar", {"train": ["a2.tar"]}),
    "range": ([f"{c}.tar" for c in "abcd"], "[b-c].tar", {"train": ["b.tar", "c.tar"]}),
    "star in a folder's name": (
        ["run-1/train.tar", "run-2/train.tar", "else/train.tar"],
        "run-*/train.tar",
        {"train": ["run-1/train.tar", "run-2/train.tar"]},
    ),
    "star for the folder of a split": (
        ["train/a.tar", "test/a.tar"],
        "*/a.tar",
        {"train": ["train/a.tar"], "test": ["test/a.tar"]},
    ),
    "two stars": (
        ["a.tar", "x/a.tar", "x/y/a.tar", "x/y/b.tar"],
        "**/a.tar",
        {"train": ["a.tar", "x/a.tar", "x/y/a.tar"]},
    ),
    "two stars at the end": (
        ["x/a.tar", "x/y/b.tar", "c.tar"],
        "x/**",
        {"train": ["x/a.tar", "x/y/b.tar"]},
    ),
    "two stars in the middle": (
        ["x/train/a.tar", "x/y/train/b.tar", "x/y/c.tar"],
        "x/**/train/*.tar",
        {"train": ["x/train/a.tar", "x/y/train/b.tar"]},
    ),
    "two stars twice": (["x/a/b.tar"], "**/**/*.tar", {"train": ["x/a/b.tar"]}),
    "star and slash": (
        ["x/a.tar", "y/z/b.tar", "c.tar"],
        "*/",
        {"train": ["x/a.tar", "y/z/b.tar"]},
    ),
    "star does not see hidden": (
        [".a.tar", "b.tar", ".c/d.tar"],
        "**/*.tar",
        {"train": ["b.tar"]},
    ),
    "a dot sees hidden": ([".a.tar", "b.tar"], ".*.tar", {"train": [".a.tar"]}),
    "pattern below a folder called test": (
        ["test/a.tar"],
        "test/*.tar",
        {"train": ["test/a.tar"]},
    ),
    # braces
    "braces": (["a-1.tar", "a-2.tar"], "a-{1..2}.tar", {"train": ["a-1.tar", "a-2.tar"]}),
    "braces for splits": (TRIO, "{train,test,val}.tar", SPLIT_TRIO),
    "braces and star": (
        ["train-1.tar", "train-2.tar", "test-1.tar", "x-1.tar"],
        "{train,test}-*.tar",
        {"train": ["train-1.tar", "train-2.tar"], "test": ["test-1.tar"]},
    ),
    "braces for folders": (
        ["train/a.tar", "test/a.tar"],
        "{train,test}/a.tar",
        {"train": ["train/a.tar"], "test": ["test/a.tar"]},
    ),
    "braces keep their order": (
        ["a1.tar", "a2.tar"],
        "a{2,1}.tar",
        {"train": ["a2.tar", "a1.tar"]},
    ),
    # lists
    "a list": (["a.tar", "b.tar"], ["a.tar", "b.tar"], {"train": ["a.tar", "b.tar"]}),
    "a list keeps its order": (
        ["a.tar", "b.tar"],
        ["b.tar", "a.tar"],
        {"train": ["b.tar", "a.tar"]},
    ),
    "a list of splits": (TRIO, TRIO, SPLIT_TRIO),
    "a list of patterns": (
        ["a-1.tar", "a-2.tar", "b-1.tar"],
        ["b-*.tar", "a-*.tar"],
        {"train": ["b-1.tar", "a-1.tar", "a-2.tar"]},
    ),
    "a list of folders": (
        ["train/a.tar", "test/a.tar"],
        ["train", "test"],
        {"train": ["train/a.tar"], "test": ["test/a.tar"]},
    ),
    "a list of files in folders": (
        ["train/a.tar", "test/a.tar"],
        ["test/a.tar", "train/a.tar"],
        {"train": ["train/a.tar"], "test": ["test/a.tar"]},
    ),
    "a file named twice": (["a.tar", "b.tar"], ["a.tar", "*.tar"], {"train": ["a.tar", "b.tar"]}),
    "a list of one Path": (["a.tar"], [Path("a.tar")], {"train": ["a.tar"]}),
    # names that mean something elsewhere
    "a name with braces": (["a{1,2}.tar"], "a{1,2}.tar", {"train": ["a{1,2}.tar"]}),
    "a name with a star": (["a*.tar", "ab.tar"], "a*.tar", {"train": ["a*.tar"]}),
    "a folder with brackets": (["x[1]/a.tar", "x1/b.tar"], "x[1]", {"train": ["x[1]/a.tar"]}),
    "any name in a folder": (
        ["a{1,2}.tar", "b*.tar", "c d.tar", "e:f.tar", "é.tar", "%41.tar", "#.tar", "a\\b.tar"],
        ".",
        {
            "train": [
                "#.tar",
                "%41.tar",
                "a\\b.tar",
                "a{1,2}.tar",
                "b*.tar",
                "c d.tar",
                "e:f.tar",
                "é.tar",
            ]
        },
    ),
    "a name with a line break": (["a\nb.tar"], ".", {"train": ["a\nb.tar"]}),
    "a Path with braces": (["a{1,2}.tar"], Path("a{1,2}.tar"), {"train": ["a{1,2}.tar"]}),
    "a Path of a folder": (TRIO, Path(), SPLIT_TRIO),
}


def test_the_table_is_long() -> None:
    """There are many ways to lay data out."""
    assert len(ROWS) >= 60


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
def test_each_layout_gives_its_splits(
    row: tuple[list[str], Any, dict[str, list[str]]],
    absolute: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a place means does not depend on the folders above it, whatever they are called."""
    files, asked, wanted = row
    root = fill(tmp_path / "test" / "dev-train" / "x", files)
    monkeypatch.chdir(root)
    if absolute:
        asked = (
            [below(root, one) for one in asked] if isinstance(asked, list) else below(root, asked)
        )

    splits = load_dataset(asked)

    assert {name: read(dataset) for name, dataset in splits.items()} == wanted
    assert list(splits) == list(wanted)


def below(root: Path, asked: str | Path) -> str | Path:
    return root / asked if isinstance(asked, Path) else f"{root}/{asked}"


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_files_may_be_made_and_listed_in_any_order(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A folder is the same dataset in whatever order its files were made."""
    names = [f"{split}/{n}.tar" for split in ("train", "test", "x") for n in (1, 2, 10)]
    first = fill(tmp_path_factory.mktemp("first"), names)
    random.Random(seed).shuffle(names)
    second = fill(tmp_path_factory.mktemp("second"), names)

    read_first, read_second = (
        {name: read(dataset) for name, dataset in load_dataset(root).items()}
        for root in (first, second)
    )

    assert read_first == read_second
    assert list(read_first) == list(read_second) == ["train", "test", "other"]


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(["train-1.tar", "x/test.tar", "x/train-2.tar", "dev.tar", "y.tar"]))
def test_a_list_gives_the_same_splits_in_any_order(
    order: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The order of a list is the order in a split, and never changes which split a file is of."""
    root = fill(tmp_path_factory.getbasetemp() / "listed", order)

    splits = load_dataset([root / name for name in order])

    assert list(splits) == ["train", "validation", "test", "other"]
    assert read(splits["train"]) == [name for name in order if "train" in name]
    assert read(splits["test"]) == ["x/test.tar"]
    assert read(splits["validation"]) == ["dev.tar"]
    assert read(splits["other"]) == ["y.tar"]


def test_links_are_followed_but_not_round_in_circles(tmp_path: Path) -> None:
    """A linked folder counts as one; a link to a folder above it ends there."""
    fill(tmp_path / "far", ["a.tar", "deep/b.tar"])
    root = fill(tmp_path / "root", ["test.tar"])
    (root / "train").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "deep" / "up").symlink_to(tmp_path / "far")
    (root / "loop").symlink_to(root)

    splits = load_dataset(root)

    assert {name: read(ds) for name, ds in splits.items()} == {
        "train": ["a.tar", "deep/b.tar"],
        "test": ["test.tar"],
    }


def test_files_that_say_nothing_are_spoken_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where some files name a split, the others are not passed over in silence."""
    root = fill(tmp_path, ["train.tar", "more-1.tar", "more-2.tar"])

    assert read(load_dataset(root, split="train")) == ["train.tar"]

    assert "2 files name no split" in caplog.text
