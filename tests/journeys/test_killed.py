"""Readers in processes of their own that are killed, again and again, and go on as others."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import atdata
from atdata import Dataset

READER = """
import json, os, sys, time
from pathlib import Path
import atdata

@atdata.packable
class Number:
    n: int

def wanted(s: Number) -> bool:
    return s.n % 3 > 0

def note(stream, delivered):  # what was consumed, and where that ends, become known at once
    path = here.with_suffix(".new")
    path.write_text(json.dumps({"delivered": delivered, "state": stream.state_dict()}))
    path.replace(here)

folder, how, limit = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
here = folder / f"reader-{os.environ['RANK']}.json"
ds = atdata.Dataset(sorted(folder.glob("*.tar")), sample_type=Number).filter(wanted)
stream = ds.shuffled(buffer_shards=3, **how)
before = folder / "states.json"
if before.exists():
    stream.load_state_dict(json.loads(before.read_text()))
note(stream, [])
delivered = []
for number, batch in enumerate(stream, 1):
    delivered += batch.n.tolist()
    note(stream, delivered)
    time.sleep(60 if number == limit else 0.004)
note(stream, delivered)
"""
"""A training without a model: it consumes its batches, and notes each with its state."""


@atdata.packable
class Number:
    """A small sample."""

    n: int


def begin(
    folder: Path, readers: int, how: dict[str, Any], limit: int = 0
) -> "list[subprocess.Popen[bytes]]":
    """Start all readers, and wait until each has noted where it begins.

    After so many batches as the limit says they wait to be killed, on a quick machine too.
    """
    for path in folder.glob("reader-*"):
        path.unlink()
    running: list[subprocess.Popen[bytes]] = []
    for rank in range(readers):
        env = os.environ | {"RANK": str(rank), "WORLD_SIZE": str(readers)}
        given = [str(folder), json.dumps(how), str(limit)]
        command = [sys.executable, "-W", "error", "-c", READER, *given]
        running.append(subprocess.Popen(command, env=env))
    until = time.monotonic() + 60
    while not all((folder / f"reader-{rank}.json").exists() for rank in range(readers)):
        assert time.monotonic() < until
        assert all(process.poll() in {None, 0} for process in running)
        time.sleep(0.002)
    return running


def collect(folder: Path, readers: int) -> list[int]:
    """What all readers have delivered; their states are those that the next ones begin with."""
    notes = [json.loads((folder / f"reader-{rank}.json").read_text()) for rank in range(readers)]
    (folder / "states.json").write_text(json.dumps([note["state"] for note in notes]))
    return [n for note in notes for n in note["delivered"]]


def test_readers_that_are_killed_deliver_every_sample_once(tmp_path: Path) -> None:
    """Two or three processes, killed ten times anywhere and resumed as three or two."""
    draws = random.Random(1)
    samples = (Number(n) for n in range(6000))
    ds: Dataset[Number] = atdata.write_samples(samples, tmp_path / "s.tar", maxcount=700)
    delivered: list[int] = []
    stops: list[int] = []

    for _ in range(10):
        readers = draws.choice([2, 3])
        how = {"seed": 7, "epoch": 4, "batch_size": draws.choice([5, 8, 13])}
        running = begin(tmp_path, readers, how, limit=draws.randrange(2, 10))
        for process in running:
            time.sleep(draws.random() * 0.05)
            process.send_signal(signal.SIGKILL)
        for process in running:
            process.wait()
        delivered += collect(tmp_path, readers)
        stops.append(len(delivered))
    for process in begin(tmp_path, 2, {"seed": 7, "epoch": 4, "batch_size": 50}):
        assert process.wait(60) == 0
    delivered += collect(tmp_path, 2)

    assert len(set(stops)) > 5
    assert stops[-1] < 4000  # 10 lives of 3 readers, each of 9 batches of 13 at most
    assert Counter(delivered) == Counter(n for n in range(6000) if n % 3)
    assert len(delivered) == len(ds.filter(lambda s: s.n % 3 > 0)) == 4000


def test_ranks_that_end_together_hang_nobody(tmp_path: Path) -> None:
    """With `tail`, all processes come to their end after as many batches, killed before or not."""
    atdata.write_samples((Number(n) for n in range(500)), tmp_path / "s.tar", maxcount=70)
    how = {"seed": 1, "batch_size": 4, "tail": "drop", "drop_last": True}

    for process in begin(tmp_path, 2, how):
        process.kill()
        process.wait()
    before = collect(tmp_path, 2)
    for process in begin(tmp_path, 3, how):
        assert process.wait(60) == 0
    notes = [json.loads((tmp_path / f"reader-{rank}.json").read_text()) for rank in range(3)]
    counts = {len(note["delivered"]) for note in notes}

    assert len(counts) == 1
    delivered = Counter(before + [n for note in notes for n in note["delivered"]])
    assert set(delivered.values()) == {1}
    assert 333 - len(delivered) < 3 * 4 + 3
