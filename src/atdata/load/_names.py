"""What the name of a file says: whether it is a shard, and where it stands among others."""

import re

_SHARD = re.compile(
    r"(?P<stem>.+)\.(?:tar(?:\.(?:gz|bz2|xz|zst))?|t(?:gz|bz2|xz|zst))", re.IGNORECASE | re.DOTALL
)


def is_hidden(name: str) -> bool:
    """Whether patterns and folders leave a name out."""
    return name.startswith((".", "~"))


def is_shard(name: str) -> bool:
    """Whether a file in a folder is one of its shards, judged by its name.

    Examples:
        >>> [is_shard(name) for name in ["a.tar", "a.tar.zst", "a.tgz", "a.txt", ".a.tar"]]
        [True, True, True, False, False]
        >>> is_shard("a.tmp.tar"), is_shard(".tar")
        (False, False)
    """
    found = _SHARD.fullmatch(name)
    return found is not None and not is_hidden(name) and not found["stem"].endswith(".tmp")


def stem(name: str) -> str:
    """A shard's name without what says that it is one.

    Examples:
        >>> stem("train-000.tar.gz"), stem("train.bin")
        ('train-000', 'train.bin')
    """
    found = _SHARD.fullmatch(name)
    return name if found is None else found["stem"]
