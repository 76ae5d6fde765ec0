"""Reading and writing, measured against other libraries and against reading the bytes alone.

`python benchmarks/bench_io.py --only S,M --modes seq,batch --systems atdata,webdataset` measures
some of it; `--modes order` what has to do with order, workers and read-ahead. Systems take turns
within each cell, round after round; a figure is the median.
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
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import report
from http_place import Web, served
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
WEB = {"http": "M", "http_cut": "M"}
ORDERS = {"mix": "S", "resume": "S", "resume_shuf": "S"}
MEMORY = {
    "memory:seq": "SML",
    "memory:batch": "L",
    "memory:shuf": "M",
    "memory:shufbatch": "ML",
    "memory:http": "M",
    "memory:loader": "M",
}
MODES = READS | {"loader": "M"} | WRITES | WEB | ORDERS | MEMORY
GROUPS = {"order": ("shuf", "shufbatch", "loader", *WEB, *ORDERS, *list(MEMORY)[2:])}
"""Modes that have a name together."""
FACTORS = {"foreign": 0.25, "http": 0.25, "http_cut": 0.25, "mix": 0.5} | {
    "resume": 5,
    "resume_shuf": 5,
}
"""Samples of a mode as a multiple of the workload's."""
SHARDS = {"mix": 100, "resume": 10, "resume_shuf": 10, "loader": 8}
"""Shards of the modes that read several."""
LENGTHS = {"http": 4, "http_cut": 8, "loader": 2}
"""Budgets of the modes in which a start takes long, as a multiple of the others'."""
TORCH = " with torch"
HTTP_DELAY = 0.02
CUT_EVERY = 50
COLD = ("atdata", "webdataset", "tarfile", "hf datasets")
"""Systems whose first sample is timed."""
PEERS = {name: kind.module for name, kind in SYSTEMS.items() if hasattr(kind, "module")}
"""Systems that are measured where they are installed, and the modules that tell."""
MEMORY_FILES = "/dev/shm"
"""Where files are in memory, so that writing does not measure a disk."""


