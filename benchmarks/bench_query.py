"""What manifests cost: asking, against DuckDB on the same files and reading everything; writing.

A million samples in 200 shards; 1 % of them are selected. All ways are measured in turn, in the
same process, several times; the medians are printed, and the ratios. Writing is measured with and
without manifests in turn, and its memory in a process of its own.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

import atdata
from workloads import Small

N_SHARDS = 200


@atdata.packable
class Row:
    """Three scalars and a short vector, as in the other benchmarks, and a word."""

    id: int
    label: int
    score: float
    word: str
    x: NDArray[np.float32]


def rows(n: int) -> Iterator[Row]:
    """Rows of random numbers, the same each time."""
    some = np.random.default_rng(1)
    for first in range(0, n, 1000):
        scores = some.random(1000).tolist()
        labels = some.integers(0, 100, 1000).tolist()
        vectors = some.random((1000, 16), np.float32)
        for i in range(1000):
            yield Row(first + i, labels[i], scores[i], f"w{labels[i] % 7}", vectors[i])


def median_s(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """How long each call takes, all measured in turn."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            took[name].append(time.perf_counter() - began)
    return {name: statistics.median(some) for name, some in took.items()}


def main() -> None:
    """Write the samples, with and without manifests, and ask."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="also write five million samples")
    given = parser.parse_args()
    n: int = given.samples
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.tar")
        ds = atdata.write_samples(
            rows(n), path, maxcount=n // N_SHARDS, manifest=True, progress=False
        )
        measure(ds, Path(folder), given.rounds)
        write(Path(folder), n, given.rounds)
        if given.memory:
            remember(Path(folder))


def small(n: int) -> Iterator[Small]:
    """Samples of the workload S."""
    x = np.arange(16, dtype=np.float32)
    return (Small(i, i % 100, i * 0.5, x) for i in range(n))


def write(folder: Path, n: int, rounds: int) -> None:
    """Print what writing takes, with manifests and without, one after the other."""
    took: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for _ in range(rounds):
        for manifest, found in took.items():
            wall, cpu = time.perf_counter(), time.process_time()
            path = folder / "written.tar"
            atdata.write_samples(
                small(n), path, maxcount=n // N_SHARDS, manifest=manifest, progress=False
            )
            found.append((time.perf_counter() - wall, time.process_time() - cpu))
    for number, kind in enumerate(("wall", "cpu")):
        bare, along = (statistics.median(one[number] for one in some) for some in took.values())
        print(f"writing, {kind}: {bare:.2f} s, with manifests {along:.2f} s: {along / bare:.2f}")


def remember(folder: Path) -> None:
    """Print the peak memory of a process that writes five million samples with manifests."""
    code = (
        "import sys, atdata; from bench_query import small; "
        "atdata.write_samples(small(5_000_000), sys.argv[1], maxcount=25_000, manifest=True, "
        "progress=False); status = open('/proc/self/status').read(); "
        "print(status.partition('VmHWM:')[2].split()[0])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(folder / "many.tar")],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    print(f"peak memory of writing 5,000,000 samples: {int(found.stdout) // 1024} MB")


def measure(ds: atdata.Dataset[Row], folder: Path, rounds: int) -> None:
    """Print what questions take."""
    Q = ds.fields
    n = len(ds)
    files = sorted(map(str, folder.glob("*.parquet")))
    asked = "select __key__, __offset__, __size__, filename from read_parquet(?, filename=true)"
    found: list[Any] = []

    def ours() -> None:
        found[:] = [len(ds.query(Q.score > 0.99))]

    def by_duckdb() -> None:
        rows = duckdb.execute(f"{asked} where score > 0.99", [files])
        found.append(len(rows.fetchall()))

    def nobody() -> None:
        ds.query(Q.word == "none")

    def first_batch() -> None:
        next(iter(ds.where(Q.score > 0.99).ordered(batch_size=256)))

    def last_first_batch() -> None:
        next(iter(ds.where(Q.id >= n - n // 100).ordered(batch_size=256)))

    def last_first_batch_by_scan() -> None:
        next(iter(ds.filter(lambda row: row.id >= n - n // 100).ordered(batch_size=256)))

    def shuffled_first_batch() -> None:
        next(iter(ds.where(Q.score > 0.99).shuffled(batch_size=256, seed=1)))

    def shuffled_first_batch_by_scan() -> None:
        next(iter(ds.filter(lambda row: row.score > 0.99).shuffled(batch_size=256, seed=1)))

    def first_batch_by_scan() -> None:
        next(iter(ds.filter(lambda row: row.score > 0.99).ordered(batch_size=256)))

    def scan() -> None:
        sum(1 for _ in ds.filter(lambda row: row.score > 0.99))

    def all_matching() -> None:
        sum(1 for _ in ds.where(Q.score > 0.99))

    began = time.perf_counter()
    ours()
    print(f"first question in this process: {time.perf_counter() - began:.3f} s")
    took = median_s(
        {
            "where to places": ours,
            "duckdb to rows": by_duckdb,
            "a word that no shard holds": nobody,
            "where to first batch": first_batch,
            "filter to first batch": first_batch_by_scan,
            "where to first batch, shuffled": shuffled_first_batch,
            "filter to first batch, shuffled": shuffled_first_batch_by_scan,
            "where to first batch, at the end": last_first_batch,
            "filter to first batch, at the end": last_first_batch_by_scan,
            "where to last sample": all_matching,
            "filter to last sample": scan,
        },
        rounds,
    )
    for name, seconds in took.items():
        print(f"{name:36} {seconds * 1000:10.1f} ms")
    print(f"places / duckdb: {took['where to places'] / took['duckdb to rows']:.2f}")
    for name in ("first batch", "first batch, shuffled", "first batch, at the end", "last sample"):
        print(
            f"filter / where to {name}: {took[f'filter to {name}'] / took[f'where to {name}']:.1f}"
        )


if __name__ == "__main__":
    main()
