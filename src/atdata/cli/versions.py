"""`atdata versions`: the versions of a dataset."""

from atdata.cli.app import print_json
from atdata.cli.catalogue import opened, reference
from atdata.cli.entries import json_time, text_time
from atdata.cli.options import Place
from atdata.cli.tables import print_rows


def versions(ref: str, place: Place, *, as_json: bool) -> None:
    """Print versions in the order of semantic versioning, then entries that have none.

    Raises:
        RecordNotFoundError: There is no such dataset.
    """
    name = reference(ref, versioned=False).name
    with opened(place) as index:
        found = index.versions(ref)
    if as_json:
        documents = [
            {
                "version": one.version,
                "cid": one.cid,
                "is_latest": one.is_latest,
                "n_samples": one.n_samples,
                "n_bytes": one.n_bytes,
                "description": one.description,
                "created_at": json_time(one.created_at),
            }
            for one in found
        ]
        print_json({"name": name, "versions": documents})
        return
    print_rows(
        ["version", "latest", "samples", "bytes", "created", "cid", "description"],
        [
            [
                one.version or "-",
                "latest" if one.is_latest else None,
                one.n_samples,
                one.n_bytes,
                text_time(one.created_at),
                one.cid,
                one.description,
            ]
            for one in found
        ],
    )
