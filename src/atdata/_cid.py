"""Content identifiers: short names that follow from the content alone.

A CID here is version 1, codec DAG-CBOR, hash SHA-256: the four bytes `01 71 12 20`, then the 32
bytes of the digest, all in lower-case base32 after a `b`. It is the form in which records are
named on the AT Protocol.
"""

from collections.abc import Buffer
from hashlib import sha256
from typing import Any

import libipld

CID_VERSION_1 = 0x01
CODEC_DAG_CBOR = 0x71
HASH_SHA256 = 0x12
SHA256_SIZE = 0x20

_PREFIX = bytes([CID_VERSION_1, CODEC_DAG_CBOR, HASH_SHA256, SHA256_SIZE])


def generate_cid(data: Any) -> str:
    """Name a record by its content.

    The record is written as canonical DAG-CBOR first, so the order in which a map was filled does
    not matter: keys are sorted and each value has one form.

    Args:
        data: Maps with text keys, lists, text, bytes, integers of up to 64 bits, finite floats,
            booleans and None.

    Returns:
        The CID, 59 characters that begin with `bafyrei`.

    Raises:
        ValueError: The record holds something DAG-CBOR has no form for: NaN, an infinity, a
            larger integer, a tuple, a set, a key that is not text, text that is not Unicode, or
            lists and maps nested too deep.

    Examples:
        >>> generate_cid({"value": 42, "name": "test"})
        'bafyreidnzhwcbncg3avwjjao5o6wx4zhnksmxhdo6w5iaqupexnmzdlb54'
    """
    try:
        encoded: bytes = libipld.encode_dag_cbor(data)
    except (ValueError, RecursionError) as error:
        reason = str(error).removeprefix("Failed to encode DAG-CBOR. ")
        raise ValueError(f"Failed to encode the data as DAG-CBOR: {reason}") from error
    return generate_cid_from_bytes(encoded)


def generate_cid_from_bytes(data: Buffer) -> str:
    """Name bytes that are DAG-CBOR already.

    Args:
        data: The encoded record. Bytes of any other kind are hashed as well, and their CID still
            says DAG-CBOR.

    Returns:
        The CID, 59 characters that begin with `bafyrei`.

    Examples:
        >>> generate_cid_from_bytes(b"some raw bytes")
        'bafyreibh2ctzhvsd74chh7lspqcnm5a5vuyrbvefqb6tzdz445vbrqlxvm'
    """
    cid: str = libipld.encode_cid(_PREFIX + sha256(data).digest())
    return cid


def verify_cid(cid: str, data: Any) -> bool:
    """Tell whether a CID is the name of this record.

    Args:
        cid: The CID to check, in the form that `generate_cid` gives.
        data: The record.

    Returns:
        True if the content has that name.

    Raises:
        ValueError: The record has no DAG-CBOR form.

    Examples:
        >>> cid = generate_cid({"name": "test"})
        >>> verify_cid(cid, {"name": "test"}), verify_cid(cid, {"name": "changed"})
        (True, False)
    """
    return generate_cid(data) == cid
