"""Parts of splits: which samples they are, and what is said where they make no sense."""

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.load.folders import number

from atdata import Dataset, DictSample
from atdata.load import load_dataset
from atdata.load._slices import parse

N = 15
ALL = list(range(N))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen samples to train with and three to test with."""
    root = number(tmp_path_factory.mktemp("slices"), N)
    return number(root, 3, "test.tar")


def numbers(dataset: Dataset[DictSample]) -> list[int]:
    return [sample.n for sample in dataset]


@pytest.mark.parametrize(
    ("split", "wanted"),
    [
        ("train", ALL),
        ("train[:]", ALL),
        ("train[3:7]", ALL[3:7]),
        ("train[:4]", ALL[:4]),
        ("train[12:]", ALL[12:]),
        ("train[-5:]", ALL[-5:]),
        ("train[:-5]", ALL[:-5]),
        ("train[-5:-2]", ALL[-5:-2]),
        ("train[2:-2]", ALL[2:-2]),
        ("train[10:1000]", ALL[10:]),
        ("train[1000:]", []),
        ("train[-1000:2]", ALL[:2]),
        ("train[7:3]", []),
        ("train[0:0]", []),
        ("train[:1_0]", ALL[:10]),
        ("train[:10%]", ALL[:2]),  # 1.5 is rounded to 2
        ("train[:20%]", ALL[:3]),
        ("train[30%:60%]", ALL[4:9]),  # 4.5 is rounded to 4
        ("train[-20%:]", ALL[12:]),
        ("train[:-20%]", ALL[:12]),
        ("train[0:50%]", ALL[:8]),
        ("train[:100%]", ALL),
        ("train[:0%]", []),
        ("train[:12.5%]", ALL[:2]),
        (" train[ 3 : 7 ] ", ALL[3:7]),
        ("train[:2]+test", [0, 1, 0, 1, 2]),
        ("test + train[-1:]", [0, 1, 2, 14]),
        ("train[:2]+train[:2]", [0, 1, 0, 1]),
        ("all", [*ALL, 0, 1, 2]),
        ("all[14:16]", [14, 0]),
    ],
)
def test_a_slice_is_what_it_says(folder: Path, split: str, wanted: list[int]) -> None:
    """Positions and percentages, from both ends, out of range and joined."""
    dataset = load_dataset(folder, split=split)

    assert numbers(dataset) == wanted
    assert len(dataset) == len(wanted)


@settings(max_examples=40, deadline=None)
@given(
    bounds=st.lists(st.integers(-N - 3, N + 3) | st.none(), min_size=2, max_size=2),
)
def test_any_positions_slice_as_a_list_does(folder: Path, bounds: list[int | None]) -> None:
    """`train[a:b]` has the samples of `list(train)[a:b]`."""
    first, stop = bounds
    text = ":".join("" if bound is None else str(bound) for bound in bounds)

    assert numbers(load_dataset(folder, split=f"train[{text}]")) == ALL[first:stop]


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 100), max_size=4).map(sorted))
def test_slices_that_meet_leave_nothing_out_and_repeat_nothing(
    folder: Path, cuts: list[int]
) -> None:
    """Any percentages part a split: together, the slices are the whole."""
    edges = ["", *(f"{cut}%" for cut in cuts), ""]
    terms = [f"train[{a}:{b}]" for a, b in zip(edges, edges[1:], strict=False)]

    assert numbers(load_dataset(folder, split="+".join(terms))) == ALL


@settings(max_examples=200, deadline=None)
@given(
    n=st.integers(0, 100_000),
    first=st.integers(-100, 100) | st.none(),
    stop=st.integers(-100, 100) | st.none(),
)
def test_percentages_are_rounded_as_hugging_face_rounds_them(
    n: int, first: int | None, stop: int | None
) -> None:
    """The same text names the same positions in both libraries."""
    datasets = pytest.importorskip("datasets")
    for bound in (first, stop):  # there, the last 1 % of ten samples are all ten
        assume(bound is None or bound >= 0 or round(bound * n / 100) != 0)
    sides = ["" if bound is None else f"{bound}%" for bound in (first, stop)]
    text = f"train[{sides[0]}:{sides[1]}]"
    (theirs,) = datasets.ReadInstruction.from_spec(text).to_absolute({"train": n})

    (term,) = parse(text)

    assert (term.first.position(n) if term.first else 0) == theirs.from_
    assert (term.stop.position(n) if term.stop else n) == theirs.to


def test_positions_are_sliced_without_counting(folder: Path) -> None:
    """A slice between positions from the front looks at no shard until it is read."""
    dataset = load_dataset(folder, split="train[3:7]")
    for path in folder.glob("train-*.tar"):
        path.rename(path.with_suffix(".away"))
    try:
        with pytest.raises(FileNotFoundError):
            next(iter(dataset))
    finally:
        for path in folder.glob("train-*.away"):
            path.rename(path.with_suffix(".tar"))

    assert numbers(dataset) == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("dev", r"Split 'dev' not found; available: 'train', 'test'"),
        ("train+x", r"Split 'x' not found"),
        ("x[:10%]", r"Split 'x' not found"),
        ("Train", r"Did you mean 'train'\?"),
        ("", "cannot be read"),
        ("train+", "cannot be read"),
        ("train[5]", "cannot be read"),
        ("train[::2]", "cannot be read"),
        ("train[1:2][3:4]", "cannot be read"),
        ("train[a:b]", "cannot be read"),
        ("train]:", "cannot be read"),
        ("train[10:50%]", "from a position to a percentage"),
        ("train[:101%]", "between -100 and 100"),
        ("train[:1.5]", "a whole number"),
        ("train[:" + "9" * 5000 + "]", "a whole number"),
        ("train[:" + "9" * 5000 + "%]", "between -100 and 100"),
    ],
)
def test_a_split_that_makes_no_sense_is_an_error(folder: Path, split: str, said: str) -> None:
    """The error says what there is, or what can be written."""
    with pytest.raises(ValueError, match=said):
        load_dataset(folder, split=split)


def test_a_slice_of_a_filtered_dataset_is_of_what_is_left(folder: Path) -> None:
    """What comes after loading applies to the slice."""
    dataset = load_dataset(folder, split="train[5:]").filter(lambda sample: sample.n % 2)

    assert numbers(dataset) == [5, 7, 9, 11, 13]
