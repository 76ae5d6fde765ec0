"""From references to the shards of the datasets that they name."""

from collections.abc import Sequence

from atdata.cli.catalogue import opened, reference
from atdata.cli.options import Place
from atdata.cli.places import Found
from atdata.index import Index
from atdata.sample.dynamic import DictSample


def find(references: Sequence[str], place: Place) -> list[Found]:
    """The shards of datasets, with their schemas.

    Raises:
        RecordNotFoundError: There is no such dataset, version or schema.
        typer.BadParameter: A reference names nothing.
    """
    for text in references:
        reference(text)
    with opened(place) as index:
        return [_found(index, text) for text in references]


def _found(index: Index, text: str) -> Found:
    ds = index.open(text)
    if ds.sample_type is DictSample:
        return Found(ds.source)
    ref = index.get_dataset(text).schema_ref
    return Found(ds.source, ds.sample_type, index.get_schema_record(ref), ref)
