"""A dataset in a catalogue: where its shards are, what they hold, where they came from."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from atdata._cid import generate_cid
from atdata.model.plain import plain_json
from atdata.model.shard import StoredShard, StoredSidecar, beside

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def now() -> datetime:
    """The time, in whole microseconds of UTC.

    Examples:
        >>> now().tzinfo is UTC
        True
    """
    return datetime.now(UTC)


@dataclass(frozen=True, repr=False)
class DatasetEntry:
    """A dataset in a catalogue.

    Args:
        name: Its name in its repository.
        schema_ref: The schema of its samples, `atdata://…/schema/Name@1.0.0`.
        data_urls: Addresses of its shards, in reading order.
        metadata: What else is said of it: JSON values.
        shards: The shards with sizes and digests; from `data_urls` if left out.
        version: The version it was written as, or None.
        description: What it is, for people and for search.
        tags: Words to find it by.
        license: Its license, best as an SPDX identifier.
        parents: CIDs of the entries it was made from.
        pipeline: What made it: a name, a version, a commit; JSON values.
        created_at: When it was catalogued.
        cid: Its content identifier: of its addresses and its schema, as they are stored.
        repo: The repository it was read from.

    Examples:
        >>> entry = DatasetEntry("s", "atdata://local/schema/S@1.0.0", ["/data/a.tar"])
        >>> entry.cid
        'bafyreie3o4l7a23p5vvgrzxosmga5jasokysvdgjpe3cgqnbkvxulwmj5e'
        >>> entry.n_samples is None
        True
    """

    name: str
    schema_ref: str
    data_urls: list[str] = field(default_factory=list[str])
    metadata: dict[str, Any] | None = None
    shards: tuple[StoredShard, ...] = field(default=(), kw_only=True)
    version: str | None = field(default=None, kw_only=True)
    description: str | None = field(default=None, kw_only=True)
    tags: tuple[str, ...] = field(default=(), kw_only=True)
    license: str | None = field(default=None, kw_only=True)
    parents: tuple[str, ...] = field(default=(), kw_only=True)
    pipeline: Any = field(default=None, kw_only=True)
    created_at: datetime | None = field(default=None, kw_only=True)
    cid: str = field(default="", kw_only=True)
    repo: str = field(default="local", kw_only=True)

    def __post_init__(self) -> None:
        if not self.shards:
            sums = (self.metadata or {}).get("checksums")
            known: Mapping[str, Any] = sums if isinstance(sums, dict) else {}
            shards = tuple(StoredShard(url, sha256=known.get(url)) for url in self.data_urls)
            object.__setattr__(self, "shards", shards)
        object.__setattr__(self, "data_urls", [shard.url for shard in self.shards])
        if not self.cid:
            facts = {"data_urls": self.data_urls, "schema_ref": self.schema_ref}
            object.__setattr__(self, "cid", generate_cid(facts))

    def __repr__(self) -> str:
        version = "" if self.version is None else f"@{self.version}"
        n_samples = "?" if self.n_samples is None else f"{self.n_samples:,}"
        samples = "sample" if self.n_samples == 1 else "samples"
        shards = "1 shard" if len(self.shards) == 1 else f"{len(self.shards):,} shards"
        return (
            f"<DatasetEntry {self.repo}/{self.name}{version}: {n_samples} {samples} in {shards}, "
            f"{self.schema_ref}, {self.cid}>"
        )

    @property
    def ref(self) -> str:
        """What `get_dataset` finds this very entry by: `@repository/name@…`.

        Examples:
            >>> DatasetEntry("s", "atdata://local/schema/S@1.0.0", version="1.2.0").ref
            '@local/s@1.2.0'
        """
        return f"@{self.repo}/{self.name}@{self.version or self.cid}"

    @property
    def n_samples(self) -> int | None:
        """How many samples the dataset has, if that is known of every shard."""
        counts = [shard.n_samples for shard in self.shards]
        return None if None in counts else sum(n for n in counts if n is not None)

    @property
    def n_bytes(self) -> int | None:
        """The size of all its shards, if that is known of every one."""
        sizes = [shard.n_bytes for shard in self.shards]
        return None if None in sizes else sum(n for n in sizes if n is not None)

    @property
    def checksums(self) -> dict[str, str]:
        """The shards' SHA-256 by their address, where one was taken."""
        return {shard.url: shard.sha256 for shard in self.shards if shard.sha256 is not None}

    def to_dict(self) -> dict[str, Any]:
        """The entry as JSON data; what is not known is left out.

        Examples:
            >>> DatasetEntry("s", "atdata://local/schema/S@1.0.0", ["a.tar"]).to_dict()["shards"]
            [{'url': 'a.tar'}]
        """
        data = {
            "name": self.name,
            "schemaRef": self.schema_ref,
            "shards": [_shard_dict(shard) for shard in self.shards],
            "cid": self.cid,
            "version": self.version,
            "description": self.description,
            "tags": list(self.tags),
            "license": self.license,
            "metadata": self.metadata,
            "parents": list(self.parents),
            "pipeline": self.pipeline,
            "createdAt": None if self.created_at is None else self.created_at.isoformat(),
        }
        return {key: value for key, value in data.items() if value not in (None, [])} | {
            "shards": data["shards"]
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The entry of JSON data that `to_dict` made.

        Raises:
            KeyError: Something an entry must say is missing.
            TypeError: Something is of another kind.
            ValueError: A time is none.

        Examples:
            >>> entry = DatasetEntry("s", "atdata://local/schema/S@1.0.0", ["a.tar"])
            >>> DatasetEntry.from_dict(entry.to_dict()) == entry
            True
        """
        created = optional(data, "createdAt", str)
        return cls(
            _text(data, "name"),
            _text(data, "schemaRef"),
            metadata=optional(data, "metadata", dict),
            shards=tuple(map(_shard, data["shards"])),
            version=optional(data, "version", str),
            description=optional(data, "description", str),
            tags=_texts(data, "tags"),
            license=optional(data, "license", str),
            parents=_texts(data, "parents"),
            pipeline=data.get("pipeline"),
            created_at=None if created is None else _time(created),
            cid=optional(data, "cid", str) or "",
        )

    def within(self, repo: str, schema_ref: str, urls: Mapping[str, str]) -> Self:
        """The entry as seen from outside its repository; its CID stays.

        Args:
            repo: The repository's name here.
            schema_ref: The schema's reference, as it is reached from here.
            urls: Where the shards are, by the address that is stored.

        Examples:
            >>> entry = DatasetEntry("s", "atdata://local/schema/S@1.0.0", ["a.tar"])
            >>> seen = entry.within("lab", entry.schema_ref, {"a.tar": "/lab/a.tar"})
            >>> seen.data_urls, seen.cid == entry.cid
            (['/lab/a.tar'], True)
        """
        shards = tuple(replace(shard, url=urls.get(shard.url, shard.url)) for shard in self.shards)
        return replace(self, repo=repo, schema_ref=schema_ref, shards=shards)


def check_metadata(
    metadata: object, tags: object, pipeline: object
) -> tuple[dict[str, Any] | None, tuple[str, ...], Any]:
    """What is said of a dataset, as JSON data.

    Raises:
        TypeError: It holds what a record cannot.
        ValueError: Likewise.

    Examples:
        >>> check_metadata({"size": (28, 28)}, ["vision"], None)
        ({'size': [28, 28]}, ('vision',), None)
    """
    if metadata is not None and not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a mapping, not {type(metadata).__name__}")
    if isinstance(tags, str):
        raise TypeError(f"tags is a list of texts, such as [{tags!r}], not one text")
    plain_tags = [] if tags is None else plain_json(tags, "tags")
    if not isinstance(plain_tags, list) or not all(isinstance(tag, str) for tag in plain_tags):  # pyright: ignore[reportUnknownVariableType]
        raise TypeError("tags is a list of texts")
    return (
        None if metadata is None else plain_json(metadata, "metadata"),
        tuple(dict.fromkeys(plain_tags)),  # pyright: ignore[reportUnknownArgumentType]
        plain_json(pipeline, "pipeline"),
    )


def _shard_dict(shard: StoredShard) -> dict[str, Any]:
    facts = {
        "url": shard.url,
        "samples": shard.n_samples,
        "bytes": shard.n_bytes,
        "sha256": shard.sha256,
        "sidecars": {
            one.suffix: {"bytes": one.n_bytes, "sha256": one.sha256} for one in shard.sidecars
        }
        or None,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _shard(data: Mapping[str, Any]) -> StoredShard:
    return StoredShard(
        _text(data, "url"),
        optional(data, "samples", int),
        optional(data, "bytes", int),
        optional(data, "sha256", str),
        tuple(_sidecars(optional(data, "sidecars", dict) or {})),
    )


def _sidecars(data: Mapping[str, Any]) -> Iterator[StoredSidecar]:
    for suffix, facts in data.items():
        beside("", suffix)  # refuses what is no suffix
        n_bytes, sha256 = facts["bytes"], _text(facts, "sha256")
        if type(n_bytes) is not int or n_bytes < 0 or not _SHA256.fullmatch(sha256):
            raise ValueError(f"{suffix} has no size or no digest")
        yield StoredSidecar(suffix, n_bytes, sha256)


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is {type(value).__name__}, not text")
    return value


def _texts(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    items: list[Any] = optional(data, key, list) or []
    if not all(isinstance(item, str) for item in items):
        raise TypeError(f"{key} holds something other than text")
    return tuple(items)


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def optional[T](data: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
    """What a record has under a key, if anything, of the kind that belongs there.

    Raises:
        TypeError: It is of another kind.

    Examples:
        >>> optional({"version": "1.0.0"}, "version", str)
        '1.0.0'
        >>> optional({"version": 1}, "version", str)
        Traceback (most recent call last):
        TypeError: version is int, not str
    """
    value = data.get(key)
    if value is not None and type(value) is not kind:
        raise TypeError(f"{key} is {type(value).__name__}, not {kind.__name__}")
    return value
