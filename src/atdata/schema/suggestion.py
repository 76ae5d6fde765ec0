"""The text of a lens from one schema to another."""

import re
from collections.abc import Mapping, Sequence

from atdata.model.schema import Schema, SchemaField

_CALLS = {"int": "int", "float": "float", "str": "str", "complex": "complex"}


def lens_text(
    old: Schema, new: Schema, *, renames: Mapping[str, str], converted: Sequence[str]
) -> str:
    """A lens as it would be written, to be looked over.

    Args:
        old: What it reads.
        new: What it shows.
        renames: By the new name, what a field was called.
        converted: Fields of both whose type differs.

    Examples:
        >>> from dataclasses import dataclass
        >>> from atdata.schema.infer import schema_of
        >>> @dataclass
        ... class Word:
        ...     text: str
        ...     count: int
        >>> @dataclass
        ... class Term:
        ...     term: str
        ...     count: float
        >>> print(lens_text(schema_of(Word), schema_of(Term), renames={"term": "text"},
        ...     converted=["count"]))
        @atdata.lens
        def word_1_0_0_to_term_1_0_0(s: Word_1_0_0) -> Term_1_0_0:
            return Term_1_0_0(
                term=s.text,  # renamed?
                count=float(s.count),
            )
    """
    source, view = class_name(old), class_name(new)
    had = {field.name: field for field in old.fields}
    lines: list[str] = []
    open_ends = False
    for field in new.fields:
        was = renames.get(field.name, field.name)
        if was not in had:
            if field.has_default:
                continue
            open_ends = True
            lines.append(f"        {field.name}=...,  # {_comment(field)}: not in {source}")
        elif field.name in converted:
            value = _converted(field, f"s.{was}")
            open_ends |= value is None
            said = value or f"...,  # from s.{was}: {_comment(had[was])}"
            lines.append(f"        {field.name}={said}" + ("," if value else ""))
        else:
            remark = "  # renamed?" if was != field.name else ""
            lines.append(f"        {field.name}=s.{was},{remark}")
    head = []
    if not (open_ends or renames or converted):
        head = ["# No lens is needed: ds.as_type finds this view by itself."]
    name = re.sub(r"\W", "_", f"{source}_to_{view}".lower())
    return "\n".join(
        [
            *head,
            "@atdata.lens",
            f"def {name}(s: {source}) -> {view}:",
            f"    return {view}(",
            *lines,
            "    )",
        ]
    )


def class_name(schema: Schema) -> str:
    """A schema's name with its version, as a class may be called.

    Examples:
        >>> from atdata.model.schema import SchemaFieldType
        >>> number = SchemaField("n", SchemaFieldType("primitive", primitive="int"))
        >>> class_name(Schema("Digit", "1.0.0-rc.1", (number,)))
        'Digit_1_0_0_rc_1'
    """
    version = re.sub(r"[^0-9A-Za-z]+", "_", schema.version).strip("_")
    return f"{schema.name}_{version}" if version else schema.name


def _converted(field: SchemaField, value: str) -> str | None:
    call = _CALLS.get(str(field.field_type.primitive))
    return f"{call}({value})" if call is not None and not field.optional else None


def _comment(field: SchemaField) -> str:
    """A field's type for a comment: one line, nothing that ends it."""
    text = str(field.field_type)[:80]
    return "".join(c if c.isprintable() else "?" for c in text)
