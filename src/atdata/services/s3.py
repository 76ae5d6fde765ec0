"""An S3 server on loopback: OpenStack Swift with its S3 API."""

import hmac
import http.client
import sys
from base64 import b64encode
from dataclasses import dataclass, field
from email.utils import formatdate
from importlib.util import find_spec

from atdata.services import swift
from atdata.services.process import HOST, Identity, Program, ServiceError, answers
from atdata.services.server import Server, Settings, write_private

_ACCOUNT = "atdata"
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class S3Settings(Settings):
    """How an S3 server is started; the password is the secret key.

    Attributes:
        access_key: The access key; empty for the one it had before, or a new random one.
        region: The region it says it is in.
    """

    access_key: str = field(default="", repr=False)
    region: str = "us-east-1"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and what opens it.

    Attributes:
        endpoint: The server's address.
        access_key: The access key.
        secret_key: The secret key.
        region: The server's region.
        bucket: The bucket's name.
    """

    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str
    bucket: str

    @property
    def credentials(self) -> dict[str, str]:
        """What opens it, as environment variables are named."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT": self.endpoint,
            "AWS_REGION": self.region,
        }


class S3Server(Server[S3Settings]):
    """An S3 server of our own, OpenStack Swift, that checks signatures, on loopback.

    Create-only writes are refused where an object is there, but two writers at the same moment may
    both pass. Writes on condition of an ETag are answered with 501.

    Args:
        settings: How it is started; by default with a temporary folder and random keys.

    Examples:
        >>> with S3Server() as server:
        ...     bucket = server.create_bucket("shards")
        >>> bucket.bucket, sorted(bucket.credentials)[0]
        ('shards', 'AWS_ACCESS_KEY_ID')
    """

    service = "S3 (OpenStack Swift)"
    kind = "s3"

    def __init__(self, settings: S3Settings | None = None) -> None:
        super().__init__(settings or S3Settings())
        self._user = ""

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://{self.host}:{self.port}"

    url = endpoint

    @property
    def region(self) -> str:
        """The region it says it is in."""
        return self.settings.region

    @property
    def access_key(self) -> str:
        """The access key."""
        return f"{_ACCOUNT}:{self._user}"

    @property
    def secret_key(self) -> str:
        """The secret key."""
        return self.password

    def bucket(self, name: str) -> Bucket:
        """A bucket that is there, with what opens it."""
        return Bucket(self.endpoint, self.access_key, self.secret_key, self.region, name)

    def create_bucket(self, name: str) -> Bucket:
        """Make a bucket; one that is there already is left as it is.

        Raises:
            ServiceError: The server refuses the name.
        """
        date = formatdate(usegmt=True)
        # The older signature, which is one line; Swift takes either.
        what = f"PUT\n\n\n{date}\n/{name}".encode()
        digest = hmac.digest(self.secret_key.encode(), what, "sha1")
        signed = f"AWS {self.access_key}:{b64encode(digest).decode()}"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_PATIENCE)
        try:
            connection.request("PUT", f"/{name}", headers={"Date": date, "Authorization": signed})
            answer = connection.getresponse()
            said = answer.read().decode(errors="replace")
        finally:
            connection.close()
        if answer.status not in {200, 409}:
            reason = f"cannot make the bucket {name!r}: {answer.status} {said}"
            raise ServiceError(self.service, reason, hint="Choose another name.")
        return self.bucket(name)

    def _choose_secrets(self) -> None:
        super()._choose_secrets()
        self._user = self._fact("user", self.settings.access_key.removeprefix(f"{_ACCOUNT}:"))

    def _program(self) -> Program:
        if find_spec("swift") is None or find_spec("eventlet") is None:
            raise ServiceError(
                self.service,
                "OpenStack Swift is not installed",
                hint="Install it: pip install 'atdata[servers]'",
            )
        plan = swift.Plan(
            str(self.folder), self.port, _ACCOUNT, self._user, self.password, self.region
        )
        (self.folder / "ready").unlink(missing_ok=True)
        write_private(self.folder / "plan.json", plan.to_json())
        return self._run(sys.executable, "-m", swift.__name__, self.folder / "plan.json")

    def _is_ready(self, identity: Identity) -> bool:
        question = f"GET /healthcheck HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        ready = self.folder / "ready"
        if not ready.exists() or ready.read_text() != str(identity.pid):
            return False
        return answers(self.port, question.encode(), b"HTTP/1.1 ")
