"""One system in a process of its own: `bench_io.py` tells it what to do, a line of JSON each.

Each task runs in a fork, so that none finds the memory of another; the system is imported once.
"""

import gc
import itertools
import json
import os
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from peers import SYSTEMS
from workloads import WORKLOADS, Place, fingerprint, rows

COLUMNS = ("batch", "shufbatch", "gather", "loader")
WRITES = ("write", "write_plain")
FILTER_KEEPS = 0.01
MODULES = {
    "atdata": ("atdata.dataset",),
    "webdataset": ("webdataset",),
    "hf datasets": ("datasets", "pyarrow"),
    "hf arrow": ("datasets", "pyarrow"),
    "mosaic streaming": ("streaming",),
    "litdata": ("litdata", "litdata.streaming.writer"),
    "grain": ("grain",),
}


def worth(system: str, mode: str) -> Callable[[Any], float] | None:
    """How many samples an item of a pass is; None if it is one."""
    if system == "limit":
        return float
    if mode in COLUMNS:
        return lambda columns: len(next(iter(columns.values())))
    if mode == "filter":
        return lambda _: 1 / FILTER_KEEPS
    return None


def drain(
    items: Iterator[Any], size: Callable[[Any], float] | None, until: float
) -> tuple[float, bool]:
    """Take items until the time is over: how many samples those were, and whether all."""
    n = 0.0
    if size is not None:
        for item in items:
            n += size(item)
            if time.perf_counter() > until:
                return n, False
        return n, True
    while True:
        counted = itertools.count()
        deque(zip(itertools.islice(items, 64), counted, strict=False), maxlen=0)  # a loop in C
        taken = next(counted)
        n += taken
        if taken < 64:
            return n, True
        if time.perf_counter() > until:
            return n, False


def read(system: Any, place: Place, mode: str, budget: float) -> dict[str, float]:
    """Samples per second, in the process's first pass over the data and in later ones.

    What happens once in a process, such as imports, happens before, for one sample or batch. A
    pass is whole where the budget allows it. All passes together take about the budget twice.
    """
    start = getattr(system, mode)(place)
    size = worth(system.name, mode)
    next(start())
    began = time.perf_counter()
    n, whole = drain(start(), size, began + budget)
    first = n / (time.perf_counter() - began)
    gc.collect()
    n = 0.0
    began = time.perf_counter()
    until = began + budget * (2 if whole else 1)
    while time.perf_counter() < began + budget:
        n += drain(start(), size, until)[0]
    return {"rate": n / (time.perf_counter() - began), "first": first}


