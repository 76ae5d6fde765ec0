"""What a dataset's shards hold, found out once: the segments, their plans and their identity."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import index
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from atdata._exceptions import AtdataError
from atdata._typing import Int64Array
from atdata.pipeline.access import Segment, read_segment, segments, with_stages
from atdata.pipeline.chain import Chain, Part
from atdata.pipeline.naming import reading
from atdata.pipeline.order import mix
from atdata.pipeline.plan import (
    Cut,
    Joined,
    Listed,
    Member,
    Mixed,
    Permuted,
    Plan,
    Repeated,
    Shuffle,
    Sieved,
    Uneven,
    Windows,
)
from atdata.pipeline.policy import Ledger, OnError
from atdata.pipeline.schedule import Schedule, whole_weights
from atdata.pipeline.stages import Stage, Window

_LONGEST_READING = 240
_AT_ONCE = 1 << 16

type _Make = Callable[[Shuffle | None, tuple[int, ...], bool], Plan]
"""Makes a plan from a shuffle, the words of an epoch, and whether to leave out what is dropped."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A chain, counted.

    Attributes:
        found: Its segments.
        make: Makes a plan of them.
        sift: What is known of its filters, if it has no mixture.
        even: Whether each pass holds equally many samples. Behind a mixture a filter does not
            always find the same ones.
    """

    found: list[Segment]
    make: _Make
    sift: "_Sift | None" = None
    even: bool = True


class Layout:
    """The samples of a chain by their positions.

    Counting opens each shard, and reads none that has an index or lies on this machine. What a
    filter leaves is found by reading everything once, and only where it has to be known.

    Args:
        chain: What is read.
        on_error: What to do with what cannot be read.
    """

    def __init__(self, chain: Chain, on_error: OnError) -> None:
        self.chain = chain
        self._on_error: OnError = on_error
        self._node: _Node | None = None
        self._sifts: list[_Sift] = []
        self._passing: _Sift | None = None
        self._sifted: list[_Sifted | None] = []
        self._errors: list[AtdataError] = []
        self._facts: dict[Shuffle | None, dict[str, Any]] = {}
        self._lock = RLock()

    @property
    def is_lossy(self) -> bool:
        """Whether stages drop samples that a plan counts unless it is sieved."""
        return _is_lossy(self.chain)

    @property
    def errors(self) -> list[AtdataError]:
        """What could not be read when shards were counted, or filters tried."""
        self._counted()
        return self._errors + [error for sift in self._sifts for error in sift.errors]

    @property
    def segments(self) -> list[Segment]:
        """All segments, counted, with all that is done to their samples."""
        return self._counted().found

    def plan(self, shuffle: Shuffle | None, epoch: int, *, sieved: bool) -> Plan:
        """The order of an epoch.

        Args:
            shuffle: How it is shuffled; None keeps the order.
            epoch: Each epoch has a permutation of its own.
            sieved: Leave out what filters drop; otherwise that is left to whoever reads.
        """
        return self._counted().make(shuffle, (epoch,), sieved)

    def kept_before(self, shuffle: Shuffle | None, epoch: int, position: int) -> int:
        """How many of the first `position` samples of an epoch filters leave."""
        node = self._counted()
        with self._lock:
            if self._passing is None:
                self._passing = node.sift or self._sift(node.found)
        plan = self.plan(shuffle, epoch, sieved=False)
        stop, kept = min(position, plan.n), 0
        for first in range(0, stop, _AT_ONCE):
            positions = np.arange(first, min(first + _AT_ONCE, stop), dtype=np.int64)
            kept += int(np.count_nonzero(self._passing.keep(*plan.locate(positions))))
        return kept

    def facts(self, shuffle: Shuffle | None) -> dict[str, Any]:
        """What is read and how: what has to be the same for a reading to be resumed."""
        known = self._facts.get(shuffle)
        if known is None:
            self._facts.clear()
            known = self._facts[shuffle] = self._new_facts(shuffle)
        return dict(known)

    def _new_facts(self, shuffle: Shuffle | None) -> dict[str, Any]:
        words: list[int] = []
        for segment in self.segments:
            rows = segment.stored_rows
            ends = (rows.start, rows.stop) if isinstance(rows, range) else (_digest(rows), -1)
            words += [0 if segment.count is None else segment.count.digest, *ends]
        packed = np.array([word & (2**64 - 1) for word in words], "<u8")
        reads = reading(self.chain)
        if len(reads) > _LONGEST_READING:
            reads = f"{reads[:_LONGEST_READING]}… {mix(*reads.encode()):016x}"
        order = "as written"
        if shuffle is not None:
            shards = "all" if shuffle.shards is None else shuffle.shards
            order = f"shuffled over {shards} shards"
            order += "" if shuffle.within else ", samples in order"
        return {
            "shards": len(self.segments),
            "samples": sum(map(len, self.segments)),
            "digest": f"{xxh3_64_intdigest(packed.tobytes()):016x}",
            "reads": reads,
            "order": order,
            "seed": None if shuffle is None else shuffle.seed,
            "weights": _weights(self.chain),
        }

    def _counted(self) -> _Node:
        with self._lock:
            if self._node is None:
                self._node = self._node_of(self.chain)
            return self._node

    def _ledger(self, errors: list[AtdataError]) -> Ledger:
        """What cannot be read is an error at once, or told by each pass."""
        return Ledger("raise" if self._on_error == "raise" else errors.append)

    def _node_of(self, chain: Chain) -> _Node:
        if not chain.is_mixed:
            return self._flat(chain)
        return self._mixed(chain) if chain.has_mixture else self._composed(chain)

    def _composed(self, chain: Chain) -> _Node:
        """Rows in orders of their own, put together: what is cut is cut before it is shuffled."""
        node = self._mixed(chain)

        def make(shuffle: Shuffle | None, words: tuple[int, ...], sieved: bool) -> Plan:
            plan = node.make(None, words, sieved)
            return plan if shuffle is None else Permuted(plan, shuffle.seed, *words)

        return replace(node, make=make)

    def _flat(self, chain: Chain) -> _Node:
        """A chain without mixtures: all its segments are shuffled together."""
        repeats = 1 if chain.is_cut else chain.repeats
        once = chain if chain.is_cut else replace(chain, repeats=1)
        found = segments(once, self._ledger(self._errors), counted=True)
        sizes = [len(segment) for segment in found]
        order = _order_of(once)
        sift = self._sift(found) if _is_lossy(chain) else None

        def make(shuffle: Shuffle | None, words: tuple[int, ...], sieved: bool) -> Plan:
            *before, last = words

            def one(number: int) -> Plan:
                plan: Plan = Windows(sizes, shuffle, *before, last * repeats + number)
                if order is not None and shuffle is None:
                    plan = Listed(sizes, order)
                return Sieved(plan, sift.keep) if sift is not None and sieved else plan

            n = sum(sizes) if sift is None or not sieved else sift.n
            return one(0) if repeats == 1 else Repeated(n, repeats, one)

        return _Node(found, make, sift)

    def _mixed(self, chain: Chain) -> _Node:
        """A chain that is a mixture, or has one among its parts."""
        parts = [part if isinstance(part, Chain) else Chain((part,)) for part in chain.parts]
        nodes = [self._node_of(part) for part in parts]
        inner = [segment for node in nodes for segment in node.found]
        offsets: list[int] = np.cumsum([0] + [len(node.found) for node in nodes]).tolist()
        even = all(node.even for node in nodes)
        cuts = any(isinstance(stage, Window) for stage in chain.tail)
        levels = self._levels(chain.tail, inner)
        steps = tuple(stage for stage in chain.tail if not isinstance(stage, Window))

        def make(shuffle: Shuffle | None, words: tuple[int, ...], sieved: bool) -> Plan:
            *before, last = words

            def one(number: int) -> Plan:
                inside = (*before, last * chain.repeats + number)
                if chain.mixture is not None:
                    return _mixture(chain, nodes, offsets, shuffle, inside)
                plans = [
                    node.make(shuffle, (*inside, at), sieved or cuts)
                    for at, node in enumerate(nodes)
                ]
                return Joined(plans, offsets)

            plan = one(0)
            if chain.repeats != 1:
                times = chain.repeats
                plan = Repeated(plan.n, times, one) if even else Uneven(times, one)
            return _behind(plan, levels, sieved=sieved)

        sieves = any(isinstance(level, _Sift) for level in levels)
        found = [with_stages(one, steps) if steps else one for one in inner]
        return _Node(found, make, even=even and not sieves)

    def _levels(self, tail: Sequence[Stage], inner: list[Segment]) -> "list[_Sift | Window]":
        """What a tail does to the count: windows, and between them what the filters leave."""
        levels: list[_Sift | Window] = []
        steps: list[Stage] = []
        lossy = False
        for stage in (*tail, None):
            if stage is None or isinstance(stage, Window):
                if lossy:
                    levels.append(self._sift([with_stages(one, tuple(steps)) for one in inner]))
                if stage is not None:
                    levels.append(stage)
                lossy = False
                continue
            steps.append(stage)
            lossy = lossy or not stage.keeps_count
        return levels

    def _sift(self, found: list[Segment]) -> "_Sift":
        number = len(self._sifts)
        known = self._sifted[number] if number < len(self._sifted) else None
        sift = _Sift(found, self._ledger, known)
        self._sifts.append(sift)
        return sift

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the description, and what filters were found to leave."""
        sifted = [sift.packed() for sift in self._sifts] or self._sifted
        return {"chain": self.chain, "on_error": self._on_error, "sifted": sifted}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.chain, self._on_error = state["chain"], state["on_error"]
        self._node, self._sifts, self._errors, self._facts = None, [], [], {}
        self._lock = RLock()
        self._passing = None
        self._sifted = state["sifted"]


