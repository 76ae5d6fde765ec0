"""What is fetched next, by which thread, and what waits to be read: the order's side of reading.

The thread that reads takes places in their order. Threads look at the same places, open the shards
that are near, and fetch their blocks, as far as there is room.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from threading import Condition, RLock

from atdata._protocols import DataSource, SupportsLocalPath, SupportsRange
from atdata.pipeline.ahead import Threads, ahead
from atdata.pipeline.open import Shard
from atdata.shard.chunk import Chunk, Reading, Verify
from atdata.shard.ranged import Fetched, RangedShard
from atdata.transport.halt import Halt

_THREADS = 8
_SHARDS_AHEAD = 2 * _THREADS
_MOST_AT_ONCE = 8 << 20
"""Bytes of one request, at most."""

type Opener = Callable[[DataSource, str], Shard]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Rows of a shard that are to be read.

    Attributes:
        source: Where the shard is.
        shard_id: The shard.
        start: The first row.
        stop: The row behind the last; a shard may have fewer.
        verify: Which digests to check.
    """

    source: DataSource
    shard_id: str
    start: int = 0
    stop: int = sys.maxsize
    verify: Verify = "auto"


@dataclass(slots=True, eq=False)
class _Request:
    """Some blocks of a shard that are on their way, or here and not yet used."""

    place: "Place"
    shard: RangedShard
    first: int
    stop: int
    n_bytes: int
    result: Fetched | BaseException | None = None


@dataclass(slots=True, eq=False)
class Place:
    """A shard's place in the order, while it is near.

    Attributes:
        fetcher: Who fetches it.
        number: Its place, counted from 0.
        wanted: What is wanted of it.
        is_away: Whether it is elsewhere, so that a thread opens it.
        halt: Ends what is fetched of it; None until a thread begins to open it.
        opened: The shard, or why it cannot be opened.
        n_index_bytes: Bytes of its index, until its turn.
        block: The next block to ask for.
        last: The block behind the last that is wanted.
        requests: What was asked for and not yet used, in order.
        is_begun: Whether it is being read, or was.
        is_over: Whether its turn is over.
    """

    fetcher: "Fetcher"
    number: int
    wanted: Wanted
    is_away: bool
    halt: Halt | None = None
    opened: Shard | BaseException | None = None
    n_index_bytes: int = 0
    block: int = 0
    last: int = 0
    requests: deque[_Request] = field(default_factory=deque)
    is_begun: bool = False
    is_over: bool = False


