"""Processes that share a catalogue: they race, are killed, and are asked what they see.

Run as `python -m tests.journeys.catalogue_program TASK PLACE`, where PLACE is JSON that says how
to open the provider and the store. The program itself opens neither, so that it may fork freely.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import field, make_dataclass
from typing import Any

import numpy as np

import atdata
from atdata.index import Index
from atdata.model.shard import beside
from atdata.predicate import F
from atdata.providers.factory import create_provider
from atdata.stores import LocalDiskStore, S3DataStore


@atdata.packable
class Measured:
    """A sample that is easy to recognise."""

    run: int
    number: int
    values: Any = None


def open_index(place: dict[str, Any]) -> Index:
    """A new index on the place."""
    store = place.get("store")
    made: Any = None
    if store is not None and "root" in store:
        made = LocalDiskStore(store["root"])
    elif store is not None:
        made = S3DataStore(store["credentials"], bucket=store["bucket"])
    provider = create_provider(place["kind"], **place["provider"])
    return Index(provider, data_store=made, atmosphere=None)


def in_child[T](job: Callable[[], T]) -> tuple[int, int]:
    """Start a job in a forked child, whose answer is read from the pipe as JSON."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    os.close(reading)
    try:
        answer = json.dumps(job())
        with os.fdopen(writing, "w") as pipe:
            pipe.write(answer)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def answer_of(child: tuple[int, int]) -> Any:
    """What a child's job gave; the program ends if the child failed."""
    pid, reading = child
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    if os.waitpid(pid, 0)[1] != 0:
        raise SystemExit("a child failed")
    return json.loads(said)


def together(jobs: list[Callable[[], Any]]) -> list[Any]:
    """Run jobs at the same time, each in a process of its own."""
    return [answer_of(child) for child in [in_child(job) for job in jobs]]


def publish(place: dict[str, Any], worker: int, n: int) -> list[str]:
    """Publish types of one name that differ from each other."""
    with open_index(place) as index:
        found = []
        for i in range(n):
            default = field(default=worker * 1000 + i)
            kind = atdata.packable(make_dataclass("Raced", [("x", int, default)]))
            found.append(index.publish_schema(kind))
        return found


def write_many(place: dict[str, Any], worker: int, n: int) -> list[str]:
    """Write small datasets, most under names of their own and some under one that all write."""
    with open_index(place) as index:
        found = []
        for i in range(n):
            name = "shared" if i % 5 == 0 else f"own/{worker}-{i}"
            samples = [Measured(worker, i)]
            found.append(index.write(samples, name=name).cid)
        return found


def open_fresh(place: dict[str, Any]) -> int:
    """Open a catalogue that nobody has opened before, and use it."""
    with open_index(place) as index:
        index.publish_schema(Measured)
        return len(index.list_datasets())


def write_version(place: dict[str, Any], run: int) -> str:
    """Write one version of the dataset that is killed over and over."""
    with open_index(place) as index:
        rng = np.random.default_rng(run)
        samples = (Measured(run, i, rng.bytes(2000)) for i in range(400))
        return index.write(samples, name="killed", version=f"{run}.0.0", maxcount=50).cid


def look(place: dict[str, Any], known: list[str]) -> dict[str, Any]:
    """What a newcomer sees of the dataset; every sample of versions that are not known is read."""
    with open_index(place) as index:
        entries = {entry.cid: entry for entry in index.entries}
        labels = {version: cid for name, cid, version in index.labels if name == "killed"}
        runs = dict.fromkeys(known, True)
        for version in index.versions("killed"):
            if version.version in runs:
                continue
            ds = index.open(f"killed@{version.version}", Measured)
            read = [(s.run, s.number) for s in ds]
            whole = [(int(str(version.version).partition(".")[0]), i) for i in range(400)]
            asked = index.query(f"killed@{version.version}", F.number >= 390)
            runs[str(version.version)] = read == whole and len(asked) == 10
        return {
            "entries": sorted(entries),
            "labels": {str(key): cid for key, cid in labels.items()},
            "whole": runs,
            "latest": index.get_dataset("killed").version,
            "schemas": [schema.ref for schema in index.schemas],
        }


