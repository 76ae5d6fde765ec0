"""Real handwritten digits: catalogued, loaded by name, viewed through a lens, and learned.

    uv run --no-dev --group examples examples/digits.py [--out DIR]

The last line that it prints is the accuracy on images that were never trained on.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import atdata

SEED = 1
N_EPOCHS = 30
BATCH_SIZE = 32
N_CLASSES = 10
BLACKEST = np.float32(16)
"""The largest value of a pixel in these images."""


@atdata.packable
class Digit:
    """A scanned digit, as it is stored."""

    image: Annotated[NDArray[np.uint8], atdata.Shape(8, 8)]
    label: int


@atdata.packable
class Example:
    """A digit as the classifier wants it, with values between 0 and 1."""

    vector: Annotated[NDArray[np.float32], atdata.Shape(64)]
    label: int


@atdata.lens
def example(digit: Digit) -> Example:
    """Flatten the image and bring it to 0..1."""
    return Example(digit.image.reshape(64).astype(np.float32) / BLACKEST, digit.label)


@example.putter
def write_example(view: Example, digit: Digit) -> Digit:
    """Bring the vector back into the form that is stored."""
    image = np.rint(view.vector * BLACKEST).astype(np.uint8)
    return Digit(image.reshape(digit.image.shape), view.label)


def scanned_digits() -> list[Digit]:
    """The 1,797 images that come with scikit-learn, those of each writer spread over all."""
    bunch: Any = load_digits()
    digits = [
        Digit(image.astype(np.uint8), int(label))
        for image, label in zip(bunch.images, bunch.target, strict=True)
    ]
    return [digits[i] for i in np.random.default_rng(SEED).permutation(len(digits))]


def trained(train: atdata.Dataset[Example]) -> Any:
    """A classifier that has seen the training digits, each epoch in an order of its own."""
    classifier: Any = MLPClassifier(
        hidden_layer_sizes=(128,), learning_rate_init=0.002, random_state=SEED
    )
    for epoch in range(N_EPOCHS):
        for batch in train.shuffled(batch_size=BATCH_SIZE, seed=SEED, epoch=epoch):
            classifier.partial_fit(batch.vector, batch.label, classes=range(N_CLASSES))
    return classifier


def accuracy_of(classifier: Any, test: atdata.Dataset[Example]) -> float:
    """The part of the test digits that the classifier names rightly."""
    n_right = 0
    for batch in test.ordered(batch_size=256):
        n_right += int(np.count_nonzero(classifier.predict(batch.vector) == batch.label))
    return n_right / len(test)


def samples_per_second(ds: atdata.Dataset[Any], field: str) -> float:
    """How fast shuffled batches come, with one field of each put together."""
    n_samples = 0
    began = time.perf_counter()
    for batch in ds.repeat(40).shuffled(batch_size=256, seed=SEED):
        n_samples += len(getattr(batch, field))
    return n_samples / (time.perf_counter() - began)


def run(folder: Path) -> None:
    """Write, read, learn and report."""
    digits = scanned_digits()
    cut = len(digits) * 4 // 5
    with atdata.Index(path=folder / "digits.db") as index:
        for part, some in (("train", digits[:cut]), ("test", digits[cut:])):
            index.write(some, name=f"digits/{part}", version="1.0.0", tags=["scan"], maxcount=250)
        for found in index.search("digits").items:
            print(found.record)
        train = atdata.load_dataset("@local/digits/train@1.0.0", Digit, split="train", index=index)
        test = atdata.load_dataset("@local/digits/test@1.0.0", Digit, split="train", index=index)
    print(example.check(train.head(100)))

    classifier = trained(train.as_type(Example))

    print(f"as stored:        {samples_per_second(train, 'image'):>9,.0f} samples/s")
    viewed = train.as_type(Example)
    print(f"through the lens: {samples_per_second(viewed, 'vector'):>9,.0f} samples/s")
    print(f"test accuracy: {accuracy_of(classifier, test.as_type(Example)):.4f}")


def main() -> None:
    """Run in the folder that was asked for, or in one that is removed again."""
    parser = argparse.ArgumentParser(description="Write, read and learn handwritten digits.")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="keep the catalogue and its shards here"
    )
    out: Path | None = parser.parse_args().out
    if out is not None:
        run(out)
        return
    with tempfile.TemporaryDirectory() as temporary:
        run(Path(temporary))


if __name__ == "__main__":
    main()
