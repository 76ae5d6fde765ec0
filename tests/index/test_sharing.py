"""One index used by several threads, after a fork, and in other processes."""

import multiprocessing
import os
import pickle
import traceback
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from tests.index.kinds import Point, Scan, numbers, points

import atdata
from atdata import Index


def read_and_write(index: Index, name: str) -> list[int]:
    """What a worker does."""
    index.write(points(2), name=name)
    index.append(points(1, 2), name=name)
    return numbers(index.open(name))


def test_threads_share_an_index(index: Index) -> None:
    """Also one that was made in another thread, and the default one."""
    index.write(points(1), name="first")
    atdata.set_default_index(index)
    try:
        with ThreadPoolExecutor(4) as threads:
            found = list(
                threads.map(
                    lambda i: read_and_write(atdata.get_default_index(), f"t{i}"), range(8)
                )
            )
    finally:
        atdata.set_default_index(None)

    assert found == [[0, 1, 2]] * 8
    assert len(index.list_datasets()) == 9


def in_a_fork(call: Any) -> None:
    """Run something in a forked process, and wait for it."""
    pid = os.fork()
    if pid == 0:
        try:
            call()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_an_index_is_used_after_a_fork(index: Index) -> None:
    """By the child and the parent, each through connections of its own."""
    index.write(points(1), name="before")

    def child() -> None:
        assert numbers(index.open("before")) == [0]
        assert read_and_write(index, "child") == [0, 1, 2]

    in_a_fork(child)

    assert numbers(index.open("before")) == [0]
    assert read_and_write(index, "parent") == [0, 1, 2]
    names = [entry.name for entry in index.list_datasets()]
    shares = "memory" not in repr(index).lower()
    assert names == (["before", "child", "parent"] if shares else ["before", "parent"])


def test_an_index_is_sent_to_a_new_process(local: Index) -> None:
    """With all that was loaded in it; what the process writes is seen here."""
    local.write(points(1), name="before")
    local.get_schema_type(local.publish_schema(Point))
    local.get_schema_type(local.publish_schema(Scan))

    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(read_and_write, (local, "there")) == [0, 1, 2]
        assert pool.apply(numbers, (local.open("there"),)) == [0, 1, 2]
        assert pool.apply(numbers, (local.open("there", Point),)) == [0, 1, 2]

    assert numbers(local.open("there")) == [0, 1, 2]


def test_a_pickled_index_is_the_same_index(index: Index) -> None:
    """It shows no more than the original does, and closes apart from it."""
    index.write(points(1), name="a")
    index.get_schema_type("atdata://local/schema/Point@1.0.0")

    with pickle.loads(pickle.dumps(index)) as copy:
        assert numbers(copy.open("a")) == [0]
        assert "Point" in copy.types
    assert numbers(index.open("a")) == [0]


def test_a_closed_index_opens_again(index: Index) -> None:
    """Closing lets go of connections, and of nothing that was stored."""
    if "Memory" not in repr(index):
        index.write(points(1), name="a")
        index.close()
        index.close()

    assert read_and_write(index, "b") == [0, 1, 2]


def test_two_indexes_of_one_file(tmp_path: Path) -> None:
    """What one writes the other sees at once."""
    with Index(path=tmp_path / "i.db") as one, Index(path=tmp_path / "i.db") as two:
        one.write(points(2), name="a")
        assert numbers(two.open("a")) == [0, 1]
        two.append(points(1, 2), name="a")
        assert numbers(one.open("a")) == [0, 1, 2]
    assert multiprocessing.active_children() == []
