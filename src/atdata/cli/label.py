"""`atdata label`: let a name stand for an entry."""

import re

import typer

from atdata.cli.app import print_json
from atdata.cli.catalogue import argument, opened, reference
from atdata.cli.options import Place
from atdata.model.names import check_version

_CID = re.compile(r"bafy[a-z2-7]{55}")


def label(
    name: str,
    target: str,
    place: Place,
    *,
    version: str | None,
    description: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Move or make a label.

    Raises:
        RecordNotFoundError: There is no such entry.
        RecordExistsError: The version stands for another entry.
        typer.BadParameter: The arguments do not go together.
    """
    wanted = reference(name)
    if wanted.version is not None:
        raise typer.BadParameter("a version is given by --version, and not behind the name")
    if version is not None:
        argument(check_version, version)
    elif description is not None:
        raise typer.BadParameter("--description is of a version: add --version")
    is_cid = _CID.fullmatch(target) is not None
    if not is_cid:
        reference(target)
    with opened(place) as index:
        cid = target if is_cid else index.get_dataset(target).cid
        index.label(name, cid, version=version, description=description, force=force)
    if as_json:
        print_json({"name": wanted.name, "version": version, "cid": cid})
    else:
        shown = wanted.name if version is None else f"{wanted.name}@{version}"
        typer.echo(f"{shown} stands for {cid}")
