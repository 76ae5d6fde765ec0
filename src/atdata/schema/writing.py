"""Pieces of Python text that are safe whatever a schema says: names, values, docstrings.

A piece is a checked identifier, a literal that `repr` wrote, or put together from these.
"""

import inspect
from collections.abc import Collection
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID


class Names:
    """The names of a module: which are taken, and what has to be imported under which name."""

    def __init__(self, taken: Collection[str]) -> None:
        self._taken = set(taken)
        self._known: dict[tuple[str, str], str] = {}

    def of(self, module: str, name: str) -> str:
        """What a name of another module is called here; `("numpy", "")` is the module itself.

        Examples:
            >>> names = Names({"Any", "int"})
            >>> names.of("typing", "Any"), names.of("builtins", "int"), names.of("builtins", "str")
            ('Any_', 'int_', 'str')
        """
        key = (module, name)
        if key not in self._known:
            alias = name or {"numpy": "np"}.get(module, module)
            while alias in self._taken:
                alias += "_"
            self._taken.add(alias)
            self._known[key] = alias
        return self._known[key]

    def fresh(self, name: str) -> str:
        """A name that nothing else has."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def imports(self) -> list[str]:
        """The lines that import what was asked for, in groups as formatters want them."""
        groups: dict[bool, list[tuple[tuple[int, str], str]]] = {False: [], True: []}
        for module in sorted({module for module, _ in self._known}):
            names = sorted(
                (name, alias) for (home, name), alias in self._known.items() if home == module
            )
            other = module.partition(".")[0] in ("numpy", "ml_dtypes", "atdata")
            plain = [alias for name, alias in names if not name]
            if plain:
                said = f"import {module}" + (f" as {plain[0]}" if plain[0] != module else "")
                groups[other].append(((0, module), said))
            parts = [
                name if name == alias else f"{name} as {alias}"
                for name, alias in names
                if name and not (module == "builtins" and name == alias)
            ]
            if parts:
                groups[other].append(((1, module), f"from {module} import {', '.join(parts)}"))
        texts = [[line for _, line in sorted(group)] for group in groups.values() if group]
        return [line for i, group in enumerate(texts) for line in ([""] * bool(i) + group)]


def docstring(text: str, indent: str) -> str:
    """A docstring that reads back as this text.

    Examples:
        >>> docstring("A digit.", "    ")
        '    \"\"\"A digit.\"\"\"'
    """
    plain = all(c.isprintable() or c == "\n" for c in text)
    if plain and '"""' not in text and "\\" not in text and not text.endswith('"'):
        lines = text.split("\n")
        first = lines[0] if lines[0] == lines[0].lstrip() else f"\n{indent}{lines[0]}"
        rest = [f"{indent}{line}" if line else "" for line in lines[1:]]
        body = "\n".join([first, *rest]) + (f"\n{indent}" if rest else "")
        if inspect.cleandoc(body) == text:
            return f'{indent}"""{body}"""'
    return f"{indent}{literal('\n' + text)}"


def literal(value: str | bytes | int | None) -> str:
    """A literal, with double quotes where that is as simple.

    Examples:
        >>> print(literal("a"), literal('"'), literal(b"a"), literal(None))
        "a" '"' b"a" None
    """
    text = repr(value)
    if text.endswith("'") and '"' not in text and "\\'" not in text:
        return text.replace("'", '"')
    return text


def value_text(value: Any, names: Names, classes: dict[type[Any], str]) -> str:
    """An expression that gives a default's value.

    Args:
        value: The value.
        names: What its classes are called is noted here.
        classes: What the schema's own classes are called.

    Examples:
        >>> value_text([1, float("nan"), timedelta(1)], Names(()), {})
        '[1, float("nan"), timedelta(days=1, seconds=0, microseconds=0)]'
    """

    def said(inner: Any) -> str:
        return value_text(inner, names, classes)

    def call(module: str, name: str, *arguments: str) -> str:
        return f"{names.of(module, name)}({', '.join(arguments)})"

    kind = type(value)
    if kind in classes:
        return _own(value, classes[kind], said)
    if value is None or kind in (bool, int, str, bytes):
        return literal(value)
    if kind is float:
        return (
            repr(value) if value - value == 0 else call("builtins", "float", literal(repr(value)))
        )
    if kind is complex:
        return call("builtins", "complex", said(value.real), said(value.imag))
    if kind is bytearray:
        return call("builtins", "bytearray", literal(bytes(value)))
    if kind is list:
        return f"[{', '.join(map(said, value))}]"
    if kind is tuple:
        return f"({', '.join(map(said, value))}{',' * (len(value) == 1)})"
    if kind in (set, frozenset):
        return call("builtins", kind.__name__, f"[{', '.join(sorted(map(said, value)))}]")
    if kind is dict:
        return f"{{{', '.join(f'{said(k)}: {said(v)}' for k, v in value.items())}}}"
    if kind in (datetime, date, time):
        return f"{names.of('datetime', kind.__name__)}.fromisoformat({literal(value.isoformat())})"
    if kind is timedelta:
        parts = ("days", "seconds", "microseconds")
        return call("datetime", "timedelta", *(f"{p}={getattr(value, p)}" for p in parts))
    if kind is UUID:
        return call("uuid", "UUID", literal(str(value)))
    if kind is Decimal:
        return call("decimal", "Decimal", literal(str(value)))
    if isinstance(value, PurePath):
        name = "Path" if kind.__name__ in ("PosixPath", "WindowsPath") else kind.__name__
        return call("pathlib", name, literal(str(value)))
    return _numpy(value, names, said)


def _own(value: Any, name: str, said: Any) -> str:
    if isinstance(value, Enum):
        known = value.name in type(value).__members__  # and not several flags in one
        return f"{name}.{value.name}" if known else f"{name}({literal(value.value)})"
    if is_dataclass(value):
        given = [f"{f.name}={said(getattr(value, f.name))}" for f in fields(value)]
        return f"{name}({', '.join(given)})"
    return f"{name}({', '.join(map(said, value))})"


def _numpy(value: Any, names: Names, said: Any) -> str:
    kind = type(value).__name__
    module = "ml_dtypes" if type(value).__module__ != "numpy" else "numpy"
    name = names.of(module, kind) if module == "ml_dtypes" else f"{names.of('numpy', '')}.{kind}"
    if kind in ("datetime64", "timedelta64"):
        unit = value.dtype.str.partition("[")[2].rstrip("]")
        return f"{name}({int(value.astype('i8'))}, {literal(unit or 'generic')})"
    return f"{name}({said(value.item() if module == 'numpy' else float(value))})"
