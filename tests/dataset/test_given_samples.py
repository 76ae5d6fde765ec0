"""Samples are written as they were when they were given."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from atdata import packable, write_samples


@packable
class Row:
    n: int
    x: NDArray[np.float32]


@packable
class Nested:
    n: int
    x: list[int]


@packable(frozen=True, slots=True)
class Slotted:
    n: int
    x: NDArray[np.float32]


@packable
class Box[T]:
    value: T


def test_a_generator_may_fill_one_array_again_and_again(tmp_path: Path) -> None:
    """Each sample holds what the array held when it was yielded, whatever the class looks like."""

    def rows(kind: type[Row] | type[Slotted]) -> Iterator[Row | Slotted]:
        buffer = np.empty(3, np.float32)
        for n in range(40):
            buffer[:] = n
            yield kind(n, buffer)

    for kind in (Row, Slotted):
        ds = write_samples(rows(kind), tmp_path / "rows.tar")

        assert [float(sample.x[0]) for sample in ds] == list(range(40))


def test_a_generator_may_give_one_sample_again_and_again(tmp_path: Path) -> None:
    """What the sample was when it was yielded is written, nested values included."""

    def samples() -> Iterator[Nested]:
        sample = Nested(0, [0])
        for n in range(40):
            sample.n = sample.x[0] = n
            yield sample

    ds = write_samples(samples(), tmp_path / "nested.tar", key=lambda sample: f"k{sample.n}")

    assert [(sample.n, sample.x) for sample in ds] == [(n, [n]) for n in range(40)]
    assert ds.get("k7").n == 7


def test_type_arguments_of_samples_are_known(tmp_path: Path) -> None:
    """A generic class with arguments is written and read with them."""
    boxes = [Box[NDArray[np.float32]](np.full(2, n, np.float32)) for n in range(3)]

    ds = write_samples(boxes, tmp_path / "boxes.tar")

    assert [box.value.tolist() for box in ds] == [[n, n] for n in range(3)]


def test_a_window_stays_where_it_was_written(tmp_path: Path) -> None:
    """Another `on_error` does not move `take` behind a filter that came after it."""
    rows = [Row(n, np.zeros(1, np.float32)) for n in range(20)]
    ds = write_samples(rows, tmp_path / "window.tar").take(5).filter(lambda row: row.n % 2)

    assert [row.n for row in ds.with_options(on_error="skip")] == [1, 3]


def test_positions_of_a_replaced_shard_are_refused(tmp_path: Path) -> None:
    """A file that was replaced after it was counted is an error, not another sample."""
    path = tmp_path / "rows.tar"
    ds = write_samples([Row(n, np.zeros(1, np.float32)) for n in range(20)], path)
    assert len(ds) == 20

    write_samples([Row(-n, np.zeros(1, np.float32)) for n in range(20)], path)

    with pytest.raises(Exception, match="was replaced after its samples were counted"):
        ds[3]


def test_a_list_of_bools_is_no_list_of_positions(tmp_path: Path) -> None:
    """A mask has to be an array."""
    ds = write_samples([Row(n, np.zeros(1, np.float32)) for n in range(3)], tmp_path / "rows.tar")

    with pytest.raises(TypeError, match="not a bool"):
        ds[[True, False, True]]
    assert [row.n for row in ds[np.array([True, False, True])]] == [0, 2]