class Fetcher:
    """Decides what is fetched next, and hands on what came, in order.

    One lock guards all that changes. It is reentrant, because the garbage collector may close a
    reader wherever a thread is.
    """

    def __init__(self, wanted: Iterator[Wanted], n_bytes: int, opener: Opener) -> None:
        self._wanted: Iterator[Wanted] | None = wanted
        self._wanted_error: Exception | None = None
        self._n_wanted = 0
        self._n_bytes = n_bytes
        self.opener = opener
        self._at_once = min(n_bytes // (2 * _THREADS), _MOST_AT_ONCE)
        self._places: deque[Place] = deque()  # the first is the one whose turn it is
        self._held = 0  # bytes that are here or on their way, and not yet used; and those lent
        self._asked = 0  # bytes asked for so far
        self._guess = n_bytes // 2  # bytes of a shard that is not open yet: those of the last
        self._threads = Threads("fetch")
        self._n_threads = 0
        lock = RLock()
        self._arrived = Condition(lock)
        self._room = Condition(lock)
        self._threads.halt.watch(self._wake)

    # The methods up to `stop` are for the thread that reads.

    def next_place(self) -> Place | None:
        """End the turn that is, and begin the next; None behind the last.

        Raises:
            Exception: What the iterator of all that is wanted raised in this place.
        """
        self._check()
        with self._room:
            if self._places:
                self._end(self._places.popleft())
        self._look_ahead()
        with self._room:
            place = self._places[0] if self._places else None
            if place is not None:
                self._held -= place.n_index_bytes
                place.n_index_bytes = 0
            self._room.notify_all()
        if place is None and self._wanted_error is not None:
            raise self._wanted_error
        return place

    def opened(self, place: Place) -> Shard | None:
        """A shard that a thread opens; None if its turn is over."""
        self._check()
        with self._arrived:
            self._arrived.wait_for(
                lambda: place.opened is not None or place.is_over or self._stopped
            )
        self._threads.halt.check()
        if isinstance(place.opened, BaseException):
            raise place.opened
        return place.opened

    def begins(self, place: Place) -> bool:
        """Whether a reading that begins now is the first, and its turn not over."""
        is_first = not (place.is_begun or place.is_over)
        place.is_begun = True
        return is_first

    def chunks(self, place: Place, shard: RangedShard, start: int) -> Reading:
        """The wanted samples of a shard that is fetched ahead."""
        wanted = place.wanted
        begin, _ = shard.blocks_of(start, wanted.stop)
        while (fetched := self._next_fetched(place)) is not None:
            if fetched.failure is not None and fetched.stop < begin:
                # What failed is not needed; what is needed was not tried.
                yield from shard.chunks(
                    start=start, stop=wanted.stop, verify=wanted.verify, n_bytes=0
                )
                return
            yield from shard.handed(fetched, start, wanted.stop)
            del fetched

    def streamed(self, chunks: Reading) -> Reading:
        """A shard without parts, read in a thread of its own with what is left of the bytes."""
        self._check()
        with self._room:
            lent = max(0, min(self._n_bytes // 2, self._n_bytes - self._held))
            self._held += lent
        items = ahead(chunks, n_bytes=lent, size_of=_size_of)
        try:
            yield from items
        finally:
            items.close()
            self._release(lent)

    def stop(self) -> None:
        """Cut what is on its way, and end the threads."""
        self._threads.stop()

    def _next_fetched(self, place: Place) -> Fetched | None:
        self._check()
        with self._arrived:
            self._arrived.wait_for(lambda: self._is_next_here(place) or self._stopped)
            self._threads.halt.check()
            if not place.requests:
                return None
            request = place.requests.popleft()
        self._release(request.n_bytes)
        if isinstance(request.result, BaseException):
            raise request.result
        return request.result

    def _is_next_here(self, place: Place) -> bool:
        if place.requests:
            return place.requests[0].result is not None
        return place.is_over or place.block >= place.last

    @property
    def _stopped(self) -> bool:
        return self._threads.halt.stopped

    def _check(self) -> None:
        if not self._threads.are_here:
            raise RuntimeError(
                "this reading began in the process that this one was forked from; begin it anew"
            )
        self._threads.halt.check()

    def _wake(self) -> None:
        with self._room:
            self._room.notify_all()
            self._arrived.notify_all()

    def _release(self, n_bytes: int) -> None:
        if not self._threads.are_here:
            return  # the lock may be in the hand of a thread that is not
        with self._room:
            self._held -= n_bytes
            self._room.notify_all()

    def _end(self, place: Place) -> None:
        place.is_over = True
        place.opened = None
        # What is on its way counts until it has come, or was cut.
        self._held -= sum(one.n_bytes for one in place.requests if one.result is not None)
        place.requests.clear()
        if place.halt is not None:
            place.halt.stop()

    def _look_ahead(self) -> None:
        """Take in what is wanted next."""
        while self._wanted is not None and len(self._places) < _SHARDS_AHEAD:
            try:
                one = next(self._wanted, None)
            except Exception as error:
                one, self._wanted_error = None, error
            if one is None:
                self._wanted = None
                return
            place = Place(self, self._n_wanted, one, _is_away(one))
            self._n_wanted += 1
            with self._room:
                self._places.append(place)
                self._room.notify_all()
            while place.is_away and self._n_threads < _THREADS:
                self._threads.start(self._work)
                self._n_threads += 1

    # The methods from here on are for the threads.

    def _work(self) -> None:
        while True:
            with self._room:
                while (task := self._next_task()) is None:
                    self._room.wait()
            task()
            del task

    def _next_task(self) -> Callable[[], None] | None:
        """What to do next, if there is room for it; what comes sooner goes first.

        Shards are opened as long as less than the bound is known to come before their first byte.
        While one is being opened, those behind it get half of the bound: its own blocks need room.
        """
        self._threads.halt.check()
        before = 0
        bound = self._n_bytes
        for place in self._places:
            if not place.is_away:
                continue
            if place.halt is None:
                if before >= self._n_bytes:
                    return None
                place.halt = Halt()
                return partial(self._open, place, place.halt)
            if place.opened is None:
                before += self._guess
                bound = self._n_bytes // 2
            elif isinstance(place.opened, RangedShard) and place.block < place.last:
                request = self._next_request(place, place.opened, bound)
                return partial(self._fetch, request, place.halt) if request else None
            else:
                before += sum(request.n_bytes for request in place.requests)
        return None

    def _next_request(self, place: Place, shard: RangedShard, bound: int) -> _Request | None:
        # Small at first, so that the first samples come soon.
        stop = shard.reach(place.block, place.last, min(self._at_once, self._asked))
        n_bytes = shard.n_bytes_of(place.block, stop)
        is_next = place is self._places[0] and not place.requests
        if self._held + n_bytes > bound and not is_next:
            return None
        request = _Request(place, shard, place.block, stop, n_bytes)
        place.requests.append(request)
        place.block = stop
        self._held += n_bytes
        self._asked += n_bytes
        return request

    def _open(self, place: Place, halt: Halt) -> None:
        opened: Shard | BaseException
        try:
            with halt.running():
                opened = self.opener(place.wanted.source, place.wanted.shard_id)
        except BaseException as error:
            opened = error
        with self._room:
            if place.is_over:
                return
            place.opened = opened
            if isinstance(opened, RangedShard):
                place.block, place.last = opened.blocks_of(place.wanted.start, place.wanted.stop)
                self._guess = opened.n_index_bytes + opened.n_bytes_of(place.block, place.last)
                if place is not self._places[0]:
                    place.n_index_bytes = opened.n_index_bytes
                    self._held += place.n_index_bytes
            self._room.notify_all()
            self._arrived.notify_all()

    def _fetch(self, request: _Request, halt: Halt) -> None:
        result: Fetched | BaseException
        try:
            with halt.running():
                verify = request.place.wanted.verify
                result = request.shard.fetch(request.first, request.stop, verify)
        except BaseException as error:
            result = error
        with self._room:
            request.result = result
            if request.place.is_over:
                self._held -= request.n_bytes
                self._room.notify_all()
            else:
                self._arrived.notify_all()


def _size_of(item: object) -> int:
    return item.data.nbytes if isinstance(item, Chunk) else 0


def _is_away(wanted: Wanted) -> bool:
    """Whether a shard is fetched from elsewhere.

    If that cannot be said, opening it shows why. A source that only gives streams may hold them in
    memory, or bear no threads.
    """
    source = wanted.source
    if not isinstance(source, SupportsLocalPath):
        return isinstance(source, SupportsRange)
    try:
        return source.local_path(wanted.shard_id) is None
    except Exception:
        return False
