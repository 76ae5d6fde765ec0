"""A lens as a record, and back: data where the lens is data, else the name of its code.

What a lens does is never guessed. Only a lens that is made of rules is stored as rules. Code is
stored by its name and the digest of its text, and is loaded only from modules that the caller
names. Nothing that a record says is imported or run before that is checked.
"""

from collections.abc import Collection
from dataclasses import is_dataclass
from datetime import UTC, datetime
from typing import Any, get_origin

from atdata._exceptions import LensRecordError, printable
from atdata.lens._code import check_allowed, load, references
from atdata.lens._laws import LawReport
from atdata.lens._lens import Lens
from atdata.lens._mapped import MappedLens, dataclass_fields
from atdata.lens._mapping import mapped
from atdata.lens._network import LensNetwork
from atdata.lens._rules import obstacles
from atdata.model.lens import LensRecord
from atdata.model.lens_parts import (
    CodeReference,
    Descriptor,
    FieldMapping,
    FieldRule,
    Opaque,
)

type _AnyLens = Lens[Any, Any]


def record_of(
    lens: _AnyLens,
    *,
    name: str,
    version: str,
    source_schema: str,
    view_schema: str,
    description: str | None = None,
    report: LawReport | None = None,
) -> LensRecord:
    """Describe a lens for a catalogue.

    A mapped, structural or identity lens of dataclasses is described by its rules. A lens at the
    top of a module, made of functions with names, is described by its name there and the SHA-256
    of both functions' source text, which does not cover what they call. Any other lens is
    `Opaque`: a catalogue can tell of it, and nobody can load it.

    Args:
        lens: The lens.
        name: Its name in the catalogue.
        version: Its version.
        source_schema: The schema of its samples.
        view_schema: The schema of its views.
        description: What it is for.
        report: What checking its laws showed.

    Returns:
        The record, of this moment.

    Raises:
        LensRecordError: The name, the version or a text is none that a record can hold.

    Examples:
        >>> from dataclasses import dataclass
        >>> from atdata.lens import mapping
        >>> @dataclass
        ... class Photo:
        ...     title: str
        >>> @dataclass
        ... class Caption:
        ...     text: str
        >>> lens = mapping(Photo, Caption, {"text": "title"})
        >>> names = {"source_schema": "Photo", "view_schema": "Caption"}
        >>> record = record_of(lens, name="captions", version="1.0.0", **names)
        >>> lens_of(record, Photo, Caption)(Photo("sea"))
        Caption(text='sea')
    """
    getter, putter = _descriptors(lens)
    kept = None if report is None else tuple(str(law.law) for law in report.laws if law.holds)
    record = LensRecord(
        name,
        version,
        source_schema,
        view_schema,
        getter,
        putter,
        description,
        datetime.now(UTC),
        kept,
    )
    return LensRecord.from_dict(record.to_dict())  # what is stored can be read


def lens_of(
    record: LensRecord,
    source_type: type[Any] | None = None,
    view_type: type[Any] | None = None,
    *,
    allowed_modules: Collection[str] = (),
    register: bool = False,
) -> _AnyLens:
    """Make the lens of a record.

    Rules are checked against both types, and run no code. Code is looked up only in modules that
    are allowed; importing such a module runs it, and registers the lenses it declares.

    Args:
        record: The record, from whoever.
        source_type: The type of the samples. Code has types of its own; they must be these.
        view_type: The type of the views.
        allowed_modules: Modules whose code may be loaded: `"lab.lenses"` that module alone,
            `"lab.*"` all modules beneath `lab`.
        register: Whether `as_type` and the `LensNetwork` are to find the lens.

    Returns:
        The lens.

    Raises:
        LensRecordError: The rules do not fit the types; the code is not allowed, not there, no
            lens, or not what it was when it was stored; or the lens cannot be stored at all.
        ValueError: A type is missing, or an allowed module has no such name as modules have.
        TypeError: `allowed_modules` is one text.

    Examples:
        >>> code = CodeReference("os", "system", "0" * 64)
        >>> lens_of(LensRecord("titles", "1.0.0", "Photo", "Title", code, None))
        Traceback (most recent call last):
        atdata._exceptions.LensRecordError: lens record 'titles@1.0.0' cannot be used
          at      getter.module
          wanted  an allowed module: none is allowed
          found   module os
          If you trust that code, allow it: allowed_modules=['os']
    """
    allowed = check_allowed(allowed_modules)
    match record.getter:
        case FieldMapping():
            lens = _of_rules(record, record.getter, source_type, view_type)
        case CodeReference():
            lens = load(record, record.getter, allowed)
            _check_types(record, lens, source_type, view_type)
        case Opaque():
            raise LensRecordError(
                str(record),
                "getter",
                "rules, or code with a name",
                "neither: the lens was made of functions without a name in a module",
                "Declare it at the top of a module, or with atdata.lens.mapping; store it again.",
            )
    if register:
        LensNetwork().register(lens)
    return lens


def _descriptors(lens: _AnyLens) -> tuple[Descriptor, Descriptor | None]:
    """How the view is read and written back."""
    if isinstance(lens, MappedLens):
        rules = FieldMapping(lens.rules)
        return rules, rules
    if lens.kind == "identity" and is_dataclass(_class_of(lens.source_type)):
        names = [field.name for field in dataclass_fields(lens.source_type)]
        rules = FieldMapping(tuple(FieldRule(name, name) for name in names))
        return rules, rules
    return references(lens) or (Opaque(), Opaque())


def _of_rules(
    record: LensRecord, getter: FieldMapping, source: type[Any] | None, view: type[Any] | None
) -> _AnyLens:
    if source is None or view is None:
        missing = "view_type" if view is None else "source_type"
        raise ValueError(
            f"{missing} is required to load lens {printable(record)!r}, which is a field mapping\n"
            "  Give the classes of its samples and of its views."
        )
    rules = list(getter.mappings)
    if not isinstance(record.putter, FieldMapping) or set(record.putter.mappings) != set(rules):
        found = "nothing" if record.putter is None else "something else"
        raise LensRecordError(str(record), "putter", "the getter's rules, to go back by", found)
    for obstacle in obstacles(source, view, rules):
        field = f", for field {printable(obstacle.field)!r}" if obstacle.field else ""
        schemas = f"{printable(record.source_schema)} to {printable(record.view_schema)}"
        raise LensRecordError(
            str(record),
            f"getter.mappings{obstacle.at}",
            obstacle.wanted + field,
            obstacle.found,
            f"It was stored as a lens from {schemas}: give the classes of these.",
        )
    return mapped(source, view, rules)


def _check_types(
    record: LensRecord, lens: _AnyLens, source: type[Any] | None, view: type[Any] | None
) -> None:
    """LensRecordError if a lens of code leads between other types than those wanted."""
    if source is not None and not _is_subclass(source, lens.source_type):
        raise _other_type(record, "source_schema", source, lens.source_type)
    if view is not None and not _is_subclass(lens.view_type, view):
        raise _other_type(record, "view_schema", view, lens.view_type)


def _is_subclass(narrow: Any, wide: Any) -> bool:
    if narrow == wide:
        return True
    return isinstance(narrow, type) and isinstance(wide, type) and issubclass(narrow, wide)


def _other_type(record: LensRecord, part: str, wanted: Any, found: Any) -> LensRecordError:
    return LensRecordError(
        str(record),
        part,
        _full_name(wanted),
        f"{_full_name(found)}, which the code is annotated with",
        "Give the types that the code is annotated with, or none.",
    )


def _full_name(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else str(kind)


def _class_of(kind: Any) -> Any:
    return get_origin(kind) or kind
