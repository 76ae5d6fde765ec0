"""Reading a dataset: an order and a batch size make a stream of samples or batches."""

from collections.abc import Iterable, Iterator
from itertools import chain as flattened
from typing import Any, Protocol, get_origin

from atdata.codec.columns import Columns
from atdata.codec.compile import codec_of
from atdata.model.shard import SkippedSample
from atdata.pipeline.chain import Chain, Part, keys_of, no_tags, ordered, read_chunks
from atdata.pipeline.decode import Decoder
from atdata.pipeline.policy import Ledger, OnError
from atdata.pipeline.stages import Tagged
from atdata.sample.base import PackableSample
from atdata.sample.batch import SampleBatch
from atdata.sample.same import is_generated
from atdata.shard.chunk import Chunk


class Order(Protocol):
    """An order of samples."""

    def samples(self, ledger: Ledger, *, keyed: bool) -> Iterator[Tagged]:
        """All samples in this order, tagged with their keys if `keyed`."""
        ...

    def batches(self, ledger: Ledger, batch_size: int) -> Iterator[Any]:
        """All samples in this order, in batches."""
        ...


class SampleStream[S]:
    """Samples or batches in an order; each `iter()` begins a pass of its own.

    Attributes:
        batch_size: Samples in a batch, or None for single samples.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([atdata.DictSample(n=i) for i in range(5)], tmp / "n.tar")
        >>> stream = ds.ordered(batch_size=2)
        >>> [batch.n.tolist() for batch in stream], len(stream)
        ([[0, 1], [2, 3], [4]], 3)
    """

    def __init__(
        self, order: Order, *, batch_size: int | None, on_error: OnError, count: Any, label: str
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise IndexError(f"batch_size is {batch_size}; a batch holds at least one sample")
        self.batch_size = batch_size
        self._order = order
        self._on_error: OnError = on_error
        self._count = count
        self._label = label
        self._ledger = Ledger(on_error)

    def __iter__(self) -> Iterator[S]:
        ledger = self._ledger = Ledger(self._on_error)
        if self.batch_size is None:
            tagged = self._order.samples(ledger, keyed=False)
            return flattened.from_iterable(samples for _, samples in tagged)
        return self._order.batches(ledger, self.batch_size)

    def items(self) -> Iterator[tuple[str, S]]:
        """Each sample with its key; not for batches.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([atdata.DictSample(n=7)], tmp / "one.tar")
            >>> [(key, sample.n) for key, sample in ds.ordered().items()]
            [('000000000', 7)]
        """
        if self.batch_size is not None:
            raise TypeError("items() gives single samples; leave batch_size out")
        ledger = self._ledger = Ledger(self._on_error)
        for keys, samples in self._order.samples(ledger, keyed=True):
            yield from zip(keys, samples, strict=True)

    def __len__(self) -> int:
        """How many samples or batches one pass gives."""
        n: int = self._count()
        return n if self.batch_size is None else -(-n // self.batch_size)

    @property
    def skipped(self) -> list[SkippedSample]:
        """What the last pass left out: at most ten thousand entries."""
        return self._ledger.skipped

    @property
    def n_skipped(self) -> int:
        """How many things the last pass left out."""
        return self._ledger.n_skipped

    def __repr__(self) -> str:
        size = "" if self.batch_size is None else f", batch_size={self.batch_size}"
        return f"SampleStream({self._label}{size})"


def grouped(tagged: Iterable[Tagged], batch_size: int) -> Iterator[SampleBatch[Any]]:
    """Batches of samples that exist as objects."""
    held: list[Any] = []
    for _, samples in tagged:
        held += samples
        first = 0
        while len(held) - first >= batch_size:
            yield SampleBatch(held[first : first + batch_size])
            first += batch_size
        del held[:first]
    if held:
        yield SampleBatch(held)


def column_type(parts: Iterable[Part | Chain]) -> type[Any] | None:
    """The one type of all parts, if its batches may be made of columns without any objects."""
    kinds: set[type[Any]] = set()
    for part in parts:
        if isinstance(part, Chain) or part.stages or not _holds_what_it_is_given(part.stored_type):
            return None
        kinds.add(part.stored_type)
    return kinds.pop() if len(kinds) == 1 else None


def _holds_what_it_is_given(kind: Any) -> bool:
    """Whether a sample's fields are always the values that it is made of.

    A class with a hook or a constructor of its own may change them, so its samples must be made.
    """
    cls: Any = get_origin(kind) or kind
    hook = getattr(cls, "__post_init__", PackableSample.__post_init__)
    return hook is PackableSample.__post_init__ and is_generated(cls.__init__)


class InOrder:
    """The order in which samples were written."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def samples(self, ledger: Ledger, *, keyed: bool) -> Iterator[Tagged]:
        """All samples in order, tagged with their keys if `keyed`."""
        return ordered(self._chain, ledger, keys_of if keyed else no_tags)

    def batches(self, ledger: Ledger, batch_size: int) -> Iterator[SampleBatch[Any]]:
        """All samples in order, in batches: straight from columns if nothing is done to them."""
        kind = None if self._chain.tail else column_type(self._chain.parts)
        if kind is None:
            return grouped(self.samples(ledger, keyed=False), batch_size)
        return self._from_columns(kind, ledger, batch_size)

    def _from_columns(
        self, kind: type[Any], ledger: Ledger, batch_size: int
    ) -> Iterator[SampleBatch[Any]]:
        held = _Pieces(kind, batch_size)
        for part in self._chain.parts * self._chain.repeats:
            assert isinstance(part, Part)
            decoder = Decoder(codec_of(kind), ledger, copy=part.copy)
            for chunk in read_chunks(part, ledger):
                columns = decoder.columns(chunk)
                if columns is not None:
                    yield from held.add(chunk, columns, decoder)
                    continue
                for run in decoder.runs(chunk):
                    yield from held.add_objects(run.samples)
        if held.n:
            yield held.batch()


class _Pieces:
    """Samples that wait until there are enough of them for a batch."""

    def __init__(self, sample_type: type[Any], batch_size: int) -> None:
        self._type = sample_type
        self._size = batch_size
        self._held: list[Columns[Any] | list[Any]] = []
        self.n = 0

    def add(
        self, chunk: Chunk, columns: Columns[Any], decoder: Decoder[Any]
    ) -> Iterator[SampleBatch[Any]]:
        """Take samples as columns; give the batches that they complete."""
        first = 0
        while first < len(columns) and decoder.unchanged(chunk):
            last = min(len(columns), first + self._size - self.n)
            try:
                piece = columns.take(slice(first, last)).with_texts()
            except UnicodeDecodeError:
                for run in decoder.run(chunk, range(first, last)):
                    yield from self.add_objects(run.samples)
            else:
                self._held.append(piece)
                self.n += last - first
                if self.n == self._size:
                    yield self.batch()
            first = last

    def add_objects(self, samples: list[Any]) -> Iterator[SampleBatch[Any]]:
        """Take samples as objects; give the batches that they complete."""
        first = 0
        while first < len(samples):
            part = samples[first : first + self._size - self.n]
            self._held.append(part)
            self.n += len(part)
            first += len(part)
            if self.n == self._size:
                yield self.batch()

    def batch(self) -> SampleBatch[Any]:
        """What is held, as a batch; nothing is held afterwards."""
        held, self._held, self.n = self._held, [], 0
        columns = [piece for piece in held if isinstance(piece, Columns)]
        if len(columns) == len(held):
            return SampleBatch.of_columns(self._type, columns)
        samples: list[Any] = []
        for piece in held:
            samples += piece.samples() if isinstance(piece, Columns) else piece
        return SampleBatch(samples)
