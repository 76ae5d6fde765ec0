"""Schemas of a repository: published once, never changed, found by content."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from atdata._exceptions import AtdataError, ConflictError, RecordExistsError, RecordNotFoundError
from atdata._logging import get_logger
from atdata.model.entry import now
from atdata.model.names import check_version
from atdata.model.plain import dumps
from atdata.model.record import SCHEMA, Change, Check, Put, Row
from atdata.model.rows import read_json
from atdata.model.schema import Schema
from atdata.model.schema_ref import SchemaRef
from atdata.model.version import Version, version_key
from atdata.providers.base import IndexProvider
from atdata.repository import Mounted
from atdata.sample.dynamic import DictSample
from atdata.schema.build import type_of
from atdata.schema.diff import next_version
from atdata.schema.infer import schema_of

UNTYPED = "atdata://local/schema/DictSample@1.0.0"
"""The schema of samples whose fields are as they come; no record stands behind it."""

_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Planned:
    """A schema and what a commit has to do so that it is there.

    Attributes:
        ref: Its reference within the repository.
        schema: The schema, or None for samples of no declared type.
        changes: Steps that store it, or that make sure it is still as it was read.
    """

    ref: str
    schema: Schema | None
    changes: tuple[Change, ...] = ()


def plan(
    provider: IndexProvider,
    sample_type: type[Any],
    *,
    version: str | None = None,
    description: str | None = None,
) -> Planned:
    """Find the schema of a type in a repository, or say how to store it as a new version.

    Raises:
        RecordExistsError: The version is there already with another content.
        UnsupportedTypeError: A field is of a type that no schema describes.
    """
    if sample_type is DictSample:
        return Planned(UNTYPED, None)
    draft = schema_of(sample_type, description=description)
    rows = list(provider.rows(SCHEMA, name=draft.name))
    same = [row for row in rows if f"cid:{draft.cid}" in row.refs]
    taken = {row.tag: row for row in rows}
    if version is None and same:
        row = max(same, key=lambda row: version_key(row.tag))
        return Planned(ref_of(row), read_schema(row), (Check(row.key, row.seq),))
    if version is not None and version in taken and taken[version] in same:
        row = taken[version]
        return Planned(ref_of(row), read_schema(row), (Check(row.key, row.seq),))
    reserved = {SchemaRef.parse(UNTYPED).version} if draft.name == DictSample.__name__ else set()
    if version is None:
        newest_first = sorted(rows, key=lambda row: version_key(row.tag), reverse=True)
        wanted = next_version(list(islice(_readable(newest_first), 1)), draft)
        while wanted in taken or wanted in reserved:  # by a record that is damaged, say
            wanted = str(Version.parse(wanted).bump("patch"))
    elif version in taken or version in reserved:
        raise RecordExistsError(
            "schema",
            f"{draft.name}@{version}",
            "Published versions never change: leave the version away for the next free one.",
        )
    else:
        wanted = check_version(version)
    schema = replace(draft, version=wanted, created_at=now())
    return Planned(schema.ref, schema, (Put(schema_row(schema), expect=0),))


def publish(
    provider: IndexProvider,
    sample_type: type[Any],
    *,
    version: str | None = None,
    description: str | None = None,
) -> str:
    """Store the schema of a type unless it is there, and give its reference.

    Raises:
        RecordExistsError: The version is there already with another content.
    """

    def attempt() -> str:
        planned = plan(provider, sample_type, version=version, description=description)
        if any(isinstance(change, Put) for change in planned.changes):
            provider.commit(planned.changes)
        return planned.ref

    return until_settled(attempt)


def until_settled[T](attempt: Callable[[], T], *, unless: tuple[str, str, str] | None = None) -> T:
    """Try again as long as others change what was read; each such time, one of them got on.

    Args:
        attempt: Reads, and commits what follows from it.
        unless: A row that only the caller changes: if it is gone, there is nothing to wait for.

    Raises:
        ConflictError: It still happens after a minute.
    """
    limit = time.monotonic() + _PATIENCE
    pause = 0.001
    while True:
        try:
            return attempt()
        except ConflictError as error:
            if error.key == unless or time.monotonic() > limit:
                raise
            time.sleep(random.uniform(0, pause))  # noqa: S311 - so that rivals do not keep step
            pause = min(pause * 2, 0.1)


def schema_row(schema: Schema) -> Row:
    """A schema as a row, which is found by its content."""
    body = dumps(schema.to_dict())
    return Row(SCHEMA, schema.name, schema.version, body, (f"cid:{schema.cid}",))


def read_schema(row: Row) -> Schema:
    """The schema that a row holds, checked as data from outside is.

    Raises:
        SchemaError: It is no schema.
    """
    return Schema.from_dict(read_json(row) | {"name": row.name, "version": row.tag})


def ref_of(row: Row) -> str:
    """The reference, within its repository, of the schema in a row."""
    return f"atdata://local/schema/{row.name}@{row.tag}"


def find(provider: IndexProvider, ref: str, *, repo: str = "local") -> Schema:
    """The schema that a reference names.

    Raises:
        RecordNotFoundError: There is none; the message names the versions there are.
        SchemaError: What is stored is no schema.
        ValueError: It is no reference to a schema.
    """
    wanted = SchemaRef.parse(ref)
    row = provider.get(SCHEMA, wanted.name, wanted.version)
    if row is None:
        versions = sorted(
            (row.tag for row in provider.rows(SCHEMA, name=wanted.name)), key=version_key
        )
        raise RecordNotFoundError(
            "schema",
            f"{wanted.name}@{wanted.version}",
            repo=repo,
            closest=[f"{wanted.name}@{version}" for version in versions],
            hint="List all: index.list_schemas()",
        )
    return read_schema(row)


def own_ref(mounted: Mounted, ref: str) -> str:
    """A reference to one of a repository's schemas, as the repository itself keeps it.

    Raises:
        ValueError: It is no reference to a schema, or to one of another repository.
    """
    wanted = SchemaRef.parse(ref)
    if is_untyped(ref):
        return UNTYPED
    if wanted.authority != mounted.name:
        raise ValueError(
            f"{ref!a} is a schema of {wanted.authority!r}, and datasets of {mounted.name!r} need "
            f"one of their own\n  Publish it there: index.publish_schema(T, repo={mounted.name!r})"
        )
    return mounted.inside(str(wanted))


def find_readable(mounted: Mounted, ref: str) -> Schema | None:
    """The schema behind an entry, for what it says in words; None if there is none to be read."""
    try:
        return None if is_untyped(ref) else find(mounted.provider, ref, repo=mounted.name)
    except (AtdataError, ValueError) as error:
        get_logger().warning("schema %s cannot be read: %s", ref, error)
        return None


def sample_type_of(provider: IndexProvider, ref: str, *, repo: str = "local") -> type[Any]:
    """The sample type that a reference names, built of its record alone."""
    return DictSample if is_untyped(ref) else type_of(find(provider, ref, repo=repo))


def is_untyped(ref: str) -> bool:
    """Whether a reference stands for samples of no declared type."""
    return ref.partition("/schema/")[2] == UNTYPED.partition("/schema/")[2]


def every(provider: IndexProvider) -> Iterator[Schema]:
    """All schemas of a repository; a damaged record is logged and left out."""
    yield from _readable(provider.rows(SCHEMA))


def _readable(rows: Iterable[Row]) -> Iterator[Schema]:
    for row in rows:
        try:
            schema = read_schema(row)
        except (AtdataError, ValueError) as error:
            get_logger().warning("schema %s@%s is left out: %s", row.name, row.tag, error)
        else:
            yield schema
