"""`atdata ls`: the datasets of the catalogue."""

import typer

from atdata._exceptions import AtdataError
from atdata.cli.app import complain, harmless, print_json
from atdata.cli.catalogue import index_of, is_default, is_missing, opened
from atdata.cli.entries import print_entries, summary
from atdata.cli.options import Place
from atdata.index import DatasetEntry, Page


def ls(
    place: Place, *, repo: str | None, limit: int | None, cursor: str | None, as_json: bool
) -> None:
    """Print a page of datasets.

    Raises:
        StorageError: The catalogue is not there.
        typer.BadParameter: No page begins there, or there is no such repository.
    """
    page = _page(place, repo, limit, cursor)
    if as_json:
        print_json({"datasets": [summary(entry) for entry in page], "cursor": page.cursor})
    elif page:
        print_entries((entry.name, entry) for entry in page)
    if not page and cursor is None:
        complain(
            "the catalogue is empty\n"
            "  Catalogue shards with atdata add NAME SHARD..., or write samples in Python:\n"
            "  atdata.Index().write(samples, name='...')"
        )
    elif page.cursor is not None and not as_json:
        complain(f"there are more: --cursor {page.cursor}, or --all")


def _page(
    place: Place, repo: str | None, limit: int | None, cursor: str | None
) -> Page[DatasetEntry]:
    if is_default(place) and is_missing(index_of(place)):
        return Page()  # a user who has written nothing yet
    with opened(place) as index:
        try:
            return index.list_datasets(repo, limit=limit, cursor=cursor)
        except AtdataError:
            raise
        except (KeyError, ValueError) as error:
            raise typer.BadParameter(harmless(str(error.args[0]))) from error