def write(system: Any, place: Place, mode: str, budget: float) -> dict[str, float]:
    """Samples per second: whole shards, of as many samples as the budget allows."""
    method = getattr(system, mode)
    samples = list(place.workload.make(max(1, place.n // 2)))
    method(place, samples[:1])  # what only happens once
    rate = 0.0
    for most in (max(1, len(samples) // 50), len(samples)):
        part = max(1, min(most, int(rate * budget * 2))) if rate else most
        n = 0
        began = time.perf_counter()
        while n == 0 or (rate and time.perf_counter() < began + budget):
            place.scratch.unlink(missing_ok=True)
            method(place, samples[:part])
            n += part
        rate = n / (time.perf_counter() - began)
    place.scratch.unlink()
    return {"rate": rate}


def check(system: Any, place: Place, mode: str) -> list[int]:
    """Number and fingerprint of all samples that a mode gives."""
    items = getattr(system, mode)(place)()
    if mode in COLUMNS:
        items = itertools.chain.from_iterable(rows(without_tensors(columns)) for columns in items)
    return list(fingerprint(place.workload, items))


def without_tensors(columns: dict[str, Any]) -> dict[str, Any]:
    """A batch with numpy arrays, whatever it was made for."""
    return {
        name: value.numpy() if hasattr(value, "numpy") else value
        for name, value in columns.items()
    }


def mixed(system: Any, place: Place) -> dict[str, float]:
    """How well an order mixes the samples, by what comes: `atdata.ShuffleQuality`'s formulas.

    Raises:
        RuntimeError: Samples are missing, or atdata reports another order than it gives.
    """
    source = np.array(system.mix(place), float)
    if not np.array_equal(np.sort(source), np.arange(place.n)):
        raise RuntimeError(f"{len(source)} samples came instead of {place.n}")
    moved = np.abs(source - np.arange(place.n)).mean() / place.n
    constant = place.n < 3 or not source[1:].std() or not source[:-1].std()
    lag1 = 1.0 if constant else float(np.corrcoef(source[:-1], source[1:])[0, 1])
    of = len(np.unique(source[:1000] // place.shard_rows))
    found = {"lag1": abs(lag1), "displacement": float(moved), "shards": of}
    if hasattr(system, "quality"):
        said = system.quality(place)
        if said.shards_in_first_1000 != of:
            raise RuntimeError(f"{said} is said of {found}")
        found |= {"lag1": abs(said.lag1), "displacement": said.displacement}
    return found


def memory(system: Any, place: Place, mode: str) -> dict[str, float]:
    """The most anonymous memory that the process holds during one pass, in MB."""
    most = 0
    done = threading.Event()
    # A loader's workers count too, and pages that they share once; not torch itself.
    held = anonymous_of_all if mode == "loader" else anonymous
    before = held() if mode == "loader" else 0

    def watch() -> None:
        nonlocal most
        while not done.wait(0.05 if mode == "loader" else 0.002):
            most = max(most, held())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        drain(getattr(system, mode)(place)(), worth(system.name, mode), time.perf_counter() + 20)
    finally:
        done.set()
        watcher.join()
    most = max(most, held())
    return {"megabytes": (most - before) / 1e6}


def anonymous() -> int:
    """Bytes of this process that are no file's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def anonymous_of_all() -> int:
    """Bytes of this process and those that it started that are no file's, each page once."""
    total = 0
    children = [
        number
        for task in Path("/proc/self/task").iterdir()
        for number in (task / "children").read_text().split()
    ]
    for number in ("self", *children):
        with suppress(OSError):  # it has ended
            for line in Path(f"/proc/{number}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    total += int(line.split()[1]) * 1024
    return total


def started(system: Any, place: Place, task: dict[str, Any]) -> float:
    """Seconds to the first sample, of a fresh start or from a state."""
    began = time.perf_counter()
    system.first(place, task["state"], task["seed"])
    return time.perf_counter() - began


def run(system: Any, task: dict[str, Any]) -> Any:
    """Do what a line asks for."""
    folders = Path(task["folder"]), Path(task["scratch"])
    place = Place(
        folders[0],
        WORKLOADS[task["workload"]],
        task["n"],
        task["url"],
        folders[1],
        task["n_shards"],
    )
    mode = task["mode"]
    match task["do"]:
        case "prepare":
            return system.prepare(place)
        case "check":
            return check(system, place, mode)
        case "bytes":
            encode = place.workload.encoder()
            sizes = [len(encode(sample)) for sample in place.workload.make(min(place.n, 500))]
            return sum(sizes) / len(sizes)
        case "state":
            return system.state(place, task["seed"])
        case "first":
            return started(system, place, task)
        case "mix":
            return mixed(system, place)
        case "memory":
            return memory(system, place, mode)
        case "measure" if mode in WRITES:
            return write(system, place, mode, task["budget"])
        case "measure":
            return read(system, place, mode, task["budget"])
    raise ValueError(f"nothing is known of {task['do']!r}")


def main() -> None:
    """Answer each line with a line: the result, or what went wrong."""
    system = SYSTEMS[sys.argv[1]]()
    for name in MODULES.get(system.name, ()):
        import_module(name)
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    # The other threads belong to an allocator that knows of forks.
    warnings.filterwarnings("ignore", "This process", DeprecationWarning)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["mode"] == "loader" and asked["do"] in ("check", "measure", "memory"):
            import_module("torch.utils.data")
        child = os.fork()
        if child == 0:
            try:
                answer = {"result": run(system, asked)}
            except Exception:  # the parent says which cell it was
                answer = {"error": traceback.format_exc()}
            os.write(answers, json.dumps(answer).encode() + b"\n")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            answer = {"error": f"the process ended with status {status}"}
            os.write(answers, json.dumps(answer).encode() + b"\n")
    os._exit(0)  # what libraries say at their end is no news


if __name__ == "__main__":
    main()
