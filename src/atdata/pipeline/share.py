"""Which positions each reader delivers: pure functions over numbers of readers and of samples.

Readers take turns: in each round every reader delivers one sample, so all stay within one sample
of each other and what they have delivered together is always a beginning of the order. A run that
stopped is described by how many samples each reader had delivered; what is left is shared anew
among any number of readers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from atdata._exceptions import StateError
from atdata._typing import Int64Array
from atdata.pipeline.order import mixed
from atdata.pipeline.plan import ENDLESS
from atdata.pipeline.world import World

_LAST = 1 << 62
"""No position beyond this is ever reached, so that sums of positions are 64-bit numbers."""

_MOST_LOOSE = 1 << 25
"""A state may not make anybody remember more positions than this."""

type Tail = Literal["keep", "drop", "pad"]
"""What becomes of the samples that are left when every reader has had equally many.

`"keep"` delivers each of them once, so some readers have one more than others; `"drop"` leaves
them out; `"pad"` delivers them and, to the other readers, some samples a second time.
"""


type Came = int | tuple[int, ...]
"""How far a reader came: how many of its samples it had delivered.

If its workers had not kept to their turns: how many it had delivered before them, how many a turn
has, and how many each worker had delivered.
"""


def end_of(came: Came) -> int:
    """The number behind the last sample that a reader had delivered."""
    if isinstance(came, int):
        return came
    first, unit, *counts = came
    end = first
    for worker, count in enumerate(counts):
        if count:
            turn, within = divmod(count - 1, unit)
            end = max(end, first + (turn * len(counts) + worker) * unit + within + 1)
    return end


@dataclass(frozen=True, slots=True)
class Era:
    """A time in which the number of readers stayed the same.

    Attributes:
        came: How far each reader had come at its end.
        words: What had chosen the readers' turns; none if they came in their order.
    """

    came: tuple[Came, ...]
    words: tuple[int, ...] = ()

    @property
    def readers(self) -> int:
        """How many readers there were."""
        return len(self.came)

    @property
    def rounds(self) -> int:
        """How many rounds the one that came furthest had begun."""
        return max(map(end_of, self.came))


def _turns(rounds: Int64Array, readers: int, words: tuple[int, ...]) -> Int64Array:
    """By how much the readers' places are turned in each round.

    Data may have a period of its own, as mixtures do. Were the turns always the same, each reader
    would see one part of that period only.
    """
    if not words or readers == 1:
        return np.zeros(len(rounds), np.int64)
    return (mixed(rounds, *words, readers) % np.uint64(readers)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Left:
    """The positions that are still to be delivered: some loose ones, then all from one on.

    Attributes:
        n: How many positions there are in all.
        tail: The position from which on nothing was delivered yet.
        loose: Positions before that which were not delivered, rising.
        eras: What describes this, if `loose` is not empty: eras one after the other.
        start: The position at which the first of these eras began.
    """

    n: int
    tail: int
    loose: Int64Array
    eras: tuple[Era, ...] = ()
    start: int = 0

    @classmethod
    def all_from(cls, n: int, start: int = 0) -> "Left":
        """Everything from one position on."""
        start = min(start, n)
        return cls(n, start, np.zeros(0, np.int64), (), start)

    def __len__(self) -> int:
        return ENDLESS if self.n == ENDLESS else len(self.loose) + self.n - self.tail

    def rounds(self, readers: int) -> int:
        """How many samples some readers deliver at most, each of them."""
        n = min(len(self), _LAST - self.tail)
        return -(-n // readers)

    def positions(self, numbers: Int64Array) -> Int64Array:
        """The positions of the samples that are left, by their number among these."""
        n_loose = len(self.loose)
        if n_loose == 0:
            return numbers + self.tail
        found = numbers + (self.tail - n_loose)
        early = numbers < n_loose
        found[early] = self.loose[numbers[early]]
        return found

    def check(self, era: Era) -> None:
        """Refuse an era in which more was delivered than there was.

        Raises:
            StateError: It is one.
        """
        if era.rounds > self.rounds(era.readers):
            raise StateError(
                f"{era.readers} readers cannot have delivered {era.rounds} samples each "
                f"of the {len(self)} that there were"
            )

    def after(self, era: Era) -> "Left":
        """What is left after an era more.

        Raises:
            StateError: More was delivered than there was, or too much is left between.
        """
        self.check(era)
        length = len(self)
        numbers = _missed(era)
        numbers = numbers[numbers < length]
        stop = min(era.rounds * era.readers, length)
        n_loose = len(self.loose)
        if stop < n_loose:
            loose = np.concatenate([self.positions(numbers), self.loose[stop:]])
            return Left(self.n, self.tail, loose, (*self.eras, era), self.start)
        tail = self.tail + stop - n_loose
        loose = self.positions(numbers)
        if len(loose) == 0:
            return Left.all_from(self.n, tail)
        if len(numbers) == 0 or int(numbers[0]) >= n_loose:
            # Nothing is left of earlier eras: this one alone says it all, counted from where it
            # would have begun without the loose positions.
            return Left(self.n, tail, loose, (era,), self.tail - n_loose)
        return Left(self.n, tail, loose, (*self.eras, era), self.start)


def _missed(era: Era) -> Int64Array:
    """What readers had not delivered of the rounds that one of them had begun, rising."""
    high, readers = era.rounds, era.readers
    firsts = [came if isinstance(came, int) else came[0] for came in era.came]
    if sum(high - first for first in firsts) > _MOST_LOOSE:
        raise StateError(f"readers are out of step by more than {_MOST_LOOSE:,} samples")
    found: list[Int64Array] = []
    for reader, (first, came) in enumerate(zip(firsts, era.came, strict=True)):
        if first < high:
            rounds = np.arange(first, high, dtype=np.int64)
            rounds = rounds if isinstance(came, int) else rounds[_missed_turns(rounds, came)]
            places = (reader - _turns(rounds, readers, era.words)) % readers
            found.append(rounds * readers + places)
    numbers = np.concatenate(found) if found else np.zeros(0, np.int64)
    numbers.sort()
    return numbers


def _missed_turns(rounds: Int64Array, came: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which of a reader's samples its workers had not delivered."""
    first, unit, *counts = came
    turns, within = np.divmod(rounds - first, unit)
    turns, worker = np.divmod(turns, len(counts))
    missed: NDArray[np.bool_] = turns * unit + within >= np.array(counts, np.int64)[worker]
    return missed


