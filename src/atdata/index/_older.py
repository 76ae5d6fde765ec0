"""Names that programs written for earlier versions call an index by."""

from typing import Any, Protocol

from typing_extensions import deprecated

from atdata.dataset import Dataset
from atdata.model.entry import DatasetEntry


class _Catalogue(Protocol):
    """What the older names stand for."""

    def list_entries(self) -> list[DatasetEntry]: ...

    def insert_dataset(
        self,
        ds: Dataset[Any],
        *,
        name: str,
        schema_ref: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> DatasetEntry: ...

    def get_schema_type(self, ref: str, *, register: bool = True) -> type[Any]: ...


class OlderNames:
    """Earlier names of what an index does; each says what to call instead."""

    @property
    def all_entries(self: _Catalogue) -> list[DatasetEntry]:
        """The same as `list_entries()`."""
        return self.list_entries()

    @deprecated("call insert_dataset(ds, name=...)")
    def add_entry(
        self: _Catalogue,
        ds: Dataset[Any],
        *,
        name: str,
        schema_ref: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> DatasetEntry:
        """Catalogue shards where they lie."""
        return self.insert_dataset(ds, name=name, schema_ref=schema_ref, metadata=metadata)

    @deprecated("call get_schema_type(ref)")
    def load_schema(self: _Catalogue, ref: str) -> type[Any]:
        """The type of a schema, also as `index.types`."""
        return self.get_schema_type(ref)

    @deprecated("call get_schema_type(ref, register=False)")
    def decode_schema(self: _Catalogue, ref: str) -> type[Any]:
        """The type of a schema."""
        return self.get_schema_type(ref, register=False)

    @deprecated("call get_schema_type(ref, register=False)")
    def decode_schema_as[T](self: _Catalogue, ref: str, type_hint: type[T]) -> type[T]:  # noqa: ARG002 - for checkers
        """The type of a schema, for checkers the one that is named."""
        found: type[T] = self.get_schema_type(ref, register=False)
        return found
