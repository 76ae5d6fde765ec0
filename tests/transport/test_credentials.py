"""Who asks an S3 server: what is read from where, and what is never shown."""

import pickle
import traceback
from pathlib import Path

import pytest

from atdata.transport.credentials import (
    S3Settings,
    from_env,
    from_file,
    from_mapping,
    from_profile,
    settings_of,
)

KEYS = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "my-secret"}


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [*KEYS, "AWS_SESSION_TOKEN", "AWS_ENDPOINT", "AWS_ENDPOINT_URL"]:
        monkeypatch.delenv(name, raising=False)
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "AWS_PROFILE"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_secrets_are_in_no_text() -> None:
    """The repr and the text of settings hold no secret; a copy is equal and holds them."""
    settings = S3Settings(None, "eu-1", "my-key", "my-secret", "my-token")

    shown = f"{settings!r} {settings}"

    assert all(secret not in shown for secret in ("my-key", "my-secret", "my-token"))
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert settings.secret_key == "my-secret"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"AWS_ENDPOINT": "https://a.org"}, ("https://a.org", None)),
        ({"AWS_ENDPOINT_URL": "https://a.org"}, ("https://a.org", None)),
        ({"AWS_ENDPOINT": "", "AWS_ENDPOINT_URL": "https://a.org"}, ("https://a.org", None)),
        ({"AWS_REGION": "eu-1", "AWS_DEFAULT_REGION": "us-1"}, (None, "eu-1")),
        ({"AWS_DEFAULT_REGION": "us-1"}, (None, "us-1")),
    ],
)
def test_both_names_of_endpoint_and_region_are_known(
    names: dict[str, str], expected: tuple[str | None, str | None]
) -> None:
    """Each may be called in two ways, and what is empty is not there."""
    found = from_mapping({**KEYS, **names, "AWS_OTHER": "x"})

    assert (found.endpoint, found.region) == expected


@pytest.mark.parametrize("name", KEYS)
def test_half_a_pair_of_keys_is_an_error(name: str) -> None:
    """One key without the other is a mistake, even where none are needed."""
    half = {key: value for key, value in KEYS.items() if key != name}

    with pytest.raises(ValueError, match=f"Missing required keys in the credentials: {name}"):
        from_mapping(half)
    with pytest.raises(ValueError, match="Missing required keys"):
        from_mapping(half, anonymous=True)
    with pytest.raises(ValueError, match="Missing required keys"):
        settings_of(half)


