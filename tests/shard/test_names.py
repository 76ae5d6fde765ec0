"""Names of shards: braces and numbers."""

import time

import pytest
from braceexpand import UnbalancedBracesError, braceexpand
from hypothesis import assume, given
from hypothesis import strategies as st

from atdata.shard.names import count, expand, is_numbered_sibling, numbered


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("", [""]),
        ("{000..003}", ["000", "001", "002", "003"]),
        ("{9..11}", ["9", "10", "11"]),
        ("{08..010}", ["008", "009", "010"]),
        ("{3..1}", ["3", "2", "1"]),
        ("{0..10..5}", ["0", "5", "10"]),
        ("{10..0..-4}", ["10", "6", "2"]),
        ("{0..2..0}", ["0", "1", "2"]),
        ("{-1..1}", ["-1", "0", "1"]),
        ("{-01..1}", ["-01", "000", "001"]),
        ("{5..5}", ["5"]),
        ("{a..c}", ["a", "b", "c"]),
        ("{c..a..2}", ["c", "a"]),
        ("{Y..b}", ["Y", "Z", "a", "b"]),
        ("{train,test}-{0..1}", ["train-0", "train-1", "test-0", "test-1"]),
        ("{a,b{1,2},}", ["a", "b1", "b2", ""]),
        ("{,}", ["", ""]),
        ("{x}", ["{x}"]),
        ("{}", ["{}"]),
        ("{{a,b}}", ["{a}", "{b}"]),
        ("{a..1}", ["{a..1}"]),
        ("{1..}", ["{1..}"]),
        ("{1...3}", ["{1...3}"]),
        ("${VAR}::a,b", ["${VAR}::a,b"]),
        (r"\{a,b\}", ["{a,b}"]),
        (r"{a\,b,c}", ["a,b", "c"]),
        (r"{\1..3}", ["{1..3}"]),
        (r"a\\b", [r"a\b"]),
        ("a\\", ["a\\"]),
        ("%06d", ["%06d"]),
    ],
)
def test_braces_expand_as_in_bash(pattern: str, names: list[str]) -> None:
    """Ranges, lists, nesting, literal braces and escapes give the names that bash gives."""
    assert expand(pattern) == names
    assert count(pattern) == len(names)


@pytest.mark.parametrize(
    ("pattern", "position"),
    [("{", 0), ("ab{1,2", 2), ("}", 0), ("a}{b", 1), ("{1{2,3}", 0), (r"\{a}", 3), ("{a,b}}", 5)],
)
def test_braces_that_do_not_pair_are_refused(pattern: str, position: int) -> None:
    """A brace without its other half is an error that says where it is."""
    with pytest.raises(ValueError, match=f"at position {position} "):
        expand(pattern)


_leaf = st.one_of(
    st.sampled_from(["a", "b", "-", ".tar", "..", "$", "0", r"\{", r"\,"]),
    st.sampled_from(
        ["{0..2}", "{08..10}", "{3..-1..2}", "{a..d}", "{B..A}", "{}", "{x}", "{1..}"]
    ),
)
_patterns = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"{{{','.join(parts)}}}"),
    ),
    max_leaves=6,
)


@given(pattern=_patterns)
def test_any_pattern_expands_as_webdataset_does(pattern: str) -> None:
    """Names and their order are those of the package that webdataset uses."""
    assert expand(pattern) == list(braceexpand(pattern))


@given(pattern=st.text("ab01{},.\\-", max_size=14))
def test_any_text_expands_as_webdataset_does_or_not_at_all(pattern: str) -> None:
    """Text that is no pattern on purpose gives the same names too, or is refused."""
    assume("\\\\" not in pattern)  # braceexpand takes those apart twice inside literal braces
    try:
        names = expand(pattern)
    except ValueError:
        assert "{" in pattern or "}" in pattern
        return
    assert names == list(braceexpand(pattern))
    assert count(pattern) == len(names)


@given(pattern=st.text("a{},1.", max_size=14))
def test_what_webdataset_refuses_is_refused(pattern: str) -> None:
    """Braces that do not pair there do not pair here."""
    try:
        list(braceexpand(pattern))
    except UnbalancedBracesError:
        with pytest.raises(ValueError, match="position"):
            expand(pattern)