def left_of(n: int, start: int, eras: Sequence[Era]) -> Left:
    """What is left of `n` positions when all before `start`, and some in eras, were delivered."""
    if start > n:
        raise StateError(f"position {start} is beyond the {n} samples that there are")
    left = Left.all_from(n, start)
    for era in eras:
        left = left.after(era)
    return left


@dataclass(frozen=True, slots=True)
class Share:
    """What one reader delivers of what is left.

    Attributes:
        left: What is left for all readers together.
        world: The reader's place among them.
        tail: What becomes of the last samples.
        words: Choose the readers' turns; none keeps them in their order.
        unit: Samples that a worker of the reader delivers before the next one's turn: a batch.
        whole: Leave out a last unit that is not full.
        first: How many of its samples the reader had delivered before.
    """

    left: Left
    world: World
    tail: Tail = "keep"
    words: tuple[int, ...] = ()
    unit: int = 1
    whole: bool = False
    first: int = 0

    @property
    def of_reader(self) -> int:
        """Samples that the reader delivers in all, with those it had delivered before."""
        n = len(self.left)
        if n == ENDLESS:
            return ENDLESS
        rounds, rest = divmod(n, self.world.readers)
        if rest and self.tail != "drop":
            rounds += self.tail == "pad" or self._place(rounds) < rest
        if self.whole:
            rounds -= max(0, rounds - self.first) % self.unit
        return rounds

    def _place(self, number: int) -> int:
        """The reader's place in a round."""
        turn = int(_turns(np.array([number]), self.world.readers, self.words)[0])
        return (self.world.reader - turn) % self.world.readers

    @property
    def left_out(self) -> int:
        """Samples at the end that no reader delivers."""
        n, readers = len(self.left), self.world.readers
        if n == ENDLESS:
            return 0
        rounds, rest = divmod(n, readers)
        longer = {"keep": rest, "drop": 0, "pad": readers if rest else 0}[self.tail]
        missed = rest if self.tail == "drop" else 0
        if self.whole:
            missed += longer * (max(0, rounds + 1 - self.first) % self.unit)
            missed += (readers - longer) * (max(0, rounds - self.first) % self.unit)
        return missed

    @property
    def repeated(self) -> int:
        """Samples at the end that a second reader delivers as well."""
        n, readers = len(self.left), self.world.readers
        return -n % readers if self.tail == "pad" and n != ENDLESS else 0

    def __len__(self) -> int:
        """Samples that the reader, or this worker of it, has still to deliver."""
        total = self.of_reader
        if total == ENDLESS:
            return ENDLESS
        ahead = max(0, total - self.first)
        units, rest = divmod(ahead, self.unit)
        mine = units // self.world.workers
        turn = units % self.world.workers
        if self.world.worker < turn:
            return (mine + 1) * self.unit
        return mine * self.unit + (rest if self.world.worker == turn else 0)

    def numbers(self, start: int, stop: int) -> Int64Array:
        """Some of this worker's samples, as numbers among all of the reader's."""
        own = np.arange(start, stop, dtype=np.int64)
        world = self.world
        if world.workers > 1:
            unit, within = np.divmod(own, self.unit)
            own = (unit * world.workers + world.worker) * self.unit + within
        return own + self.first

    def positions(self, numbers: Int64Array) -> Int64Array:
        """The positions of some of the reader's samples."""
        readers = self.world.readers
        if readers == 1:
            return self.left.positions(numbers)
        turns = _turns(numbers, readers, self.words)
        wanted = numbers * readers + (self.world.reader - turns) % readers
        n = len(self.left)
        if self.tail == "pad" and n != ENDLESS:
            wanted %= max(n, 1)  # what is missing in the last round is taken from the first
        return self.left.positions(wanted)

    def delivered(self, own: int, *, done: bool = False) -> int:
        """How many of the reader's samples come before this worker's number `own`.

        Right where all workers deliver their units in turn. Where readers end unevenly, one that
        has given its last unit while others may have a longer one counts as far as those.

        Args:
            own: Samples that this worker has delivered.
            done: Whether it was asked for more, and had none.
        """
        world, ends = self.world, own == len(self)
        if self.tail == "keep" and ends and (done or own % self.unit):
            return self.left.rounds(world.readers)
        if world.workers == 1 or own == 0:
            return self.first + own
        unit, within = divmod(own, self.unit)
        if within:
            return self.first + (unit * world.workers + world.worker) * self.unit + within
        return self.first + ((unit - 1) * world.workers + world.worker + 1) * self.unit


def merged(first: int, unit: int, counts: Sequence[int]) -> Came:
    """How far a reader came, from what each of its workers has delivered.

    Args:
        first: How many samples the reader had delivered before.
        unit: Samples in a turn.
        counts: What each worker has delivered since.
    """
    workers = len(counts)
    turns = min(counts) // unit  # that all of them have had
    first += turns * workers * unit
    rest = [count - turns * unit for count in counts]
    came = (first, unit, *rest)
    end = end_of(came)
    return end if end == first + sum(rest) else came
