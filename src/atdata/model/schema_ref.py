"""References to schemas: `atdata://local/schema/Digit@1.0.0`."""

import re
from dataclasses import dataclass
from typing import Self

from atdata._exceptions import printable
from atdata.model.schema_names import name_flaw

LOCAL = "local"
"""The authority of schemas in an index of one's own."""

LONGEST_VERSION = 256

_CANONICAL = "atdata://"
_LEGACY = "local://schemas/"
AUTHORITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\-]{0,252}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SchemaRef:
    """A schema's address: who has it, its name and its version.

    Attributes:
        authority: `"local"`, or who else has it, such as a handle or a DID.
        name: The sample type's name.
        version: Any text without `@`, also none at all.

    Raises:
        ValueError: A part is nothing that a reference can hold.

    Examples:
        >>> str(SchemaRef("local", "Digit", "1.0.0"))
        'atdata://local/schema/Digit@1.0.0'
        >>> SchemaRef.parse("atdata://lab.example.org/schema/Digit@2.1.0").authority
        'lab.example.org'
    """

    authority: str
    name: str
    version: str

    def __post_init__(self) -> None:
        if not AUTHORITY.fullmatch(self.authority) or ".." in self.authority:
            raise ValueError(f"no authority of schemas: {printable(repr(self.authority))}")
        if flaw := name_flaw(self.name):
            raise ValueError(f"Invalid schema name {printable(repr(self.name))}: it is {flaw}")
        if flaw := version_flaw(self.version):
            raise ValueError(f"Invalid schema version {printable(repr(self.version))}: {flaw}")

    @classmethod
    def parse(cls, ref: str) -> Self:
        """Read a reference, also one of the form `local://schemas/module.Class@version`.

        Raises:
            ValueError: It is no reference to a schema.

        Examples:
            >>> SchemaRef.parse("local://schemas/my.module.Digit@1.0.0")
            SchemaRef(authority='local', name='Digit', version='1.0.0')
        """
        legacy = ref.startswith(_LEGACY)
        authority, _, rest = ref.removeprefix(_CANONICAL).partition("/schema/")
        if legacy:
            authority, rest = LOCAL, ref.removeprefix(_LEGACY)
        elif not ref.startswith(_CANONICAL) or not rest:
            raise ValueError(
                f"Invalid schema reference: {printable(repr(ref))}\n"
                "  Write atdata://local/schema/<Name>@<version>"
            )
        name, at, version = rest.rpartition("@")
        if not at:
            raise ValueError(
                f"schema reference without version: {printable(repr(ref))}\n"
                f"  Add one, as in {printable(ref)}@1.0.0"
            )
        return cls(authority, name.rpartition(".")[2] if legacy else name, version)

    def __str__(self) -> str:
        """The reference as it is written."""
        return f"{_CANONICAL}{self.authority}/schema/{self.name}@{self.version}"


def make_schema_ref(name: str, version: str) -> str:
    """The reference to a schema of an index of one's own.

    Raises:
        ValueError: The name is no identifier, or the version cannot be part of a reference.

    Examples:
        >>> make_schema_ref("Digit", "1.0.0")
        'atdata://local/schema/Digit@1.0.0'
    """
    return str(SchemaRef(LOCAL, name, version))


def parse_schema_ref(ref: str) -> tuple[str, str]:
    """Name and version of a schema of an index of one's own.

    Args:
        ref: As `make_schema_ref` gives it, or `local://schemas/module.Class@version`.

    Raises:
        ValueError: It is no reference to a schema, or to one of another authority.

    Examples:
        >>> parse_schema_ref("atdata://local/schema/Digit@1.0.0")
        ('Digit', '1.0.0')
    """
    found = SchemaRef.parse(ref)
    if found.authority != LOCAL:
        raise ValueError(
            f"Invalid schema reference: {printable(repr(ref))} is of authority "
            f"{found.authority}, and not local"
        )
    return found.name, found.version


def version_flaw(version: object) -> str:
    """Say why something cannot be a schema's version; `""` if it can.

    Examples:
        >>> version_flaw("weird"), version_flaw("1@2")
        ('', "it has an '@'")
    """
    if not isinstance(version, str):
        return f"it is {type(version).__name__}, and no text"
    if len(version) > LONGEST_VERSION:
        return f"it has {len(version)} characters, and at most {LONGEST_VERSION} are allowed"
    if not version.isprintable():
        return "it has a line break or another character that cannot be shown"
    return "it has an '@'" if "@" in version else ""
