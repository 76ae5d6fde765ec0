"""`atdata rename`: another name for a dataset with all its versions."""

import typer

from atdata.cli.app import print_json
from atdata.cli.catalogue import opened, reference
from atdata.cli.options import Place


def rename(old: str, new: str, place: Place, *, as_json: bool) -> None:
    """Rename a dataset.

    Raises:
        RecordNotFoundError: There is no such dataset.
        RecordExistsError: The new name is taken.
    """
    was, is_now = (reference(name, versioned=False).name for name in (old, new))
    with opened(place) as index:
        index.rename(old, new)
    if as_json:
        print_json({"old": was, "new": is_now})
    else:
        typer.echo(f"{was} is now {is_now}")
