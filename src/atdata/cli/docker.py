"""Local servers as containers: `docker compose` on a file of our own."""

import hashlib
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from atdata.cli.app import complain
from atdata.services.compose import compose_text
from atdata.services.process import HOST, free_port
from atdata.services.server import write_private

_FILE = "compose.yaml"
_SECRETS = "compose.json"
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Containers:
    """Containers that run.

    Attributes:
        addresses: Where each listens.
        text: What opens them, as the lines of an environment file.
    """

    addresses: dict[str, str]
    text: str


def up(wanted: Sequence[str], folder: Path) -> Containers:
    """Start containers, those of before too, and wait until they are healthy.

    Raises:
        typer.Exit: With code 1: docker is not there, or could not start them. It has been said.
    """
    command = _compose(folder)
    known = _known(folder)
    ports: dict[str, int] = {
        **known.get("ports", {}),
        **{kind: known.get("ports", {}).get(kind) or free_port() for kind in wanted},
    }
    words: dict[str, str] = known.get("secrets") or {
        "REDIS_PASSWORD": secrets.token_hex(16),
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "S3_ACCESS_KEY": secrets.token_hex(10),
        "S3_SECRET_KEY": secrets.token_hex(20),
    }
    write_private(folder / _SECRETS, json.dumps({"ports": ports, "secrets": words}))
    before = (folder / _FILE).read_text() if (folder / _FILE).exists() else None
    digest = hashlib.sha256(str(folder).encode()).hexdigest()
    write_private(folder / _FILE, compose_text(ports, f"atdata-{digest[:8]}"))
    try:
        _run([*command, "up", "--detach", "--wait"], words)
    except typer.Exit:
        if before is None:
            _ask([*command, "down"], words)
            (folder / _FILE).unlink()
        else:
            write_private(folder / _FILE, before)
        raise
    return Containers({k: f"{HOST}:{port}" for k, port in ports.items()}, _env(ports, words))


def down(folder: Path, *, volumes: bool) -> list[str]:
    """Stop the containers, and delete their data if that is wanted.

    Returns:
        Which there were.
    """
    known = _known(folder)
    _run([*_compose(folder), "down", *(["--volumes"] if volumes else [])], known["secrets"])
    (folder / _FILE).unlink()
    if volumes:
        (folder / _SECRETS).unlink()
    return list(known["ports"])


def kinds(folder: Path) -> list[str]:
    """Which services were started as containers, and not stopped."""
    return list(_known(folder).get("ports", {})) if (folder / _FILE).exists() else []


def states(folder: Path) -> dict[str, tuple[str, str | None]]:
    """State and address of each service that was started as a container."""
    started = kinds(folder)
    if not started:
        return {}
    known = _known(folder)
    command = [*_compose(folder), "ps", "--services", "--status", "running"]
    running = _run(command, known["secrets"]).split()
    return {
        kind: ("running", f"{HOST}:{known['ports'][kind]}")
        if kind in running
        else ("stopped", None)
        for kind in started
    }


def _known(folder: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads((folder / _SECRETS).read_bytes())
    except FileNotFoundError:
        return {}
    return known


def _compose(folder: Path) -> list[str]:
    """The command, if docker is here, runs, and has compose."""
    docker = shutil.which("docker")
    if docker is None:
        _give_up("docker is not installed", "Without --docker, servers run as processes.")
    for question, lack in (
        (["info"], "docker does not run"),
        (["compose", "version"], "docker has no compose"),
    ):
        try:
            asked = subprocess.run(  # noqa: S603  our own command
                [str(docker), *question], capture_output=True, timeout=_PATIENCE, check=False
            )
            fine = asked.returncode == 0
        except subprocess.TimeoutExpired:
            fine = False
        if not fine:
            _give_up(lack, f"Try it: docker {' '.join(question)}")
    return [str(docker), "compose", "--file", str(folder / _FILE)]


def _run(command: Sequence[str], words: Mapping[str, str]) -> str:
    done = _ask(command, words)
    if done.returncode:
        said = done.stderr.strip()[-2000:]
        for word in words.values():
            said = said.replace(word, "…")
        _give_up(
            f"docker compose failed with {done.returncode}: {said}", "See: docker compose logs"
        )
    return done.stdout


def _ask(command: Sequence[str], words: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own command
        command, env={**os.environ, **words}, capture_output=True, text=True, check=False
    )


def _give_up(reason: str, hint: str) -> None:
    complain(f"cannot use containers\n  reason  {reason}\n  {hint}")
    raise typer.Exit(1)


def _env(ports: Mapping[str, int], words: Mapping[str, str]) -> str:
    facts: dict[str, str] = {}
    if port := ports.get("redis"):
        facts["ATDATA_REDIS_URL"] = f"redis://:{words['REDIS_PASSWORD']}@{HOST}:{port}/0"
    if port := ports.get("postgres"):
        account = f"atdata:{words['POSTGRES_PASSWORD']}"
        facts["ATDATA_POSTGRES_DSN"] = f"postgresql://{account}@{HOST}:{port}/postgres"
    if port := ports.get("s3"):
        facts |= {
            "AWS_ACCESS_KEY_ID": words["S3_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": words["S3_SECRET_KEY"],
            "AWS_ENDPOINT": f"http://{HOST}:{port}",
            "AWS_REGION": "us-east-1",
        }
    return "".join(f"{name}={fact}\n" for name, fact in facts.items())
