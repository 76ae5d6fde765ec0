"""Work on whole shards."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.dataset.places import KINDS, Memory, foreign_tar, put

import atdata
from atdata import Dataset, DictSample, MissingExtraError, PartialFailureError


@atdata.packable
class Point:
    """A small sample."""

    n: int


@atdata.packable
class Shifted:
    """What it can be viewed as."""

    n: int


@atdata.lens
def shifted(s: Point) -> Shifted:
    """A lens that leaves a trace."""
    return Shifted(s.n + 100)


def points(n: int) -> list[Point]:
    return [Point(i) for i in range(n)]


def numbers(samples: list[Any]) -> list[int]:
    return [s.n for s in samples]


@pytest.fixture
def ds(tmp_path: Path) -> Dataset[Point]:
    """Ten points in four shards."""
    return atdata.write_samples(points(10), tmp_path / "p.tar", maxcount=3)


@pytest.mark.parametrize("kind", KINDS)
def test_each_shard_is_given_whole_and_in_order(tmp_path: Path, kind: str) -> None:
    """From any source, results by shard."""
    ds = put(tmp_path, points(10), kind, maxcount=3)

    found = ds.process_shards(numbers)

    assert list(found) == ds.list_shards()
    assert list(found.values()) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_what_is_done_to_samples_is_done_here_too(ds: Dataset[Point]) -> None:
    """Views, filters, maps, windows and repetitions."""
    seen = ds.as_type(Shifted).filter(lambda s: s.n % 2).map(lambda s: Point(-s.n))

    assert list(seen.process_shards(numbers).values()) == [[-101], [-103, -105], [-107], [-109]]
    assert list(seen.take(2).process_shards(numbers).values()) == [[-101], [-103], [], []]
    assert list(ds.skip(4).process_shards(numbers).values()) == [[], [4, 5], [6, 7, 8], [9]]
    assert next(iter(ds.concat(ds.take(1)).process_shards(numbers).values())) == [0, 1, 2, 0]
    assert list(ds.repeat(2).process_shards(len).values()) == [6, 6, 6, 2]


def test_only_the_shards_asked_for_are_processed(ds: Dataset[Point]) -> None:
    """None of them for an empty list; an unknown one is a `KeyError`."""
    shards = ds.list_shards()

    assert ds.process_shards(numbers, shards=[]) == {}
    assert ds.process_shards(numbers, shards=shards[2:0:-1]) == {
        shards[2]: [6, 7, 8],
        shards[1]: [3, 4, 5],
    }
    with pytest.raises(KeyError, match="Shard not found: none"):
        ds.process_shards(numbers, shards=["none"])


def test_failures_are_collected(ds: Dataset[Point]) -> None:
    """The other shards are done, and the error knows all."""
    told: list[tuple[str, Exception]] = []

    def failing(samples: list[Point]) -> int:
        if samples[0].n in (3, 9):
            raise RuntimeError(f"no {samples[0].n}")
        return len(samples)

    with pytest.raises(PartialFailureError, match="2/4 shards failed") as found:
        ds.process_shards(failing, on_shard_error=lambda shard, error: told.append((shard, error)))

    first, second, third, fourth = ds.list_shards()
    error = found.value
    assert error.failed_shards == [second, fourth]
    assert error.succeeded_shards == [first, third]
    assert error.results == {first: 3, third: 3}
    assert [str(e) for e in error.errors.values()] == ["no 3", "no 9"]
    assert [shard for shard, _ in told] == [second, fourth]
    assert ds.process_shards(len, shards=error.failed_shards) == {second: 3, fourth: 1}


def test_shards_that_cannot_be_read_are_failures_too(tmp_path: Path) -> None:
    """Missing or damaged; with `on_error="skip"` what is left of them is given."""
    good = foreign_tar(points(3))
    ds = Dataset(Memory({"a": good, "b": good[:3000], "c": good}), sample_type=Point)

    with pytest.raises(PartialFailureError) as found:
        ds.process_shards(len)

    assert found.value.failed_shards == ["b"]
    assert ds.with_options(on_error="skip").process_shards(len) == {"a": 3, "b": 1, "c": 3}
    missing = Dataset[Point]([tmp_path / "none.tar"])
    with pytest.raises(PartialFailureError) as found:
        missing.process_shards(len)
    assert isinstance(found.value.errors[str(tmp_path / "none.tar")], FileNotFoundError)


def test_a_checkpoint_goes_on_where_a_run_failed(ds: Dataset[Point], tmp_path: Path) -> None:
    """With the results of before, each shard done once, and no file left when all is done."""
    path = tmp_path / "done/checkpoint"
    done: list[int] = []
    broken = True

    def work(samples: list[Point]) -> list[int]:
        done.append(samples[0].n)
        if broken and samples[0].n == 6:
            raise RuntimeError
        return numbers(samples)

    with pytest.raises(PartialFailureError):
        ds.process_shards(work, checkpoint=path)
    assert path.exists()
    broken = False
    found = ds.process_shards(work, checkpoint=path)

    assert done == [0, 3, 6, 9, 6]
    assert found == ds.process_shards(numbers)
    assert list(found) == ds.list_shards()
    assert not path.exists()


def test_a_checkpoint_of_a_finished_run_is_removed(ds: Dataset[Point], tmp_path: Path) -> None:
    """Also if the run was stopped just before it would have removed it."""
    path = tmp_path / "checkpoint"
    saved: list[bytes] = []
    ds.process_shards(
        lambda s: saved.append(path.read_bytes()) if s[0].n else None, checkpoint=path
    )
    path.write_bytes(saved[-1])

    found = ds.process_shards(lambda s: None, checkpoint=path)

    assert list(found.values()) == [None] * 4
    assert not path.exists()


def test_a_run_of_other_shards_keeps_what_a_checkpoint_knows(
    ds: Dataset[Point], tmp_path: Path
) -> None:
    """A part that succeeds says nothing about the rest."""
    path = tmp_path / "checkpoint"
    shards = ds.list_shards()

    def failing(samples: list[Point]) -> int:
        if samples[0].n == 0:
            raise RuntimeError
        return len(samples)

    with pytest.raises(PartialFailureError):
        ds.process_shards(failing, checkpoint=path)

    assert ds.process_shards(len, shards=[], checkpoint=path) == {}
    assert ds.process_shards(len, shards=shards[1:2], checkpoint=path) == {shards[1]: 3}
    assert path.exists()
    assert ds.process_shards(len, shards=shards[:1], checkpoint=path) == {shards[0]: 3}
    assert not path.exists()


@pytest.mark.parametrize("data", [b"{", b"[1]\n", b'["a"]', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_checkpoint_is_an_error(ds: Dataset[Point], tmp_path: Path, data: bytes) -> None:
    """It is not taken for an empty one."""
    path = tmp_path / "checkpoint"
    path.write_bytes(data)

    with pytest.raises(ValueError, match="checkpoint .* is damaged"):
        ds.process_shards(len, checkpoint=path)


def test_results_that_no_checkpoint_can_hold_are_failures(
    ds: Dataset[Point], tmp_path: Path
) -> None:
    """With a reason; without a checkpoint results may be anything."""
    with pytest.raises(PartialFailureError, match="cannot be kept in a checkpoint"):
        ds.process_shards(lambda s: object(), checkpoint=tmp_path / "checkpoint")

    assert all(type(o) is object for o in ds.process_shards(lambda s: object()).values())


def test_a_shard_named_twice_is_processed_once(ds: Dataset[Point]) -> None:
    """By the caller, or by a dataset that is put behind itself."""
    shards = ds.list_shards()
    calls: list[int] = []

    ds.process_shards(lambda s: calls.append(len(s)), shards=[shards[0], shards[0]])
    ds.concat(ds).process_shards(lambda s: calls.append(len(s)), shards=shards[:1])

    assert calls == [3, 6]


def test_samples_without_a_type(ds: Dataset[Point]) -> None:
    """`DictSample`s like any others."""
    found = Dataset(ds.list_shards()).process_shards(lambda samples: samples[0])

    assert list(found.values())[1] == DictSample(n=3)


# -- in other processes


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """New processes can import this file, as they can import a user's modules."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


