"""Versions: their order, as the definition has it, and what comes next."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atdata.model.version import Version, is_version, latest, parse_semver, version_key

# The order that the definition itself gives, with builds put last among equals.
ORDERED = [
    *("0.0.0", "0.9.10", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1"),
    *("1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"),
    *("1.0.0+build.2", "1.0.0+build.10", "1.0.1", "1.9.0", "1.10.0", "1.11.0", "2.0.0"),
]

identifiers = st.from_regex(r"[0-9A-Za-z-]{1,4}", fullmatch=True)
numbers = st.integers(0, 12)
versions = st.builds(
    Version,
    numbers,
    numbers,
    numbers,
    st.lists(
        identifiers.filter(lambda i: not (i.isdigit() and i[0] == "0" and len(i) > 1)), max_size=2
    ).map(tuple),
    st.lists(identifiers, max_size=2).map(tuple),
)


def test_versions_are_ordered_as_the_definition_says() -> None:
    """Numbers as numbers, pre-releases before releases, and builds last."""
    found = sorted(map(Version.parse, reversed(ORDERED)))

    assert [str(version) for version in found] == ORDERED


@settings(max_examples=30)
@given(one=versions, other=versions)
def test_any_two_versions_have_one_order(one: Version, other: Version) -> None:
    """Exactly one of less, equal and greater holds, and equal ones are the same."""
    assert [one < other, one == other, one > other].count(True) == 1
    assert (one <= other) == (not one > other)
    assert (version_key(str(one)) < version_key(str(other))) == (one < other)


@given(version=versions)
def test_any_version_comes_back_from_its_text(version: Version) -> None:
    """What is written is read."""
    assert Version.parse(str(version)) == version
    assert pickle.loads(pickle.dumps(version)) == version


@given(version=versions, part=st.sampled_from(["patch", "minor", "major"]))
def test_any_bump_gives_a_higher_release(version: Version, part: str) -> None:
    """The next version comes after, whatever was before."""
    bumped = version.bump(part)  # type: ignore[arg-type]

    assert bumped > version
    assert bumped.pre_release == bumped.build == ()


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "1.2", "1.2.3.4", "01.2.3", "1.02.3", "1.2.03", "v1.2.3", "1.2.3-", "1.2.3+"),
        *("1.2.3-01", "1.2.3-a..b", "1_0.0.0", "١.0.0", " 1.2.3", "1.2.3\n", "-1.2.3", "1.2.3-ä"),
        *("1." * 500 + "1", "9" * 400 + ".0.0", "1.0.0-" + "a" * 400, "1.0.0\x1b[31m"),
    ],
    ids=lambda text: repr(text)[:20],
)
def test_what_is_no_version_is_refused_with_its_text(text: str) -> None:
    """The error shows what was given, in one short line, without its control characters."""
    assert not is_version(text)
    with pytest.raises(ValueError, match="is no version") as caught:
        Version.parse(text)
    assert repr(text)[:40] in str(caught.value)
    assert len(str(caught.value)) < 400
    assert "\x1b" not in str(caught.value)


def test_texts_that_are_no_versions_come_first() -> None:
    """A list of versions can always be sorted, and the last one is the highest."""
    texts = ["2.0.0", "weird", "1.9.9", "", "1.2.0", "1_0.0.0"]

    assert sorted(texts, key=version_key) == ["", "1_0.0.0", "weird", "1.2.0", "1.9.9", "2.0.0"]
    assert latest(texts) == Version(2, 0, 0)
    assert latest(["weird"]) is None


def test_an_underscore_makes_no_other_number() -> None:
    """`1_0.0.0` is not version 10."""
    with pytest.raises(ValueError, match="Invalid semver"):
        parse_semver("1_0.0.0")


def test_a_pre_release_becomes_its_release() -> None:
    """`2.0.0-rc.1` is followed by `2.0.0` where that is enough."""
    coming = Version.parse("2.0.0-rc.1")

    assert [str(coming.bump(p)) for p in ("patch", "minor", "major")] == ["2.0.0"] * 3
    assert str(Version.parse("2.1.3-rc.1").bump("major")) == "3.0.0"
    with pytest.raises(ValueError, match="no part 'build'"):
        coming.bump("build")  # type: ignore[arg-type]
