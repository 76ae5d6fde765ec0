"""`atdata verify`: a dataset's shards against the digests in the catalogue."""

from collections.abc import Mapping

import typer

from atdata._exceptions import printable, shard_name
from atdata.cli.app import complain, print_json
from atdata.cli.catalogue import opened, reference
from atdata.cli.options import Place
from atdata.index import VerifyReport

_WORDS = {"ok": "PASS", "skipped": "SKIP", "mismatch": "FAIL", "error": "FAIL"}
_REASONS = {
    "skipped": "the catalogue holds no digest",
    "mismatch": "its SHA-256 is not that in the catalogue",
}


def verify(ref: str, place: Place, *, as_json: bool) -> None:
    """Print a line for each shard and what lies beside it, then how many were of each kind.

    Raises:
        RecordNotFoundError: There is no such dataset.
        typer.Exit: With code 1, if a shard differs or cannot be read.
    """
    reference(ref)
    with opened(place) as index:
        report = index.verify(ref)
    if as_json:
        print_json(_document(report))
    else:
        for url, status in (*report.statuses.items(), *report.sidecars.items()):
            kind, _, reason = status.partition(":")
            why = reason or _REASONS.get(kind, "")
            line = f"{_WORDS[kind]}  {printable(shard_name(url), 500)}"
            typer.echo(f"{line}  {printable(why, 500)}" if why else line)
        typer.echo(printable(report, 500))
    if not any(status != "skipped" for status in report.statuses.values()):
        complain(
            "nothing was compared: the catalogue holds no digest of these shards\n"
            "  It takes them with atdata add --checksums, or --copy."
        )
    if not report.ok:
        raise typer.Exit(1)


def _document(report: VerifyReport) -> dict[str, object]:
    return {
        "name": report.name,
        "cid": report.cid,
        "ok": report.ok,
        "n_bytes": report.n_bytes,
        "shards": _listed("shard", report.statuses),
        "sidecars": _listed("file", report.sidecars),
    }


def _listed(what: str, statuses: Mapping[str, str]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for name, status in statuses.items():
        kind, _, reason = status.partition(":")
        found.append({what: name, "status": kind, "reason": reason or None})
    return found
