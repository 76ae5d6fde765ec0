"""A CID follows from the content, and from nothing else."""

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atdata import generate_cid, verify_cid
from atdata._cid import generate_cid_from_bytes

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/cids.json").read_text())

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
)
records = st.dictionaries(
    st.text(),
    st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["data"])[:40])
def test_the_reference_vectors_have_their_cids(vector: dict[str, Any]) -> None:
    """What is out there keeps its name."""
    assert generate_cid(vector["data"]) == vector["cid"]


def test_bytes_are_hashed_as_they_are() -> None:
    """Encoded bytes are named without being encoded again."""
    cid = generate_cid_from_bytes(b"some raw bytes")

    assert cid == "bafyreibh2ctzhvsd74chh7lspqcnm5a5vuyrbvefqb6tzdz445vbrqlxvm"


@given(st.binary())
def test_a_cid_is_a_prefix_and_a_digest_in_base32(data: bytes) -> None:
    """The text form is `b` and lower-case base32 of version, codec, hash, size and digest."""
    cid = generate_cid_from_bytes(data)

    body = cid[1:].upper()
    raw = base64.b32decode(body + "=" * (-len(body) % 8))

    assert cid.startswith("bafyrei")
    assert len(cid) == 59
    assert raw == bytes.fromhex("01711220") + sha256(data).digest()


@given(records)
def test_the_order_of_keys_does_not_matter(record: dict[str, Any]) -> None:
    """Two maps with the same entries have one name."""
    backwards = dict(reversed(record.items()))

    assert generate_cid(backwards) == generate_cid(record)
    assert verify_cid(generate_cid(record), backwards)


@given(records, st.text(min_size=1))
def test_another_record_has_another_cid(record: dict[str, Any], key: str) -> None:
    """A change is noticed."""
    changed = {**record, key: "changed"}

    assert verify_cid(generate_cid(record), changed) == (record == changed)


@pytest.mark.parametrize(
    "data",
    [
        float("nan"),
        float("inf"),
        2**64,
        -(2**64) - 1,
        (1, 2),
        {1},
        {1: 2},
        {"a": "\ud800"},
        print,
    ],
    ids=repr,
)
def test_what_has_no_dag_cbor_form_is_refused(data: Any) -> None:
    """Such data has no name, rather than a name that another reader would not find."""
    with pytest.raises(ValueError, match="Failed to encode"):
        generate_cid(data)
    with pytest.raises(ValueError, match="Failed to encode"):
        verify_cid("bafyrei", {"inside": data})


def test_what_is_nested_too_deep_is_refused() -> None:
    """Depth is an error like any other, not a crash."""
    data: list[Any] = []
    for _ in range(100_000):
        data = [data]

    with pytest.raises(ValueError, match="Failed to encode"):
        generate_cid(data)