def clean(place: dict[str, Any]) -> dict[str, Any]:
    """Remove what was left behind, and compare what the store holds with what is needed."""
    with open_index(place) as index:
        before = index.gc()
        removed = index.gc(dry_run=False)
        again = index.gc()
        store: Any = index.repos["local"].store
        kept = {item.key for item in store.list_keys("")}
        needed = {
            store.url(url)
            for entry in index.entries
            for shard in entry.shards
            for url in (shard.url, *(beside(shard.url, one.suffix) for one in shard.sidecars))
        }
        return {
            "dry": [orphan.key for orphan in before.orphans],
            "removed": [orphan.key for orphan in removed.orphans],
            "left": [again.works, again.running, len(again.orphans)],
            "orphans": sorted(store.url(key) for key in kept if store.url(key) not in needed),
            "missing": sorted(needed - {store.url(key) for key in kept}),
        }


def race(place: dict[str, Any]) -> dict[str, Any]:
    """Twelve newcomers, four publishers and four writers, one group after the other."""
    together([lambda: open_fresh(place)] * 12)
    published = together([lambda w=w: publish(place, w, 50) for w in range(4)])
    written = together([lambda w=w: write_many(place, w, 100) for w in range(4)])

    def seen() -> dict[str, Any]:
        with open_index(place) as index:
            found = {}
            for entry in index.entries:
                sample = index.open(entry.name, Measured)[0] if entry.name != "shared" else None
                found[entry.cid] = None if sample is None else [sample.run, sample.number]
            names = [entry.name for entry in index.list_datasets()]
            versions = [schema.version for schema in index.schemas if schema.name == "Raced"]
            return {"entries": found, "names": names, "versions": versions}

    return {"published": published, "written": written, **answer_of(in_child(seen))}


def kill(place: dict[str, Any], n: int, seed: int) -> dict[str, Any]:
    """Kill a writer again and again, at any moment of its write, and look after each time."""
    chance = random.Random(seed)
    answer_of(in_child(lambda: write_version(place, 0)))
    began = time.monotonic()
    answer_of(in_child(lambda: write_version(place, 1)))
    usual = time.monotonic() - began
    before = answer_of(in_child(lambda: look(place, [])))
    outcomes = []
    for run in range(2, n + 2):
        pid, reading = in_child(lambda run=run: write_version(place, run))
        time.sleep(chance.uniform(0, usual * 1.1))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
        known = list(before["whole"])
        after = answer_of(in_child(lambda known=known: look(place, known)))
        outcomes.append(judge(before, after, f"{run}.0.0"))
        before = after
    cleaned = answer_of(in_child(lambda: clean(place)))
    whole = answer_of(in_child(lambda: look(place, [])))["whole"]
    return {"outcomes": outcomes, "whole": all(whole.values()), "n": len(whole), **cleaned}


def judge(before: dict[str, Any], after: dict[str, Any], version: str) -> str:
    """Whether the catalogue shows the old state, the new one, or something between."""
    if not all(after["whole"].values()):
        return f"{version}: samples are missing: {after['whole']}"
    if after == before:
        return "old"
    new = set(after["entries"]) - set(before["entries"])
    labels = {key: cid for key, cid in after["labels"].items() if key not in (version, "None")}
    others = {key: cid for key, cid in before["labels"].items() if key != "None"}
    is_new = (
        len(new) == 1
        and after["latest"] == version
        and {after["labels"].get(version), after["labels"]["None"]} == new
        and labels == others
        and after["schemas"] == before["schemas"]
    )
    return "new" if is_new else f"{version}: between the two: {after}"


def main() -> None:
    """Do the task that the arguments name and print its answer."""
    task, place = sys.argv[1], json.loads(sys.argv[2])
    answer = race(place) if task == "race" else kill(place, int(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
