"""`atdata manifest build`: the manifests of shards that are there."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from atdata._exceptions import AtdataError, printable, shard_name
from atdata._protocols import DataSource
from atdata.cli.app import complain, print_json
from atdata.cli.manifest_check import states
from atdata.cli.manifest_places import Asked, bad, place_in
from atdata.cli.options import Place, work
from atdata.cli.places import Found
from atdata.dataset import Dataset
from atdata.dataset._manifests import build_manifests
from atdata.load._refs import is_reference
from atdata.manifest.files import json_path, parquet_path
from atdata.manifest.manifest import Manifest
from atdata.sources.joined import JoinedSource
from atdata.sources.naming import local_path

_WORDS = {"built": "built", "fresh": "up to date", "failed": "FAILED"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a shard's manifest.

    Attributes:
        shard: The shard's address.
        status: `built`, `fresh` if it was there and up to date, or `failed`.
        n_samples: How many samples the shard holds, if that is known.
        json: The JSON file.
        parquet: The Parquet file.
        reason: Why it failed.
    """

    shard: str
    status: str
    n_samples: int | None = None
    json: str | None = None
    parquet: str | None = None
    reason: str | None = None


def build(
    arguments: Sequence[str],
    place: Place,
    *,
    schema: str | None,
    out: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Build what is not up to date; a shard that fails does not keep the others from theirs.

    Raises:
        typer.BadParameter: The arguments do not go together, or shards are elsewhere.
        typer.Exit: With code 1, if a shard has no manifest in the end. It has been said.
    """
    asked = Asked(arguments, place, schema, manifests=out)
    found = asked.found()
    _refuse([named for _, named in found], None if out is None else Path(out))
    outcomes: list[Outcome] = []
    for argument, named in found:
        done: list[Outcome] = []
        for outcome in _built(asked, named, force=force):
            done.append(outcome)
            if not as_json:
                _print(outcome)
            if outcome.reason is not None:
                complain(f"{shard_name(outcome.shard)}: {outcome.reason}")
        outcomes += done
        if is_reference(argument) and out is None:
            files = {
                one.shard: (Path(one.json), Path(one.parquet))
                for one in done
                if one.status == "built" and one.json and one.parquet
            }
            work("manifest_records").record(argument, place, files)
    totals = {f"n_{status}": _count(outcomes, status) for status in _WORDS}
    if as_json:
        print_json({"shards": [asdict(one) for one in outcomes], "totals": totals})
    elif len(outcomes) > 1:
        counted = [f"{n} {_WORDS[what[2:]].lower()}" for what, n in totals.items() if n]
        typer.echo(f"{len(outcomes)} shards: {', '.join(counted)}")
    if totals["n_failed"]:
        raise typer.Exit(1)


def _refuse(found: Sequence[Found], folder: Path | None) -> None:
    """Refuse shards that no manifest could lie beside, or several that would have one.

    Raises:
        typer.BadParameter: There are such.
    """
    taken: dict[Path, str] = {}
    for named in found:
        for shard_id in named.source.list_shards():
            shown = printable(shard_name(shard_id), 500)
            if folder is None:
                if local_path(named.source, shard_id) is None:
                    raise typer.BadParameter(
                        f"{shown} is no file of this machine: say with --out DIR where its "
                        "manifest is to be kept"
                    )
            elif taken.setdefault(place_in(folder, shard_id), shard_id) != shard_id:
                raise typer.BadParameter(
                    f"{shown} would have the same manifest as "
                    f"{printable(shard_name(taken[place_in(folder, shard_id)]), 500)}: build them "
                    "into folders of their own"
                )


def _built(asked: Asked, named: Found, *, force: bool) -> Iterator[Outcome]:
    folder = None if asked.manifests is None else Path(asked.manifests)
    for shard_id, state in states(asked.source(named)):
        if isinstance(state, Manifest) and not force:
            path = local_path(named.source, shard_id) if folder is None else None
            place = path or place_in(folder or Path(), shard_id)
            files = str(json_path(place)), str(parquet_path(place))
            yield Outcome(shard_id, "fresh", len(state), *files)
            continue
        ds: Dataset[Any] = Dataset(_alone(named.source, shard_id), sample_type=named.sample_type)
        try:
            (one,) = build_manifests(ds, out=folder, force=True)
        except AtdataError as error:
            yield Outcome(shard_id, "failed", reason=str(error))
        except OSError as error:
            where = "" if error.filename is None else f"{error.filename}: "
            yield Outcome(shard_id, "failed", reason=f"{where}{error.strerror or error}")
        except (TypeError, ValueError) as error:
            raise bad(error) from error
        else:
            yield Outcome(shard_id, "built", one.n_samples, str(one.json), str(one.parquet))


def _alone(source: DataSource, shard_id: str) -> DataSource:
    """A source of one shard of another."""
    return JoinedSource([source], [shard_id])


def _print(outcome: Outcome) -> None:
    shown = printable(shard_name(outcome.shard), 500)
    samples = "" if outcome.n_samples is None else f"  {outcome.n_samples} samples"
    typer.echo(f"{_WORDS[outcome.status]:<10}  {shown}{samples}")


def _count(outcomes: Sequence[Outcome], status: str) -> int:
    return sum(one.status == status for one in outcomes)
