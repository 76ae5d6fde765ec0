"""`atdata query`: which samples something is true of, and where they lie."""

import sys
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer

from atdata._exceptions import (
    AtdataError,
    ManifestError,
    PredicateSyntaxError,
    UnknownFieldError,
    shard_name,
)
from atdata.cli.app import harmless, print_json
from atdata.cli.manifest_places import Asked, bad, refuse
from atdata.cli.query_output import Answer, print_answer, write_parquet
from atdata.dataset import Dataset
from atdata.dataset._answers import columns
from atdata.pipeline.chain import leaves
from atdata.pipeline.chosen import Missing
from atdata.pipeline.selection import Selection
from atdata.pipeline.sheets import Sheet
from atdata.predicate import Predicate, parse
from atdata.sample.dynamic import DictSample

_SCREENFUL = 20
_MANY_NAMES = 1000
"""A manifest of samples without a type names no more fields than this."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be said of the samples, as the options say it.

    Attributes:
        limit: Of how many at most.
        select: Fields, separated by commas.
        count: Only how many there are.
        parquet: The file to write.
        explain: How they would be found.
        analyze: Read them for that, too.
        as_json: In JSON.
    """

    limit: int | None
    select: str | None
    count: bool
    parquet: Path | None
    explain: bool
    analyze: bool
    as_json: bool

    def limit_for(self, n: int) -> int:
        """How many of `n` samples are given: a terminal gets few unless it asks for more."""
        if self.limit is not None:
            return min(n, self.limit)
        to_terminal = self.parquet is None and not self.as_json and sys.stdout.isatty()
        return min(n, _SCREENFUL) if to_terminal else n

    def check(self) -> None:
        """See that the options go together.

        Raises:
            typer.BadParameter: They do not.
        """
        if self.count + self.explain + (self.parquet is not None) > 1:
            raise typer.BadParameter("--count, --explain and --parquet: use one of them")
        if self.count and self.limit is not None:
            raise typer.BadParameter("--count counts all: leave --limit out")
        if self.count and self.select is not None:
            raise typer.BadParameter("--count needs no fields: leave --select out")

    @property
    def fields(self) -> list[str]:
        """The fields, each once.

        Raises:
            typer.BadParameter: There is none.
        """
        if self.select is None:
            return []
        names = [name for name in map(str.strip, self.select.split(",")) if name]
        if not names:
            raise typer.BadParameter("--select names no field")
        return list(dict.fromkeys(names))


def query(asked: Asked, question: str, wanted: Wanted, *, missing: Missing) -> None:
    """Print, count, write or explain the samples of which something is true.

    Raises:
        typer.BadParameter: The question cannot be read, or can never hold.
        UnknownFieldError: The samples have no such field.
        typer.Exit: With code 1: shards have no usable manifest. What mends it has been said.
    """
    wanted.check()
    fields = wanted.fields
    try:
        predicate = parse(question)
    except PredicateSyntaxError as error:
        raise bad(error) from error
    ((argument, found),) = asked.found()
    source = asked.source(found)
    ds: Dataset[Any] = Dataset(source, sample_type=found.sample_type)
    try:
        chosen = ds.where(predicate, missing=missing)
        if ds.sample_type is DictSample:
            _check_fields(ds, chosen, {*predicate.fields, *fields}, shard_name(argument))
        _answer(chosen, predicate, fields, wanted, missing)
    except ManifestError as error:
        refuse(error, asked, [source])
    except (AtdataError, OSError):
        raise
    except (AttributeError, TypeError, ValueError) as error:  # samples hold something else there
        raise bad(error) from error


def _answer(
    chosen: Dataset[Any],
    predicate: Predicate,
    fields: list[str],
    wanted: Wanted,
    missing: Missing,
) -> None:
    if wanted.count:
        n = len(chosen)
        if wanted.as_json:
            print_json({"n_samples": n})
        else:
            typer.echo(str(n))
        return
    if wanted.explain:
        some = chosen if wanted.limit is None else chosen.limit(wanted.limit)
        plan = (some.select(*fields) if fields else some).explain(analyze=wanted.analyze)
        if wanted.as_json:
            print_json({"question": str(predicate), **asdict(plan)})
        else:
            typer.echo(harmless(str(plan)))
        return
    places = chosen.query()
    limit = wanted.limit_for(len(places))
    shown = chosen if limit == len(places) else chosen.limit(limit)
    held = columns(shown, fields, missing) if fields else {}
    answer = Answer(places[:limit], held, len(places))
    if wanted.parquet is not None:
        write_parquet(answer, wanted.parquet, as_json=wanted.as_json)
    else:
        print_answer(answer, as_json=wanted.as_json)


def _check_fields(ds: Dataset[Any], chosen: Dataset[Any], paths: set[str], owner: str) -> None:
    """Refuse fields that no sample without a type has, as far as manifests tell.

    Raises:
        UnknownFieldError: There is no such field.
    """
    sheets = _sheets(chosen)
    names = {path.partition(".")[0]: None for sheet in sheets for path in _named(sheet)}
    whole = all(sheet.manifest is not None for sheet in sheets) and len(names) < _MANY_NAMES
    absent = [path for path in sorted(paths) if path.partition(".")[0] not in names]
    if not (whole and names and absent):
        return
    for sample in ds.take(1):  # it may have more than the type by which the manifest was built
        names |= dict.fromkeys(sample.keys())
    for path in absent:
        root = path.partition(".")[0]
        if root not in names:
            raise UnknownFieldError(path, owner, list(names), get_close_matches(root, names, 3))


def _sheets(chosen: Dataset[Any]) -> list[Sheet]:
    """What is known of each shard."""
    choices = [part.choice for part in leaves(chosen.chain)]
    return [sheet for one in choices if isinstance(one, Selection) for sheet in one.sheets()]


def _named(sheet: Sheet) -> list[str]:
    manifest = sheet.manifest
    return [] if manifest is None else [*manifest.facts, *manifest.left_out]
