"""Manifests of the earlier layout: told apart, and why they cannot be believed."""

import json
from typing import Any

OLDER_VERSION = "1.0.0"
_KEYS = ("shard_id", "schema_type", "schema_version", "num_samples", "size_bytes", "created_at")
_MAX_BYTES = 64 << 20


def read_older(raw: bytes) -> dict[str, Any] | None:
    """The JSON of an earlier manifest, NaN allowed; None if it is none.

    Examples:
        >>> read_older(b"[]") is None
        True
    """
    if len(raw) > _MAX_BYTES:
        return None
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or any(key not in found for key in _KEYS):
        return None
    whole = all(
        type(found[key]) is int and found[key] >= 0 for key in ("num_samples", "size_bytes")
    )
    texts = all(type(found[key]) is str for key in ("shard_id", "schema_type", "created_at"))
    if not whole or not texts or not isinstance(found.get("aggregates", {}), dict):
        return None
    return found


def why_not(raw: bytes, shard_id: str) -> str:
    """Why an earlier manifest cannot be used; empty if it is none."""
    found = read_older(raw)
    if found is None or str(found.get("manifest_version", OLDER_VERSION)) != OLDER_VERSION:
        return ""
    name = shard_id.rpartition("/")[2].removesuffix(".tar")
    reason = "its manifest is of the older layout 1.0.0, "
    if found["num_samples"] == 0:
        return reason + "and says that the shard is empty"
    if found["shard_id"] != name:
        return reason + f"and says that it is of shard {found['shard_id']!r}"
    return reason + "whose offsets are none of the tar, and which does not tell states of it apart"
