"""Where what a dataset gives lies in its shards: through stages, as far as they copy fields."""

from collections.abc import Sequence
from typing import Any

from atdata.lens import Lens
from atdata.lens._copied import copied_fields
from atdata.pipeline.stages import Filter, Only, Stage, View
from atdata.predicate import Predicate
from atdata.sample.holding import holds_what_it_is_given


def beneath(stages: Sequence[Stage], predicate: Predicate) -> Predicate | None:
    """The question that has to be asked before some stages; None where one stands in the way."""
    for stage in reversed(stages):
        names = _copied(stage, predicate.fields)
        if names is None:
            return None
        predicate = predicate.renamed(names)
    return predicate


def stored_path(stages: Sequence[Stage], path: str) -> str | None:
    """Under which path a field lies before some stages; None if one of them works it out."""
    for stage in reversed(stages):
        names = _copied(stage, [path])
        if names is None:
            return None
        head, dot, rest = path.partition(".")
        path = f"{names.get(head, head)}{dot}{rest}"
    return path


def _copied(stage: Stage, paths: Sequence[str] | frozenset[str]) -> dict[str, str] | None:
    """What fields are called before a stage; None if it does not copy all of them."""
    match stage:
        case Filter():
            return {}
        case Only(paths=kept):
            return {} if all(path in kept for path in paths) else None
        case View(lens=lens):
            names = _of_lens(lens)
            return names if all(path.split(".")[0] in names for path in paths) else None
        case _:
            return None


def _of_lens(lens: Lens[Any, Any]) -> dict[str, str]:
    """The fields of a view that are fields of the sample, whatever its class does."""
    steps: Sequence[Lens[Any, Any]] = getattr(lens, "steps", (lens,))
    if not all(holds_what_it_is_given(step.view_type) for step in steps):
        return {}
    return copied_fields(lens)
