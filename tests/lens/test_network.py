"""The network finds the lens that leads from one type to another."""

import gc
import logging
import pickle
import weakref
from dataclasses import dataclass, make_dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atdata._exceptions import AmbiguousLensError, LensNotFoundError
from atdata.lens import Lens, LensNetwork, lens

network = LensNetwork()


def new_type(name: str, *bases: type) -> type[Any]:
    """A fresh sample type; its one field has a name of its own, so no structural lens fits."""
    return make_dataclass(name, [(f"from_{name}", list)], bases=bases)


def connect(source: type, view: type, name: str | None = None) -> Lens[Any, Any]:
    """Register a lens whose views remember the way they came."""

    def step(s):
        return view(*[[*next(reversed(vars(s).values())), made.name]] * len(view.__match_args__))

    step.__annotations__ = {"s": source, "return": view}
    step.__name__ = step.__qualname__ = name or f"{source.__name__}_{view.__name__}"
    made = lens(step)
    return made


def test_there_is_one_network() -> None:
    """Every call gives the network of the process."""
    assert LensNetwork() is LensNetwork()


def test_the_lens_for_the_exact_types_is_found() -> None:
    """A registered lens is what `transform` returns."""
    a, b = new_type("A"), new_type("B")
    registered = connect(a, b)

    assert network.transform(a, b) is registered


def test_a_type_is_viewed_as_itself_by_the_identity() -> None:
    """No lens is needed from a type to the same type."""
    assert network.transform(int, int).kind == "identity"


def test_a_registered_lens_to_the_same_type_comes_before_the_identity() -> None:
    """Someone who declares such a lens wants it."""
    a = new_type("A")
    normalise = connect(a, a)

    assert network.transform(a, a) is normalise


def test_lenses_from_builtin_types_are_kept() -> None:
    """A class that bears no attributes can be a source too."""

    @dataclass
    class Celsius:
        degrees: float

    @lens
    def measured(degrees: float) -> Celsius:
        return Celsius(degrees)

    assert network.transform(float, Celsius) is measured


def test_the_shortest_path_is_taken() -> None:
    """Lenses are joined when none leads there directly, as few as possible."""
    a, b, c, d = map(new_type, "ABCD")
    connect(a, b), connect(b, c), connect(c, d), connect(a, c)

    found = network.transform(a, d)

    assert found.name == "A_C | C_D"
    assert found.kind == "composed"
    assert found(a([])) == d(["A_C", "C_D"])


def test_a_direct_lens_comes_before_any_path() -> None:
    """Declaring a lens settles which way is meant."""
    a, b, c = map(new_type, "ABC")
    connect(a, b), connect(b, c)
    direct = connect(a, c)

    assert network.transform(a, c) is direct


def test_two_shortest_paths_are_ambiguous() -> None:
    """The error lists both, and a direct lens resolves it."""
    a, b, c, d = map(new_type, "ABCD")
    connect(a, b), connect(a, c), connect(b, d), connect(c, d)

    with pytest.raises(AmbiguousLensError) as caught:
        network.transform(a, d)

    assert sorted(caught.value.candidates) == [["A_B", "B_D"], ["A_C", "C_D"]]
    assert "A_B | B_D" in str(caught.value)
    direct = connect(a, d)
    assert network.transform(a, d) is direct


def test_very_many_paths_are_still_answered_at_once() -> None:
    """A ladder of forty rungs has 2**40 shortest paths; a few of them are shown."""
    last = new_type("First")
    first = last
    for _ in range(40):
        left, right, bottom = map(new_type, ("L", "R", "B"))
        connect(last, left), connect(last, right), connect(left, bottom), connect(right, bottom)
        last = bottom

    with pytest.raises(AmbiguousLensError) as caught:
        network.transform(first, last)

    assert 2 <= len(caught.value.candidates) <= 10


def test_circles_end() -> None:
    """Lenses both ways do not keep the search going."""
    a, b, c = map(new_type, "ABC")
    connect(a, b), connect(b, a)

    with pytest.raises(LensNotFoundError):
        network.transform(a, c)


@given(
    edges=st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25),
    ends=st.tuples(st.integers(0, 6), st.integers(0, 6)),
)
def test_a_path_is_found_exactly_when_there_is_one(
    edges: set[tuple[int, int]], ends: tuple[int, int]
) -> None:
    """In any graph the lens found is the only shortest path; two of them are an error."""
    types = [new_type(f"T{i}") for i in range(7)]
    for a, b in edges:
        connect(types[a], types[b])
    start, end = ends
    paths = shortest_paths(edges, start, end)

    try:
        found = network.transform(types[start], types[end])
    except AmbiguousLensError:
        assert len(paths) > 1
    except LensNotFoundError:
        assert not paths
    else:
        names = [f"T{a}_T{b}" for a, b in zip(paths[0], paths[0][1:], strict=False)]
        assert len(paths) == 1
        assert found.name == (" | ".join(names) or f"identity(T{start})")


