"""One column of a manifest that is being built: its rows until they are written, and its facts."""

from typing import Any

import numpy as np
import pyarrow as pa

from atdata._typing import Int64Array
from atdata.manifest.document import BloomPart, FieldPart
from atdata.manifest.fields import AggregateKind, FieldSpec
from atdata.manifest.kinds import INT_TYPES, arrow_type, is_list, item_kind, list_of, to_json
from atdata.manifest.pieces import NotAColumnError, Piece, joined, nothing
from atdata.manifest.tally import Extent, Tally

LONG_TEXT = 128
"""Text is long if the first samples' have more bytes than this on average."""

_LOOKED_AT = 1024
_SUMMED = 256
"""More values than this are listed once, with what is known of the field."""

_OPEN = ("", "list[]")
"""Kinds of what is None, or an empty list, so far."""


class Column:
    """One field of the samples of a shard.

    Args:
        spec: What is known of it beforehand.

    Attributes:
        kind: What it holds, as far as that has shown.
        reason: Why it is no column; empty as long as it is one.
        is_long: It holds long text, of which only some facts are kept.
    """

    def __init__(self, spec: FieldSpec) -> None:
        self.spec = spec
        self.kind = ""
        self.reason = ""
        self.is_long = False
        self._pieces: list[Piece] = []
        self._last: Piece | None = None
        self._early: list[Extent] = []
        self._tally: Tally | None = None
        self._types: set[Any] = set()
        self._n_seen = 0
        self._n_text = 0

    def begin_late(self, groups: list[int], n_buffered: int) -> None:
        """Say that it was None in all rows so far: those of some row groups, and some more."""
        self._early = [Extent(n) for n in groups]
        self._n_seen = sum(groups) + n_buffered
        if n_buffered:
            self._pieces.append(nothing(n_buffered))

    def leave_out(self, reason: str) -> None:
        """Give it up."""
        self.reason = reason
        self._pieces, self._last, self._tally = [], None, None

    def take(self, piece: Piece) -> None:
        """Take the values of some more samples.

        Raises:
            NotAColumnError: They are of another kind than those before.
        """
        if self.kind in _OPEN or piece.kind in _OPEN:
            known = {self.kind, piece.kind} - {""}
            if "list[]" in known and all(map(is_list, known)):
                known = known - {"list[]"} or known
            if len(known) > 1:
                raise _mixed(self.kind, piece.kind)
            self.kind = known.pop() if known else ""
        elif piece.kind != self.kind:
            raise _mixed(self.kind, piece.kind)
        self._last = piece
        if self.is_long:
            self._known().add(_texts(piece))
            return
        self._pieces.append(piece)
        if self._n_seen < _LOOKED_AT and not self.spec.is_explicit:
            self._n_text += _text_bytes(piece, _LOOKED_AT - self._n_seen)
            self._n_seen += len(piece)
            if self._n_text > LONG_TEXT * _LOOKED_AT:
                self._become_long()

    def weigh(self, weights: Int64Array) -> None:
        """Add the bytes of the values that were taken last, row by row."""
        piece, self._last = self._last, None
        if piece is None or self.is_long or piece.kind in _OPEN:
            return
        if piece.kind == "str" or is_list(piece.kind):
            lengths = _lengths(piece.values)
            weights += lengths if piece.kind == "str" else 16 * lengths

    def settle(self) -> None:
        """Decide what was not yet decided: there are no more samples."""
        if self.kind == "str" and not self.spec.is_explicit and not self.is_long:
            looked_at = min(self._n_seen, _LOOKED_AT)
            if self._n_seen <= _LOOKED_AT and self._n_text > LONG_TEXT * looked_at:
                self._become_long()

    def _become_long(self) -> None:
        self.is_long = True
        known = self._known()
        for piece in self._pieces:
            known.add(_texts(piece))
        self._pieces = []

    def cut(self, n: int) -> Piece | None:
        """The first n rows that are not written yet; None where none are to be written.

        Raises:
            NotAColumnError: There is too much of it.
        """
        if self.is_long:
            return None
        whole = joined(self._pieces)
        self._pieces = [whole.part(n, len(whole))] if len(whole) > n else []
        piece = whole.part(0, n)
        if piece.kind in _OPEN:
            self._note(Extent(piece.all().null_count))
            return self._open_piece(piece)
        self._types.add(_inner(piece.values.type))
        self._known().add(piece.values, piece.repeats)
        return piece

    def _open_piece(self, piece: Piece) -> Piece | None:
        """Rows without any value, as a column of what is expected."""
        expected = self.spec.kind if self.kind in _OPEN else self.kind
        if piece.kind:  # empty lists
            wanted = arrow_type(expected) if is_list(expected) else list_of(INT_TYPES[0])
            return Piece(expected or "list[int]", piece.all().cast(wanted))
        if not expected or expected == "list[]":
            return None
        return Piece(expected, pa.nulls(len(piece), arrow_type(expected)))

    def _note(self, extent: Extent) -> None:
        (self._early if self._tally is None else self._tally.groups).append(extent)

    def _known(self) -> Tally:
        if self._tally is None:
            self._tally = Tally(self.kind, listed=not self.is_long)
            self._tally.groups = self._early
        return self._tally

    def decide(self) -> bool:
        """Take the kind that was expected, if nothing told; False if nothing was expected."""
        if self.kind in _OPEN and self.spec.kind and is_list(self.kind) <= is_list(self.spec.kind):
            self.kind = self.spec.kind
        return self.kind not in _OPEN

    def arrow_type(self) -> Any:
        """The Arrow type that holds all of it."""
        if item_kind(self.kind) != "int":
            return arrow_type(self.kind)
        best = next((one for one in reversed(INT_TYPES) if one in self._types), INT_TYPES[0])
        low = self._known().low()
        if best == INT_TYPES[1] and low is not None and low < 0:
            best = INT_TYPES[2]
        return list_of(best) if is_list(self.kind) else best

    def facts(self, *, groups: bool) -> FieldPart:
        """What is known of it.

        Args:
            groups: Say it of each row group as well.
        """
        known = self._known()
        part = FieldPart(self.kind, self.spec.form, known.nulls, known.nans)
        if not self.is_long:
            part.min, part.max = to_json(known.low()), to_json(known.high())
        if known.counts is not None:
            part.values = sorted(known.counts.items())
        elif (bloom := known.bloom()) is not None:
            part.bloom = BloomPart(bloom.n_hashes, bloom.to_base64())
        if groups and not self.is_long:
            part.groups = [
                (one.nulls, one.nans, to_json(one.low), to_json(one.high)) for one in known.groups
            ]
        return part

    def aggregate(self) -> dict[str, Any] | None:
        """What it sums up to, as manifests have always said it; None where they said nothing."""
        known = self._known()
        kind = self.spec.aggregate if self.spec.kind else usual_aggregate(self.kind)
        inner = item_kind(self.kind)
        counts = known.counts
        if kind == "numeric" and self.kind in ("int", "float"):
            n = sum(one.count for one in known.groups)
            with np.errstate(all="ignore"):
                mean = sum(one.total for one in known.groups) / n if n else None
            mean = mean if mean is not None and np.isfinite(mean) else None
            low, high = to_json(known.low()), to_json(known.high())
            return {"type": "numeric", "min": low, "max": high, "mean": mean, "count": n}
        if counts is None or len(counts) > _SUMMED or inner not in ("str", "bool", "int"):
            return None
        if kind == "set" and is_list(self.kind):
            return {"type": "set", "all_values": sorted(map(str, counts))}
        if kind == "categorical" and not is_list(self.kind):
            values = {str(value): n for value, n in sorted(counts.items())}
            return {"type": "categorical", "cardinality": len(values), "value_counts": values}
        return None


