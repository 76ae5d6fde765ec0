"""Real handwritten digits, asked about before any of them is read.

    uv run --no-dev --group examples --extra duckdb examples/query.py

Every shard has a manifest of its samples' small fields, so questions are answered without opening
the shards, and only the bytes of the answer are read.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import atdata


@atdata.packable
class Digit:
    """A scanned digit, and what can be said of it in a few numbers."""

    image: Annotated[NDArray[np.uint8], atdata.Shape(8, 8)]
    label: int
    ink: float
    """The mean of its pixels, 0 to 16."""

    rows: list[int]
    """The rows of the image that are not empty."""


@atdata.packable
class Named:
    """The same as others may want to see it."""

    digit: int
    darkness: float


@atdata.lens
def named(digit: Digit) -> Named:
    """Rename two fields."""
    return Named(digit=digit.label, darkness=digit.ink)


def scanned_digits() -> list[Digit]:
    """The 1,797 images that come with scikit-learn."""
    bunch: Any = load_digits()
    return [
        Digit(
            image.astype(np.uint8),
            int(label),
            float(image.mean()),
            np.flatnonzero(image.any(axis=1)).tolist(),
        )
        for image, label in zip(bunch.images, bunch.target, strict=True)
    ]


def main() -> None:
    """Write, ask, split and read."""
    folder = Path(tempfile.mkdtemp(prefix="digits-"))
    ds = atdata.write_samples(
        scanned_digits(), folder / "digits.tar", maxcount=100, manifest=True, progress=False
    )

    Q = ds.fields
    dark = ds.where((Q.ink > 6) & atdata.col(Q.label).isin([3, 8]))
    print(f"{len(dark)} dark threes and eights of {len(ds)} digits\n")
    print(dark.explain(analyze=True), "\n")

    print("the darkest:", [digit.label for digit in ds.order_by(Q.ink, descending=True).limit(5)])
    print("with an empty first row:", ds.count(~atdata.col(Q.rows).contains(0)))
    print("of each label:", ds.value_counts("label"))

    parts = ds.split({"train": 0.8, "test": 0.2}, by="label", seed=1)
    print(
        "ones in the test part:", parts["test"].count(Q.label == 1), "of", ds.count(Q.label == 1)
    )

    views = ds.as_type(Named)
    V = views.fields
    print("through the lens:", list(views.where(V.darkness > 7).limit(2)))

    print("\nby SQL:")
    print(ds.sql("select label, avg(ink) as ink from this group by 1 order by 2 desc limit 3"))


if __name__ == "__main__":
    main()
