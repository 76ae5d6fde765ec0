"""Folders of web servers, by the page that lists their files.

A page is data from elsewhere. What it names is taken only if it lies directly in the folder that
was asked for: on the same server, below the same path, one name long. So whoever writes the page
can leave files out, and cannot lead a reader anywhere else.
"""

import re
from html import unescape
from urllib.parse import unquote, urljoin

from atdata._exceptions import ShardNotFoundError, SourceError, UnsafeURLError, redacted
from atdata.load._patterns import Entry
from atdata.shard import names
from atdata.transport import gate, remote

_MOST_BYTES = 32 << 20
_MOST_FOLDERS = 10_000
_DEEPEST = 64

# Bounded on both sides, so that no page takes more than linear time.
_LINK = re.compile(
    r"<a\s[^<>]{0,1000}?\bhref\s{0,9}=\s{0,9}(?:\"([^\"]{1,4000})\"|'([^']{1,4000})'|([^\s\"'<>]{1,4000}))",
    re.IGNORECASE,
)
_ADVICE = "A pattern needs a page that lists the folder. Name the files instead: a-{000..009}.tar."


class WebFolder:
    """Lists a folder of a web server and those below it.

    Args:
        url: The folder's address, with a slash at its end and neither query nor fragment.
    """

    def __init__(self, url: str) -> None:
        address = gate.check(url)
        assert isinstance(address, gate.WebAddress)
        self._url = url
        self._address = address
        self._paths: dict[tuple[str, ...], str] = {(): ""}
        self._n_listed = 0
        self.names: list[str] = []
        """All names that were listed."""

    def __call__(self, folder: tuple[str, ...]) -> list[Entry]:
        """The entries of a folder.

        Raises:
            ShardNotFoundError: The server has no such folder, or does not list it.
            SourceError: It refused or failed, or lists more than is taken.
        """
        self._n_listed += 1
        if self._n_listed > _MOST_FOLDERS or len(folder) > _DEEPEST:
            raise self._refused(f"it lists more than {_MOST_FOLDERS} folders or goes on for ever")
        path = self._paths[folder]
        found: dict[str, Entry] = {}
        for link in links(self._page(self._url + path), self._address.url + path):
            is_folder = link.endswith("/")
            name = unquote(link.removesuffix("/"))
            found[name] = Entry(name, is_folder)
            self._paths[(*folder, name)] = path + link
            if len(self._paths) > names.DEFAULT_LIMIT:
                raise self._refused(f"it lists more than {names.DEFAULT_LIMIT} files")
        self.names += found
        return list(found.values())

    def url(self, parts: tuple[str, ...]) -> str:
        """The address of a file that was listed."""
        return self._url + self._paths[parts]

    def _page(self, url: str) -> str:
        try:
            with remote(self._address.scheme).open_url(url) as stream:
                data = stream.read(_MOST_BYTES + 1)
        except ShardNotFoundError as error:
            raise ShardNotFoundError(
                url, f"the server has no page for the folder. {_ADVICE}"
            ) from error
        except UnsafeURLError:
            raise
        except SourceError as error:
            raise SourceError(
                error.url, error.reason, status=error.status, hint=_ADVICE
            ) from error
        if len(data) > _MOST_BYTES:
            raise self._refused(f"the page that lists it has more than {_MOST_BYTES} bytes")
        return data.decode("utf-8", "replace")

    def _refused(self, reason: str) -> SourceError:
        return SourceError(redacted(self._url), reason, hint=_ADVICE)


def links(page: str, url: str) -> list[str]:
    """The files and folders that a page lists, percent-encoded, relative to its folder.

    Args:
        page: The page.
        url: The folder's address, without user name and password.

    Returns:
        Each name once, in the page's order, a folder's with a slash behind it.

    Examples:
        >>> page = '<a href="?C=N">Name</a><a href="../">Up</a><a href="a%20b.tar">a b</a>'
        >>> links(page + '<a href="/data/sub/">sub</a>', "https://example.org/data/")
        ['a%20b.tar', 'sub/']
        >>> links('<a href="https://example.net/data/x.tar">x</a>', "https://example.org/data/")
        []
    """
    folder = gate.check(url)
    assert isinstance(folder, gate.WebAddress)
    found: dict[str, None] = {}
    for match in _LINK.finditer(page):
        below = _below(folder, unescape(match[1] or match[2] or match[3]).strip())
        if below:
            found[below] = None
    return list(found)


def _below(folder: gate.WebAddress, href: str) -> str:
    """A link relative to a folder; empty if it leads anywhere but directly into it."""
    try:
        address = gate.check(urljoin(folder.url, href))
    except (UnsafeURLError, ValueError):
        return ""
    if not isinstance(address, gate.WebAddress) or address.credentials is not None:
        return ""
    same = (address.scheme, address.authority) == (folder.scheme, folder.authority)
    if not same or not address.target.startswith(folder.target):
        return ""
    below = address.target[len(folder.target) :]
    name = unquote(below.removesuffix("/"))
    fit = name.isprintable() and not {"/", "\\"} & set(name) and name not in {"", ".", ".."}
    return below if fit and "?" not in below and "#" not in href else ""
