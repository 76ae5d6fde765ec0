"""Signatures of S3 requests: AWS Signature Version 4, as pure functions.

The format: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from atdata.transport import gate
from atdata.transport.credentials import DEFAULT_REGION, S3Settings
from atdata.transport.gate import WebAddress

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256().hexdigest()
_ALGORITHM = "AWS4-HMAC-SHA256"
_LONGEST = 604_800  # seconds: what the format allows at most


def place(settings: S3Settings, bucket: str, key: str = "") -> str:
    """The web address of a bucket, or of what lies in it under a key.

    Examples:
        >>> place(S3Settings("http://127.0.0.1:9000"), "shards", "a b/ä.tar")
        'http://127.0.0.1:9000/shards/a%20b/%C3%A4.tar'
        >>> place(S3Settings(region="eu-west-1"), "shards", "a.tar")
        'https://shards.s3.eu-west-1.amazonaws.com/a.tar'
    """
    region = settings.region or DEFAULT_REGION
    china = ".cn" if region.startswith("cn-") else ""
    endpoint = settings.endpoint or f"https://s3.{region}.amazonaws.com{china}"
    address = gate.check(endpoint)
    if not isinstance(address, WebAddress):
        raise TypeError("an endpoint is a web address")
    in_path = settings.path_style
    if in_path is None:  # a certificate for *.host does not fit a name with dots
        in_path = settings.endpoint is not None or "." in bucket
    base = address.target.rstrip("/")
    path = f"{base}/{bucket}/{key}" if in_path else f"{base}/{key}"
    authority = address.authority if in_path else f"{bucket}.{address.authority}"
    return f"{address.scheme}://{authority}{_escaped(path, '/')}"


def presigned(url: str, settings: S3Settings, *, now: datetime, method: str = "GET") -> str:
    """An address that carries its signature, for seven days; as it is for anonymous settings.

    Examples:
        >>> settings = S3Settings(access_key="me", secret_key="mine")
        >>> url = presigned("https://b.example.org/a.tar", settings, now=datetime.now(UTC))
        >>> url.startswith("https://b.example.org/a.tar?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
        True
    """
    if not settings.is_signed:
        return url
    query = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{settings.access_key}/{_scope(settings, now)}",
        "X-Amz-Date": _stamp(now),
        "X-Amz-Expires": str(_LONGEST),
        "X-Amz-SignedHeaders": "host",
    }
    if settings.session_token:
        query["X-Amz-Security-Token"] = settings.session_token
    headers = {"host": _address(url).authority}
    signature = _signature(
        settings, method, url, query=query, headers=headers, payload=UNSIGNED, now=now
    )
    return f"{url}?{canonical_query(query)}&X-Amz-Signature={signature}"


def signed(
    method: str,
    url: str,
    settings: S3Settings,
    *,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    payload: str,
    now: datetime,
) -> dict[str, str]:
    """The headers of a request, with its signature.

    Args:
        method: Such as `"PUT"`.
        url: The address without its query.
        settings: Who asks.
        query: The query.
        headers: Further headers, named in lower case; all of them are signed.
        payload: The SHA-256 of the body in hex, or `UNSIGNED`.
        now: The time.

    Returns:
        `headers` and those that were added; without the host.
    """
    if not settings.is_signed:
        return dict(headers)
    sent = {**headers, "x-amz-content-sha256": payload, "x-amz-date": _stamp(now)}
    if settings.session_token:
        sent["x-amz-security-token"] = settings.session_token
    all_headers = {**sent, "host": _address(url).authority}
    signature = _signature(
        settings, method, url, query=query, headers=all_headers, payload=payload, now=now
    )
    sent["authorization"] = (
        f"{_ALGORITHM} Credential={settings.access_key}/{_scope(settings, now)}, "
        f"SignedHeaders={';'.join(sorted(all_headers))}, Signature={signature}"
    )
    return sent


def canonical_query(query: Mapping[str, str]) -> str:
    """A query as it is signed and sent.

    Examples:
        >>> canonical_query({"prefix": "a b/", "list-type": "2"})
        'list-type=2&prefix=a%20b%2F'
    """
    pairs = sorted((_escaped(name), _escaped(value)) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def _signature(
    settings: S3Settings,
    method: str,
    url: str,
    *,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    payload: str,
    now: datetime,
) -> str:
    names = sorted(headers)
    request = "\n".join(
        [
            method,
            _address(url).target,
            canonical_query(query),
            *(f"{name}:{' '.join(headers[name].split())}" for name in names),
            "",
            ";".join(names),
            payload,
        ]
    )
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join([_ALGORITHM, _stamp(now), _scope(settings, now), digest])
    key = f"AWS4{settings.secret_key}".encode()
    for part in _scope(settings, now).split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _scope(settings: S3Settings, now: datetime) -> str:
    region = settings.region or DEFAULT_REGION
    return f"{now.astimezone(UTC):%Y%m%d}/{region}/s3/aws4_request"


def _stamp(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _escaped(text: str, safe: str = "") -> str:
    return quote(text, safe=safe, errors="surrogatepass")


def _address(url: str) -> WebAddress:
    address = gate.check(url)
    if not isinstance(address, WebAddress):
        raise TypeError("a request goes to a web address")
    return address
