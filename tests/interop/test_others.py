"""Other readers and writers of tar shards, and ours: each reads what the other writes."""

import gzip
import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset as wds
from numpy.typing import NDArray

import atdata
from atdata import Dataset, DictSample

VECTORS = Path(__file__).parent.parent / "vectors"
EXPECTED: dict[str, list[dict[str, Any]]] = json.loads(
    (VECTORS / "expected_samples.json").read_text()
)

DIGESTS = {
    "arrays-000000.tar": "ccb37a90712e",
    "arrays-000001.tar": "21b3e631f49c",
    "arrays-000002.tar": "9f28fa2825b0",
    "scalars.tar": "5f644342b853",
}

# webdataset leaves its files to the garbage collector.
leaves_files_open = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@atdata.packable
class Scalars:
    """The plain type of the vectors."""

    name: str
    value: int
    x: float
    ok: bool
    raw: bytes
    tags: list[str]
    opt: int | None


@atdata.packable
class Arrays:
    """The type of the vectors that has arrays."""

    image: NDArray
    mask: NDArray | None
    label: str


@atdata.packable
class Sized:
    """A sample whose payload has any size."""

    name: str
    data: bytes
    x: NDArray[np.float32]


def sized(n: int = 40) -> list[Sized]:
    """Samples from small to a few blocks."""
    return [Sized(f"k{i}", bytes([i]) * (i * 97), np.arange(i, dtype="f4")) for i in range(n)]


@pytest.fixture(params=["running", "short keys", "long keys"])
def shard(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[str], list[Sized]]:
    """A shard of ours with its keys and samples."""
    samples = sized()
    keys = {
        "running": [f"{i:09d}" for i in range(len(samples))],
        "short keys": [f"dir/é{i}" for i in range(len(samples))],
        "long keys": [f"{'d' * 60}/{'ü' * 60}-{i}" for i in range(len(samples))],
    }[request.param]
    given = iter(keys)
    key = None if request.param == "running" else lambda _: next(given)
    atdata.write_samples(samples, tmp_path / "ours.tar", key=key)
    return tmp_path / "ours.tar", keys, samples


type Shard = tuple[Path, list[str], list[Sized]]


def test_tarfile_reads_our_shards(shard: Shard) -> None:
    """`tarfile` finds our samples as regular files, and the index behind them."""
    path, keys, samples = shard

    with tarfile.open(path) as tar:
        found = {info.name: tar.extractfile(info).read() for info in tar if info.isreg()}

    names = [f"{key}.msgpack" for key in keys]
    assert list(found) == [*names, "__index__"]
    assert [found[name] for name in names] == [sample.packed for sample in samples]


def test_the_tar_command_reads_our_shards(shard: Shard, tmp_path: Path) -> None:
    """GNU tar lists and unpacks our shards without a word."""
    path, keys, samples = shard
    (tmp_path / "out").mkdir()

    listed = subprocess.run(
        ["tar", "--quoting-style=literal", "-tf", str(path)], capture_output=True, check=True
    )
    unpacked = subprocess.run(
        ["tar", "-xf", str(path), "-C", str(tmp_path / "out")], capture_output=True, check=True
    )

    assert listed.stderr == unpacked.stderr == b""
    names = [f"{key}.msgpack" for key in keys]
    assert listed.stdout.decode().splitlines() == [*names, "__index__"]
    for name, sample in zip(names, samples, strict=True):
        assert (tmp_path / "out" / name).read_bytes() == sample.packed


@leaves_files_open
def test_webdataset_reads_our_shards(shard: Shard) -> None:
    """Webdataset gives our keys and payloads, and takes the index for no sample."""
    path, keys, samples = shard

    found = list(wds.WebDataset(str(path), shardshuffle=False))

    assert [record["__key__"] for record in found] == keys
    assert [record["msgpack"] for record in found] == [sample.packed for sample in samples]
    assert all(set(r) == {"__key__", "__url__", "__local_path__", "msgpack"} for r in found)


