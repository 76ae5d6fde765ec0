"""From a question about what a dataset gives to one about what its shards hold.

A question goes past filters, and through lenses as far as they copy fields. Where something else
stands in the way it is asked of the samples, once they are decoded.
"""

from dataclasses import replace

from atdata.pipeline.believing import may_be_known
from atdata.pipeline.chain import Chain, Part
from atdata.pipeline.chosen import Missing
from atdata.pipeline.paths import beneath
from atdata.pipeline.selection import Passing, Selection, Step, Where
from atdata.predicate import Predicate


def with_where(chain: Chain, predicate: Predicate, missing: Missing) -> Chain | None:
    """A chain that reads only the samples of which a predicate is true.

    Returns:
        None if that cannot be known before samples are decoded.
    """
    asked = beneath(chain.tail, predicate)
    if chain.mixture is not None or asked is None:
        return None
    parts: list[Part | Chain] = []
    for part in chain.parts:
        pushed = (
            with_where(part, asked, missing)
            if isinstance(part, Chain)
            else _of_part(part, asked, missing)
        )
        if pushed is None:
            return None
        parts.append(pushed)
    return replace(chain, parts=tuple(parts))


def _of_part(part: Part, predicate: Predicate, missing: Missing) -> Part | None:
    asked = beneath(part.stages, predicate)
    if asked is None or not all(may_be_known(part.stored_type, path) for path in asked.fields):
        return None
    return with_step(part, Where(asked), missing)


def with_step(part: Part, step: Step, missing: Missing | None = None) -> Part:
    """A part of which one step more is chosen, by what is stored."""
    choice = selection_of(part).then(step, missing)
    return replace(part, rows=None, choice=choice)


def selection_of(part: Part) -> Selection:
    """What is chosen of a part so far."""
    if isinstance(part.choice, Selection):
        return part.choice
    return Selection(replace(part, stages=(), choice=None))


def settled(part: Part) -> Part:
    """A part whose samples can be counted: what filters leave is found out with what is chosen."""
    if all(stage.keeps_count for stage in part.stages):
        return part
    return with_step(part, Passing(part.stages))
