"""Who asks an S3 server, and where it is: one value, and the places it is read from.

Nothing is searched for. What is not given is read from where the caller says: a mapping, a file,
the environment, or a profile; and never from the metadata service of a machine.
"""

import configparser
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from atdata._exceptions import UnsafeURLError, printable
from atdata.transport import gate
from atdata.transport.gate import WebAddress

DEFAULT_REGION = "us-east-1"
ACCESS_KEY = "AWS_ACCESS_KEY_ID"
SECRET_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105  the name of the variable
SESSION_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105  the name of the variable
ENDPOINTS = ("AWS_ENDPOINT", "AWS_ENDPOINT_URL")
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")

_LONGEST_FILE = 1 << 20
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_VALUE = re.compile(r"""'([^']*)'|"([^"\\]*)"|([^'"\s#]*)""")
_COMMENT = re.compile(r"\s*(?:#.*)?")


@dataclass(frozen=True, slots=True, repr=False)
class S3Settings:
    """Where an S3 server is and who asks it; without keys, requests are anonymous.

    Attributes:
        endpoint: The server's address, such as `"https://s3.example.org"`; None for Amazon's.
            It may be plain `http`, as on a machine of one's own.
        region: The region, for Amazon's address and for signatures; None for `us-east-1`.
        access_key: The access key.
        secret_key: The secret key.
        session_token: What temporary keys come with.
        path_style: Whether the bucket stands in the path and not in the host name; None for the
            path where there is an endpoint, and for the host name with Amazon.

    Examples:
        >>> S3Settings("https://s3.example.org", access_key="me", secret_key="mine")
        S3Settings(endpoint='https://s3.example.org', region=None, signed=True)
    """

    endpoint: str | None = None
    region: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    path_style: bool | None = None

    def __post_init__(self) -> None:
        _check_endpoint(self.endpoint)
        given = {
            ACCESS_KEY: self.access_key,
            SECRET_KEY: self.secret_key,
            SESSION_TOKEN: self.session_token,
            REGIONS[0]: self.region,
        }
        for name, value in given.items():
            if value is None:
                continue
            if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"{name} must be a str, not {type(value).__name__}")
            if not re.fullmatch(r"[!-~]+", value):
                raise ValueError(f"{name} is empty, or holds a space or what no key holds")
        if self.region is not None and not re.fullmatch(r"[A-Za-z0-9._-]+", self.region):
            raise ValueError(f"{printable(repr(self.region))} is no region, such as us-east-1")
        one, other = (ACCESS_KEY, SECRET_KEY) if self.access_key else (SECRET_KEY, ACCESS_KEY)
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError(f"Missing required keys: {other}, as {one} is given")
        if self.session_token is not None and self.access_key is None:
            raise ValueError(f"Missing required keys: {ACCESS_KEY}, {SECRET_KEY}")

    @property
    def is_signed(self) -> bool:
        """Whether requests are signed."""
        return self.access_key is not None

    def with_place(
        self,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        path_style: bool | None = None,
    ) -> "S3Settings":
        """The same with what is given here, which is more explicit, in place of what it has."""
        return replace(
            self,
            endpoint=self.endpoint if endpoint is None else endpoint,
            region=self.region if region is None else region,
            path_style=self.path_style if path_style is None else path_style,
        )

    def __repr__(self) -> str:
        return (
            f"S3Settings(endpoint={self.endpoint!r}, region={self.region!r}, "
            f"signed={self.is_signed})"
        )


def settings_of(
    credentials: object = None, *, profile: str | None = None, place: str = "the credentials"
) -> S3Settings:
    """The settings for what people give as credentials.

    Args:
        credentials: Settings; a mapping with the names of environment variables; the path of a
            file of such lines; or None for the profile, or the environment where there is none.
        profile: A profile in `~/.aws`.
        place: What to call a mapping in an error.

    Raises:
        TypeError: They are of another kind.
        ValueError: Keys are missing, or both credentials and a profile are given.

    Examples:
        >>> settings_of({"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "mine"})
        S3Settings(endpoint=None, region=None, signed=True)
    """
    if credentials is not None and profile is not None:
        raise ValueError("give credentials or a profile, not both")
    if profile is not None:
        return from_profile(profile)
    if credentials is None:
        return from_mapping(os.environ, place="the environment")
    if isinstance(credentials, S3Settings):
        return credentials
    if isinstance(credentials, Mapping):
        return from_mapping(cast("Mapping[str, str]", credentials), place=place)
    if isinstance(credentials, str | Path):
        return from_file(credentials)
    raise TypeError(
        f"credentials are a dict, the path of a file, or S3Settings, "
        f"not {type(credentials).__name__}"
    )


def from_mapping(
    values: Mapping[str, str], *, place: str = "the credentials", anonymous: bool = False
) -> S3Settings:
    """Settings from the names that environment variables have; other names are passed over.

    Args:
        values: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; `AWS_ENDPOINT`
            or `AWS_ENDPOINT_URL`; `AWS_REGION` or `AWS_DEFAULT_REGION`. Empty ones are not there.
        place: What to call the mapping in an error.
        anonymous: Whether the keys may be missing, both of them.

    Raises:
        ValueError: Keys are missing.

    Examples:
        >>> from_mapping({"AWS_REGION": "eu-west-1"}, anonymous=True)
        S3Settings(endpoint=None, region='eu-west-1', signed=False)
        >>> from_mapping({"AWS_REGION": "eu-west-1"})
        Traceback (most recent call last):
        ValueError: Missing required keys in the credentials: AWS_ACCESS_KEY_ID, ...
    """
    missing = [name for name in (ACCESS_KEY, SECRET_KEY) if not values.get(name)]
    if missing and not (anonymous and len(missing) == 2):
        raise ValueError(f"Missing required keys in {place}: {', '.join(missing)}")
    return S3Settings(
        endpoint=_first(values, ENDPOINTS),
        region=_first(values, REGIONS),
        access_key=values.get(ACCESS_KEY) or None,
        secret_key=values.get(SECRET_KEY) or None,
        session_token=(values.get(SESSION_TOKEN) or None) if not missing else None,
    )


