"""Catalogues under many processes: none loses another's work, and kill -9 leaves old or new."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from atdata.services import Bucket

ROOT = Path(__file__).parents[2]
KINDS = ["sqlite", "postgres", "redis"]


@pytest.fixture(params=KINDS)
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """How to open a fresh catalogue of each kind."""
    kind: str = request.param
    place = {
        "sqlite": lambda: {"path": str(tmp_path / "index.db")},
        "postgres": lambda: {"dsn": request.getfixturevalue("postgres_dsn")},
        "redis": lambda: {"redis": request.getfixturevalue("redis_url")},
    }[kind]()
    return {"kind": kind, "provider": place}


def run(task: str, place: dict[str, Any], *more: object) -> Any:
    """What the program of processes answers."""
    program = [sys.executable, "-m", "tests.journeys.catalogue_program"]
    done = subprocess.run(
        [*program, task, json.dumps(place), *map(str, more)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def test_racing_processes_lose_nothing(provider: dict[str, Any], tmp_path: Path) -> None:
    """Newcomers all get in, every published content has a version, every write is there."""
    seen = run("race", provider | {"store": {"root": str(tmp_path / "store")}})

    published = [ref for refs in seen["published"] for ref in refs]
    assert len(set(published)) == 200
    assert len(set(seen["versions"])) == 200
    written = [cid for cids in seen["written"] for cid in cids]
    assert len(set(written)) == 400
    assert set(seen["entries"]) == set(written)
    own = sorted(tuple(sample) for sample in seen["entries"].values() if sample is not None)
    assert own == sorted((w, i) for w in range(4) for i in range(100) if i % 5)
    assert seen["names"] == sorted(["shared", *(f"own/{w}-{i}" for w, i in own)])


@pytest.mark.parametrize("store", ["disk", "s3"])
def test_a_killed_write_leaves_the_old_state_or_the_new(
    provider: dict[str, Any], store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Twenty times kill -9 at any moment: never a mixture, and gc leaves no orphan."""
    if store == "disk":
        place: dict[str, Any] = {"root": str(tmp_path / "store")}
    else:
        bucket: Bucket = request.getfixturevalue("s3_bucket")
        place = {"bucket": bucket.bucket, "credentials": dict(bucket.credentials)}

    seen = run("kill", provider | {"store": place}, 20, len(store))

    assert set(seen["outcomes"]) <= {"old", "new"}, seen["outcomes"]
    assert seen["whole"]
    assert seen["n"] == 2 + seen["outcomes"].count("new")
    assert seen["dry"] == seen["removed"]
    assert seen["left"] == [0, 0, 0]
    assert seen["orphans"] == []
    assert seen["missing"] == []