@given(name=st.text(max_size=30))
def test_any_name_can_be_escaped(name: str) -> None:
    """With a backslash before each special character, a pattern is just a name."""
    escaped = "".join(f"\\{c}" if c in "{},\\" else c for c in name)

    assert expand(escaped) == [name]


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("{0..1000000}", "1000001 names"),
        ("{1..999999999999999999}", "more than 10"),
        ("{a,b}" * 21, "2097152 names"),
        ("{a,b}" * 100_000, "more than 10"),
        ("{1..999999999999999999}" * 40_000, "more than 10"),
        ("{0..9}{0..9}{0..9}{0..9}{0..9}{0..9}{0..9}", "10000000 names"),
        ("a" * 1_000_000 + "{1..1000}", "longer than"),
        ("{1..1000000}" + "{" * 20 + "," + "}" * 20, "2000000 names"),
        ("{" * 100_000 + "}" * 100_000, "nest deeper"),
        ("a" * 2_000_000, "at most 1048576 characters"),
        ("{1.." + "9" * 100_000 + "}", "digits"),
        ("{" + "0" * 100_000 + "..1}", "digits"),
        ("{a..z.." + "9" * 100_000 + "}", "digits"),
    ],
)
def test_a_bomb_costs_nothing(pattern: str, shown: str) -> None:
    """A pattern for too many names is refused before any is made."""
    began = time.process_time()

    with pytest.raises(ValueError, match=shown) as caught:
        expand(pattern)

    assert time.process_time() - began < 5  # much of it may be other tests' garbage
    assert len(str(caught.value)) < 200


def test_the_limit_is_the_callers() -> None:
    """A caller may allow fewer names, and counting needs no limit."""
    assert len(expand("{1..10}", limit=10)) == 10
    with pytest.raises(ValueError, match="at most 9 are made"):
        expand("{1..10}", limit=9)
    assert count("{1..10}" * 30) == 10**30
    assert count("{1..10}" * 40) == 10**36


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("data.tar", "data-000007.tar"),
        ("/a/b.c/data.tar", "/a/b.c/data-000007.tar"),
        ("data.tar.gz", "data-000007.tar.gz"),
        ("v1.0-data.tar.zst", "v1.0-data-000007.tar.zst"),
        ("data.parquet", "data-000007.parquet"),
        ("data", "data-000007"),
        (".tar", ".tar-000007"),
        ("a.tar.b/data", "a.tar.b/data-000007"),
        ("data-%06d.tar", "data-000007.tar"),
        ("data-%d.tar", "data-7.tar"),
        ("%03d/data-%02d.tar.gz", "%03d/data-07.tar.gz"),
        ("100%d/a.tar", "100%d/a-000007.tar"),
        ("100%data.tar", "100%data-000007.tar"),
        ("a%sb%%.tar", "a%sb%%-000007.tar"),
        ("a{1,2}.tar", "a{1,2}-000007.tar"),
    ],
)
def test_shards_are_numbered(path: str, first: str) -> None:
    """The number goes to its place in the name, or before the suffix, and never into a folder."""
    assert numbered(path, 7) == first


def test_numbers_may_outgrow_their_width() -> None:
    """A number with more digits than its place has is written whole."""
    assert numbered("a-%02d.tar", 123) == "a-123.tar"


@pytest.mark.parametrize(("path", "n"), [("a-%d-%d.tar", 0), ("a.tar", -1)])
def test_numbers_that_make_no_sense_are_refused(path: str, n: int) -> None:
    """Two places for one number, or a negative number, are errors."""
    with pytest.raises(ValueError, match=r"number"):
        numbered(path, n)


_names = st.sampled_from(["a.tar", "v1.0.tar.gz", "b-%06d.tar", "%d", "c-%03d", "a-1.tar", "d"])


@given(folder=st.sampled_from(["", "x", "%d/y"]), name=_names, n=st.integers(0, 10**8))
def test_any_numbered_name_is_recognised(folder: str, name: str, n: int) -> None:
    """A name gives back its number."""
    path = f"{folder}/{name}" if folder else name

    assert is_numbered_sibling(path, numbered(path, n).rpartition("/")[2]) == n


@given(
    name=_names, candidate=st.from_regex(r"(a-|b-|c-)?[0-9-]{0,8}(\.tar)?(\.gz)?", fullmatch=True)
)
def test_only_numbered_names_are_recognised(name: str, candidate: str) -> None:
    """A name that is recognised is the one that its number gives."""
    n = is_numbered_sibling(name, candidate)

    assert n is None or numbered(name, n) == candidate


@pytest.mark.parametrize(
    "candidate",
    [
        "",
        "a.tar",
        "a-7.tar",
        "a-0000007.tar",
        "a-00000٧.tar",
        "a-+00007.tar",
        "a--00007.tar",
        "a-b-000007.tar",
        "a-000007.tar.gz",
        "a-000007.tar.tmp",
        "b-000007.tar",
    ],
)
def test_other_names_are_left_alone(candidate: str) -> None:
    """A name that our numbering would not write is not a sibling."""
    assert is_numbered_sibling("data/a.tar", candidate) is None
