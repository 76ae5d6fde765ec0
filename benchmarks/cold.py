"""Prints the seconds from a started interpreter to a first sample with its array in hand."""

import time

BEGAN = time.perf_counter()

import sys  # noqa: E402  the clock starts before anything is imported


def atdata(path: str) -> object:
    """The sample's type is declared here, as in a user's program."""
    import numpy as np
    from numpy.typing import NDArray

    from atdata import Dataset, packable

    @packable
    class Medium:
        x: NDArray[np.float32]
        text: str
        label: int

    return next(iter(Dataset[Medium](path + ".tar"))).x


def webdataset(path: str) -> object:
    """With msgspec, which is imported sooner than msgpack."""
    import msgspec
    import numpy as np
    import webdataset

    pipeline = webdataset.WebDataset(path + ".tar", shardshuffle=False)
    sample = msgspec.msgpack.decode(next(iter(pipeline))["msgpack"])
    return np.frombuffer(sample["x"], "<f4", offset=13)


def tarfile(path: str) -> object:
    """Only what is needed."""
    import tarfile

    import msgspec
    import numpy as np

    with tarfile.open(path + ".tar", "r|") as tar:
        file = tar.extractfile(next(iter(tar)))
        assert file is not None
        sample = msgspec.msgpack.decode(file.read())
    return np.frombuffer(sample["x"], "<f4", offset=13)


def hf_datasets(path: str) -> object:
    """In the numpy format."""
    import datasets

    return datasets.load_from_disk(path + "-arrow").with_format("numpy")[0]["x"]


if __name__ == "__main__":
    kinds = {"atdata": atdata, "webdataset": webdataset, "tarfile": tarfile}
    array = ({"hf datasets": hf_datasets} | kinds)[sys.argv[1]](sys.argv[2])
    taken = time.perf_counter() - BEGAN
    assert array.shape == (768,)
    print(taken)