def environment() -> dict[str, str]:
    """What a measured process finds: compiled modules, and nothing on the network."""
    wanted = {
        "OPENBLAS_NUM_THREADS": "1",  # workers fork, which threads would not survive
        "HF_HUB_OFFLINE": "1",
        # What peers leave behind when a measurement's process ends at once, and arrays of theirs
        # that may not be written to.
        "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning,ignore:The given NumPy:UserWarning",
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
    """A folder, web servers that have it, one of which loses connections, and one to write to."""

    folder: Path
    web: Web
    cutting: Web
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
        url = (files.cutting if mode == "http_cut" else files.web).url
        places = {"folder": str(files.folder), "url": url, "scratch": str(files.scratch)}
        return named | places | {"n_shards": self.n_shards} | more

    def worker(self, system: str) -> str:
        """Which worker measures a system: torch is only in those that need it."""
        return system + TORCH if self.mode.endswith("loader") else system

    @property
    def n_shards(self) -> int:
        """How many shards the samples are in."""
        return SHARDS.get(self.mode.removeprefix("memory:"), 1)


def cells(workloads: list[str], modes: list[str], systems: list[str], scale: float) -> list[Cell]:
    """What there is to measure of what was chosen."""
    found: list[Cell] = []
    for mode, letters in MODES.items():
        for letter in letters:
            if mode not in modes or letter not in workloads:
                continue
            n = max(1, int(WORKLOADS[letter].count * scale))
            n = max(1, int(n * FACTORS.get(mode.removeprefix("memory:"), 1)))
            offering = tuple(name for name in systems if offers(name, mode, letter))
            found.append(Cell(letter, mode, n, offering))
    return [cell for cell in found if cell.systems]


def offers(system: str, mode: str, workload: str) -> bool:
    """Whether a system can do it."""
    kind = SYSTEMS[system]
    if mode in MEMORY and system in ("limit", *PEERS):
        return False
    method = mode.removeprefix("memory:")
    if method == "loader" and find_spec("torch") is None:
        return False
    method = "state" if method.startswith("resume") else method
    has = hasattr(kind, method) and method not in getattr(kind, "lacks", ())
    return has and workload in getattr(kind, "workloads", "SMLBVI")


def absent(systems: list[str], modes: list[str]) -> list[str]:
    """What is not measured because it is not installed."""
    missing = [name for name in systems if name in PEERS and find_spec(PEERS[name]) is None]
    if "loader" in modes and find_spec("torch") is None:
        missing.append("torch")
    return missing


def prepare(chosen: list[Cell], files: Files, workers: dict[str, Worker]) -> None:
    """Make the files that cells need."""
    done: set[tuple[str, str, int, int]] = set()
    for cell in chosen:
        makers = {"webdataset"} if cell.mode == "foreign" else {"atdata", *cell.systems}
        for maker in ("atdata", "webdataset", "hf datasets", "hf arrow", *PEERS):
            facts = (maker, cell.workload, cell.n, cell.n_shards)
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
        if cell.mode in (*WRITES, *MEMORY, *ORDERS, "consume"):
            continue
        for system in cell.systems:
            if system == "limit":
                continue
            found = workers[cell.worker(system)].ask(**cell.task("check", files))
            where = f"{system} {cell.workload} {cell.mode}"
            first, other = seen.setdefault(
                (cell.workload, cell.n, cell.mode == "filter"), (found, where)
            )
            if found != first:
                raise RuntimeError(f"{where} reads other data than {other}: {found} and {first}")


def nothing_lost(cell: Cell, files: Files, workers: dict[str, Worker]) -> None:
    """Read from a server that loses connections until it has lost some, and compare.

    Raises:
        RuntimeError: Samples are missing, or are not what they were.
    """
    whole = workers["atdata"].ask(**cell.task("check", files) | {"mode": "seq"})
    passes, cuts, began = 0, files.cutting.cuts, time.perf_counter()
    wanted = 3
    while files.cutting.cuts < cuts + wanted:
        if time.perf_counter() > began + 2:  # little data needs few requests
            wanted = 1
        found = workers["atdata"].ask(**cell.task("check", files))
        passes += 1
        if found != whole:
            raise RuntimeError(f"after lost connections: {found}, and not {whole}")
    lost = files.cutting.cuts - cuts
    print(f"{passes} whole passes, in which {lost} connections were cut: no sample was lost")


def resumed(cell: Cell, files: Files, workers: dict[str, Worker], times: int) -> dict[str, Any]:
    """How much later the first sample comes after nine tenths of an epoch than at its start."""
    seed = 1 if cell.mode == "resume_shuf" else None
    found: dict[str, list[dict[str, float]]] = {system: [] for system in cell.systems}
    for system in cell.systems:
        state = workers[system].ask(**cell.task("state", files, seed=seed))
        for _ in range(times):
            fresh = workers[system].ask(**cell.task("first", files, seed=seed, state=None))
            later = workers[system].ask(**cell.task("first", files, seed=seed, state=state))
            one = {"seconds": later - fresh, "fresh": fresh, "resumed": later}
            found[system].append(one)
    return result(cell.workload, cell.mode, found)


def measured(
    chosen: list[Cell], files: Files, workers: dict[str, Worker], rounds: int, budget: float
) -> Iterator[dict[str, Any]]:
    """Each cell's figures by system, as soon as they are known."""
    n_bytes: dict[str, float] = {}
    for cell in chosen:
        if cell.mode.startswith("resume"):
            yield resumed(cell, files, workers, rounds) | {"n": cell.n}
            continue
        if cell.mode == "http_cut" and "atdata" in cell.systems:
            nothing_lost(cell, files, workers)
        do, times = ("memory", 1) if cell.mode in MEMORY else ("measure", rounds)
        if cell.mode == "mix":
            do, times = "mix", 1  # the same each time
        length = budget * LENGTHS.get(cell.mode, 1)
        found: dict[str, list[dict[str, float]]] = {system: [] for system in cell.systems}
        for number in range(times):
            turn = number % len(cell.systems)
            for system in cell.systems[turn:] + cell.systems[:turn]:
                worker = workers[cell.worker(system)]
                found[system].append(worker.ask(**cell.task(do, files, budget=length)))
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
    names = [one.strip() for one in text.split(",")]
    given = [one for name in names for one in GROUPS.get(name, (name,))]
    unknown = [one for one in given if one not in known]
    if unknown:
        raise SystemExit(f"there is no {what} {unknown[0]!r}; there are {', '.join(known)}")
    return [one for one in known if one in given]


def main() -> None:
    """Measure what the arguments say."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", help=f"workloads, of {','.join(WORKLOADS)}")
    options.add_argument("--modes", help=f"of {','.join([*GROUPS, *MODES, 'cold'])}")
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
    missing = absent(systems, modes)
    for name in missing:
        print(f"{name} is not installed, so it is left out")
    systems = [name for name in systems if name not in missing]
    chosen = cells(workloads, modes, systems, given.scale)
    began = time.perf_counter()
    found: list[dict[str, Any]] = []
    with ExitStack() as stack:
        needed = ["atdata", *systems]
        if any(cell.mode == "foreign" for cell in chosen):
            needed.append("webdataset")
        needed += [
            cell.worker(name)
            for cell in chosen
            for name in cell.systems
            if cell.worker(name) not in needed
        ]
        workers = {
            name: stack.enter_context(Worker(name.removesuffix(TORCH)))
            for name in dict.fromkeys(needed)
        }
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
            able = tuple(name for name in systems if name in COLD)
            prepare([Cell("M", "cold", n, able)], files, workers)
            found.append(first_samples(list(able), files, n, given.rounds))
            print(report.lines(found[-1]), flush=True)
    results = {
        "machine": report.machine(),
        "versions": report.versions(),
        "missing": missing,
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
        web = stack.enter_context(served(place, HTTP_DELAY))
        cutting = stack.enter_context(served(place, HTTP_DELAY, CUT_EVERY))
        yield Files(place, web, cutting, scratch)


if __name__ == "__main__":
    main()