def is_odd(sample: Any) -> bool:
    return bool(sample.n % 2)


def negative(sample: Any) -> Point:
    return Point(-sample.n)


class TwoPartError(Exception):
    """Cannot be pickled: what its constructor takes is not what it keeps."""

    def __init__(self, first: int, second: str) -> None:
        super().__init__(f"{first} {second}")
        self.first = first


class WordyError(Exception):
    """Pickles, and says more each time it is made again."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no {what}")


def fails(samples: list[Point]) -> int:
    """Raise errors of several kinds."""
    first = samples[0].n
    if first == 0:
        raise TwoPartError(1, "two")
    if first == 3:
        raise WordyError("luck")
    if first == 6:
        raise type("Local", (ValueError,), {})("of nowhere")
    return len(samples)


def leave_a_mark(folder: Path, samples: list[Any]) -> int:
    """Say how often a shard was tried before, and write down that it is tried again."""
    tries = len(list(folder.glob(f"{samples[0].n}-*")))
    (folder / f"{samples[0].n}-{tries}").touch()
    return tries


class Dying:
    """Kills its own process, for one shard, some times."""

    def __init__(self, folder: Path, times: int) -> None:
        self.folder, self.times = folder, times

    def __call__(self, samples: list[Point]) -> list[int]:
        if leave_a_mark(self.folder, samples) < self.times and samples[0].n == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return numbers(samples)


class Failing(Dying):
    """Raises instead."""

    def __call__(self, samples: list[Point]) -> list[int]:
        if leave_a_mark(self.folder, samples) < self.times and samples[0].n == 3:
            raise RuntimeError("not yet")
        return numbers(samples)


def unsendable(samples: list[Point]) -> object:
    return sys.stdout if samples[0].n == 3 else len(samples)


def leaves(samples: list[Point]) -> None:
    raise SystemExit(3)


def where(samples: list[Point]) -> int:
    return os.getpid()


def several(folder: Path) -> dict[str, Dataset[Any]]:
    """Datasets with all that may be done to them."""
    folder.mkdir(exist_ok=True)
    ds = atdata.write_samples(points(10), folder / "p.tar", maxcount=3)
    good = foreign_tar(points(3))
    memory = Dataset(Memory({"a": good, "b": good[:3000], "c": good}), sample_type=Point)
    joined = ds.concat(memory, put(folder, points(5), "gz", maxcount=2))
    return {
        "stages": ds.as_type(Shifted).filter(is_odd).map(negative),
        "windows": Dataset(ds.list_shards()).skip(1).filter(is_odd).skip(1).take(3),
        "sources": joined.with_options(on_error="skip").filter(is_odd),
        "repeated": ds.skip(1).repeat(2).filter(is_odd),
    }


@pytest.mark.parametrize("case", ["stages", "windows", "sources", "repeated"])
@pytest.mark.usefixtures("importable")
def test_processes_give_what_this_process_gives(tmp_path: Path, case: str) -> None:
    """The same shards, samples and order, whatever is done to the samples."""
    ds = several(tmp_path)[case]

    found = ds.process_shards(numbers, engine="processes", workers=1 + (case == "sources"))

    assert list(found.items()) == list(ds.process_shards(numbers).items())
    assert any(found.values())


@pytest.mark.usefixtures("importable")
def test_work_is_done_in_other_processes(ds: Dataset[Point]) -> None:
    """In no more than there are shards or workers."""
    one = ds.process_shards(where, engine="processes", workers=1)
    many = ds.process_shards(where, shards=ds.list_shards()[:2], engine="processes")

    assert len(set(one.values())) == 1
    assert os.getpid() not in {*one.values(), *many.values()}
    assert len(set(many.values())) <= 2


@pytest.mark.usefixtures("importable")
def test_errors_come_home_as_what_they_are(ds: Dataset[Point]) -> None:
    """Also those that do not pickle, with where they happened; shards that are fine are done."""
    with pytest.raises(PartialFailureError, match="3/4 shards failed") as found:
        ds.process_shards(fails, engine="processes", workers=1)

    shards = ds.list_shards()
    two, wordy, local = found.value.errors.values()
    assert found.value.failed_shards == shards[:3]
    assert found.value.results == {shards[3]: 1}
    assert isinstance(two, TwoPartError)
    assert (str(two), two.first) == ("1 two", 1)
    assert isinstance(wordy, WordyError)
    assert str(wordy) == "no luck"
    assert isinstance(local, RuntimeError)
    assert "Local: of nowhere" in str(local)
    assert all("in fails" in error.__notes__[0] for error in (two, wordy, local))


@pytest.mark.usefixtures("importable")
def test_a_killed_worker_loses_nothing(ds: Dataset[Point], tmp_path: Path) -> None:
    """Its shard is tried again, and the others are done once."""
    found = ds.process_shards(Dying(tmp_path, 2), engine="processes", workers=2)

    assert list(found.values()) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert sorted(path.name for path in tmp_path.glob("?-?")) == [
        *("0-0", "3-0", "3-1", "3-2"),
        *("6-0", "9-0"),
    ]


@pytest.mark.usefixtures("importable")
def test_a_shard_that_always_kills_its_worker_is_given_up(
    ds: Dataset[Point], tmp_path: Path
) -> None:
    """With the reason, after as many tries as were asked for."""
    with pytest.raises(PartialFailureError, match="1/4 shards failed") as found:
        ds.process_shards(Dying(tmp_path, 99), engine="processes", workers=1, retries=1)

    assert "ended by SIGKILL, in the last of 2 tries" in str(*found.value.errors.values())
    assert len(list(tmp_path.glob("3-?"))) == 2
    assert len(found.value.results) == 3


@pytest.mark.parametrize("engine", [None, "processes"])
@pytest.mark.usefixtures("importable")
def test_failed_shards_are_tried_again_if_asked_for(
    ds: Dataset[Point], tmp_path: Path, engine: Any
) -> None:
    """And no more often than that."""
    workers = None if engine is None else 1
    with pytest.raises(PartialFailureError) as found:
        ds.process_shards(Failing(tmp_path, 3), engine=engine, workers=workers, retries=1)

    assert [str(error) for error in found.value.errors.values()] == ["not yet"]
    assert len(list(tmp_path.glob("3-?"))) == 2
    again = ds.process_shards(
        Failing(tmp_path, 3), engine=engine, shards=found.value.failed_shards, retries=1
    )
    assert list(again.values()) == [[3, 4, 5]]


@pytest.mark.usefixtures("importable")
def test_a_checkpoint_serves_all_engines(ds: Dataset[Point], tmp_path: Path) -> None:
    """What one has done another goes on from."""
    path = tmp_path / "checkpoint"
    with pytest.raises(PartialFailureError):
        ds.process_shards(Failing(tmp_path, 1), engine="processes", workers=1, checkpoint=path)
    assert len(path.read_bytes().splitlines()) == 3

    found = ds.process_shards(Failing(tmp_path, 1), checkpoint=path)

    assert found == ds.process_shards(numbers)
    assert list(found) == ds.list_shards()
    assert not path.exists()
    assert not list(tmp_path.glob("0-1"))


def test_what_cannot_be_sent_to_a_process_is_said(ds: Dataset[Point]) -> None:
    """A function or a step of the dataset; no process is started for it."""
    with pytest.raises(TypeError, match="the function .*lambda.* cannot be sent .*\n.*top of a"):
        ds.process_shards(lambda samples: 1, engine="processes")
    with pytest.raises(TypeError, match="the dataset, with what is done .* cannot be sent"):
        ds.filter(lambda sample: True).process_shards(len, engine="processes")


def test_what_a_process_cannot_load_is_said(
    ds: Dataset[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the job, as no worker could do anything."""
    monkeypatch.setattr(numbers, "__module__", "none_such")
    monkeypatch.setitem(sys.modules, "none_such", sys.modules[__name__])

    with pytest.raises(TypeError, match="a worker cannot load the function .*none_such"):
        Dataset(ds.list_shards()).process_shards(numbers, engine="processes", workers=1)


