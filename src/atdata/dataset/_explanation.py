"""How samples are found and read, as facts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actual:
    """What reading all of the samples took.

    Attributes:
        samples: How many were read.
        seconds: How long it took.
        requests: How many parts of shards were asked for elsewhere; 0 for files of this machine.
        n_bytes: Bytes of these parts.
    """

    samples: int
    seconds: float
    requests: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """How samples are found and read.

    Attributes:
        stages: What is done, in order.
        by_manifest: Conditions that manifests answer.
        by_samples: Conditions that are asked of samples once they are decoded.
        shards: How many shards there are.
        pruned: Of how many nothing was read but what their manifests say as a whole.
        scanned: Shards whose samples are all read for the answer, for want of a manifest.
        samples: How many samples the shards hold.
        rows: How many are left; before conditions that are asked of samples.
        ranges: In how many pieces they are read.
        n_bytes: Bytes of these pieces.
        actual: What reading them took, if that was tried.
    """

    stages: tuple[str, ...]
    by_manifest: tuple[str, ...]
    by_samples: tuple[str, ...]
    shards: int
    pruned: int
    scanned: int
    samples: int
    rows: int
    ranges: int
    n_bytes: int
    actual: Actual | None = None

    def __str__(self) -> str:
        share = self.rows / self.samples if self.samples else 0
        lines = [
            ".".join(self.stages) or "all samples",
            *(f"  by manifest  {one}" for one in self.by_manifest),
            *(f"  by sample    {one}" for one in self.by_samples),
            f"  shards       {self.shards:,}, of which {self.pruned:,} are passed over"
            + (f" and {self.scanned:,} read whole for want of a manifest" if self.scanned else ""),
            f"  samples      {self.rows:,} of {self.samples:,} ({share:.2%})",
            f"  to read      {self.n_bytes:,} bytes in {_counted(self.ranges, 'range')}",
        ]
        if self.actual is not None:
            done = self.actual
            lines.append(
                f"  was read     {done.samples:,} samples in {done.seconds:.3f} s"
                + (
                    f", {done.n_bytes:,} bytes in {_counted(done.requests, 'request')}"
                    * bool(done.requests)
                )
            )
        return "\n".join(lines)


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"
