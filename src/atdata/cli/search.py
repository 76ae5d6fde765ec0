"""`atdata search`: datasets that fit words, tags and a schema."""

from collections.abc import Sequence

import typer

from atdata._exceptions import AtdataError
from atdata.cli.app import complain, harmless, print_json
from atdata.cli.catalogue import argument, opened
from atdata.cli.entries import print_entries, summary
from atdata.cli.options import Place
from atdata.model.schema_ref import SchemaRef


def search(
    text: str,
    place: Place,
    *,
    tags: Sequence[str],
    schema: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """Print a page of what fits; that nothing does is no failure.

    Raises:
        StorageError: The catalogue is not there.
        typer.BadParameter: No page begins there, or the schema is no reference.
    """
    if schema is not None:
        argument(SchemaRef.parse, schema)
    with opened(place) as index:
        try:
            found = index.search(text, tags, schema, limit=limit, cursor=cursor)
        except AtdataError:
            raise
        except ValueError as error:
            raise typer.BadParameter(harmless(str(error))) from error
    hits = [(hit, hit.record) for hit in found.items if hit.record is not None]
    if as_json:
        documents = [
            summary(entry) | {"found_as": hit.name, "score": hit.score} for hit, entry in hits
        ]
        print_json({"datasets": documents, "cursor": found.cursor})
        return
    if hits:
        print_entries((hit.name, entry) for hit, entry in hits)
    elif cursor is None:
        complain("no dataset fits")
    if found.cursor is not None:
        complain(f"there may be more: --cursor {found.cursor}")
