"""The one gate for addresses: nothing is opened that has not passed here.

What may be opened depends on who named it. A user may name a file of this machine or a web
address. A record, which anybody may have written, may name only a public `https` address. There
is no scheme that runs a program, and no address that means standard input. `s3:` addresses go to
`s3`, which makes web addresses of them.

An address is checked three times: its text by `check`, each redirect by `redirected`, and the
machine that its host name leads to by `public_addresses`, at the moment of connecting.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn
from urllib.parse import quote, unquote, urljoin

from atdata._exceptions import UnsafeURLError, redacted

type Origin = Literal["user", "record"]
"""Who named an address: the person at the keyboard, or data from elsewhere."""

type Resolver = Callable[[str, int], Sequence[str]]
"""Gives the numeric addresses of a host name."""

_ALLOWED = {"user": "a path, file:, http:, https: or s3:", "record": "https:"}
_WEB_SCHEMES: dict[str, tuple[str, ...]] = {"user": ("http", "https"), "record": ("https",)}
_PORTS = {"http": 80, "https": 443}
_LONGEST = 8192

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_WEB = re.compile(r"[A-Za-z]+://(?P<authority>[^/?#]*)(?P<target>[^#]*)(?:#.*)?", re.DOTALL)
_AUTHORITY = re.compile(
    r"(?:(?P<userinfo>[^@]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@:\[\]]+)(?::(?P<port>[0-9]{0,5}))?"
)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_UNFIT = re.compile(r"[\x00-\x20\x7f\\]")
# Characters that stand for themselves in a path or query; `%` because it may be escaped already.
_PLAIN = "/?%:@!$&'()*+,;=-._~[]|"


@dataclass(frozen=True, slots=True)
class FileAddress:
    """A file of this machine.

    Examples:
        >>> check("file:///data/a%20b.tar").path
        PosixPath('/data/a b.tar')
    """

    path: Path


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A web address in its parts; its repr shows neither credentials nor query.

    Examples:
        >>> check("https://me:secret@Example.org/a.tar?sig=1")
        WebAddress(scheme='https', host='example.org', port=443)
    """

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)
    """Path and query, percent-encoded."""
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    """User name and password."""

    @property
    def own_port(self) -> int | None:
        """The port, or None where it is the one that the scheme implies."""
        return None if self.port == _PORTS[self.scheme] else self.port

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL and in the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.own_port}" if self.own_port else host

    @property
    def url(self) -> str:
        """The whole address without credentials."""
        return f"{self.scheme}://{self.authority}{self.target}"


type Address = FileAddress | WebAddress


def scheme_of(url: str) -> str | None:
    """The scheme of an address in lower case, or None for a path.

    Examples:
        >>> scheme_of("HTTPS://example.org"), scheme_of("/data/a:b.tar")
        ('https', None)
    """
    match = _SCHEME.match(url)
    return match[1].lower() if match else None


def check(url: str, *, origin: Origin = "user") -> Address:
    """Take an address apart, or refuse it.

    Args:
        url: A path or URL.
        origin: Who named it.

    Returns:
        The parts. A web address still has to pass `public_addresses` when it comes from a record.

    Raises:
        UnsafeURLError: The scheme is not allowed, or the address is malformed.

    Examples:
        >>> check("data/a.tar")
        FileAddress(path=PosixPath('data/a.tar'))
        >>> check("pipe:rm -rf /")
        Traceback (most recent call last):
        atdata._exceptions.UnsafeURLError: cannot read pipe:…
          reason  addresses of the kind 'pipe:' are not opened
          Allowed: a path, file:, http:, https: or s3:. Write ./pipe:… for a file of that name.
        >>> check("http://example.org/a.tar", origin="record")
        Traceback (most recent call last):
        atdata._exceptions.UnsafeURLError: cannot read http://example.org/a.tar
          reason  addresses of the kind 'http:' are not opened
          Allowed: https:.
    """
    scheme = scheme_of(url)
    if scheme in _WEB_SCHEMES[origin]:
        return _web(url, origin)
    if origin == "user" and scheme in {None, "file"}:
        return _file(url, scheme)
    reason = f"addresses of the kind '{scheme}:' are not opened" if scheme else "it is not a URL"
    hint = f"Allowed: {_ALLOWED[origin]}."
    if origin == "user" and scheme == "s3":  # it comes here only where buckets are not read
        hint = "Allowed: a path, file:, http: or https:. Read it with a Dataset or an S3Source."
    elif origin == "user":
        hint += f" Write ./{scheme}:… for a file of that name."
    raise UnsafeURLError(redacted(url), reason, hint=hint)


def redirected(current: WebAddress, location: str, *, origin: Origin = "user") -> WebAddress:
    """Where a server sends us, if it may.

    A redirect comes from a server, so it may not lead to a file, add credentials, or leave `https`
    for `http`. Credentials go along only to the same scheme, host and port.

    Args:
        current: The address that answered.
        location: Its `Location` header.
        origin: Who named the first address.

    Returns:
        The next address.

    Raises:
        UnsafeURLError: It is not allowed.

    Examples:
        >>> here = check("https://example.org/a.tar")
        >>> redirected(here, "/b.tar").url
        'https://example.org/b.tar'
        >>> redirected(here, "file:///etc/passwd")
        Traceback (most recent call last):
        atdata._exceptions.UnsafeURLError: cannot read file:///etc/passwd
          reason  https://example.org/a.tar redirects there, which is not allowed
          Allowed after a redirect: https:.
    """
    allowed = ("https",) if current.scheme == "https" else _WEB_SCHEMES[origin]
    try:
        url = urljoin(current.url, location)
    except ValueError:
        url = location
    if scheme_of(url) not in allowed:
        raise UnsafeURLError(
            redacted(url),
            f"{redacted(current.url)} redirects there, which is not allowed",
            hint=f"Allowed after a redirect: {' or '.join(f'{s}:' for s in allowed)}.",
        )
    # "record" also refuses credentials, which no server may make us send.
    found = _web(url, "record")
    same = (found.scheme, found.host, found.port) == (current.scheme, current.host, current.port)
    credentials = current.credentials if same else None
    return WebAddress(found.scheme, found.host, found.port, found.target, credentials)


