"""What lies between two schemas, and which number of the version it moves.

| bump | verdict | data of the old schema | data of the new schema |
| --- | --- | --- | --- |
| `none` | same | is the same | is the same |
| `patch` | compatible | the new type reads it | the old type reads it |
| `minor` | needs a lens | the new type reads it | the old type may need a lens |
| `major` | breaking | the new type needs a lens that someone writes | and so does the old one |

So a `patch` is what says something about data and does not change it: descriptions, and defaults
of fields that were there. A `minor` step adds a field that has a default or may be None, or lets a
field hold more than before. Everything else is a `major` one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from atdata.model.schema import Schema, SchemaField, SchemaFieldType
from atdata.model.version import Bump, Version, is_version, version_key
from atdata.schema.suggestion import lens_text
from atdata.schema.widening import Widening

type Effect = Literal["none", "patch", "minor", "major"]

_ORDER: tuple[Effect, ...] = ("none", "patch", "minor", "major")
_VERDICTS: dict[Effect, str] = {
    "none": "same",
    "patch": "compatible",
    "minor": "needs a lens",
    "major": "breaking",
}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """What became of one field.

    Attributes:
        path: The field, with those that it is inside of: `boxes.label`.
        old: What it was; None for a field that was added.
        new: What it is; None for one that was removed.
        effect: What this change alone does to the version.
        reason: Why.
    """

    path: str
    old: SchemaField | None
    new: SchemaField | None
    effect: Effect
    reason: str

    def __str__(self) -> str:
        """One line, `~ count: int -> float`."""
        if self.old is None or self.new is None:
            sign, field = ("+", self.new) if self.old is None else ("-", self.old)
            return f"{sign} {self.path}: {_shown(field)}"
        one, other = _shown(self.old), _shown(self.new)
        if one == other:
            return f"~ {self.path}: {one} ({self.reason})"
        return f"~ {self.path}: {one} -> {other}"


@dataclass(frozen=True, slots=True)
class SchemaDiff:
    """What lies between two schemas.

    Attributes:
        old: The schema that was.
        new: The schema that is.
        added: Fields that only the new one has.
        removed: Fields that only the old one has.
        changed: Fields of both that differ.
        notes: What else differs, such as the description or the order of fields.
        bump: Which number of the version has to grow.

    Examples:
        >>> from dataclasses import dataclass
        >>> from atdata.schema.infer import schema_of
        >>> @dataclass
        ... class Old:
        ...     text: str
        ...     count: int
        >>> @dataclass
        ... class New:
        ...     text: str
        ...     count: float
        ...     language: str = "en"
        >>> found = diff(schema_of(Old), schema_of(New))
        >>> print(found)
        + language: str = 'en'
        ~ count: int -> float
        ~ name: Old -> New
        minor: needs a lens
        >>> found.bump
        'minor'
    """

    old: Schema
    new: Schema
    added: tuple[FieldChange, ...]
    removed: tuple[FieldChange, ...]
    changed: tuple[FieldChange, ...]
    notes: tuple[str, ...]
    bump: Effect

    @property
    def verdict(self) -> str:
        """`same`, `compatible`, `needs a lens` or `breaking`."""
        return _VERDICTS[self.bump]

    @property
    def renames(self) -> tuple[tuple[str, str], ...]:
        """Fields that may have been renamed: one went and one came, of the same type."""
        found: list[tuple[str, str]] = []
        for gone in self.removed:
            alike = [new for new in self.added if _same_type(gone, new)]
            rivals = [old for old in self.removed if alike and _same_type(old, alike[0])]
            if len(alike) == len(rivals) == 1:
                found.append((gone.path, alike[0].path))
        return tuple(found)

    def suggest_lens(self) -> str:
        """The text of a lens from the old type to the new one, to be looked over.

        Where the fields alone say how to view one as the other, `atdata.lens` finds the view by
        itself, and the text says so. What it cannot know stands as `...`.
        """
        top = [change for change in self.changed if "." not in change.path]
        return lens_text(
            self.old,
            self.new,
            renames={new: old for old, new in self.renames if "." not in new},
            converted=[change.path for change in top if not _follows(change)],
        )

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return self.bump != "none"

    def __str__(self) -> str:
        """One line for each change, and the verdict."""
        lines = [str(change) for change in (*self.added, *self.removed, *self.changed)]
        lines += [f"~ {note}" for note in self.notes]
        lines += [f"? {old} may have been renamed to {new}" for old, new in self.renames]
        return "\n".join([*lines, f"{self.bump}: {self.verdict}"])


def diff(old: Schema, new: Schema) -> SchemaDiff:
    """Compare two schemas.

    Args:
        old: The schema of data that was written.
        new: The schema of data that will be.

    Returns:
        The fields that were added, removed or changed, also inside of nested types, and what that
        means for the version.

    Examples:
        >>> from dataclasses import dataclass
        >>> from atdata.schema.infer import schema_of
        >>> @dataclass
        ... class Word:
        ...     text: str
        >>> str(diff(schema_of(Word), schema_of(Word)))
        'none: same'
    """
    if old.cid == new.cid:
        return SchemaDiff(old, new, (), (), (), (), "none")
    comparison = _Comparison(old, new)
    comparison.fields(old.fields, new.fields, "")
    notes = [
        note
        for one, other, note in (
            (old.name, new.name, f"name: {old.name} -> {new.name}"),
            (old.description, new.description, "description"),
        )
        if one != other
    ]
    effects: list[Effect] = [change.effect for change in comparison.changes]
    if comparison.reordered:
        notes.append("order of fields")
        effects.append("minor")  # calls that give them by position mean something else now
    bump = _ORDER[max(map(_ORDER.index, effects), default=1)]
    found = comparison.changes
    return SchemaDiff(
        old,
        new,
        tuple(change for change in found if change.old is None),
        tuple(change for change in found if change.new is None),
        tuple(change for change in found if change.old is not None and change.new is not None),
        tuple(notes),
        bump,
    )


def next_version(existing: Sequence[Schema], new: Schema) -> str:
    """The version under which a schema should be published.

    Args:
        existing: The schemas that were published under its name.
        new: The schema to publish; its own version is not looked at.

    Returns:
        The version of the one that has the same content, if there is one. Otherwise the highest
        version, raised by what changed since. `1.0.0` for the first.

    Examples:
        >>> from dataclasses import dataclass
        >>> from atdata.schema.infer import schema_of
        >>> @dataclass
        ... class Word:
        ...     text: str
        >>> first = schema_of(Word, version=next_version([], schema_of(Word)))
        >>> first.version, next_version([first], schema_of(Word))
        ('1.0.0', '1.0.0')
        >>> next_version([first], schema_of(Word, description="A word."))
        '1.0.1'
    """
    ordered = sorted(existing, key=lambda schema: version_key(schema.version))
    same = [schema.version for schema in ordered if schema.cid == new.cid]
    if same:
        return same[-1]
    versioned = [schema for schema in ordered if is_version(schema.version)]
    if not versioned:
        return "1.0.0"
    last = versioned[-1]
    bump = diff(last, new).bump
    part: Bump = bump if bump != "none" else "patch"
    return str(Version.parse(last.version).bump(part))


class _Comparison:
    """Walks through two schemas side by side."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self.old = old
        self.new = new
        self.widening = Widening(old, new)
        self.changes: list[FieldChange] = []
        self.reordered = False
        self._seen: set[tuple[str, str]] = {("#", "#")}

    def fields(self, old: Sequence[SchemaField], new: Sequence[SchemaField], within: str) -> None:
        """Compare the fields of two records."""
        had = {field.name: field for field in old}
        has = {field.name: field for field in new}
        for name, field in has.items():
            if name not in had:
                self._add(f"{within}{name}", field)
        for name, field in had.items():
            if name not in has:
                reason = "the old type does not read data without it"
                self.changes.append(FieldChange(f"{within}{name}", field, None, "major", reason))
            else:
                self._field(field, has[name], f"{within}{name}")
        kept = [name for name in had if name in has]
        self.reordered |= kept != [name for name in has if name in had]

    def _add(self, path: str, field: SchemaField) -> None:
        known = field.stored_default is not None
        effect: Effect = "minor" if known else "major"
        reason = "old data takes the default" if known else "old data has nothing for it"
        self.changes.append(FieldChange(path, None, field, effect, reason))

    def _field(self, old: SchemaField, new: SchemaField, path: str) -> None:
        effect, reason = self._effect(old, new)
        if effect != "none":
            self.changes.append(FieldChange(path, old, new, effect, reason))
        self._inside(old.field_type, new.field_type, path)

    def _effect(self, old: SchemaField, new: SchemaField) -> tuple[Effect, str]:
        if not self.widening.holds(old.field_type, new.field_type):
            return "major", "values of the old type are none of the new type"
        if old.optional and not new.optional and new.field_type.primitive != "any":
            return "major", "it may be None in old data"
        if new.optional and not old.optional and old.field_type.primitive != "any":
            return "minor", "it may be None now"
        if not self.widening.back.holds(new.field_type, old.field_type):
            return "minor", "it may hold more now"
        if old.has_default and not new.has_default:
            return "minor", "it must be given now"
        if old.kw_only != new.kw_only:
            return "minor", "how the constructor takes it"
        if old.stored_default != new.stored_default or old.has_default != new.has_default:
            return "patch", "default"
        if old.description != new.description:
            return "patch", "description"
        if old.to_dict() != new.to_dict():
            return "patch", "another spelling of the same type"
        return "none", ""

    def _inside(self, old: SchemaFieldType, new: SchemaFieldType, path: str) -> None:
        """Compare the records inside of two types, pair by pair."""
        if old.ref is not None and new.ref is not None:
            pair = (old.ref, new.ref)
            one, other = self.old.definition(old.ref), self.new.definition(new.ref)
            if pair not in self._seen and one.kind == other.kind == "record":
                self._seen.add(pair)
                self.fields(one.fields, other.fields, f"{path}.")
            return
        olds, news = _records(old), _records(new)
        by_name = {str(kind.ref): kind for kind in news}
        for i, kind in enumerate(olds):
            other_kind = by_name.get(str(kind.ref), news[i] if len(olds) == len(news) else None)
            if other_kind is not None:
                self._inside(kind, other_kind, path)


def _records(kind: SchemaFieldType) -> list[SchemaFieldType]:
    """The references inside of a type, in their order."""
    if kind.ref is not None:
        return [kind]
    return [found for inner in kind.inner for found in _records(inner)]


def _same_type(one: FieldChange, other: FieldChange) -> bool:
    old, new = one.old or one.new, other.old or other.new
    return (
        old is not None
        and new is not None
        and old.field_type == new.field_type
        and (old.optional, old.has_default) == (new.optional, new.has_default)
        and one.path.rpartition(".")[0] == other.path.rpartition(".")[0]
    )


def _follows(change: FieldChange) -> bool:
    """Whether a structural lens takes the field over as it is."""
    if change.old is None or change.new is None:
        return False
    same = change.old.field_type == change.new.field_type
    return same and (change.new.optional or not change.old.optional)


def _shown(field: SchemaField | None) -> str:
    return str(field).partition(": ")[2]
