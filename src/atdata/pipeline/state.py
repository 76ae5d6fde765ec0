"""Where a reading stopped, as a few integers and the identity of what was read.

::

    {"version": 1, "epoch": 3,
     "data": {"shards": 8, "samples": 50000, "digest": "…", "seed": 7, …},
     "sieved": false, "start": 1024, "eras": [],      what had been delivered when readers changed
     "reader": [0, 4], "delivered": 96,               and what this one has since
     "worker": [1, 2, 32, 0, 48],                     only for one of several workers of a reader
     "skipped": [["a.tar", "0007", 4608, "…"]]}       only if something was left out
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from atdata._exceptions import StateError, printable
from atdata.model.shard import SkippedSample
from atdata.pipeline.share import Came, Era, end_of, merged

VERSION = 1

_LARGEST = 1 << 62
_MOST_READERS = 1 << 17

type _Fact = str | int | list[tuple[int, str]] | None

type _Entry = tuple[str, str | None, int | None, str]


class State(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A state as it is written.

    Attributes:
        version: Of this form.
        epoch: The epoch that was read.
        data: What was read, fact by fact.
        reader: The reader's number, and how many there were.
        delivered: How many samples it had delivered since readers changed last.
        sieved: Whether positions count only what filters leave.
        start: The position from which on the eras count.
        eras: How far each reader had come, for each time that readers changed.
        worker: For one of several workers of a reader: its number, how many there were, samples
            in a turn, how many the reader had delivered before, and how many this worker has.
        skipped: What was left out.
    """

    version: int
    epoch: int
    data: dict[str, Any]
    reader: tuple[int, int]
    delivered: int
    sieved: bool = False
    start: int = 0
    eras: tuple[tuple[Came, ...], ...] = ()
    worker: tuple[int, int, int, int, int] | None = None
    skipped: tuple[SkippedSample, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The state as JSON values."""
        entries = [[s.shard_id, s.key, s.offset, s.reason] for s in self.skipped]
        found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return found | ({"skipped": entries} if entries else {})


def read_state(value: Any) -> State:
    """A state from its JSON values.

    Raises:
        StateError: It is none.
    """
    try:
        given = msgspec.convert(value, dict[str, Any])
        listed = msgspec.convert(given.pop("skipped", ()), list[_Entry])
        state = msgspec.convert(given, State)
        msgspec.convert(state.data, dict[str, _Fact])
    except (msgspec.ValidationError, RecursionError) as error:
        raise StateError(f"this is no state of a stream: {printable(error)}") from error
    if state.version != VERSION:
        raise StateError(
            f"the state has form {state.version}, and this version of atdata reads form {VERSION}"
        )
    if not _holds(state):
        raise StateError("its numbers do not hold together")
    state.skipped = tuple(SkippedSample(*entry) for entry in listed)
    return state


def _holds(state: State) -> bool:
    """Whether the numbers of a state can be those of a reading."""
    reader, readers = state.reader
    eras = [came for era in state.eras for came in era]
    numbers = [state.epoch, reader, readers, state.delivered, state.start]
    for came in (state.worker or (), *eras):
        numbers += (came,) if isinstance(came, int) else came
    if not (min(numbers) >= 0 and max(numbers) <= _LARGEST and reader < readers <= _MOST_READERS):
        return False
    turns = [came for came in eras if not isinstance(came, int)]
    if not all(0 < len(era) <= _MOST_READERS for era in state.eras):
        return False
    if any(len(came) < 3 or came[1] < 1 for came in turns):
        return False
    if not isinstance(state.data.get("weights", []), list):
        return False
    if state.worker is None:
        return True
    worker, workers, unit, first, own = state.worker
    units, rest = divmod(own, max(unit, 1))
    ahead = (units if rest else max(0, units - 1)) * workers * unit
    return unit > 0 and worker < workers and state.delivered >= first + ahead + rest


def read_states(value: Any) -> list[State]:
    """The states in one state, or in a list of them.

    Raises:
        StateError: It is neither.
    """
    if isinstance(value, Mapping):
        return [read_state(cast("Mapping[str, Any]", value))]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        found: Sequence[Any] = value
        if all(isinstance(one, Mapping) for one in found):
            return [read_state(one) for one in found]
    raise StateError(f"a state is a dictionary, or a list of them, not {type(value).__name__}")


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where all readers of a run stopped.

    Attributes:
        epoch: The epoch that was read.
        sieved: Whether positions count only what filters leave.
        start: The position from which on the eras count.
        eras: How far each reader had come when readers changed before.
        came: How far each of the last readers had come since.
        one: The state that stands for all, if only one was given.
        skipped: What was left out.
    """

    epoch: int
    sieved: bool
    start: int
    eras: tuple[tuple[Came, ...], ...]
    came: tuple[Came, ...]
    one: State | None
    skipped: tuple[SkippedSample, ...]

    @property
    def delivered(self) -> tuple[int, ...]:
        """How many samples each of the last readers had delivered, if none is missing between."""
        return tuple(map(end_of, self.came))

    def all_eras(self, words: tuple[int, ...]) -> tuple[Era, ...]:
        """All eras, the last readers' included."""
        eras = (*self.eras, self.came) if any(self.delivered) else self.eras
        return tuple(Era(one, words) for one in eras)


def stopped(states: Sequence[State]) -> Stopped:
    """Where a run stopped, from the states of its readers.

    One state stands for all readers, as they deliver in step. Several have to be of all readers,
    and if readers had workers, of all workers too.

    Raises:
        StateError: They do not belong together, or some are missing.
    """
    if not states:
        raise StateError("no state was given")
    first = states[0]
    for one in states[1:]:
        _same_run(first, one)
    _, readers = first.reader
    by_reader: dict[int, list[State]] = {}
    for one in states:
        by_reader.setdefault(one.reader[0], []).append(one)
    counts = {
        reader: found[0].delivered if len(states) == 1 else _of_reader(found)
        for reader, found in by_reader.items()
    }
    skipped = tuple(dict.fromkeys(entry for one in states for entry in one.skipped))
    if len(by_reader) == 1:
        (count,) = counts.values()
        if readers > 1 and not isinstance(count, int):
            raise StateError(
                "the workers of a reader did not keep to their turns\n"
                "  Give the states of all readers, and of all their workers."
            )
        came = (count,) * readers
    elif len(by_reader) == readers:
        came = tuple(counts[reader] for reader in range(readers))
    else:
        missing = sorted(set(range(readers)) - set(by_reader))
        raise StateError(
            f"states of {len(by_reader)} of {readers} readers were given; "
            f"reader {missing[0]} is missing\n"
            "  Give the states of all readers, or one that stands for all if they are in step."
        )
    alone = first if len(states) == 1 else None
    return Stopped(first.epoch, first.sieved, first.start, first.eras, came, alone, skipped)


def _same_run(first: State, other: State) -> None:
    for name in ("epoch", "sieved", "start", "eras", "data"):
        a, b = getattr(first, name), getattr(other, name)
        if a != b:
            raise StateError("the states are of different runs", {name: (a, b)})
    if first.reader[1] != other.reader[1]:
        counts = (first.reader[1], other.reader[1])
        raise StateError("the states are of different runs", {"readers": counts})


def _of_reader(states: Sequence[State]) -> Came:
    """How far one reader had come, with all its workers."""
    workers = [one.worker for one in states]
    if workers == [None]:
        return states[0].delivered
    found = [one for one in workers if one is not None]
    if len(found) != len(states):
        raise StateError("two states are of the same reader")
    _, n, unit, before, _ = found[0]
    if any(one[1:4] != (n, unit, before) for one in found):
        raise StateError("the states are of different runs")
    if sorted(one[0] for one in found) != list(range(n)):
        raise StateError(f"states of {len(found)} of {n} workers of a reader were given")
    came = merged(before, unit, [one[4] for one in sorted(found)])
    # Whichever worker has come to the reader's end says how far the longest reader goes.
    furthest = max(one.delivered for one in states)
    return furthest if isinstance(came, int) and furthest == came + 1 else came


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The facts that differ."""
    pairs = {name: (then.get(name), now.get(name)) for name in (*then, *now)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
