"""Lenses of a repository: kept as data, made again only where that is safe."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from atdata._exceptions import RecordExistsError, RecordNotFoundError
from atdata.index._datasets import readable
from atdata.index._schemas import is_untyped, plan, publish, sample_type_of, until_settled
from atdata.lens import Lens
from atdata.lens._record import lens_of, record_of
from atdata.model.entry import now
from atdata.model.lens import LensRecord
from atdata.model.lens_parts import FieldMapping
from atdata.model.names import check_name, check_version
from atdata.model.plain import dumps
from atdata.model.record import LENS, Put, Row
from atdata.model.rows import read_json
from atdata.model.version import Version, is_version, version_key
from atdata.providers.base import IndexProvider
from atdata.repository import Mounted

_PREFIX = "atdata://local/lens/"


def store(
    mounted: Mounted,
    lens: Lens[Any, Any],
    *,
    name: str,
    version: str | None,
    description: str | None,
    source_schema: str | None,
    view_schema: str | None,
) -> str:
    """Keep a lens, with the schemas of its two types, and give its reference."""
    check_name(name)
    provider = mounted.provider

    def attempt() -> str:
        changes: dict[tuple[str, str, str], Put] = {}
        refs: list[str] = []
        for given, kind in ((source_schema, lens.source_type), (view_schema, lens.view_type)):
            if given is not None:
                refs.append(mounted.inside(given))
                continue
            planned = plan(provider, kind)
            for step in planned.changes:
                if (
                    isinstance(step, Put)
                    and changes.setdefault(step.key, step).row.refs != step.row.refs
                ):
                    # Two types of one name: the second gets its version after the first has one.
                    publish(provider, lens.source_type)
                    return attempt()
            changes |= {step.key: step for step in planned.changes if isinstance(step, Put)}
            refs.append(planned.ref)
        wanted = _next(provider, name) if version is None else check_version(version)
        record = record_of(
            lens,
            name=name,
            version=wanted,
            source_schema=refs[0],
            view_schema=refs[1],
            description=description,
        )
        there = provider.get(LENS, name, wanted)
        if there is not None and version is not None:
            if _same(_read(there), record):
                return ref_of(there)
            raise RecordExistsError(
                "lens", f"{name}@{wanted}", "Versions never change: leave the version away."
            )
        row = lens_row(replace(record, created_at=now()))
        provider.commit([*changes.values(), Put(row, expect=0)])
        return ref_of(row)

    return until_settled(attempt)


def _same(one: LensRecord, other: LensRecord) -> bool:
    return replace(one, created_at=None) == replace(other, created_at=None)


def _next(provider: IndexProvider, name: str) -> str:
    tags = [row.tag for row in provider.rows(LENS, name=name) if is_version(row.tag)]
    if not tags:
        return "1.0.0"
    return str(Version.parse(max(tags, key=version_key)).bump("patch"))


def lens_row(record: LensRecord) -> Row:
    """A lens as a row, which is found by the schemas on its two sides."""
    refs = (f"source:{record.source_schema}", f"view:{record.view_schema}")
    return Row(LENS, record.name, record.version, dumps(record.to_dict()), refs)


def ref_of(row: Row) -> str:
    """The reference of the lens in a row, within its repository."""
    return f"{_PREFIX}{row.name}@{row.tag}"


def parse(ref: object) -> tuple[str, str, str]:
    """Repository, name and version of a reference to a lens.

    Raises:
        ValueError: It is none.

    Examples:
        >>> parse("atdata://local/lens/gray@1.0.0")
        ('local', 'gray', '1.0.0')
    """
    text = ref if isinstance(ref, str) else ""
    place, found, rest = text.removeprefix("atdata://").partition("/lens/")
    if not found or not text.startswith("atdata://") or not place:
        raise ValueError(
            f"Invalid lens reference: {ascii(ref)[:200]}\n  Write {_PREFIX}name@1.0.0."
        )
    name, at, version = rest.rpartition("@")
    if not at or not version:
        raise ValueError(f"Lens reference must include version (@version): {text[:200]!a}")
    return place, check_name(name), version


def find(mounted: Mounted, name: str, version: str) -> Row:
    """The row of a lens.

    Raises:
        RecordNotFoundError: There is none.
    """
    row = mounted.provider.get(LENS, name, version)
    if row is None:
        tags = sorted((one.tag for one in mounted.provider.rows(LENS, name=name)), key=version_key)
        raise RecordNotFoundError(
            "lens",
            f"{name}@{version}",
            repo=mounted.name,
            closest=[f"{name}@{tag}" for tag in tags],
            hint="List all: index.list_lenses()",
        )
    return row


def as_dict(mounted: Mounted, row: Row) -> dict[str, Any]:
    """A lens as a dictionary, with its reference; all references as they are reached from here."""
    found = _read(row).to_dict()
    for side in ("source_schema", "view_schema"):
        found[side] = mounted.outside(found[side])
    return found | {"$ref": mounted.outside(ref_of(row))}


def _read(row: Row) -> LensRecord:
    return LensRecord.from_dict(read_json(row))


def load(
    mounted: Mounted,
    row: Row,
    *,
    source_type: type[Any] | None,
    view_type: type[Any] | None,
    allowed_modules: Collection[str],
    register: bool,
) -> Lens[Any, Any]:
    """Make a lens of its record; types that are not given are built of their schemas."""
    record = _read(row)
    if isinstance(record.getter, FieldMapping):
        source_type = source_type or _type_behind(mounted, record.source_schema)
        view_type = view_type or _type_behind(mounted, record.view_schema)
    return lens_of(
        record, source_type, view_type, allowed_modules=allowed_modules, register=register
    )


def _type_behind(mounted: Mounted, ref: str) -> type[Any] | None:
    if not ref.startswith("atdata://local/") or is_untyped(ref):
        return None
    return sample_type_of(mounted.provider, ref, repo=mounted.name)


def every(mounted: Mounted) -> Iterator[dict[str, Any]]:
    """All lenses; a damaged record is logged and left out."""
    yield from _readable(mounted, mounted.provider.rows(LENS))


def between(mounted: Mounted, source: str, view: str | None) -> Iterator[dict[str, Any]]:
    """The lenses that lead from one schema, and to another where one is given."""
    rows = mounted.provider.rows(LENS, ref=f"source:{mounted.inside(source)}")
    for found in _readable(mounted, rows):
        if view is None or found["view_schema"] == view:
            yield found


def _readable(mounted: Mounted, rows: Iterator[Row]) -> Iterator[dict[str, Any]]:
    for row in rows:
        found = readable(lambda row: as_dict(mounted, row), row)
        if found is not None:
            yield found