def usual_aggregate(kind: str) -> AggregateKind:
    """How values of a kind are summed up where nobody says otherwise.

    Examples:
        >>> usual_aggregate("list[int]"), usual_aggregate("bool"), usual_aggregate("float")
        ('set', 'categorical', 'numeric')
    """
    if is_list(kind):
        return "set"
    return "categorical" if kind in ("str", "bool") else "numeric"


def _mixed(one: str, other: str) -> NotAColumnError:
    return NotAColumnError(f"it holds {one} and {other}")


def _inner(found: Any) -> Any:
    return found.value_type if pa.types.is_list(found) else found


def _lengths(values: Any) -> Int64Array:
    """Bytes of each text, or items of each list; 0 for None."""
    if len(values) == 0:
        return np.zeros(0, np.int64)
    ends = np.frombuffer(values.buffers()[1], np.int32)
    return np.diff(ends[values.offset : values.offset + len(values) + 1]).astype(np.int64)


def _text_bytes(piece: Piece, n: int) -> int:
    """Bytes of the first n texts."""
    if piece.kind != "str":
        return 0
    return int(_lengths(piece.values)[:n].sum()) * (min(n, piece.repeats) or 1)


def _texts(piece: Piece) -> Any:
    return piece.all() if piece.kind else piece.values.cast(pa.string())