type _Sifted = tuple[NDArray[np.uint8], list[AtdataError]]
"""What a filter was found to leave, a bit a row, and what could not be read for it."""


class _Sift:
    """Which rows of some segments pass all their stages; found out when it is first asked.

    Args:
        found: The segments.
        ledger: Makes a ledger that adds what cannot be read to a list.
        known: What was found out before.

    Attributes:
        errors: What could not be read.
    """

    def __init__(
        self,
        found: Sequence[Segment],
        ledger: Callable[[list[AtdataError]], Ledger],
        known: "_Sifted | None",
    ) -> None:
        self._found = found
        self._ledger = ledger
        self._firsts: Int64Array = np.cumsum([0, *map(len, found)], dtype=np.int64)
        self._mask: NDArray[np.bool_] | None = None
        self.errors: list[AtdataError] = []
        n = int(self._firsts[-1])
        if known is not None and len(known[0]) == -(-n // 8):
            self._mask = np.unpackbits(known[0], count=n).astype(np.bool_)
            self.errors = list(known[1])

    @property
    def n(self) -> int:
        """How many rows pass."""
        return int(np.count_nonzero(self._looked()))

    def keep(self, numbers: Int64Array, rows: Int64Array) -> NDArray[np.bool_]:
        """Which of some places pass."""
        kept: NDArray[np.bool_] = self._looked()[self._firsts[numbers] + rows]
        return kept

    def packed(self) -> "_Sifted | None":
        """What is known, for another process."""
        return None if self._mask is None else (np.packbits(self._mask), self.errors)

    def _looked(self) -> NDArray[np.bool_]:
        if self._mask is None:
            mask = np.zeros(int(self._firsts[-1]), np.bool_)
            ledger = self._ledger(self.errors)
            for segment, first in zip(self._found, self._firsts.tolist(), strict=False):
                rows = segment.rows
                for kept, _ in read_segment(segment, ledger):
                    at = np.asarray(kept, np.int64)
                    places = (
                        at - rows.start if isinstance(rows, range) else np.searchsorted(rows, at)  # type: ignore[arg-type]
                    )
                    mask[first + places] = True
            self._mask = mask
        return self._mask


def _order_of(chain: Chain) -> Int64Array | None:
    """The order of a single part's rows; None where they come as they are stored."""
    part = chain.parts[0]
    if not chain.is_ordered or not isinstance(part, Part) or part.choice is None:
        return None
    return part.choice.chosen().order


def _is_lossy(chain: Chain) -> bool:
    cuts = [number for number, one in enumerate(chain.tail) if isinstance(one, Window)]
    behind = chain.tail[cuts[-1] + 1 :] if cuts else chain.tail
    own = any(not stage.keeps_count for stage in behind)
    if chain.mixture is not None or (cuts and chain.is_mixed):
        return own
    if chain.is_cut and not chain.is_mixed:
        return False  # its rows are found before they are counted
    return own or any(
        _is_lossy(part)
        if isinstance(part, Chain)
        else any(not stage.keeps_count for stage in part.stages)
        for part in chain.parts
    )


def _behind(plan: Plan, levels: "Sequence[_Sift | Window]", *, sieved: bool) -> Plan:
    """A plan behind the levels of a tail."""
    for number, level in enumerate(levels):
        if isinstance(level, Window):
            plan = Cut(plan, level.skip, level.take)
        elif sieved or number < len(levels) - 1:  # a window counts what filters have left
            plan = Sieved(plan, level.keep)
    return plan


def _mixture(
    chain: Chain,
    nodes: Sequence[_Node],
    offsets: Sequence[int],
    shuffle: Shuffle | None,
    words: tuple[int, ...],
) -> Plan:
    mixture = chain.mixture
    assert mixture is not None
    (_, first), *later = mixture.weights

    def member(number: int, node: _Node) -> Member:
        def make(turn: int) -> Plan:
            return node.make(shuffle, (mixture.seed, *words, number, turn), True)

        return Member(make(0).n, offsets[number], make, node.even)

    members = [member(number, node) for number, node in enumerate(nodes)]
    return Mixed(Schedule(first, later), members, mixture.stop)


def _weights(chain: Chain, *, behind: bool = False) -> list[list[Any]]:
    """From which position on a mixture has which weights, each set as a short number.

    Args:
        chain: What is read.
        behind: Other stages drop some of it, so that positions are not those of its mixtures;
            then all weights count from the start.
    """
    found: list[list[Any]] = []
    behind = behind or chain.is_cut
    if chain.mixture is not None:
        for at, weights in chain.mixture.weights:
            number = mix(at, *whole_weights(weights)) & 0xFFFFFFFF
            found.append([0 if behind else index(at), f"{number:08x}"])
    for part in chain.parts:
        found += _weights(part, behind=behind) if isinstance(part, Chain) else []
    return found


def _digest(rows: Int64Array | None) -> int:
    return 0 if rows is None else xxh3_64_intdigest(rows.astype("<i8").tobytes())
