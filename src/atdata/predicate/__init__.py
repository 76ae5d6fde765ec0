"""Questions about samples: expressions over their fields, true of some and not of others.

::

    from atdata.predicate import F

    p = (F.score > 0.9) & F.label.isin(["cat", "dog"])
    p.test(sample)                  # one sample, `rows.py`: what all others must agree with
    p.mask(columns)                 # many rows at once, `columns.py`
    p.verdict(facts)                # a whole shard, by what is known of it, `bounds.py`
    p.to_sql(), str(p), p.to_json()

A `Predicate` holds `nodes`, which are plain values. `Field` makes them of operators, `parse` of
text, and `check` sees whether they fit a sample type.
"""

from atdata.predicate.check import check
from atdata.predicate.facts import FieldFacts
from atdata.predicate.field import F, Field, col, predicate_of
from atdata.predicate.fields import Fields, fields_of
from atdata.predicate.parse import parse
from atdata.predicate.predicate import Predicate
from atdata.predicate.values import NotPlainError, get_path, plain

__all__ = [
    "F",
    "Field",
    "FieldFacts",
    "Fields",
    "NotPlainError",
    "Predicate",
    "check",
    "col",
    "fields_of",
    "get_path",
    "parse",
    "plain",
    "predicate_of",
]
