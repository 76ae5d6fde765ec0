"""Which fields of a view are fields of the sample, as they are: by its rules, or by its code.

Code is believed where it can be seen to do nothing else: its body is one `return` of the view's
class, and an argument is an attribute of the sample. Nothing is run for it.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any

from atdata._type_utils import bare, field_types, union_members
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
    has = {f.name: f.type for f in dataclass_fields(lens.source_type)}
    if not _is_read_only(call, names[0], has) or not _is_what_runs(tree, get):
        return {}
    wanted = [f.name for f in dataclass_fields(lens.view_type) if f.init and not f.kw_only]
    given: list[tuple[str | None, ast.expr]] = [*zip(wanted, call.args, strict=False)]
    given += [(one.arg, one.value) for one in call.keywords]
    if len(call.args) > len(wanted) or any(isinstance(one, ast.Starred) for one in call.args):
        return {}
    calls = any(isinstance(one, ast.Call) for one in ast.walk(call) if one is not call)
    hints = dict(_types(lens.source_type))
    return {
        name: value.attr
        for name, value in given
        if name is not None
        and isinstance(value, ast.Attribute)
        and isinstance(value.value, ast.Name)
        and value.value.id == names[0]
        # What is called may change a list that it is given.
        and not (calls and not _is_constant(hints.get(value.attr)))
    }


_CONSTANT = (bool, int, float, str, bytes, type(None))


def _types(kind: Any) -> Iterator[tuple[str, object]]:
    for field, annotation in field_types(kind):
        yield field.name, annotation


def _is_constant(annotation: object) -> bool:
    """Whether values of a type cannot be changed in place."""
    kind, _ = bare(annotation)
    members = union_members(kind) or (kind,)
    return all(bare(member)[0] in _CONSTANT for member in members)


def _is_read_only(call: ast.Call, name: str, has: Mapping[str, object]) -> bool:
    """Whether all that is done with the sample is to read its fields."""
    if any(isinstance(one, _SCOPES) for one in ast.walk(call)):
        return False
    read = [
        one.value
        for one in ast.walk(call)
        if isinstance(one, ast.Attribute)
        and isinstance(one.value, ast.Name)
        and one.value.id == name
        and one.attr in has
    ]
    mentioned = [one for one in ast.walk(call) if isinstance(one, ast.Name) and one.id == name]
    return len(read) == len(mentioned)


_SCOPES = (
    ast.NamedExpr, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
    ast.Await, ast.Yield, ast.YieldFrom,
)  # fmt: skip


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
    inner = tree.body[0]
    if not isinstance(inner, ast.FunctionDef):
        return False
    inner.decorator_list, inner.returns = [], None
    for one in ast.walk(inner.args):
        if isinstance(one, ast.arg):
            one.annotation = None
    # Names that come from around it have to come from around it here, too.
    around = [
        ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None)) for name in runs.co_freevars
    ]
    outer = ast.parse("def around(): pass").body[0]
    assert isinstance(outer, ast.FunctionDef)
    outer.body = [*around, inner]
    module = ast.fix_missing_locations(ast.Module([outer], []))
    code = _inner(_inner(compile(module, "<lens>", "exec"), "around"), inner.name)
    return code is not None and all(
        getattr(code, part) == getattr(runs, part)
        for part in ("co_code", "co_names", "co_consts", "co_varnames", "co_freevars")
    )


def _inner(code: CodeType | None, name: str) -> CodeType | None:
    constants: tuple[object, ...] = () if code is None else code.co_consts
    found = (one for one in constants if isinstance(one, CodeType) and one.co_name == name)
    return next(found, None)


def _value_of(name: ast.expr, function: Any) -> object:
    """What a plain name stands for in a function; None where that cannot be told."""
    if not isinstance(name, ast.Name):
        return None
    around = inspect.getclosurevars(function)
    return around.nonlocals.get(name.id, around.globals.get(name.id))
