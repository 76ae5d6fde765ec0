"""The annotations of arrays as text, without numpy."""

from atdata.model.field_type import SchemaFieldType, is_ml_dtype
from atdata.schema.writing import Names, literal

_GENERIC = frozenset(
    (
        *("number", "integer", "signedinteger", "unsignedinteger", "inexact", "floating"),
        "complexfloating",
    )
)


def array_text(kind: SchemaFieldType, names: Names) -> str:
    """The annotation of a schema's array or scalar type.

    Examples:
        >>> array_text(SchemaFieldType("ndarray", dtype="uint8", shape=(None, 3)), Names(()))
        'Annotated[NDArray[np.uint8], Shape(None, 3)]'
    """
    if kind.kind == "scalar":
        return _scalar(str(kind.dtype), names)
    declared = kind.exact and kind.dtype is not None
    inside = (
        " | ".join(_scalar(name, names) for name in str(kind.dtype).split("|"))
        if declared
        else names.of("typing", "Any")
    )
    text = f"{names.of('numpy.typing', 'NDArray')}[{inside}]"
    if kind.shape is None or not kind.exact:
        return text
    named = kind.dimension_names or (None,) * len(kind.shape)
    dims = ", ".join(
        "..." if size == "..." else literal(name if name is not None else size)
        for size, name in zip(kind.shape, named, strict=True)
    )
    return f"{names.of('typing', 'Annotated')}[{text}, {names.of('atdata', 'Shape')}({dims})]"


def _scalar(name: str, names: Names) -> str:
    if is_ml_dtype(name):
        return names.of("ml_dtypes", name)
    text = f"{names.of('numpy', '')}.{'bool_' if name == 'bool' else name}"
    if name in _GENERIC:
        inside = names.of("typing", "Any")
        text += f"[{inside}, {inside}]" if name == "complexfloating" else f"[{inside}]"
    return text
