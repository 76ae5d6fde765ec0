"""What is done to samples, in few words: for people, and to tell one reading from another."""

import sys
from typing import Any

from atdata._exceptions import printable
from atdata.pipeline.chain import Chain, Part
from atdata.pipeline.stages import Filter, Map, Only, Stage, View, ViewAs, Window


def stage_names(chain: Chain) -> list[str]:
    """Each stage of a chain in a few words."""
    names: list[str] = []
    if chain.mixture is not None:
        shares = ", ".join(f"{weight:g}" for weight in chain.mixture.weights[-1][1])
        names.append(f"mix({shares})")
    elif len(chain.parts) > 1:
        names.append(f"concat({len(chain.parts)} parts)")
    else:
        part = next(iter(chain.parts))
        if isinstance(part, Chain):
            names += stage_names(part)
        else:
            names += _rows(part) + _words(part) + [_stage_name(stage) for stage in part.stages]
    if chain.repeats != 1:
        names.append(f"repeat({chain.repeats})")
    return names + [_stage_name(stage) for stage in chain.tail]


def reading(chain: Chain) -> str:
    """All that a chain reads and does, part by part, as the state of a reading records it."""
    parts = [
        reading(part)
        if isinstance(part, Chain)
        else ".".join(
            [_function_name(part.stored_type), *_words(part), *map(_stage_name, part.stages)]
        )
        for part in chain.parts
    ]
    repeat = [f"repeat({chain.repeats})"] if chain.repeats != 1 else []
    mixture = chain.mixture
    mixed = [] if mixture is None else [f"mix({mixture.stop}, {mixture.seed})"]
    inner = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
    return ".".join([inner, *mixed, *repeat, *map(_stage_name, chain.tail)])


def _rows(part: Part) -> list[str]:
    rows = part.rows
    if rows is None:
        return []
    return _window(rows.start, len(rows) if rows.stop < sys.maxsize else None)


def _words(part: Part) -> list[str]:
    return [] if part.choice is None else [printable(one, 300) for one in part.choice.words]


def _window(skip: int, take: int | None) -> list[str]:
    found = [f"skip({skip})"] if skip or take is None else []
    return found if take is None else [*found, f"take({take})"]


def _stage_name(stage: Stage) -> str:
    match stage:
        case Filter(predicate=function):
            return f"filter({_function_name(function)})"
        case Map(function=function):
            return f"map({_function_name(function)})"
        case View(lens=lens):
            return f"as_type({_function_name(lens.view_type)})"
        case ViewAs(view_type=kind):
            return f"as_type({_function_name(kind)})"
        case Only(paths=paths):
            return f"select({', '.join(printable(path, 60) for path in paths)})"
        case Window(skip=skip, take=take):
            return ".".join(_window(skip, take))
        case _:
            return type(stage).__name__


def _function_name(function: Any) -> str:
    return printable(getattr(function, "__name__", type(function).__name__), 60)
