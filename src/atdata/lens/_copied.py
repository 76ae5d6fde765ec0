"""Which fields of a view are fields of the sample, as they are: by its rules, or by its code.

Code is believed where it can be seen to do nothing else: its body is one `return` of the view's
class, and an argument is an attribute of the sample. Nothing is run for it.
"""

import ast
import inspect
import textwrap
from typing import Any

from atdata.lens._lens import Lens
from atdata.lens._mapped import MappedLens, dataclass_fields


def copied_fields(lens: Lens[Any, Any]) -> dict[str, str]:
    """For each field of the view that is a field of the sample, the name of that.

    Fields that are worked out are not among them, nor is what cannot be told.

    Examples:
        >>> from dataclasses import dataclass
        >>> from atdata.lens import cast, mapping
        >>> @dataclass
        ... class Photo:
        ...     title: str
        ...     width: int
        >>> @dataclass
        ... class Card:
        ...     name: str
        ...     inches: str
        >>> fields = {"name": "title", "inches": cast("width", "int->str")}
        >>> copied_fields(mapping(Photo, Card, fields))
        {'name': 'title'}
    """
    steps = getattr(lens, "steps", None)
    if isinstance(steps, tuple):
        return _through(steps)
    if isinstance(lens, MappedLens):
        return {
            rule.view_field: rule.source_field
            for rule in lens.rules
            if rule.transform is None and rule.source_field is not None
        }
    if lens.kind == "identity":
        return {f.name: f.name for f in dataclass_fields(lens.source_type)}
    return _of_code(lens)


def _through(steps: tuple[Lens[Any, Any], ...]) -> dict[str, str]:
    first, *others = [copied_fields(step) for step in steps]
    for step in others:
        first = {view: first[between] for view, between in step.items() if between in first}
    return first


def _of_code(lens: Lens[Any, Any]) -> dict[str, str]:
    get, _ = lens.functions
    if get is None or not inspect.isfunction(get):
        return {}
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(get)))
    except (OSError, TypeError, SyntaxError, RecursionError):
        return {}
    call = _returned(tree.body[0]) if len(tree.body) == 1 else None
    names = list(inspect.signature(get).parameters)
    if call is None or len(names) != 1 or _value_of(call.func, get) is not lens.view_type:
        return {}
    wanted = [f.name for f in dataclass_fields(lens.view_type) if f.init and not f.kw_only]
    has = {f.name for f in dataclass_fields(lens.source_type)}
    given: list[tuple[str | None, ast.expr]] = [*zip(wanted, call.args, strict=False)]
    given += [(one.arg, one.value) for one in call.keywords]
    if len(call.args) > len(wanted) or any(isinstance(one, ast.Starred) for one in call.args):
        return {}
    if not _is_what_runs(_bare(tree), get):
        return {}
    return {
        name: value.attr
        for name, value in given
        if name is not None
        and isinstance(value, ast.Attribute)
        and isinstance(value.value, ast.Name)
        and value.value.id == names[0]
        and value.attr in has
    }


def _returned(function: ast.stmt) -> ast.Call | None:
    """The call whose result a function gives, if it does nothing else."""
    if not isinstance(function, ast.FunctionDef):
        return None
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]  # what it says of itself
    if len(body) != 1 or not isinstance(body[0], ast.Return):
        return None
    return body[0].value if isinstance(body[0].value, ast.Call) else None


def _is_what_runs(tree: ast.Module, function: Any) -> bool:
    """Whether the source is that of the function, and was not edited since."""
    runs = function.__code__
    written = [
        one for one in compile(tree, "<lens>", "exec").co_consts if hasattr(one, "co_names")
    ]
    if not written:
        return False
    code = written[0]
    names = tuple(name for name in code.co_names if name not in runs.co_freevars)
    return (names, code.co_consts, code.co_varnames) == (
        runs.co_names, runs.co_consts, runs.co_varnames
    )  # fmt: skip


def _bare(tree: ast.Module) -> ast.Module:
    """A function without decorators and annotations, which are not of its code."""
    for one in ast.walk(tree):
        if isinstance(one, ast.FunctionDef):
            one.decorator_list = []
            one.returns = None
        elif isinstance(one, ast.arg):
            one.annotation = None
    return tree


def _value_of(name: ast.expr, function: Any) -> object:
    """What a plain name stands for in a function; None where that cannot be told."""
    if not isinstance(name, ast.Name):
        return None
    around = inspect.getclosurevars(function)
    return around.nonlocals.get(name.id, around.globals.get(name.id))
