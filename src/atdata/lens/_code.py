"""Lenses that are code: known by name and by the digest of their text, loaded where allowed."""

import inspect
import sys
from collections.abc import Collection
from hashlib import sha256
from importlib import import_module
from types import ModuleType
from typing import Any

from atdata._exceptions import LensRecordError
from atdata.lens._lens import Lens
from atdata.model.lens import LensRecord
from atdata.model.lens_parts import CodeReference, UnfitError, check_dotted

type _AnyLens = Lens[Any, Any]


def check_allowed(allowed: Collection[str]) -> list[str]:
    """Check the names of modules whose code may be loaded.

    Raises:
        TypeError: They are one text.
        ValueError: One is no name of a module.

    Examples:
        >>> check_allowed(["lab.lenses", "lab.views.*"])
        ['lab.lenses', 'lab.views.*']
    """
    if isinstance(allowed, str):
        raise TypeError(f"allowed_modules is a list of modules, such as [{allowed!r}]")
    for pattern in allowed:
        try:
            check_dotted(pattern.removesuffix(".*"))
        except UnfitError:
            raise ValueError(
                f"{pattern!a} in allowed_modules is no module\n"
                "  Write 'lab.lenses' for one module, or 'lab.*' for all beneath it."
            ) from None
    return list(allowed)


def _covers(pattern: str, module: str) -> bool:
    package = pattern.removesuffix(".*")
    return module == pattern if package == pattern else module.startswith(f"{package}.")


def references(lens: _AnyLens) -> tuple[CodeReference, CodeReference | None] | None:
    """The lens's getter and putter as names and digests, the putter's None if it has none.

    Returns:
        Both; or None, if the lens is no variable of a module, or made of functions without names.

    Examples:
        >>> references(Lens(lambda s: s)) is None
        True
    """
    if type(lens) is not Lens:
        return None
    getter, putter = lens.functions
    module = sys.modules.get(getattr(getter, "__module__", None) or "")
    name = None if module is None else _name_in(module, lens)
    if module is None or name is None:
        return None
    read, written = _reference(getter), None if putter is None else _reference(putter)
    if read is None or (written is None and putter is not None):
        return None
    return CodeReference(read.module, name, read.source_sha256), written


def _name_in(module: ModuleType, lens: _AnyLens) -> str | None:
    """What a module calls a lens: the name of its function, or of a variable."""
    name = str(getattr(lens, "__qualname__", ""))
    if _at(module, name) is lens:
        return name
    names = [name for name, value in list(vars(module).items()) if value is lens]
    return next((name for name in names if not name.startswith("__")), None)


def _reference(function: Any) -> CodeReference | None:
    """A function by name and digest; None if it has no name in a module, or no source text."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    try:
        text = inspect.getsource(function)
        return CodeReference(str(module), str(name), _digest(text))
    except (OSError, TypeError, UnfitError):  # `<lambda>`, `<locals>` and `__main__` are no names
        return None


def _digest(source: str) -> str:
    """SHA-256 of a function's text, however far it is indented and however its lines end."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    margin = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    return sha256("\n".join(line.removeprefix(margin) for line in lines).encode()).hexdigest()


def load(record: LensRecord, getter: CodeReference, allowed: Collection[str]) -> _AnyLens:
    """Import the lens that a record names, if its module is allowed and its text is the same.

    Raises:
        LensRecordError: It is not allowed, not there, no lens, or not what it was.
    """
    module = getter.module
    if not any(_covers(pattern, module) for pattern in allowed):
        raise LensRecordError(
            str(record),
            "getter.module",
            f"an allowed module: {', '.join(allowed) or 'none is allowed'}",
            f"module {module}",
            f"If you trust that code, allow it: allowed_modules=[{module!r}]",
        )
    if getter.source_sha256 is None:
        raise LensRecordError(
            str(record),
            "getter.source_sha256",
            "the digest of the code that was stored",
            "none",
            "The code may have changed since. Look at it, and store the lens again.",
        )
    try:
        found = _at(import_module(module), getter.qualname)
    except Exception as error:  # the module's own code runs here
        why = f"{type(error).__name__}: {error}"
        raise LensRecordError(
            str(record), "getter.module", f"module {module} to be imported", why
        ) from error
    # A subclass may do something else than its functions.
    if type(found) is not Lens or not _is_from(found, module):
        raise LensRecordError(
            str(record),
            "getter.qualname",
            f"an atdata.Lens that is defined in {module} itself",
            f"{type(found).__name__} {getter.qualname}" if found is not None else "no such name",
        )
    lens: _AnyLens = found  # pyright: ignore[reportUnknownVariableType]
    _check_digests(record, getter, lens)
    return lens


def _check_digests(record: LensRecord, getter: CodeReference, lens: _AnyLens) -> None:
    """LensRecordError if the lens's functions are not, to the letter, those that were stored."""
    read, write = lens.functions
    for part, kept, function in (("getter", getter, read), ("putter", record.putter, write)):
        here = None if function is None else _reference(function)
        wanted = kept.source_sha256 if isinstance(kept, CodeReference) else None
        found = None if here is None else here.source_sha256
        is_none = kept is None and function is None
        if not is_none and (wanted is None or wanted != found):
            raise LensRecordError(
                str(record),
                f"{part}.source_sha256",
                f"{wanted or 'none'}, as stored",
                f"{found or 'none'}, here",
                f"The code of {getter.module}.{getter.qualname} is not what it was. Install the "
                "version that was stored, or look at this one and store the lens again.",
            )


def _is_from(lens: _AnyLens, module: str) -> bool:
    return getattr(lens.functions[0], "__module__", None) == module


def _at(module: ModuleType, qualname: str) -> object:
    """What a module has under a dotted name, without running anything of what is met."""
    found: object = module
    for step in qualname.split("."):
        if not isinstance(found, ModuleType if found is module else type):
            return None
        found = vars(found).get(step)
    return found
