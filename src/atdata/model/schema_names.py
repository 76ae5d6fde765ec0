"""What the types and fields of a schema may be called.

Names come from records of unknown origin and become attributes, parameters and generated text, so
each is looked at here, once.
"""

import keyword
import unicodedata

LONGEST_NAME = 128
"""Most characters of a name."""

SAMPLE_MEMBERS = frozenset(("from_data", "from_bytes", "packed", "as_wds", "_ensure_good"))
"""What samples have already."""

_RIGHT_TO_LEFT = frozenset(("R", "AL", "RLE", "RLO", "RLI"))


def name_flaw(name: object) -> str:
    """Say why something cannot be the name of a type, a field or an enum's member; `""` if it can.

    Examples:
        >>> name_flaw("label"), name_flaw("class"), name_flaw("a b")
        ('', 'a keyword of Python', 'no identifier')
    """
    if not isinstance(name, str):
        return f"{type(name).__name__}, and no text"
    if len(name) > LONGEST_NAME:
        return f"{len(name)} characters, and at most {LONGEST_NAME} are allowed"
    if not name.isidentifier():
        return "no identifier"
    if keyword.iskeyword(name):
        return "a keyword of Python"
    if name.startswith("__"):
        return "a name with two leading underscores, which Python keeps for itself"
    if not name.isascii():
        if unicodedata.normalize("NFKC", name) != name:
            return "not in the form NFKC that Python reads names in"
        if any(unicodedata.bidirectional(c) in _RIGHT_TO_LEFT for c in name):
            return "written from right to left, which turns the text around it"
    return ""


def field_flaw(name: object) -> str:
    """Say why something cannot be the name of a sample's field; `""` if it can.

    Examples:
        >>> field_flaw("packed")
        'a name that samples use'
    """
    flaw = name_flaw(name)
    if not flaw and (name in SAMPLE_MEMBERS or name == "self"):
        return "a name that samples use"
    return flaw


def member_flaw(name: object) -> str:
    """Say why something cannot be the name of an enum's member; `""` if it can.

    Examples:
        >>> member_flaw("RED"), member_flaw("_order_")
        ('', 'a name that enums use')
    """
    flaw = name_flaw(name)
    if not flaw and (name == "mro" or (str(name).startswith("_") and str(name).endswith("_"))):
        return "a name that enums use"
    return flaw
