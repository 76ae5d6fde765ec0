"""A folder of generated modules, for editors and type checkers. It is written when asked for.

A module lies at `{folder}/{authority}/{Name}_{version}.py`. Nothing here imports it: whoever adds
the folder to the path does.
"""

import re
from hashlib import sha256
from keyword import iskeyword
from pathlib import Path

from atdata._exceptions import printable
from atdata.model.schema import Schema
from atdata.model.schema_names import name_flaw
from atdata.model.schema_ref import AUTHORITY, LOCAL, version_flaw
from atdata.schema.codegen import cid_of_module, generate_module, is_current
from atdata.transport.file import atomic_write

DEFAULT_AUTHORITY = LOCAL

_PLAIN_AUTHORITY = re.compile(r"[a-z0-9]{1,60}(?:\.[a-z0-9]{1,60}){0,3}", re.ASCII)
_PLAIN_VERSION = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}", re.ASCII)
_LONGEST = 40


class StubManager:
    """Keeps the generated modules of schemas in a folder.

    Attributes:
        stub_dir: The folder; it is made when the first module is written.

    Examples:
        >>> from dataclasses import dataclass
        >>> from atdata.schema.infer import schema_of
        >>> @dataclass
        ... class Word:
        ...     text: str
        >>> stubs = StubManager(tmp / "stubs")
        >>> path = stubs.ensure_stub(schema_of(Word))
        >>> path.relative_to(tmp / "stubs").as_posix()
        'local/Word_1_0_0.py'
        >>> stubs.get_import_path("Word", "1.0.0")
        'local.Word_1_0_0'
        >>> stubs.clear_stubs()
        1
    """

    def __init__(self, stub_dir: str | Path | None = None) -> None:
        self.stub_dir = (
            Path(stub_dir) if stub_dir is not None else Path.home() / ".atdata" / "stubs"
        )

    def ensure_stub(self, schema: Schema, authority: str = DEFAULT_AUTHORITY) -> Path:
        """Write the module of a schema, unless it is there and has the schema's CID.

        Args:
            schema: The schema.
            authority: Who the schema is from, as in its reference.

        Returns:
            The module's path.

        Raises:
            ValueError: The authority or the version cannot be part of a path.
            SchemaRecordError: No sample type can be as the schema says.
        """
        path = self.get_stub_path(schema.name, schema.version, authority)
        if not is_current(path, schema):
            text = generate_module(schema)
            with atomic_write(path) as file:
                file.write(text.encode())
        return path

    def get_stub_path(self, name: str, version: str, authority: str = DEFAULT_AUTHORITY) -> Path:
        """Where the module of a schema is, or would be.

        Raises:
            ValueError: A part cannot be part of a path.

        Examples:
            >>> StubManager("stubs").get_stub_path("Word", "2.0.0-rc.1").as_posix()
            'stubs/local/Word_2_0_0_rc_1_f6136960.py'
        """
        return self.stub_dir / _folder(authority) / f"{_stem(name, version)}.py"

    def get_import_path(self, name: str, version: str, authority: str = DEFAULT_AUTHORITY) -> str:
        """What to import once the folder is on the path, `local.Word_1_0_0`."""
        return f"{_folder(authority)}.{_stem(name, version)}"

    def list_stubs(self, authority: str | None = None) -> list[Path]:
        """The modules that were generated, of one authority or of all.

        Other files are passed over.
        """
        within = "*" if authority is None else _folder(authority)
        found = sorted(self.stub_dir.glob(f"{within}/*.py"))
        return [path for path in found if path.is_file() and cid_of_module(path) is not None]

    def clear_stubs(self, authority: str | None = None) -> int:
        """Remove the generated modules, of one authority or of all, and folders without any.

        Returns:
            How many modules were removed.
        """
        paths = self.list_stubs(authority)
        for path in paths:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths}:
            if not any(folder.iterdir()):
                folder.rmdir()
        return len(paths)

    def clear_stub(self, name: str, version: str, authority: str = DEFAULT_AUTHORITY) -> bool:
        """Remove the module of one schema; False if there is none."""
        path = self.get_stub_path(name, version, authority)
        there = cid_of_module(path) is not None
        if there:
            path.unlink(missing_ok=True)
        return there


def _folder(authority: str) -> str:
    """An authority as the name of a folder: `lab.example.org` is `lab_example_org`."""
    if not AUTHORITY.fullmatch(authority) or ".." in authority:
        raise ValueError(
            f"no authority of schemas: {printable(repr(authority))}\n"
            "  It is 'local', or a handle or a DID, such as lab.example.org"
        )
    plain = bool(_PLAIN_AUTHORITY.fullmatch(authority)) and not iskeyword(authority)
    name = authority.replace(".", "_") if plain else _distinct(authority)
    return name if name[0].isalpha() else f"_{name}"


def _stem(name: str, version: str) -> str:
    """The name of a module: `Word_1_0_0` for version 1.0.0 of Word."""
    flaw = name_flaw(name) or version_flaw(version)
    if flaw:
        raise ValueError(f"no module for {printable(repr(name))}@{printable(version)}: {flaw}")
    plain = _PLAIN_VERSION.fullmatch(version) is not None
    return f"{name}_{version.replace('.', '_') if plain else _distinct(version)}"


def _distinct(text: str) -> str:
    """A text as part of a name, with a digest, so that two texts have two names."""
    readable = re.sub(r"[^0-9A-Za-z]+", "_", text)[:_LONGEST].strip("_")
    digest = sha256(text.encode()).hexdigest()[:8]
    return f"{readable}_{digest}" if readable else f"v{digest}"
