"""Datasets that are named and not located: by an index, or on the network."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from atdata._exceptions import SourceError, printable
from atdata._protocols import DataSource
from atdata.dataset import Dataset
from atdata.index import get_default_index

# A handle is a domain name, which has a dot, and a DID has a colon.
_ACCOUNT = re.compile(r"@([^/]*[.:][^/]*)(?:/|$)")


class Catalogue(Protocol):
    """What loading needs of an index."""

    @property
    def repos(self) -> Mapping[str, Any]:
        """The repositories that it knows, by name."""
        ...

    def open(self, ref: str, sample_type: type[Any] | None = None) -> Dataset[Any]:
        """The dataset of a name and version, read as a type or else as its schema says.

        Raises:
            KeyError: There is no such name, or not that version of it.
        """
        ...

    def source_for(self, urls: Sequence[str]) -> DataSource:
        """What reads addresses, with credentials where they are of the index's own store."""
        ...


class Network(Protocol):
    """What loading needs of the atmosphere."""

    def open(self, ref: str, sample_type: type[Any] | None = None) -> Dataset[Any]:
        """The dataset that an account published, read as a type or else as its schema says.

        Raises:
            KeyError: There is no such name, or not that version of it.
        """
        ...


def is_reference(path: str) -> bool:
    """Whether a text names a dataset instead of saying where it lies.

    Examples:
        >>> [is_reference(text) for text in ["@lab/mnist", "at://x/y", "atdata://lab/x", "./@a"]]
        [True, True, True, False]
    """
    return path.startswith(("@", "at://", "atdata://"))


def open_reference(
    ref: str,
    sample_type: type[Any] | None,
    index: Catalogue | None,
    atmosphere: Network | None,
) -> Dataset[Any]:
    """The dataset of a reference.

    Raises:
        KeyError: There is no such name, or not that version of it.
        SourceError: It is on the network, and nothing was given that reads from there.
        ValueError: The reference names nothing.
    """
    if not ref.startswith("at://"):
        asked = default_index() if index is None else index
        account = _ACCOUNT.match(ref)
        if account is None or account[1] in asked.repos:
            return asked.open(ref, sample_type)
    if atmosphere is None:
        raise SourceError(
            printable(ref),
            "the atmosphere is not available in this version of atdata",
            hint="Give the addresses of the shards, or the name in an index: @local/name.",
        )
    return atmosphere.open(ref, sample_type)


def default_index() -> Catalogue:
    """The index that is used where none is given."""
    return get_default_index()
