"""Reading and writing, measured against other libraries and against reading the bytes alone.

`python benchmarks/bench_io.py --only S,M --modes seq,batch --systems atdata,webdataset` measures
some of it. Systems take turns within each cell, round after round; a figure is the median.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import report
from http_place import served
from peers import SYSTEMS
from workloads import WORKLOADS

READS = {
    "seq": "SMLBVI",
    "consume": "L",
    "batch": "SMLBV",
    "shuf": "SMLB",
    "shufbatch": "SMLB",
    "rand": "SMLB",
    "gather": "SML",
    "filter": "S",
    "foreign": "SM",
}
WRITES = {"write": "SML", "write_plain": "SMLB"}
MEMORY = {"memory:seq": "SML", "memory:batch": "L", "memory:shufbatch": "ML"}
MODES = READS | WRITES | {"http": "M"} | MEMORY
HTTP_DELAY = 0.02
MEMORY_FILES = "/dev/shm"
"""Where files are in memory, so that writing does not measure a disk."""


def environment() -> dict[str, str]:
    """What a measured process finds: compiled modules, and nothing on the network."""
    wanted = {
        "OPENBLAS_NUM_THREADS": "1",  # workers fork, which threads would not survive
        "HF_HUB_OFFLINE": "1",
    }
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        # An installed package is compiled once, so that is not measured.
        wanted["PYTHONDONTWRITEBYTECODE"] = ""
        wanted["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[1] / ".benchmarks" / "compiled")
    return {**os.environ, **wanted}


class Worker:
    """A process that runs one system."""

    def __init__(self, system: str) -> None:
        self.system = system
        program = str(Path(__file__).with_name("worker.py"))
        self._process = subprocess.Popen(
            [sys.executable, program, system],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def ask(self, **task: Any) -> Any:
        """Have a task done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(task), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise RuntimeError(f"{self.system}, {task}: {answer['error']}")
        return answer["result"]


@dataclass(frozen=True, slots=True)
class Files:
    """A folder, the URL at which a web server has it, and a folder to write to."""

    folder: Path
    url: str
    scratch: Path


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing that is measured of some systems."""

    workload: str
    mode: str
    n: int
    systems: tuple[str, ...]

    def task(self, do: str, files: Files, **more: Any) -> dict[str, Any]:
        """What to tell a worker."""
        mode = self.mode.removeprefix("memory:")
        named = {"do": do, "workload": self.workload, "mode": mode, "n": self.n}
        places = {"folder": str(files.folder), "url": files.url, "scratch": str(files.scratch)}
        return named | places | more


def cells(workloads: list[str], modes: list[str], systems: list[str], scale: float) -> list[Cell]:
    """What there is to measure of what was chosen."""
    found: list[Cell] = []
    for mode, letters in MODES.items():
        for letter in letters:
            if mode not in modes or letter not in workloads:
                continue
            n = max(1, int(WORKLOADS[letter].count * scale))
            n = max(1, n // 4) if mode in ("foreign", "http") else n
            offering = tuple(name for name in systems if offers(name, mode, letter))
            found.append(Cell(letter, mode, n, offering))
    return [cell for cell in found if cell.systems]


def offers(system: str, mode: str, workload: str) -> bool:
    """Whether a system can do it."""
    kind = SYSTEMS[system]
    if mode in MEMORY and system == "limit":
        return False
    has = hasattr(kind, mode.removeprefix("memory:"))
    return has and workload in getattr(kind, "workloads", "SMLBVI")


def prepare(chosen: list[Cell], files: Files, workers: dict[str, Worker]) -> None:
    """Make the files that cells need."""
    done: set[tuple[str, str, int]] = set()
    for cell in chosen:
        makers = {"webdataset"} if cell.mode == "foreign" else {"atdata", *cell.systems}
        for maker in ("atdata", "webdataset", "hf datasets", "hf arrow"):
            facts = (maker, cell.workload, cell.n)
            if maker not in makers or facts in done:
                continue
            if maker == "webdataset" and cell.mode != "foreign":
                continue
            done.add(facts)
            workers[maker].ask(**cell.task("prepare", files))


def check(chosen: list[Cell], files: Files, workers: dict[str, Worker]) -> None:
    """Have every system read all of a small version, and compare what they read.

    Raises:
        RuntimeError: They differ.
    """
    seen: dict[tuple[Any, ...], tuple[list[int], str]] = {}
    for cell in chosen:
        if cell.mode in WRITES or cell.mode in MEMORY or cell.mode == "consume":
            continue
        for system in cell.systems:
            if system == "limit":
                continue
            found = workers[system].ask(**cell.task("check", files))
            where = f"{system} {cell.workload} {cell.mode}"
            first, other = seen.setdefault(
                (cell.workload, cell.n, cell.mode == "filter"), (found, where)
            )
            if found != first:
                raise RuntimeError(f"{where} reads other data than {other}: {found} and {first}")


def measured(
    chosen: list[Cell], files: Files, workers: dict[str, Worker], rounds: int, budget: float
) -> Iterator[dict[str, Any]]:
    """Each cell's figures by system, as soon as they are known."""
    n_bytes: dict[str, float] = {}
    for cell in chosen:
        do, times = ("memory", 1) if cell.mode in MEMORY else ("measure", rounds)
        found: dict[str, list[dict[str, float]]] = {system: [] for system in cell.systems}
        for number in range(times):
            turn = number % len(cell.systems)
            for system in cell.systems[turn:] + cell.systems[:turn]:
                found[system].append(workers[system].ask(**cell.task(do, files, budget=budget)))
        if cell.workload not in n_bytes:
            n_bytes[cell.workload] = workers["atdata"].ask(**cell.task("bytes", files))
        counts = {"n": cell.n, "bytes": n_bytes[cell.workload]}
        yield result(cell.workload, cell.mode, found) | counts


