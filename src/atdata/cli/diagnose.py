"""`atdata diagnose`: what was looked at, what was found, and what to do."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import platformdirs
import typer

from atdata._exceptions import printable, redacted
from atdata.cli.app import print_json
from atdata.cli.checks import Check
from atdata.cli.checks import postgres as of_postgres
from atdata.cli.checks import redis as of_redis
from atdata.cli.checks import s3 as of_s3
from atdata.cli.checks import sqlite as of_sqlite

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]*")


def sqlite(path: Path | None, *, as_json: bool) -> None:
    """Report on a SQLite file."""
    path = platformdirs.user_data_path("atdata") / "index.db" if path is None else path
    _report("sqlite", str(path), of_sqlite.checks(path), as_json=as_json)


def redis(url: str, *, as_json: bool) -> None:
    """Report on a Redis server."""
    _report("redis", redacted(url), of_redis.checks(url), as_json=as_json)


def postgres(dsn: str, *, as_json: bool) -> None:
    """Report on a PostgreSQL database; only an address like a URL is shown."""
    place = redacted(dsn) if "://" in dsn else "PostgreSQL"
    _report("postgres", place, of_postgres.checks(dsn), as_json=as_json)


def s3(bucket: str, env_file: Path | None, *, as_json: bool) -> None:
    """Report on a bucket."""
    name, _, prefix = bucket.removeprefix("s3://").partition("/")
    if not _BUCKET.fullmatch(name):
        raise typer.BadParameter("name a bucket, or s3://BUCKET/PREFIX")
    credentials = os.environ if env_file is None else _read_env(env_file)
    place = f"s3://{name}/{prefix}".rstrip("/")
    _report("s3", place, of_s3.checks(name, prefix, credentials), as_json=as_json)


def _read_env(path: Path) -> Mapping[str, str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = (line.removeprefix("export ").partition("=") for line in lines if line[:1] != "#")
    return {name.strip(): value.strip().strip("'\"") for name, equals, value in pairs if equals}


def _report(kind: str, place: str, checks: Iterator[Check], *, as_json: bool) -> None:
    """Print the checks as they are made, and end with 1 if one failed.

    Raises:
        typer.Exit: With code 1, if a check failed.
    """
    if not as_json:
        typer.echo(printable(place, 500))
    made: list[Check] = []
    for check in checks:
        made.append(check)
        if not as_json:
            _print(check)
    n_failed = sum(check.result == "fail" for check in made)
    if as_json:
        document = {"kind": kind, "place": place, "ok": n_failed == 0}
        print_json({**document, "checks": [asdict(check) for check in made]})
    elif n_failed:
        typer.echo(f"{n_failed} of {len(made)} checks failed.")
    else:
        typer.echo("All is well." if all(c.result == "ok" for c in made) else "It works.")
    if n_failed:
        raise typer.Exit(1)


def _print(check: Check) -> None:
    typer.echo(f"  {check.result:<4}  {check.name:<19}  {check.fact}")
    if check.advice and check.result != "ok":
        typer.echo(f"{'':29}{check.advice}")
