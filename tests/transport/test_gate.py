"""What may be opened, and what may not."""

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atdata._exceptions import UnsafeURLError, redacted
from atdata.transport import gate
from atdata.transport.gate import FileAddress, Origin, WebAddress


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("a.tar", "a.tar"),
        ("/data/a b?#%20.tar", "/data/a b?#%20.tar"),
        ("~/a.tar", "~/a.tar"),
        ("./pipe:id", "pipe:id"),
        ("/data/s3://x", "/data/s3:/x"),
        ("file:a.tar", "a.tar"),
        ("file:/data/a.tar", "/data/a.tar"),
        ("file:///data/a%20b.tar", "/data/a b.tar"),
        ("FILE://localhost/data/a.tar", "/data/a.tar"),
    ],
)
def test_paths_and_file_addresses_are_files(url: str, path: str) -> None:
    """A user may name a file of this machine, as a path or as a `file:` address."""
    assert gate.check(url) == FileAddress(Path(path))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-",
        "file:",
        "file:-",
        "file://example.org/a.tar",
        "a\0b",
        "file:///a%00b",
        "pipe:id",
        "PIPE:id",
        "pipe:curl -u me:secret https://example.org",
        "s3://bucket/a.tar",
        "gs://bucket/a.tar",
        "ftp://example.org/a.tar",
        "sftp://example.org/a.tar",
        "scp:example.org:a.tar",
        "hf://datasets/a",
        "data:text/plain,a",
        "javascript:1",
        "httpx://example.org/",
    ],
)
@pytest.mark.parametrize("origin", ["user", "record"])
def test_other_kinds_of_addresses_are_refused(url: str, origin: Origin) -> None:
    """No scheme but file, http and https is opened, and none of them runs anything."""
    with pytest.raises(UnsafeURLError, match="Allowed: ") as caught:
        gate.check(url, origin=origin)

    assert "secret" not in str(caught.value)


def test_s3_is_named_as_allowed_only_where_it_is() -> None:
    """The hint for another kind names `s3:`; that for a bucket itself says what reads it."""
    with pytest.raises(UnsafeURLError, match=r"https: or s3:\. Write \./gs:"):
        gate.check("gs://bucket/a.tar")
    with pytest.raises(UnsafeURLError, match=r"http: or https:\. Read it with .* S3Source"):
        gate.check("s3://bucket/a.tar")


@pytest.mark.parametrize("url", ["a.tar", "/a.tar", "file:///a.tar", "http://example.org/a.tar"])
def test_a_record_may_name_only_https(url: str) -> None:
    """What data from elsewhere names is neither a file nor read without encryption."""
    with pytest.raises(UnsafeURLError, match="Allowed: https"):
        gate.check(url, origin="record")


def test_a_web_address_is_taken_apart() -> None:
    """Scheme, host, port, path, query and credentials are told apart."""
    found = gate.check("HTTPS://me:p%40ss@Example.ORG:8443/a%20b/ü{1}.tar?q=1#part")

    assert found == WebAddress(
        "https", "example.org", 8443, "/a%20b/%C3%BC%7B1%7D.tar?q=1", ("me", "p@ss")
    )
    assert found.url == "https://example.org:8443/a%20b/%C3%BC%7B1%7D.tar?q=1"
    assert "ss" not in repr(found).replace("Address", "")


@pytest.mark.parametrize(
    ("url", "host", "authority"),
    [
        ("http://127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("http://[::1]:80/", "::1", "[::1]"),
        ("http://[2001:DB8::0001]:8080/", "2001:db8::1", "[2001:db8::1]:8080"),
        ("http://a_b.example.org./", "a_b.example.org.", "a_b.example.org."),
        ("http://xn--bcher-kva.example/", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("http://example.org:/", "example.org", "example.org"),
    ],
)
def test_hosts_have_one_form(url: str, host: str, authority: str) -> None:
    """A host is a name in lower case or an address in its shortest form."""
    found = gate.check(url)

    assert isinstance(found, WebAddress)
    assert (found.host, found.authority) == (host, authority)


@pytest.mark.parametrize(
    "url",
    [
        "http:",
        "http:example.org",
        "http:/example.org",
        "http://",
        "http:///a.tar",
        "http://?a",
        "http://:80/",
        "http://@/",
        "http://a@b@example.org/",
        "http://example.org:0/",
        "http://example.org:65536/",
        "http://example.org:8o/",
        "http://example.org:٨/",
        "http://exa mple.org/",
        "http://example.org/a b",
        "http://example.org/a\n",
        "http://example.org\\@evil.org/",
        "http://exa%6dple.org/",
        "http://bücher.example/",
        "http://example..org/",
        "http://-a.org/",
        "http://" + "a" * 64 + ".org/",
        "http://" + "a." * 130 + "org/",
        "http://example.org/" + "a" * 9000,
        "http://127.1/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://127.0.0.256/",
        "http://127.0.0.1./",
        "http://[::1/",
        "http://[::1%25lo]/",
        "http://[127.0.0.1]/",
        "http://::1/",
    ],
)
def test_malformed_web_addresses_are_refused(url: str) -> None:
    """An address that programs read in different ways is not read at all."""
    with pytest.raises(UnsafeURLError):
        gate.check(url)


@pytest.mark.parametrize("userinfo", ["me", "me:secret", ":", ""])
def test_a_record_may_not_bring_credentials(userinfo: str) -> None:
    """An address from a record has no user name, not even an empty one."""
    with pytest.raises(UnsafeURLError) as caught:
        gate.check(f"https://{userinfo}@example.org/a.tar", origin="record")

    assert "secret" not in str(caught.value)


@given(
    url=st.text(max_size=40) | st.from_regex(r"(https?|file|pipe|-)?:?/?/?.{0,20}", fullmatch=True)
)
def test_any_text_is_an_address_or_refused(url: str) -> None:
    """Whatever the text, there is an address or an `UnsafeURLError`, and it stays what it is."""
    for origin in ("user", "record"):
        try:
            found = gate.check(url, origin=origin)
        except UnsafeURLError:
            continue
        if isinstance(found, WebAddress):
            assert gate.check(found.url, origin=origin) == WebAddress(
                found.scheme, found.host, found.port, found.target
            )
        else:
            assert origin == "user"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::1.1.1.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:a9fe:a9fe",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:db8::1",
        "3fff::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1111%eth0",
        "fec0::1",
        "ff02::1",
        "example.org",
        "",
    ],
)
def test_addresses_inside_are_not_public(address: str) -> None:
    """Loopback, private, link-local, metadata, multicast and reserved addresses are not public."""
    assert not gate.is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"],
)
def test_addresses_outside_are_public(address: str) -> None:
    """Addresses that anyone can reach are public, also when translated."""
    assert gate.is_public(address)


