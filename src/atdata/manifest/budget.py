"""How much a manifest's JSON says: what is biggest is left out where it would be too much."""

import msgspec

from atdata.manifest.document import MAX_JSON, Document

BUDGET = MAX_JSON // 4
"""Bytes of JSON for what may be left out."""

_OPTIONAL = ("values", "bloom", "groups")


def fit(document: Document) -> None:
    """Leave out aggregates, values, filters and row groups, the biggest first, until all fits.

    Without them more is read, and nothing else is answered.
    """
    sizes: list[tuple[int, str, str]] = []
    for path, found in document.aggregates.items():
        sizes.append((_n_bytes(found), "aggregates", path))
    for path, part in document.fields.items():
        for name in _OPTIONAL:
            found = getattr(part, name)
            if found is not None:
                sizes.append((_n_bytes(found), name, path))
    total = sum(n for n, _, _ in sizes)
    for n, name, path in sorted(sizes, reverse=True):
        if total <= BUDGET:
            return
        if name == "aggregates":
            del document.aggregates[path]
        else:
            setattr(document.fields[path], name, None)
        total -= n


def _n_bytes(value: object) -> int:
    return len(msgspec.json.encode(value))
