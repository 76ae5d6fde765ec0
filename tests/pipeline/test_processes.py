"""Work in other processes and threads: the same samples in the same order, and nothing left."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import atdata
from atdata import Dataset, World


@atdata.packable
class Number:
    """A sample."""

    n: int


def double(sample: Number) -> int:
    return 2 * sample.n


def odd(sample: Number) -> bool:
    return sample.n % 2 == 1


def fails_at_700(sample: Number) -> int:
    if sample.n == 700:
        raise KeyError("700")
    return sample.n


def dies_at_700(sample: Number) -> int:
    if sample.n == 700:
        os.kill(os.getpid(), signal.SIGKILL)
    return sample.n


def divide_by_zero(batch: object) -> None:
    raise ZeroDivisionError


def numbers(folder: Path, n: int = 1500) -> Dataset[Number]:
    return atdata.write_samples([Number(i) for i in range(n)], folder / "n.tar", maxcount=400)


def left_over() -> tuple[int, int]:
    gc.collect()
    return len(multiprocessing.active_children()), threading.active_count()


@pytest.mark.parametrize("reading", [{"workers": 1}, {"workers": 3}, {"prefetch_bytes": 1 << 20}])
def test_processes_and_threads_change_nothing(tmp_path: Path, reading: dict[str, int]) -> None:
    """Ordered, shuffled, batched, filtered, shared and resumed."""
    ds = numbers(tmp_path)
    before = left_over()

    for one in (ds.map(double), ds.filter(odd).map(double), ds):
        assert list(one.ordered(**reading)) == list(one)
        assert list(one.shuffled(seed=1, **reading)) == list(one.shuffled(seed=1))
        world = World(1, 3)
        assert list(one.shuffled(seed=1, world=world, **reading)) == list(
            one.shuffled(seed=1, world=world)
        )
        batches = [list(b.samples) for b in one.shuffled(seed=1, batch_size=64, **reading)]
        assert batches == [list(b.samples) for b in one.shuffled(seed=1, batch_size=64)]
        assert list(one.ordered(**reading).items()) == list(one.items())

    assert left_over() == before


def test_a_state_counts_what_was_handed_out_alone(tmp_path: Path) -> None:
    """What processes and threads have made ahead is made again."""
    ds = numbers(tmp_path).map(double)
    whole = list(ds.shuffled(seed=2))

    for reading in ({"workers": 2}, {"prefetch_bytes": 1 << 20}):
        stream = ds.shuffled(seed=2, **reading)
        some = iter(stream)
        first = [next(some) for _ in range(333)]
        resumed = ds.shuffled(seed=2)
        resumed.load_state_dict(stream.state_dict())

        assert first + list(resumed) == whole


@pytest.mark.parametrize("reading", [{"workers": 2}, {"prefetch_bytes": 1 << 20}])
def test_leaving_early_leaves_nothing(tmp_path: Path, reading: dict[str, int]) -> None:
    """By a break, by an error in the loop, or by forgetting the iterator."""
    ds = numbers(tmp_path).map(double)
    before = left_over()
    files = len(os.listdir("/proc/self/fd"))

    for sample in ds.ordered(**reading):
        if sample == 10:
            break
    with pytest.raises(ZeroDivisionError):
        list(map(divide_by_zero, ds.shuffled(batch_size=8, **reading)))
    forgotten = iter(ds.ordered(**reading))
    next(forgotten)
    del forgotten, sample

    assert left_over() == before
    assert len(os.listdir("/proc/self/fd")) <= files + 8  # shards stay open for the next pass


@pytest.mark.parametrize("reading", [{"workers": 2}, {"prefetch_bytes": 1 << 20}])
def test_an_error_comes_in_its_place(tmp_path: Path, reading: dict[str, int]) -> None:
    """As itself, after at least the blocks before it."""
    found: list[int] = []

    with pytest.raises(KeyError, match="700"):
        found.extend(numbers(tmp_path).map(fails_at_700).ordered(**reading))

    assert found == list(range(len(found)))
    assert 400 < len(found) <= 700
    assert not multiprocessing.active_children()


def test_a_process_that_dies_is_no_hang(tmp_path: Path) -> None:
    """It is told with its exit code, and the others end too."""
    with pytest.raises(RuntimeError, match="exit code -9"):
        list(numbers(tmp_path).map(dies_at_700).ordered(workers=2))

    assert not multiprocessing.active_children()


def test_damage_is_told_by_the_one_who_reads(tmp_path: Path) -> None:
    """The policy is asked in the parent, and the ledger is that of reading alone."""
    ds = numbers(tmp_path)
    path = Path(ds.list_shards()[1])
    raw = bytearray(path.read_bytes())
    raw[5000] ^= 1
    path.write_bytes(raw)
    asked: list[Exception] = []

    alone = ds.with_options(on_error="skip").shuffled(seed=1)
    stream = ds.with_options(on_error=asked.append).shuffled(seed=1, workers=2)

    assert list(stream) == list(alone)
    assert stream.skipped[:1] == alone.skipped[:1]
    assert len(asked) >= 1
    with pytest.raises(atdata.ShardError):
        list(ds.shuffled(seed=1, workers=2))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_other_ways_to_start_processes(tmp_path: Path, method: str) -> None:
    """Functions of modules are sent; a lambda is refused with advice."""
    program = f"""
import multiprocessing, sys
from tests_processes_functions import double
import atdata
if __name__ == "__main__":
    multiprocessing.set_start_method({method!r})
    ds = atdata.Dataset(sys.argv[1])
    doubled = ds.map(double)
    assert list(doubled.shuffled(seed=1, workers=2)) == list(doubled.shuffled(seed=1))
    try:
        list(ds.map(lambda s: s).ordered(workers=2))
    except TypeError as error:
        assert "top of a module" in str(error)
    else:
        raise AssertionError
"""
    (tmp_path / "tests_processes_functions.py").write_text(
        "def double(sample):\n    return 2 * sample.n\n"
    )
    (tmp_path / "program.py").write_text(program)
    atdata.write_samples([Number(i) for i in range(300)], tmp_path / "n.tar")

    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "n.tar")],
        capture_output=True,
    )

    assert done.returncode == 0, done.stderr.decode()


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    """The parent is interrupted, and no process survives it."""
    numbers(tmp_path)
    program = f"""
import os, time, atdata
def slow(sample):
    time.sleep(0.01)
    return os.getpid()
ds = atdata.Dataset("{tmp_path}/n-{{000000..000003}}.tar")
for i, pid in enumerate(ds.map(slow).ordered(workers=2)):
    print(pid, flush=True)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stderr is not None
    worker = int(child.stdout.readline())

    os.killpg(child.pid, signal.SIGINT)
    child.stdout.read()
    error = child.stderr.read().decode()
    child.wait(10)

    assert error.count("KeyboardInterrupt") == 1
    until = time.monotonic() + 5
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    child.stdout.close()
    child.stderr.close()


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    """Their pipe breaks, and they end."""
    numbers(tmp_path)
    program = f"""
import os, atdata
ds = atdata.Dataset("{tmp_path}/n-{{000000..000003}}.tar")
for pid in ds.map(lambda s: os.getpid()).ordered(workers=3):
    print(pid, flush=True)
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    worker = int(done.stdout.split()[0])

    until = time.monotonic() + 5
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