def result(workload: str, mode: str, rounds: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """A cell's figures: for each system the medians over the rounds."""
    figures = {
        system: {name: median(one[name] for one in found) for name in found[0]}
        for system, found in rounds.items()
    }
    return {"workload": workload, "mode": mode, "rounds": rounds, "figures": figures}


def first_samples(systems: list[str], files: Files, n: int, rounds: int) -> dict[str, Any]:
    """Seconds from a started interpreter to the first sample.

    The first round compiles what is imported, as happens once for an installed package.
    """
    program = str(Path(__file__).with_name("cold.py"))
    found: dict[str, list[dict[str, float]]] = {}
    for number in range(1 + rounds):
        for name in systems:
            run = subprocess.run(
                [sys.executable, program, name, str(files.folder / f"M-{n}")],
                capture_output=True,
                text=True,
                check=False,
                env=environment(),
            )
            if run.returncode:
                raise RuntimeError(f"the first sample of {name}: {run.stderr}")
            if number:
                found.setdefault(name, []).append({"seconds": float(run.stdout.split()[-1])})
    return result("M", "cold", found)


def chosen_of(text: str | None, known: list[str], what: str) -> list[str]:
    """The names in an option, in the order in which they are known."""
    if text is None:
        return known
    given = [one.strip() for one in text.split(",")]
    unknown = [one for one in given if one not in known]
    if unknown:
        raise SystemExit(f"there is no {what} {unknown[0]!r}; there are {', '.join(known)}")
    return [one for one in known if one in given]


def main() -> None:
    """Measure what the arguments say."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", help=f"workloads, of {','.join(WORKLOADS)}")
    options.add_argument("--modes", help=f"of {','.join([*MODES, 'cold'])}")
    options.add_argument("--systems", help=f"of {','.join(SYSTEMS)}")
    options.add_argument("--scale", type=float, default=1.0, help="factor on the sample counts")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--budget", type=float, default=0.25, help="seconds a measurement")
    options.add_argument("--data", type=Path, help="keep the files here, and use what is there")
    options.add_argument("--no-check", action="store_true", help="do not compare what is read")
    options.add_argument("--report", type=Path, help="write a page for the docs")
    options.add_argument("--save", type=Path, help="keep the figures as JSON")
    options.add_argument("--compare", type=Path, help="show what changed since figures were kept")
    given = options.parse_args()
    workloads = chosen_of(given.only, list(WORKLOADS), "workload")
    modes = chosen_of(given.modes, [*MODES, "cold"], "mode")
    systems = chosen_of(given.systems, list(SYSTEMS), "system")
    chosen = cells(workloads, modes, systems, given.scale)
    began = time.perf_counter()
    found: list[dict[str, Any]] = []
    with ExitStack() as stack:
        needed = ["atdata", *systems]
        if any(cell.mode == "foreign" for cell in chosen):
            needed.append("webdataset")
        workers = {name: stack.enter_context(Worker(name)) for name in dict.fromkeys(needed)}
        files = stack.enter_context(place_of(given.data))
        if not given.no_check:
            few = cells(workloads, modes, systems, min(given.scale, 0.002))
            prepare(few, files, workers)
            check(few, files, workers)
        prepare(chosen, files, workers)
        for cell in measured(chosen, files, workers, given.rounds, given.budget):
            found.append(cell)
            print(report.lines(cell), flush=True)
        if "cold" in modes and "M" in workloads:
            n = max(1, int(WORKLOADS["M"].count * given.scale))
            able = tuple(name for name in systems if name not in ("hf arrow", "limit"))
            prepare([Cell("M", "cold", n, able)], files, workers)
            found.append(first_samples(list(able), files, n, given.rounds))
            print(report.lines(found[-1]), flush=True)
    results = {
        "machine": report.machine(),
        "versions": report.versions(),
        "options": {"scale": given.scale, "rounds": given.rounds, "budget": given.budget},
        "seconds": round(time.perf_counter() - began),
        "cells": found,
    }
    print(f"\n{results['seconds']} s")
    if given.compare:
        print(report.comparison(json.loads(given.compare.read_text()), results))
    if given.save:
        given.save.parent.mkdir(parents=True, exist_ok=True)
        given.save.write_text(json.dumps(results, indent=1) + "\n")
    if given.report:
        given.report.write_text(report.page(results))


@contextmanager
def place_of(folder: Path | None) -> Iterator[Files]:
    """A folder for the files, which is removed unless it was asked for, with a web server."""
    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place.mkdir(parents=True, exist_ok=True)
        memory = MEMORY_FILES if os.access(MEMORY_FILES, os.W_OK) else None
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory)))
        yield Files(place, stack.enter_context(served(place, HTTP_DELAY)), scratch)


if __name__ == "__main__":
    main()
