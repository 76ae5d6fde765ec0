"""`atdata rm`: remove a dataset, or a version of it."""

import sys

import typer

from atdata._exceptions import printable
from atdata.cli.app import print_json
from atdata.cli.catalogue import opened, reference
from atdata.cli.options import Place
from atdata.index import Removed


def rm(
    ref: str,
    place: Place,
    *,
    keep_shards: bool,
    force: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove it, if nobody is to be asked or who is asked agrees.

    Raises:
        RecordNotFoundError: There is no such dataset or version.
        RecordExistsError: Other names stand for it.
        typer.Abort: Who was asked said no.
        typer.BadParameter: Nobody can be asked.
    """
    reference(ref)
    if not (yes or dry_run or sys.stdin.isatty()):
        raise typer.BadParameter("nobody can be asked here: add --yes, or look with --dry-run")
    with opened(place) as index:
        removed = index.delete_dataset(ref, keep_shards=keep_shards, force=force, dry_run=True)
        if not (yes or dry_run):
            typer.echo(_text(removed, "to be removed"), err=True)
            typer.confirm("Remove all of it?", abort=True, err=True)
        if not dry_run:
            removed = index.delete_dataset(ref, keep_shards=keep_shards, force=force)
    if as_json:
        print_json(_document(removed, dry_run=dry_run))
    else:
        typer.echo(_text(removed, "would be removed" if dry_run else "removed"))


def _text(removed: Removed, what: str) -> str:
    lines = [f"entry  {printable(name)}  {printable(cid)}" for name, cid in removed.entries]
    labels = [f"{name}@{tag}" if tag else name for name, tag in removed.labels]
    lines += [f"label  {printable(label)}" for label in labels]
    lines += [f"shard  {printable(key, 500)}" for key in removed.keys]
    counts = (
        (len(removed.entries), "entry", "entries"),
        (len(removed.labels), "label", "labels"),
        (len(removed.keys), "shard", "shards"),
    )
    said = ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts)
    return "\n".join([*lines, f"{what}: {said}"])


def _document(removed: Removed, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "entries": [{"name": name, "cid": cid} for name, cid in removed.entries],
        "labels": [{"name": name, "version": version} for name, version in removed.labels],
        "shards": list(removed.keys),
    }
