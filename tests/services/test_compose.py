"""What the compose file promises: pinned images, this machine alone, no password of the trade."""

import json
import re

import pytest

from atdata.services.compose import compose_text

PORTS = {"redis": 7001, "postgres": 7002, "s3": 7003}
DOCUMENT = json.loads(compose_text(PORTS, "atdata-test"))


@pytest.mark.parametrize("kind", PORTS)
def test_a_service_listens_on_this_machine_alone(kind: str) -> None:
    """Every published port names the loopback address."""
    ports = DOCUMENT["services"][kind]["ports"]

    assert [port.rpartition(":")[0] for port in ports] == [f"127.0.0.1:{PORTS[kind]}"]


@pytest.mark.parametrize("kind", PORTS)
def test_an_image_is_pinned(kind: str) -> None:
    """A tag names one release, to its last number."""
    tag = DOCUMENT["services"][kind]["image"].rpartition(":")[2]

    assert re.match(r"\d+\.\d+|RELEASE\.\d{4}-", tag)


@pytest.mark.parametrize("kind", PORTS)
def test_passwords_come_from_outside(kind: str) -> None:
    """Without its secrets in the environment, a container does not start."""
    text = json.dumps(DOCUMENT["services"][kind])
    secrets = [
        value
        for name, value in DOCUMENT["services"][kind]["environment"].items()
        if re.search("PASSWORD|ROOT_USER", name)
    ]

    assert secrets
    assert all(re.fullmatch(r"\$\{[A-Z0-9_]+:\?\}", secret) for secret in secrets)
    assert "minioadmin" not in text


@pytest.mark.parametrize("kind", PORTS)
def test_data_stay_in_a_volume(kind: str) -> None:
    """Each has its own, and is watched."""
    service = DOCUMENT["services"][kind]

    assert [volume.partition(":")[0] for volume in service["volumes"]] == [kind]
    assert kind in DOCUMENT["volumes"]
    assert service["healthcheck"]["test"]


def test_redis_keeps_what_it_has() -> None:
    """Its file is appended to, and nothing is evicted."""
    command = DOCUMENT["services"]["redis"]["command"][-1]

    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert DOCUMENT["name"] == "atdata-test"