def test_an_environment_without_keys_is_anonymous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys one may read what is public; a token alone is nothing."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "left over")

    assert from_env() == S3Settings()
    with pytest.raises(ValueError, match="Missing required keys in the environment"):
        settings_of(None)


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    """Comments, quotes and `export` are understood, and nothing is replaced or run."""
    (tmp_path / "s3.env").write_text(
        "# who asks\n"
        "\n"
        "export AWS_ACCESS_KEY_ID=me # not part of it\n"
        "AWS_SECRET_ACCESS_KEY = '$(touch)`y`${HOME}#\"'\n"
        '  AWS_ENDPOINT="https://s3.example.org"  \n'
        "AWS_SESSION_TOKEN=a+b/c==\n"
        "OTHER=thing\n"
    )

    found = from_file(tmp_path / "s3.env")

    assert found == S3Settings(
        "https://s3.example.org", None, "me", '$(touch)`y`${HOME}#"', "a+b/c=="
    )
    assert [path.name for path in tmp_path.iterdir()] == ["s3.env"]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", "AWS_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"),
        ("AWS_ENDPOINT=https://a.org\nAWS_ACCESS_KEY_ID=me\n", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID=me\nAWS_SECRET_ACCESS_KEY=x\n", "AWS_ENDPOINT"),
        ("AWS_REGION=eu-1\nAWS_SECRET_ACCESS_KEY=x\nAWS_ACCESS_KEY_ID=''\n", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_file_that_lacks_keys_names_them(tmp_path: Path, text: str, missing: str) -> None:
    """What is missing is said, with the file; endpoint or region says where the server is."""
    path = tmp_path / "s3.env"
    path.write_text(text)

    with pytest.raises(ValueError, match="Missing required keys in") as error:
        from_file(path)

    assert str(error.value) == f"Missing required keys in {path}: {missing}"


@pytest.mark.parametrize(
    "line",
    ["my-secret", "AWS_SECRET_ACCESS_KEY", "A='my-secret", 'A="my\\secret"', "A=my secret", "1=x"],
)
def test_a_line_that_is_not_understood_is_not_shown(tmp_path: Path, line: str) -> None:
    """An error of a file names the line's number and nothing that may be secret."""
    path = tmp_path / "s3.env"
    path.write_text(f"AWS_ACCESS_KEY_ID=me\n{line}\n")

    with pytest.raises(ValueError, match="line 2: not of the form") as error:
        from_file(path)

    assert "secret" not in "".join(traceback.format_exception_only(error.value))
    assert error.value.__cause__ is None


@pytest.mark.parametrize("data", [b"\xff\xfe", b"A=x\n" * 300_000])
def test_what_is_no_file_of_lines_is_refused(tmp_path: Path, data: bytes) -> None:
    """Binary and endless files are refused."""
    (tmp_path / "s3.env").write_bytes(data)

    with pytest.raises(ValueError, match="is no text of at most 1 MiB"):
        from_file(tmp_path / "s3.env")


def test_profiles_are_read_from_both_files(tmp_path: Path) -> None:
    """Keys come from one file and the region from the other, as those tools have it."""
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = d\naws_secret_access_key = %(x)s\n"
        "[lab]\naws_access_key_id=l\naws_secret_access_key=s\naws_session_token=t\n"
    )
    (folder / "config").write_text(
        "[default]\nregion = us-1\n[profile lab]\nregion=eu-1\nendpoint_url=https://a.org\n"
    )

    assert from_profile() == S3Settings(None, "us-1", "d", "%(x)s")
    assert settings_of(profile="lab") == S3Settings("https://a.org", "eu-1", "l", "s", "t")
    with pytest.raises(ValueError, match="Missing required keys in profile 'none'"):
        from_profile("none")
    with pytest.raises(ValueError, match="not both"):
        settings_of(KEYS, profile="lab")


def test_a_file_of_profiles_that_is_damaged_is_not_shown(tmp_path: Path) -> None:
    """What cannot be parsed may be a secret."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text("[default]\nmy-secret\n")

    with pytest.raises(ValueError, match="is no file of profiles") as error:
        from_profile()

    assert "my-secret" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(
    "endpoint",
    ["s3.example.org", "ftp://a.org", "https://me:pw@a.org", "https://a.org/?x=1", "/tmp", "a b"],
)
def test_an_endpoint_is_a_plain_web_address(endpoint: str) -> None:
    """Anything else is refused, and a password in it is not shown."""
    with pytest.raises(ValueError, match="endpoint") as error:
        S3Settings(endpoint)

    assert "pw" not in str(error.value)


@pytest.mark.parametrize("value", ["", "a b", "a\nb", "ä", "a\0"])
def test_what_no_key_can_be_is_refused_and_not_shown(value: str) -> None:
    """A line end in a key would otherwise end up in a header."""
    with pytest.raises(ValueError, match="AWS_SECRET_ACCESS_KEY") as error:
        S3Settings(access_key="me", secret_key=value)

    assert not value or value not in str(error.value)


def test_other_things_are_no_credentials() -> None:
    """Credentials of another kind are a mistake of the caller's."""
    with pytest.raises(TypeError, match="not int"):
        settings_of(7)
    with pytest.raises(TypeError, match="must be a str"):
        S3Settings(access_key="me", secret_key=b"x")  # type: ignore[arg-type]