@leaves_files_open
def test_hugging_face_datasets_reads_our_shards(
    shard: Shard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The webdataset loader of `datasets` streams our samples from local files, offline."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    path, keys, samples = shard

    found = list(
        datasets.load_dataset(
            "webdataset",
            data_files={"train": str(path)},
            split="train",
            streaming=True,
            cache_dir=str(tmp_path / "cache"),
        )
    )

    assert [row["__key__"] for row in found] == keys
    assert "__index__" not in {row["__key__"] for row in found}
    for row, sample in zip(found, samples, strict=True):
        value = row["msgpack"]  # decoded by `datasets`, or left as it is, as its version has it
        assert value == sample.packed or value["name"] == sample.name


@leaves_files_open
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz"])
def test_we_read_what_webdataset_writes(tmp_path: Path, suffix: str) -> None:
    """Shards of `TarWriter`, compressed or not, give their samples, keys and order."""
    samples = sized()
    path = tmp_path / f"theirs{suffix}"
    with wds.TarWriter(str(path)) as writer:
        for i, sample in enumerate(samples):
            writer.write({**sample.as_wds, "__key__": f"sample_{i:06d}"})

    ds = Dataset[Sized](path)

    assert list(ds) == samples
    assert [key for key, _ in ds.items()] == [f"sample_{i:06d}" for i in range(len(samples))]
    assert len(ds) == len(samples)
    assert ds[7] == samples[7]
    assert ds.get("sample_000003") == samples[3]


@leaves_files_open
def test_other_parts_of_a_sample_are_left_alone(tmp_path: Path) -> None:
    """What lies beside a payload (`.json`, `.txt`) does no harm, before it or behind it."""
    path = tmp_path / "theirs.tar"
    with wds.TarWriter(str(path)) as writer:
        for i, sample in enumerate(sized(5)):
            record = {"__key__": f"s{i}", "cls": 7, "msgpack": sample.packed, "txt": "words"}
            writer.write(record if i % 2 else dict(reversed(record.items())))

    assert list(Dataset[Sized](path)) == sized(5)


@leaves_files_open
def test_a_shard_written_for_sample_wise_writers_is_the_same_to_them(tmp_path: Path) -> None:
    """A round through webdataset, read and written again, keeps every payload."""
    atdata.write_samples(sized(), tmp_path / "ours.tar")
    with wds.TarWriter(str(tmp_path / "theirs.tar")) as writer:
        for record in wds.WebDataset(str(tmp_path / "ours.tar"), shardshuffle=False):
            writer.write({"__key__": record["__key__"], "msgpack": record["msgpack"]})

    assert list(Dataset[Sized](tmp_path / "theirs.tar").items()) == list(
        Dataset[Sized](tmp_path / "ours.tar").items()
    )


@pytest.mark.parametrize("form", ["ustar", "gnu", "posix"])
@pytest.mark.parametrize("compression", [[], ["-z"], ["-j"], ["-J"], ["--zstd"]])
def test_we_read_what_the_tar_command_writes(
    tmp_path: Path, form: str, compression: list[str]
) -> None:
    """Folders packed by GNU tar in any format and compression are shards."""
    (tmp_path / "in").mkdir()
    samples = sized(12)
    for i, sample in enumerate(samples):
        (tmp_path / "in" / f"{i:03d}.msgpack").write_bytes(sample.packed)
    path = tmp_path / "theirs.tar"
    command = ["tar", "-c", *compression, f"--format={form}", "--sort=name", "-f", str(path)]

    made = subprocess.run(
        [*command, "-C", str(tmp_path / "in"), "."], capture_output=True, check=False
    )
    if made.returncode and b"Cannot exec" in made.stderr:
        pytest.skip("this machine cannot compress so")

    assert made.returncode == 0
    assert list(Dataset[Sized](path)) == samples


# -- files of the earlier implementation


def plain(sample: Any) -> dict[str, Any]:
    """A sample as the vectors tell it."""
    told: dict[str, Any] = {}
    for name, value in dict(
        sample.items() if isinstance(sample, DictSample) else vars(sample)
    ).items():
        if isinstance(value, bytes):
            told[name] = value.hex()
        elif isinstance(value, np.ndarray):
            told[name] = {
                "dtype": value.dtype.str,
                "shape": list(value.shape),
                "data": value.tobytes().hex(),
            }
        else:
            told[name] = value
    return told


ARRAY_SHARDS = [VECTORS / f"arrays-00000{i}.tar" for i in range(3)]


@pytest.mark.parametrize("kind", [Scalars, DictSample])
def test_the_scalar_vectors_read_to_what_they_hold(kind: type[Any]) -> None:
    """Every field of every sample is what the vectors tell, with a type or without."""
    ds = Dataset(VECTORS / "scalars.tar", sample_type=kind)

    assert [plain(sample) for sample in ds] == EXPECTED["scalars"]
    assert len(ds) == len(EXPECTED["scalars"])


@pytest.mark.parametrize("kind", [Arrays, DictSample])
def test_the_array_vectors_read_to_what_they_hold(kind: type[Any]) -> None:
    """Dtype, shape and bytes of every array are what the vectors tell, over three shards."""
    ds = Dataset(ARRAY_SHARDS, sample_type=kind)

    assert [plain(sample) for sample in ds] == EXPECTED["arrays"]
    assert [plain(ds[i]) for i in range(len(ds))] == EXPECTED["arrays"]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_vectors_read_the_same_in_batches(batch_size: int) -> None:
    """Batches hold the samples that single reading gives."""
    for kind, source in ((Scalars, VECTORS / "scalars.tar"), (Arrays, ARRAY_SHARDS)):
        ds: Dataset[Any] = Dataset(source, sample_type=kind)

        batches = list(ds.ordered(batch_size=batch_size))

        assert [s for batch in batches for s in batch] == list(ds)


def test_a_compressed_vector_reads_the_same(tmp_path: Path) -> None:
    """Packed with gzip, a shard of the earlier implementation gives the same samples."""
    path = tmp_path / "scalars.tar.gz"
    path.write_bytes(gzip.compress((VECTORS / "scalars.tar").read_bytes()))

    ds = Dataset[Scalars](path)

    assert [plain(sample) for sample in ds] == EXPECTED["scalars"]


def test_the_vectors_are_those_that_were_given() -> None:
    """The files have not been changed: they are facts."""
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        for path in sorted(VECTORS.glob("*.tar"))
    }

    assert digests == DIGESTS
