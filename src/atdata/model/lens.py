"""Lenses as records: what a catalogue keeps of a lens, and reading it from data of any origin."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self, cast

from atdata._exceptions import LensRecordError
from atdata.model.lens_parts import (
    MOST_FIELDS,
    AsType,
    Cast,
    CodeReference,
    Constant,
    Default,
    Descriptor,
    FieldMapping,
    FieldRule,
    Opaque,
    Transform,
    UnfitError,
    Unwrap,
    check_identifier,
    check_text,
    shown,
)
from atdata.model.names import check_name, check_version

LAWS = ("GetPut", "PutGet", "PutPut")


@dataclass(frozen=True, slots=True)
class LensRecord:
    """A lens as a catalogue keeps it: data, or the name of code, and nothing that runs by itself.

    Args:
        name: Its name in its repository.
        version: Its version.
        source_schema: The schema of the samples, or the name of their class.
        view_schema: The schema of the views, or the name of their class.
        getter: How the view is read.
        putter: How it is written back; None for a lens that drops what is written.
        description: What it is for.
        created_at: When it was stored.
        laws: The laws that it kept when it was checked on samples; None: it was not checked.

    Examples:
        >>> record = LensRecord("titles", "1.0.0", "Photo", "Title", Opaque(), None)
        >>> LensRecord.from_dict(record.to_dict()) == record
        True
    """

    name: str
    version: str
    source_schema: str
    view_schema: str
    getter: Descriptor
    putter: Descriptor | None
    description: str | None = None
    created_at: datetime | None = None
    laws: tuple[str, ...] | None = None

    def __str__(self) -> str:
        """The name and the version."""
        return f"{self.name}@{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON data; what is not known is left out.

        Examples:
            >>> rules = FieldMapping((FieldRule("text", "title"),))
            >>> record = LensRecord("titles", "1.0.0", "Photo", "Title", rules, rules)
            >>> record.to_dict()["getter"]["mappings"]
            [{'source_field': 'title', 'view_field': 'text', 'transform': None}]
        """
        data: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "source_schema": self.source_schema,
            "view_schema": self.view_schema,
            "getter": _descriptor_dict(self.getter),
            "putter": None if self.putter is None else _descriptor_dict(self.putter),
        }
        if self.created_at is not None:
            data["created_at"] = self.created_at.isoformat()
        if self.description is not None:
            data["description"] = self.description
        if self.laws is not None:
            data["laws"] = list(self.laws)
        return data

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """The record of JSON data, whoever wrote it.

        Each part is checked before it is used. Keys of the record that are not known are passed
        over; within the getter and the putter they might change the meaning, and are refused.

        Raises:
            LensRecordError: It is no lens record; the error names the part at fault.

        Examples:
            >>> LensRecord.from_dict({"name": "titles", "version": 1})
            Traceback (most recent call last):
            atdata._exceptions.LensRecordError: lens record 'titles@?' cannot be used
              at      version
              wanted  a version, such as 1.0.0
              found   1
        """
        facts = _Part("?", "", data).mapping()
        record = "@".join(map(_named, (facts.get("name"), facts.get("version"))))

        def part(key: str) -> _Part:
            return _Part(record, key, facts.get(key))

        described, checked = part("description"), part("laws")
        return cls(
            part("name").checked(check_name, "a name, such as vision/titles"),
            part("version").checked(check_version, "a version, such as 1.0.0"),
            part("source_schema").text(1000),
            part("view_schema").text(1000),
            _descriptor(part("getter")),
            None if facts.get("putter") is None else _descriptor(part("putter")),
            None if described.value is None else described.text(100_000),
            _time(part("created_at")),
            None if checked.value is None else _laws(checked),
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """A place in a record that is being read, and what is there."""

    record: str
    path: str
    value: object

    def refused(self, wanted: str) -> LensRecordError:
        return LensRecordError(self.record, self.path, wanted, shown(self.value))

    def at(self, step: str, value: object) -> "_Part":
        dot = "." if self.path and not step.startswith("[") else ""
        return _Part(self.record, f"{self.path}{dot}{step}", value)

    def mapping(self, known: frozenset[str] | None = None) -> dict[str, object]:
        """The members of an object, of which none but those known may be there."""
        if not isinstance(self.value, Mapping):
            raise self.refused("a JSON object")
        facts = cast("Mapping[object, object]", self.value)
        if known is None:
            return {key: value for key, value in facts.items() if type(key) is str}
        for key in facts:
            if key not in known:
                wanted = f"no members but {', '.join(sorted(known))}"
                raise LensRecordError(self.record, self.path, wanted, shown(key))
        return {str(key): value for key, value in facts.items()}

    def items(self, most: int) -> list["_Part"]:
        if not isinstance(self.value, list):
            raise self.refused("a list")
        given = cast("list[object]", self.value)
        if len(given) > most:
            found = f"{len(given)} of them"
            raise LensRecordError(self.record, self.path, f"a list of at most {most}", found)
        return [self.at(f"[{i}]", item) for i, item in enumerate(given)]

    def text(self, longest: int) -> str:
        try:
            return check_text(self.value, longest)
        except UnfitError as error:
            raise self.refused(error.wanted) from None

    def identifier(self) -> str:
        try:
            return check_identifier(self.value)
        except UnfitError as error:
            raise self.refused(error.wanted) from None

    def checked[T](self, check: Callable[[object], T], wanted: str) -> T:
        try:
            return check(self.value)
        except (TypeError, ValueError) as error:
            raise self.refused(wanted) from error

    def made[T](self, kind: Callable[..., T], **facts: object) -> T:
        """A value of what was read, which says itself what it wants."""
        try:
            return kind(**facts)
        except UnfitError as error:
            raise LensRecordError(self.record, self.path, error.wanted, error.found) from None


_MEMBERS: dict[str, frozenset[str]] = {
    "field_mapping": frozenset({"kind", "mappings"}),
    "code_reference": frozenset({"kind", "module", "qualname", "source_sha256"}),
    "opaque": frozenset({"kind"}),
}
_TRANSFORMS: dict[str, tuple[Callable[..., Transform], frozenset[str]]] = {
    "cast": (Cast, frozenset({"cast"})),
    "astype": (AsType, frozenset({"dtype", "lossy"})),
    "default": (Default, frozenset({"value"})),
    "constant": (Constant, frozenset({"value"})),
    "unwrap": (Unwrap, frozenset()),
}
_RULE = frozenset({"view_field", "source_field", "transform"})


def _descriptor(part: _Part) -> Descriptor:
    kind = _kind(part, list(_MEMBERS))
    facts = part.mapping(_MEMBERS[kind])
    if kind == "field_mapping":
        rules = part.at("mappings", facts.get("mappings")).items(MOST_FIELDS)
        return FieldMapping(tuple(map(_rule, rules)))
    if kind == "code_reference":
        digest = facts.get("source_sha256")
        names = {"module": facts.get("module"), "qualname": facts.get("qualname")}
        return part.made(CodeReference, **names, source_sha256=digest)
    return Opaque()


def _rule(part: _Part) -> FieldRule:
    facts = part.mapping(_RULE)
    view = part.at("view_field", facts.get("view_field"))
    source = part.at("source_field", facts.get("source_field"))
    written = facts.get("transform")
    made = None if written is None else _transform(part.at("transform", written))
    if not isinstance(made, Constant):
        return FieldRule(view.identifier(), source.identifier(), made)
    if source.value is not None:
        raise source.refused("null, for a constant comes from no field")
    return FieldRule(view.identifier(), None, made)


def _transform(part: _Part) -> Transform:
    make, members = _TRANSFORMS[_kind(part, list(_TRANSFORMS))]
    facts = part.mapping(members | {"kind"})
    missing = sorted(members - facts.keys())
    if missing:
        wanted = f"the members {', '.join(sorted(members))}"
        raise LensRecordError(part.record, part.path, wanted, f"no {', '.join(missing)}")
    return part.made(make, **{key: facts[key] for key in members})


def _kind(part: _Part, kinds: list[str]) -> str:
    kind = part.at("kind", part.mapping().get("kind"))
    if type(kind.value) is not str or kind.value not in kinds:
        raise kind.refused(f"one of {', '.join(kinds)}")
    return kind.value


def _laws(part: _Part) -> tuple[str, ...]:
    laws = [str(item.value) if item.value in LAWS else "" for item in part.items(len(LAWS))]
    if "" in laws or len(set(laws)) < len(laws):
        raise part.refused(f"each once, of {', '.join(LAWS)}")
    return tuple(laws)


def _time(part: _Part) -> datetime | None:
    if part.value is None:
        return None
    try:
        time = datetime.fromisoformat(check_text(part.value, 64))
    except ValueError:
        raise part.refused("a time in ISO 8601") from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _named(value: object) -> str:
    return value if type(value) is str and len(value) <= 200 and value.isprintable() else "?"


def _descriptor_dict(descriptor: Descriptor) -> dict[str, Any]:
    match descriptor:
        case FieldMapping(rules):
            return {"kind": "field_mapping", "mappings": list(map(_rule_dict, rules))}
        case CodeReference(module, qualname, None):
            return {"kind": "code_reference", "module": module, "qualname": qualname}
        case CodeReference(module, qualname, digest):
            names = {"module": module, "qualname": qualname}
            return {"kind": "code_reference", **names, "source_sha256": digest}
        case Opaque():
            return {"kind": "opaque"}


def _rule_dict(rule: FieldRule) -> dict[str, Any]:
    kept = rule.transform
    if kept is None:
        transform = None
    else:
        kind, members = next((k, m) for k, (t, m) in _TRANSFORMS.items() if type(kept) is t)
        transform = {"kind": kind, **{key: getattr(kept, key) for key in sorted(members)}}
    return {
        "source_field": rule.source_field,
        "view_field": rule.view_field,
        "transform": transform,
    }
