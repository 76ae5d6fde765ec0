"""What a schema says of a field and a type does not check."""

from dataclasses import dataclass

from atdata.model.field_type import SchemaFieldType


@dataclass(frozen=True, slots=True)
class Hint:
    """Stands in `Annotated` for what is known of an array and not relied on.

    Attributes:
        field_type: The schema's type, whose dtype and shape may or may not be those of the data.

    Examples:
        >>> Hint(SchemaFieldType("ndarray", dtype="float32", exact=False))
        Hint(field_type=SchemaFieldType('ndarray', dtype='float32', exact=False))
    """

    field_type: SchemaFieldType