def from_env() -> S3Settings:
    """Settings from the environment; without keys there, for anonymous requests.

    Raises:
        ValueError: One of the two keys is there without the other.

    Examples:
        >>> type(from_env()).__name__
        'S3Settings'
    """
    return from_mapping(os.environ, place="the environment", anonymous=True)


def from_file(path: str | Path) -> S3Settings:
    r"""Settings from a file of lines such as `AWS_ACCESS_KEY_ID=…`, as `.env` files are.

    Lines may begin with `export`, values may stand in quotes, `#` begins a comment. Nothing in it
    is replaced or run.

    Raises:
        ValueError: Keys are missing, or a line is none of these; values are never shown.
        OSError: The file cannot be read.

    Examples:
        >>> _ = (tmp / "s3.env").write_text(
        ...     "AWS_ENDPOINT=https://s3.example.org\n"
        ...     "AWS_ACCESS_KEY_ID=me\nexport AWS_SECRET_ACCESS_KEY='mine'  # of a test\n"
        ... )
        >>> from_file(tmp / "s3.env")
        S3Settings(endpoint='https://s3.example.org', region=None, signed=True)
    """
    values = _lines(Path(path))
    missing = [name for name in (ACCESS_KEY, SECRET_KEY) if not values.get(name)]
    if not _first(values, ENDPOINTS) and not _first(values, REGIONS):
        missing.insert(0, ENDPOINTS[0])
    if missing:
        shown = printable(path, 500)
        raise ValueError(f"Missing required keys in {shown}: {', '.join(missing)}")
    return from_mapping(values, place=str(path))


def from_profile(name: str = "default") -> S3Settings:
    """Settings from a profile in `~/.aws/credentials` and `~/.aws/config`.

    `$AWS_SHARED_CREDENTIALS_FILE` and `$AWS_CONFIG_FILE` name other files. Profiles that get
    their keys from a program, a login or a role are not followed.

    Raises:
        ValueError: There is no such profile, it has no keys, or a file cannot be understood.

    Examples:
        >>> from_profile("nobody has this")
        Traceback (most recent call last):
        ValueError: Missing required keys in profile 'nobody has this': ...
    """
    config = _section("AWS_CONFIG_FILE", "config", {name, f"profile {name}"})
    found = {**config, **_section("AWS_SHARED_CREDENTIALS_FILE", "credentials", {name})}
    values = {
        ACCESS_KEY: found.get("aws_access_key_id", ""),
        SECRET_KEY: found.get("aws_secret_access_key", ""),
        SESSION_TOKEN: found.get("aws_session_token", ""),
        ENDPOINTS[0]: found.get("endpoint_url", ""),
        REGIONS[0]: found.get("region", ""),
    }
    return from_mapping(values, place=f"profile {printable(repr(name))}")


def _section(variable: str, default: str, names: set[str]) -> dict[str, str]:
    named = os.environ.get(variable)
    path = Path(named).expanduser() if named else Path.home() / ".aws" / default
    parser = configparser.ConfigParser(interpolation=None, strict=False, default_section="")
    try:
        parser.read_string(_text(path))
    except FileNotFoundError:
        return {}
    except configparser.Error:  # its message would show the lines
        raise ValueError(f"{printable(path, 500)} is no file of profiles") from None
    found: dict[str, str] = {}
    for name in sorted(names & set(parser.sections())):
        found.update(parser.items(name))
    return found


def _lines(path: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if _COMMENT.fullmatch(line):
            continue
        match = _LINE.fullmatch(line.strip())
        value = _VALUE.match(match[2]) if match else None
        if match is None or value is None or not _COMMENT.fullmatch(match[2][value.end() :]):
            shown = printable(path, 500)
            raise ValueError(f"{shown}, line {number}: not of the form NAME=value or NAME='value'")
        values[match[1]] = value[1] or value[2] or value[3] or ""
    return values


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_LONGEST_FILE + 1)
    if len(data) <= _LONGEST_FILE:
        with suppress(UnicodeDecodeError):  # it would show what the file holds
            return data.decode()
    raise ValueError(f"{printable(path, 500)} is no text of at most 1 MiB")


def _first(values: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((values[name] for name in names if values.get(name)), None)


def _check_endpoint(endpoint: object) -> None:
    if endpoint is None:
        return
    if not isinstance(endpoint, str):
        raise TypeError(f"an endpoint is a str, not {type(endpoint).__name__}")
    try:
        address = gate.check(endpoint)
    except UnsafeURLError as error:
        raise ValueError(
            f"an endpoint must be an address such as https://…: {error.reason}"
        ) from None
    if not isinstance(address, WebAddress) or address.credentials or "?" in address.target:
        raise ValueError(
            "an endpoint is an address such as https://s3.example.org, without user name and query"
        )
