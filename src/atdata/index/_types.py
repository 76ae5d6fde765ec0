"""The sample types that an index has loaded, by name."""

from collections.abc import Iterator
from typing import Any


class SchemaNamespace:
    """Sample types by name: `index.types.Point`.

    Two versions of one name are two types; the one loaded last has the name.

    Examples:
        >>> types = SchemaNamespace()
        >>> types
        SchemaNamespace(empty)
        >>> types.add("Point", object)
        >>> types, "Point" in types, types.Point
        (SchemaNamespace(Point), True, <class 'object'>)
    """

    def __init__(self) -> None:
        self._types: dict[str, type[Any]] = {}

    def add(self, name: str, sample_type: type[Any]) -> None:
        """Give a type its name here."""
        self._types[name] = sample_type

    def get(self, name: str, default: type[Any] | None = None) -> type[Any] | None:
        """The type of that name, or the default."""
        return self._types.get(name, default)

    def __getattr__(self, name: str) -> type[Any]:
        types: dict[str, type[Any]] = self.__dict__.get("_types", {})
        if name not in types:
            raise AttributeError(
                f"schema {name!r} is not loaded; load it: index.get_schema_type(ref)"
            )
        return types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def __repr__(self) -> str:
        return f"SchemaNamespace({', '.join(self._types) or 'empty'})"