@given(address=st.ip_addresses(v=4).map(str))
def test_any_ipv4_address_is_judged_alike_in_ipv6(address: str) -> None:
    """An IPv4 address is as public mapped or translated as it is by itself."""
    public = gate.is_public(address)

    assert gate.is_public(f"::ffff:{address}") == public
    assert gate.is_public(f"64:ff9b::{address}") == public


def test_every_address_of_a_host_is_looked_at() -> None:
    """One private address among public ones is enough to refuse a host."""
    outside = ["1.1.1.1", "2606:4700::1111"]
    mixed = [*outside, "::ffff:192.168.0.1"]

    with pytest.raises(UnsafeURLError, match=r"192\.168\.0\.1"):
        gate.public_addresses("example.org", 443, resolver=lambda *_: mixed)

    assert gate.public_addresses("example.org", 443, resolver=lambda *_: outside) == outside


def test_this_machine_is_not_public() -> None:
    """The system's own resolver leads `localhost` to refused addresses."""
    with pytest.raises(UnsafeURLError):
        gate.public_addresses("localhost", 443)

    assert gate.resolve("::1", 80) == ["::1"] or not socket.has_ipv6


def _web(url: str) -> WebAddress:
    found = gate.check(url)
    assert isinstance(found, WebAddress)
    return found


def test_a_redirect_keeps_credentials_at_home() -> None:
    """Credentials go along to the same scheme, host and port, and nowhere else."""
    here = _web("http://me:secret@example.org/a")

    assert gate.redirected(here, "/b").credentials == ("me", "secret")
    assert gate.redirected(here, "https://example.org/b").credentials is None
    assert gate.redirected(here, "http://example.org:81/b").credentials is None
    assert gate.redirected(here, "//other.org/b").credentials is None


@pytest.mark.parametrize("origin", ["user", "record"])
def test_a_redirect_does_not_leave_https(origin: Origin) -> None:
    """What began encrypted goes on encrypted."""
    with pytest.raises(UnsafeURLError, match="redirects there"):
        gate.redirected(_web("https://example.org/a"), "http://example.org/a", origin=origin)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@example.org/a?sig=secret#secret", "https://example.org/a"),
        ("https://me@sec:ret@example.org/a", "https://example.org/a"),
        ("https:\\\\me:secret@example.org\\a", "https://example.org\\a"),
        ("http://me:sec/ret@example.org/", "http://…"),
        ("http://me:sec?ret@example.org/", "http://…"),
        ("s3://key:secret@bucket/a", "s3://bucket/a"),
        ("postgres://me:secret@[::1]:5432/db?x=secret", "postgres://[::1]:5432/db"),
        ("http:me:secret@example.org", "http:…"),
        ("pipe:curl -u me:secret", "pipe:…"),
        ("/data/a?b#c@d.tar", "/data/a?b#c@d.tar"),
        ("file:///a?b", "file:///a?b"),
    ],
)
def test_addresses_are_shown_without_secrets(url: str, shown: str) -> None:
    """User name, password, query and fragment do not show; paths of files do."""
    assert redacted(url) == shown


_secret = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#\\@:"), min_size=9
)


@given(user=_secret, password=_secret, query=_secret)
def test_any_secret_stays_hidden(user: str, password: str, query: str) -> None:
    """Whatever they are, user name, password and query do not show."""
    shown = redacted(f"https://{user}:{password}@h.org/a?{query}")

    assert shown == "https://h.org/a"
