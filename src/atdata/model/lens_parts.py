"""What a lens record is made of: where a view's fields come from, or which function reads it.

Everything here is data. A field comes from a field of the source, as it is or by a transform from
a short list, of which each is exact, refuses what it cannot keep, or says what it loses.
"""

import keyword
import math
from dataclasses import dataclass
from typing import Literal, get_args

type CastName = Literal[
    "bool->int",
    "int->bool",
    "int->float",
    "float->int",
    "int->str",
    "str->int",
    "float->str",
    "str->float",
    "str->bytes",
    "bytes->str",
]
type DtypeName = Literal[
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
]
type Scalar = bool | int | float | str | None

CASTS: tuple[str, ...] = get_args(CastName.__value__)
DTYPES: tuple[str, ...] = get_args(DtypeName.__value__)
MOST_FIELDS = 4096
LONGEST_TEXT = 10_000
_LONGEST_IDENTIFIER = 200
_LONGEST_PATH = 500


class UnfitError(ValueError):
    """A part of a lens record cannot be what it was given as; holds what is wanted and found."""

    def __init__(self, wanted: str, found: str) -> None:
        super().__init__(wanted, found)
        self.wanted = wanted
        self.found = found

    def __str__(self) -> str:
        """Both, in one line."""
        return f"wanted {self.wanted}; found {self.found}"


def shown(value: object) -> str:
    """A value of any kind and size, short enough for a message.

    Examples:
        >>> shown("a" * 99), shown([1]), shown(10**100)
        ("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'… (99 characters)", 'a list', 'a large int')
    """
    if type(value) is str:
        return ascii(value) if len(value) <= 40 else f"{value[:40]!a}… ({len(value)} characters)"
    if type(value) is int and value.bit_length() > 64:
        return "a large int"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    return f"a {type(value).__name__[:40]}"


@dataclass(frozen=True, slots=True)
class Cast:
    """A value of one plain type as another, and back.

    Both ways are exact: what would not come back as it was, such as `0.5` as `int` or `"07"` as
    `int`, is refused. None stays None.

    Args:
        cast: Both types, such as `"int->float"`.

    Examples:
        >>> Cast("int->float").inverse
        'float->int'
    """

    cast: CastName

    def __post_init__(self) -> None:
        _require(self.cast in CASTS, f"one of {', '.join(CASTS)}", self.cast)

    @property
    def inverse(self) -> str:
        """The way back."""
        return "->".join(reversed(self.cast.split("->")))


@dataclass(frozen=True, slots=True)
class AsType:
    """An array with elements of another dtype; written back in the dtype of the sample's array.

    Args:
        dtype: The dtype of the view's array.
        lossy: False refuses an array of which an element would change. True rounds and wraps as
            numpy does; a field that was not changed is then written back as it was.
    """

    dtype: DtypeName
    lossy: bool = False

    def __post_init__(self) -> None:
        _require(self.dtype in DTYPES, f"one of {', '.join(DTYPES)}", self.dtype)
        _require(type(self.lossy) is bool, "true or false", self.lossy)


@dataclass(frozen=True, slots=True)
class Default:
    """A value in place of None. It loses which of both it was, unless the field is unchanged.

    Args:
        value: The value: text, a number, True or False.
    """

    value: bool | int | float | str

    def __post_init__(self) -> None:
        _check_scalar(self.value, "text, a number, true or false")


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in every view. Another one cannot be written back, and is refused.

    Args:
        value: The value: text, a number, True, False or None.
    """

    value: Scalar

    def __post_init__(self) -> None:
        _check_scalar(self.value)


@dataclass(frozen=True, slots=True)
class Unwrap:
    """A value that may be None as one that may not be; None is refused."""


type Transform = Cast | AsType | Default | Constant | Unwrap


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Where a field of the view comes from, and goes back to.

    Args:
        view_field: The view's field.
        source_field: The source's field; None for a constant.
        transform: What happens to the value on the way; None leaves it as it is.
    """

    view_field: str
    source_field: str | None
    transform: Transform | None = None


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """A lens that is data: its rules, one for each field of the view that is not at its default.

    Args:
        mappings: The rules.
    """

    mappings: tuple[FieldRule, ...]

    def __post_init__(self) -> None:
        n = len(self.mappings)
        _require(n <= MOST_FIELDS, f"at most {MOST_FIELDS} rules", n)


@dataclass(frozen=True, slots=True)
class CodeReference:
    """A lens that is code, by its name and by the text it had when it was stored.

    Args:
        module: The module it is defined in.
        qualname: Its name there.
        source_sha256: SHA-256 of its source text as 64 hex digits; None in records of old.
    """

    module: str
    qualname: str
    source_sha256: str | None = None

    def __post_init__(self) -> None:
        check_dotted(self.module)
        check_dotted(self.qualname)
        digest = self.source_sha256
        is_digest = type(digest) is str and len(digest) == 64 and set(digest) <= _HEX
        _require(digest is None or is_digest, "64 hex digits", digest)


@dataclass(frozen=True, slots=True)
class Opaque:
    """A lens that is neither data nor code with a name: it can be told of, not loaded."""


type Descriptor = FieldMapping | CodeReference | Opaque

_HEX = frozenset("0123456789abcdef")


def check_identifier(name: object) -> str:
    """Check the name of a field, or a step of a dotted name.

    Raises:
        UnfitError: It is no identifier, a keyword, or begins with two underscores.

    Examples:
        >>> check_identifier("title")
        'title'
    """
    fits = (
        type(name) is str
        and len(name) <= _LONGEST_IDENTIFIER
        and name.isidentifier()
        and not keyword.iskeyword(name)
        and not name.startswith("__")
    )
    _require(fits, "an identifier that is no keyword and does not begin with __", name)
    return str(name)


def check_dotted(name: object) -> str:
    """Check identifiers with dots between them, such as a module's name.

    Raises:
        UnfitError: They are not.

    Examples:
        >>> check_dotted("lab.lenses")
        'lab.lenses'
    """
    wanted = "identifiers with dots between, none of them a keyword or begun with __"
    if type(name) is not str or len(name) > _LONGEST_PATH:
        raise UnfitError(wanted, shown(name))
    try:
        for step in name.split("."):
            check_identifier(step)
    except UnfitError:
        raise UnfitError(wanted, shown(name)) from None
    return name


def check_text(value: object, longest: int = LONGEST_TEXT) -> str:
    """Check a text: its kind, its length, and that it is valid Unicode.

    Raises:
        UnfitError: It is none.

    Examples:
        >>> check_text("sea")
        'sea'
    """
    if type(value) is not str or len(value) > longest:
        raise UnfitError(f"text of at most {longest} characters", shown(value))
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnfitError("valid Unicode text", shown(value)) from None
    return value


def _check_scalar(value: object, wanted: str = "") -> None:
    """Check a value that a record holds: what JSON and every provider give back as it was."""
    if type(value) is str:
        check_text(value)
    elif type(value) is int:
        _require(-(2**63) <= value < 2**64, "an int of at most 64 bits", value)
    elif type(value) is float:
        _require(math.isfinite(value), "a finite number", value)
    else:
        fits = type(value) is bool or (value is None and not wanted)
        _require(fits, wanted or "text, a number, true, false or null", value)


def _require(holds: bool, wanted: str, found: object) -> None:
    if not holds:
        raise UnfitError(wanted, shown(found))
