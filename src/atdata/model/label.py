"""Labels: names and versions that point at entries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from atdata.model.entry import optional


@dataclass(frozen=True, slots=True)
class Label:
    """A name, with a version or as the latest, and the entry it stands for.

    Attributes:
        name: The dataset's name.
        cid: The entry's CID.
        version: The version; None stands for the latest.
        entry_name: The name the entry is stored under; the label's own if left out.
        description: What is said of this version.
        created_at: When the label was made or moved.
    """

    name: str
    cid: str
    version: str | None = None
    entry_name: str = ""
    description: str | None = None
    created_at: datetime | None = None

    @property
    def target(self) -> tuple[str, str]:
        """Name and CID of the entry.

        Examples:
            >>> Label("mnist", "bafy…", "1.0.0").target
            ('mnist', 'bafy…')
        """
        return self.entry_name or self.name, self.cid

    def to_dict(self) -> dict[str, Any]:
        """The label as JSON data.

        Examples:
            >>> Label("mnist", "bafy…", "1.0.0").to_dict()
            {'name': 'mnist', 'cid': 'bafy…', 'version': '1.0.0'}
        """
        data = {
            "name": self.name,
            "cid": self.cid,
            "version": self.version,
            "entryName": self.entry_name or None,
            "description": self.description,
            "createdAt": None if self.created_at is None else self.created_at.isoformat(),
        }
        return {key: value for key, value in data.items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The label of JSON data that `to_dict` made.

        Raises:
            KeyError: It lacks a name or a CID.
            TypeError: Something is of another kind.
            ValueError: A time is none.

        Examples:
            >>> Label.from_dict({"name": "mnist", "cid": "bafy…"}).version is None
            True
        """
        created = optional(data, "createdAt", str)
        cid = optional(data, "cid", str)
        if not cid:
            raise KeyError("cid")
        return cls(
            data["name"],
            cid,
            optional(data, "version", str),
            optional(data, "entryName", str) or "",
            optional(data, "description", str),
            None if created is None else datetime.fromisoformat(created),
        )
