"""Work on shards somewhere else: what workers are told, and what they send home.

A worker gets the job once and then shards, one at a time. What it sends home is pickled there, so
that a result or an error that cannot be sent is an error of that shard and of nothing else.
"""

import pickle
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from traceback import format_exception, format_exception_only
from typing import Any, NoReturn

from atdata._exceptions import printable, shard_name
from atdata._logging import get_logger
from atdata.pipeline.access import Segment, read_segment
from atdata.pipeline.chain import Part
from atdata.pipeline.policy import Ledger, OnError

_DEATHS = 2


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard whose samples are wanted.

    Attributes:
        shard_id: The shard.
        pieces: What of it is read, in order: segments with the number of their part in its place.
    """

    shard_id: str
    pieces: tuple[tuple[int, Mapping[str, Any]], ...]


@dataclass(frozen=True, slots=True)
class Job:
    """What is done to each shard, the same for all of them: a worker is told once.

    Attributes:
        fn: Gets the samples of a shard.
        on_error: What to do with what cannot be read.
        max_errors: How many things may be left out of a shard; None for any number.
        parts: What the shards are parts of.
    """

    fn: Callable[[list[Any]], Any]
    on_error: OnError
    max_errors: int | None
    parts: tuple[Part, ...]

    def run(self, task: ShardTask) -> Any:
        """Read a shard's samples and call the function."""
        ledger = Ledger(self.on_error, self.max_errors)
        found = (Segment(self.parts[part], task.shard_id, **facts) for part, facts in task.pieces)
        samples = [s for one in found for _, some in read_segment(one, ledger) for s in some]
        if ledger.n_skipped:
            shown = printable(shard_name(task.shard_id))
            get_logger().warning(
                "left out of %s: %d, as they cannot be read", shown, ledger.n_skipped
            )
        return self.fn(samples)


type Outcome = tuple[ShardTask, Any, BaseException | None]
"""A shard with its result, or with what went wrong when it was tried for the last time."""


class ShardQueue:
    """Shards that wait for a worker, and how often each was tried.

    Args:
        tasks: The shards, in the order in which they are begun.
        retries: How often each may be tried again. None: twice if its worker dies, and not at all
            if the function raises.
    """

    def __init__(self, tasks: Sequence[ShardTask], retries: int | None) -> None:
        self.n_tasks = len(tasks)
        self.retries = retries
        self.deaths = _DEATHS if retries is None else retries
        self._waiting = deque(tasks)
        self._tried: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self) -> ShardTask:
        """The next shard, which is tried now."""
        task = self._waiting.popleft()
        self._tried[task.shard_id] += 1
        return task

    def again(self, task: ShardTask, *, died: bool = False) -> bool:
        """Put a shard that failed behind the others, unless it was tried often enough."""
        if self._tried[task.shard_id] > (self.deaths if died else self.retries or 0):
            return False
        self._waiting.append(task)
        return True


type Message = tuple[str, Any]
"""What a worker sends home: `"done"` with a pickled result, or another word with an error."""


def attempt(job: Job, task: ShardTask, dumps: Callable[[Any], bytes]) -> Message:
    """Try a shard in a worker."""
    try:
        result = job.run(task)
    except BaseException as error:
        return "failed", packed_error(error, dumps)
    try:
        return "done", dumps(result)
    except Exception as error:  # a class may raise anything
        return "failed", packed_error(_unsendable(result, error), dumps)


def _unsendable(result: object, error: Exception) -> TypeError:
    return TypeError(
        f"a result of type {type(result).__name__} cannot be sent home by a worker: {error}\n"
        "  Return plain values, or write the result to a file and return its name."
    )


def outcome_of(task: ShardTask, message: Message, queue: ShardQueue) -> Outcome | None:
    """What a worker's message means; None if the shard is tried again."""
    kind, data = message
    if kind == "unfit":
        refuse(message)
    if kind == "done":
        try:
            return task, pickle.loads(data), None  # noqa: S301 - from a process of ours
        except Exception as error:  # a class may raise anything
            return task, None, _unsendable("", error)
    failure = unpacked_error(data)
    if isinstance(failure, Exception) and queue.again(task):
        return None
    return task, None, failure


def refuse(message: Message) -> NoReturn:
    """End the job, as no worker can begin it.

    Raises:
        TypeError: Always; it says what cannot be loaded.
    """
    error = unpacked_error(message[1])
    raise TypeError(
        f"a worker cannot load the function or the dataset: {error}\n"
        "  Define functions and classes at the top of a module that workers can import."
    ) from error


def packed_error(error: BaseException, dumps: Callable[[Any], bytes]) -> tuple[bytes, str, str]:
    """An error for `unpacked_error`, with its text and where it happened.

    Many exceptions do not survive pickling, mostly because they make a message of other arguments
    than `args`. These are taken apart, and put together without their constructor.
    """
    text = format_exception_only(error)[-1].strip()
    trace = "".join(format_exception(error))
    for form in (error, (type(error), error.args, vars(error)), (type(error), (text,), {})):
        try:
            data = dumps(form)
            found = _error_of(data)
            if type(found) is type(error) and (str(found) == str(error) or found.args == (text,)):
                return data, text, trace
        except Exception:  # noqa: S112 - the next form holds less
            continue
    return b"", text, trace


def unpacked_error(packed: tuple[bytes, str, str]) -> BaseException:
    """An error from a worker, of the same type if that can be; it notes where it happened."""
    data, text, trace = packed
    try:
        error = _error_of(data)
    except Exception:  # a class may raise anything
        error = RuntimeError(text)
    error.add_note(f"In the worker:\n{trace}")
    return error


def _error_of(data: bytes) -> BaseException:
    form = pickle.loads(data)  # noqa: S301 - from a process of ours
    if isinstance(form, BaseException):
        return form
    kind, args, facts = form
    error: BaseException = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error
