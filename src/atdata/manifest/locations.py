"""Where a sample lies."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SampleLocation:
    """Where a sample lies: enough to read it, by any tool that reads ranges of a file.

    Attributes:
        shard: The shard's id in its source, such as its path or address.
        key: The sample's key.
        offset: Where its payload begins in the shard, in bytes; of a compressed shard, unpacked.
        size: Bytes of the payload.

    Examples:
        >>> import atdata
        >>> samples = [atdata.DictSample(n=i) for i in range(3)]
        >>> ds = atdata.write_samples(samples, tmp / "n.tar", manifest=True)
        >>> place = ds.query(atdata.F.n == 2)[0]
        >>> with open(place.shard, "rb") as shard:
        ...     _ = shard.seek(place.offset)
        ...     atdata.unpack(atdata.DictSample, shard.read(place.size))
        DictSample(n=2)
    """

    shard: str
    key: str
    offset: int
    size: int
