"""`atdata gc`: what writes that ended early left behind."""

from dataclasses import asdict
from datetime import timedelta

import typer

from atdata.cli.app import complain, print_json
from atdata.cli.catalogue import opened
from atdata.cli.options import Place
from atdata.cli.tables import print_rows


def gc(place: Place, hours: float, *, remove: bool, as_json: bool) -> None:
    """List it, or remove it."""
    with opened(place) as index:
        report = index.gc(dry_run=not remove, older_than=timedelta(hours=hours))
    if as_json:
        print_json(
            {
                "orphans": [asdict(orphan) for orphan in report.orphans],
                "n_bytes": report.n_bytes,
                "works": report.works,
                "running": report.running,
                "elsewhere": list(report.elsewhere),
                "removed": report.removed,
            }
        )
        return
    if report.orphans:
        print_rows(
            ["dataset", "bytes", "key"],
            [[orphan.name, orphan.n_bytes, orphan.key] for orphan in report.orphans],
        )
    if report.works:
        works = "1 write" if report.works == 1 else f"{report.works} writes"
        files = "1 file" if len(report.orphans) == 1 else f"{len(report.orphans)} files"
        done = "removed" if remove else "remove them with --remove"
        typer.echo(f"{files} of {works} that ended early, {report.n_bytes} bytes: {done}")
    else:
        typer.echo("nothing was left behind")
    if report.running:
        complain(f"{report.running} that may be going on were left alone")
    for store in dict.fromkeys(report.elsewhere):
        complain(f"there may be more in {store}\n  Look there with --store.")