def shortest_paths(edges: set[tuple[int, int]], start: int, end: int) -> list[list[int]]:
    """All shortest paths, found by trying every one of each length."""
    if start == end:
        return [[start, end]] if (start, end) in edges else [[start]]
    paths = [[start]]
    for _ in range(7):
        paths = [[*path, b] for path in paths for a, b in edges if a == path[-1] and b not in path]
        if arrived := [path for path in paths if path[-1] == end]:
            return arrived
    return []


def test_a_lens_of_a_base_class_serves_derived_classes() -> None:
    """A derived sample is a sample of the base, so the base's lens can read it."""
    a, b, c = map(new_type, "ABC")
    derived = new_type("Derived", a)
    connect(a, b), connect(b, c)

    assert network.transform(derived, b).name == "A_B"
    assert network.transform(derived, c).name == "A_B | B_C"


def test_a_derived_class_may_have_its_own_lens() -> None:
    """The lens nearest to the class is used, and the base keeps its own."""
    a, b = map(new_type, "AB")
    derived = new_type("Derived", a)
    of_base, own = connect(a, b), connect(derived, b)

    assert network.transform(derived, b) is own
    assert network.transform(a, b) is of_base


def test_a_lens_of_a_derived_class_does_not_serve_its_base() -> None:
    """A sample of the base lacks what the derived class adds."""
    a, b = map(new_type, "AB")
    connect(new_type("Derived", a), b)

    with pytest.raises(LensNotFoundError):
        network.transform(a, b)


def test_what_cannot_be_found_says_what_can() -> None:
    """The error names the reachable types and the way to each."""
    a, b, c, d = map(new_type, "ABCD")
    connect(a, b), connect(b, c)

    with pytest.raises(LensNotFoundError, match="No lens transforms A → D") as caught:
        network.transform(a, d)

    assert caught.value.available_targets == [(b, "A_B"), (c, "A_B | B_C")]
    assert "field 'from_D': A does not have it, and D has no default for it" in str(caught.value)
    assert "reachable: C (by A_B | B_C)" in str(caught.value)


def test_the_error_pickles() -> None:
    """A worker can send the error home with its facts."""
    with pytest.raises(LensNotFoundError) as caught:
        network.transform(int, str)

    again = pickle.loads(pickle.dumps(caught.value))

    assert str(again) == str(caught.value)
    assert (again.source_type, again.view_type) == (int, str)


def test_a_lens_leads_between_classes() -> None:
    """Something that is not a class is refused by name."""
    with pytest.raises(TypeError, match="from one class to another"):
        network.transform(3, int)  # type: ignore[arg-type]


def test_types_with_arguments_have_lenses_of_their_own() -> None:
    """`list[int]` and `list[str]` are told apart; a lens from `list` serves both."""
    b = new_type("B")
    c = new_type("C")
    ints = connect(list[int], b, "ints")
    lists = connect(list, c, "lists")

    assert network.transform(list[int], b) is ints
    assert network.transform(list[str], c) is lists
    with pytest.raises(LensNotFoundError):
        network.transform(list[str], b)


def test_another_function_for_the_same_types_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The later lens is used, and a warning tells that the earlier one is not."""
    a, b = map(new_type, "AB")
    connect(a, b, "earlier")

    with caplog.at_level(logging.WARNING, "atdata"):
        later = connect(a, b, "later")

    assert network.transform(a, b) is later
    assert "<Lens later: A → B> takes the place of <Lens earlier: A → B>" in caplog.text


def test_running_a_cell_again_is_not_worth_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A function of the same name in the same module replaces its former self quietly."""
    a, b = map(new_type, "AB")
    connect(a, b, "view")

    with caplog.at_level(logging.WARNING, "atdata"):
        again = connect(a, b, "view")
        network.register(again)

    assert network.transform(a, b) is again
    assert caplog.text == ""


def test_a_class_that_was_defined_again_leaves_no_second_path() -> None:
    """In a notebook, a view and its lenses may be run again, and paths through them stay clear."""
    a, b, c = map(new_type, "ABC")
    connect(a, b), connect(b, c)
    newer = new_type("B")

    connect(a, newer), connect(newer, c)

    found = network.transform(a, c)
    assert found.name == "A_B | B_C"
    with pytest.raises(LensNotFoundError):
        network.transform(a, b)


def test_the_network_keeps_no_type_alive() -> None:
    """Types nobody uses any more go, with their lenses, paths and errors."""
    a, b, c = map(new_type, "ABC")
    connect(a, b), connect(b, c)
    network.transform(a, c)
    gone = [weakref.ref(kind) for kind in (a, b, c)]

    del a, b, c
    gc.collect()

    assert [ref() for ref in gone] == [None, None, None]


def test_lenses_stay_while_their_types_do() -> None:
    """A lens needs no other reference than the network's."""
    a, b = map(new_type, "AB")
    connect(a, b)

    gc.collect()

    assert network.transform(a, b).name == "A_B"


def test_lenses_do_not_show_on_samples() -> None:
    """The mark on a source class is neither inherited as its own nor a field."""
    a, b = map(new_type, "AB")
    connect(a, b)

    assert list(a.__dataclass_fields__) == ["from_A"]
    assert vars(a([])) == {"from_A": []}
