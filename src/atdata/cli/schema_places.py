"""From an argument of a command to the schema it names."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from atdata._exceptions import ShardError, printable
from atdata.cli.catalogue import argument, opened, reference
from atdata.cli.options import Place
from atdata.cli.places import sources_of
from atdata.dataset import Dataset
from atdata.index import Index
from atdata.load._refs import is_reference
from atdata.model.schema import Schema, SchemaField, SchemaFieldType
from atdata.model.schema_ref import SchemaRef
from atdata.sample.dynamic import DictSample

_ANY = SchemaFieldType("primitive", primitive="any")
_KINDS: dict[type[Any], SchemaFieldType] = {
    **{kind: SchemaFieldType("primitive", kind.__name__) for kind in (bool, int, float, str)},
    bytes: SchemaFieldType("primitive", "bytes"),
    list: SchemaFieldType("array", items=_ANY),
    dict: SchemaFieldType("map", items=_ANY),
}


@dataclass(frozen=True, slots=True)
class FoundSchema:
    """A schema, and where it comes from.

    Attributes:
        schema: The schema.
        ref: Its reference, or None if it was inferred.
    """

    schema: Schema
    ref: str | None

    @property
    def title(self) -> str:
        """What it is called."""
        return self.schema.name + " (inferred)" if self.ref is None else self.ref


def is_schema(text: str) -> bool:
    """Whether an argument is a reference to a schema.

    Examples:
        >>> is_schema("atdata://local/schema/Digit@1.0.0"), is_schema("@local/digits")
        (True, False)
    """
    return text.startswith("local://schemas/") or (
        text.startswith("atdata://") and text.split("/")[3:4] == ["schema"]
    )


def find_schema(text: str, place: Place) -> FoundSchema:
    """The schema of a reference, of a dataset, or of a shard's first sample.

    Raises:
        AtdataError: It cannot be had.
        typer.BadParameter: The argument names nothing.
    """
    if is_schema(text):
        argument(SchemaRef.parse, text)
        with opened(place) as index:
            return FoundSchema(index.get_schema_record(text), text)
    if is_reference(text):
        reference(text)
        with opened(place) as index:
            return _of_dataset(index, text)
    return inferred(Dataset[DictSample](sources_of([text])[0]))


def _of_dataset(index: Index, text: str) -> FoundSchema:
    ds = index.open(text)
    if ds.sample_type is DictSample:
        return inferred(ds)
    ref = index.get_dataset(text).schema_ref
    return FoundSchema(index.get_schema_record(ref), ref)


def inferred(ds: Dataset[DictSample]) -> FoundSchema:
    """The schema of a dataset's first sample; of what a list or a map holds, nothing is said.

    Raises:
        SchemaRecordError: A field's name is none that a schema can have.
        ShardError: There is no sample.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([DictSample(n=7, x=np.zeros(2))], tmp / "inferred.tar")
        >>> print(inferred(ds).schema)
        Sample@0.0.0
          n: int
          x: NDArray[float64]
    """
    for sample in ds.take(1):
        fields = tuple(_field(name, sample[name]) for name in sample.keys())  # noqa: SIM118
        return FoundSchema(Schema("Sample", "0.0.0", fields), None)
    raise ShardError(printable(ds.url, 500), "it holds no sample to infer a schema from", hint="")


def _field(name: str, value: Any) -> SchemaField:
    if value is None:
        return SchemaField(name, _ANY)
    if isinstance(value, np.ndarray):
        if value.dtype.fields is not None:
            return SchemaField(name, SchemaFieldType("structured"))
        return SchemaField(name, SchemaFieldType("ndarray", dtype=value.dtype.type.__name__))
    return SchemaField(name, _KINDS.get(type(value), _ANY))