@pytest.mark.usefixtures("importable")
def test_results_that_cannot_be_sent_home_are_failures(ds: Dataset[Point]) -> None:
    """With a reason, and of their shard alone."""
    with pytest.raises(PartialFailureError, match="1/4 shards failed") as found:
        ds.process_shards(unsendable, engine="processes", workers=1)

    assert "TextIO" in str(*found.value.errors.values())
    assert "cannot be sent home" in str(*found.value.errors.values())


@pytest.mark.usefixtures("importable")
def test_leaving_the_program_leaves_it_from_a_worker_too(ds: Dataset[Point]) -> None:
    """As it does from this process."""
    for engine in (None, "processes"):
        with pytest.raises(SystemExit, match="3"):
            ds.process_shards(leaves, shards=ds.list_shards()[:1], engine=engine)


def test_wrong_arguments_are_refused(ds: Dataset[Point]) -> None:
    """Before anything is done."""
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("engine is 'threads'", {"engine": "threads"}),
        ("works alone", {"workers": 2}),
        ("workers is 0", {"engine": "processes", "workers": 0}),
        ("retries is -1", {"retries": -1}),
    ]
    for message, arguments in wrong:
        with pytest.raises(ValueError, match=message):
            ds.process_shards(numbers, **arguments)


def test_without_ray_its_engine_says_what_to_install(
    ds: Dataset[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is done."""
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'atdata\[ray\]'"):
        ds.process_shards(numbers, engine="ray")


PROGRAM = """
import os, pathlib, time
import atdata

def work(samples):
    path = pathlib.Path("pids", str(os.getpid()))
    path.touch()
    time.sleep({seconds})
    return 1

if {guard}:
    atdata.Dataset("p-{{000000..000003}}.tar").process_shards(work, engine="processes", workers=2)
"""


@contextmanager
def started(folder: Path, **choices: Any) -> "Iterator[subprocess.Popen[str]]":
    """A program of its own that processes shards."""
    folder.joinpath("pids").mkdir()
    folder.joinpath("program.py").write_text(PROGRAM.format(**choices))
    with subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as program:
        try:
            yield program
        finally:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)


def workers_of(folder: Path, n: int) -> list[int]:
    """The process ids of workers, as soon as there are so many."""
    for _ in range(1200):
        found = [int(path.name) for path in folder.joinpath("pids").iterdir()]
        if len(found) >= n:
            return found
        time.sleep(0.05)
    raise TimeoutError


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def gone(pids: list[int]) -> bool:
    """Whether processes end within some seconds."""
    for _ in range(200):
        if not any(map(is_alive, pids)):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.usefixtures("ds")
def test_interrupting_leaves_no_process(tmp_path: Path) -> None:
    """Ctrl-C ends all at once, also in the middle of a shard."""
    with started(tmp_path, seconds=60, guard="__name__ == '__main__'") as program:
        pids = workers_of(tmp_path, 2)

        os.killpg(program.pid, signal.SIGINT)
        _, said = program.communicate(timeout=30)

        assert program.returncode != 0
        assert said.rstrip().endswith("KeyboardInterrupt")
        assert gone(pids)


@pytest.mark.usefixtures("ds")
def test_workers_end_when_their_program_is_killed(tmp_path: Path) -> None:
    """After the shard that they work on."""
    with started(tmp_path, seconds=0.5, guard="__name__ == '__main__'") as program:
        pids = workers_of(tmp_path, 2)

        program.kill()

        assert gone(pids)


@pytest.mark.usefixtures("ds")
def test_a_program_without_a_guard_is_told_so(tmp_path: Path) -> None:
    """Instead of starting processes for ever."""
    with started(tmp_path, seconds=0, guard="True") as program:
        _, said = program.communicate(timeout=60)

    assert "a worker process cannot start: it ended with code 1" in said
    assert "if __name__ == '__main__':" in said