def resolve(host: str, port: int) -> list[str]:
    """The numeric addresses of a host, each once, in the system's order of preference.

    Raises:
        socket.gaierror: The name has none.

    Examples:
        >>> resolve("127.0.0.1", 80)
        ['127.0.0.1']
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def public_addresses(host: str, port: int, *, resolver: Resolver = resolve) -> list[str]:
    """The numeric addresses of a host, if all of them are public.

    Connect to one of these, and not to the name: a name can lead elsewhere a moment later.

    Raises:
        UnsafeURLError: One of them belongs to this machine, to a private network, or to no one.
        socket.gaierror: The name has none.

    Examples:
        >>> public_addresses("localhost", 443, resolver=lambda host, port: ["127.0.0.1"])
        Traceback (most recent call last):
        atdata._exceptions.UnsafeURLError: cannot read localhost
          reason  its address 127.0.0.1 is not public
          Data from elsewhere may only lead to public addresses.
    """
    found = list(resolver(host, port))
    for address in found:
        if not is_public(address):
            raise UnsafeURLError(
                host,
                f"its address {address} is not public",
                hint="Data from elsewhere may only lead to public addresses.",
            )
    return found


_UNICAST = ipaddress.IPv6Network("2000::/3")
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
# Not public, though `is_global` says so in some versions of Python or by the number alone.
_REFUSED = (
    ipaddress.ip_network("192.0.0.0/24"),  # protocol assignments, among them metadata services
    ipaddress.ip_network("168.63.129.16/32"),  # the metadata service of Azure
    ipaddress.ip_network("3fff::/20"),  # documentation
)


def is_public(address: str) -> bool:
    """Whether a numeric address is reachable from everywhere and belongs to no special use.

    IPv4 addresses inside IPv6 ones (mapped, translated, 6to4) are judged as themselves.

    Examples:
        >>> is_public("1.1.1.1"), is_public("10.0.0.1"), is_public("::ffff:127.0.0.1")
        (True, False, False)
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if any(ip in network for network in _REFUSED):
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    inner = ip.ipv4_mapped or ip.sixtofour
    if ip in _TRANSLATED:
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.scope_id is not None or (inner is not None and not is_public(str(inner))):
        return False
    return (inner is not None and ip.sixtofour is None) or (ip in _UNICAST and ip.is_global)


def _file(url: str, scheme: str | None) -> FileAddress:
    path = url
    if scheme == "file":
        path = url.partition(":")[2]
        if path.startswith("//"):
            host, slash, rest = path[2:].partition("/")
            if host.lower() not in {"", "localhost"}:
                _refuse(url, "a file: address may not name another machine", "user")
            path = slash + rest
        path = unquote(path, errors="surrogateescape")
    if path in {"", "-"}:
        _refuse(url, "it names no file", "user")
    if "\0" in path:
        _refuse(url, "it holds a zero byte", "user")
    return FileAddress(Path(path))


def _web(url: str, origin: Origin) -> WebAddress:
    if len(url) > _LONGEST:
        _refuse(url, f"it is longer than {_LONGEST} characters", origin)
    if _UNFIT.search(url):
        _refuse(url, "it holds a space, a backslash or a control character", origin)
    whole = _WEB.fullmatch(url)
    parts = _AUTHORITY.fullmatch(whole["authority"]) if whole else None
    if whole is None or parts is None:
        _refuse(url, "it is not of the form scheme://host/path", origin)
    scheme = url.partition(":")[0].lower()
    port = int(parts["port"] or _PORTS[scheme])
    if not 0 < port < 65536:
        _refuse(url, f"{port} is not a port", origin)
    if parts["userinfo"] is not None and origin == "record":
        _refuse(url, "it holds a user name", origin)
    credentials = None
    if parts["userinfo"]:
        user, _, password = parts["userinfo"].partition(":")
        credentials = (unquote(user), unquote(password))
    target = quote(whole["target"], safe=_PLAIN)
    target = target if target.startswith("/") else f"/{target}"
    return WebAddress(scheme, _host(url, parts["host"], origin), port, target, credentials)


def _host(url: str, text: str, origin: Origin) -> str:
    try:
        if text.startswith("["):
            return str(ipaddress.IPv6Address(text[1:-1]))
        name = text.lower()
        labels = name.removesuffix(".").split(".")
        # Systems read forms such as 127.1, 0x7f000001 and 2130706433 as addresses; only the
        # plain form is let through, so that what is checked is what is connected to.
        if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
            return str(ipaddress.IPv4Address(name))
    except ValueError:
        _refuse(url, "its host is not a well-formed numeric address", origin)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        _refuse(url, "its host is not a name of letters, digits, dots and hyphens", origin)
    return name


def _refuse(url: str, reason: str, origin: Origin) -> NoReturn:
    raise UnsafeURLError(redacted(url), reason, hint=f"Allowed: {_ALLOWED[origin]}.")
