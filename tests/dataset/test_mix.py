"""Several datasets as one: proportions, ends, passes, views, and going on after a stop."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import atdata
from atdata import Dataset, StateError, World


@atdata.packable
class Left:
    """A sample of one kind."""

    n: int


@atdata.packable
class Right:
    """A sample of another kind."""

    n: int
    text: str = ""


@atdata.packable
class Either:
    """What both have."""

    n: int


def left(folder: Path, n: int, *, first: int = 0, name: str = "left") -> Dataset[Left]:
    return atdata.write_samples(
        [Left(first + i) for i in range(n)], folder / f"{name}.tar", maxcount=7
    )


def right(folder: Path, n: int) -> Dataset[Right]:
    return atdata.write_samples(
        [Right(10_000 + i, "x") for i in range(n)], folder / "right.tar", maxcount=5
    )


def kinds(samples: list[object]) -> Counter[str]:
    return Counter(type(sample).__name__ for sample in samples)


def test_concat_is_one_after_the_other(tmp_path: Path) -> None:
    """In order; shuffled, all are mixed with all; and it may be a part of another."""
    a, b = left(tmp_path, 9), right(tmp_path, 4)

    both = atdata.concat([a, b])

    assert list(both) == [*a, *b]
    assert len(both) == 13
    assert both[10] == b[1]
    assert sorted(s.n for s in both.shuffled(seed=1)) == [s.n for s in both]
    assert list(atdata.concat([both, a.take(2)]))[-2:] == [Left(0), Left(1)]
    assert both.sample_type == Left | Right
    assert list(both.as_type(Either).take(1)) == [Either(0)]


def test_a_mixture_keeps_its_proportions_and_every_order(tmp_path: Path) -> None:
    """Each dataset's own samples come in their own order, and none is lost."""
    a, b = left(tmp_path, 300), right(tmp_path, 100)

    mixed = atdata.mix({a: 3, b: 1}, stop="all")
    samples = list(mixed)

    assert len(samples) == len(mixed) == 400
    assert [s for s in samples if isinstance(s, Left)] == list(a)
    assert [s for s in samples if isinstance(s, Right)] == list(b)
    for n in range(1, 401):
        assert abs(kinds(samples[:n])["Left"] - 0.75 * n) <= 1
    assert mixed[5] == samples[5]
    assert mixed.sample_type == Left | Right


@given(
    weights=st.lists(st.integers(1, 30), min_size=2, max_size=4),
    seed=st.integers(0, 2**40),
    shuffled=st.booleans(),
    stop=st.sampled_from(["first", "all"]),
)
def test_proportions_hold_from_the_first_hundred_on(
    tmp_path_factory: pytest.TempPathFactory,
    weights: list[int],
    seed: int,
    shuffled: bool,
    stop: str,
) -> None:
    """Within one in a hundred, for any weights, and each member gives what it has once a pass."""
    folder = tmp_path_factory.mktemp("mix")
    members = [left(folder, 40 + 13 * i, first=1000 * i, name=str(i)) for i in range(len(weights))]
    mixed = atdata.mix(dict(zip(members, weights, strict=True)), seed=seed, stop=stop)  # type: ignore[arg-type]

    found = [s.n for s in (mixed.shuffled(seed=seed) if shuffled else mixed.ordered())]

    assert len(found) == len(mixed)
    for number, weight in enumerate(weights):
        mine = [n for n in found if n // 1000 == number]
        size = len(members[number])
        for n in range(100, len(found) + 1, 17):
            share = sum(one // 1000 == number for one in found[:n]) / n
            assert abs(share - weight / sum(weights)) <= 0.01 + 1e-9
        for first in range(0, len(mine) - size + 1, size):
            assert len(set(mine[first : first + size])) == size
        assert stop == "first" or len(mine) >= size


def test_a_mixture_may_have_no_end(tmp_path: Path) -> None:
    """It gives samples for as long as one likes, each pass of a member in another order."""
    mixed = atdata.mix({left(tmp_path, 5): 1, right(tmp_path, 3): 1}, stop="never")

    with pytest.raises(TypeError, match="no end"):
        len(mixed)
    with pytest.raises(TypeError, match="no end"):
        len(mixed.shuffled(seed=1))
    some = iter(mixed.shuffled(seed=1))
    first = [next(some) for _ in range(60)]
    assert kinds(list(first)) == {"Left": 30, "Right": 30}
    lefts = [s.n for s in first if isinstance(s, Left)]
    passes = [lefts[i : i + 5] for i in range(0, 30, 5)]
    assert all(sorted(one) == list(range(5)) for one in passes)
    assert len(set(map(tuple, passes))) > 1
    assert len(mixed.take(11)) == len(list(mixed.take(11))) == 11


def test_large_arrays_of_a_repeated_member_are_each_their_own(tmp_path: Path) -> None:
    """Who changes a sample does not change the next one of the same row."""
    np = pytest.importorskip("numpy")
    images = [atdata.DictSample(x=np.full((64, 512), i, np.uint8)) for i in range(3)]
    a = atdata.write_samples(images, tmp_path / "a.tar")
    b = atdata.write_samples([atdata.DictSample(x=0)] * 30, tmp_path / "b.tar")

    seen = []
    for sample in atdata.mix({a: 1, b: 1}, stop="all"):
        if not isinstance(sample.x, int):
            seen.append(int(sample.x[0, 0]))
            sample.x[:] = 99

    assert seen == [0, 1, 2] * 10


def test_filters_of_members_and_behind_the_mixture(tmp_path: Path) -> None:
    """A member's filter leaves the proportions as they are; one behind changes them."""
    a, b = left(tmp_path, 200), right(tmp_path, 100)

    even = atdata.mix({a.filter(lambda s: s.n % 2 == 0): 1, b: 1}, stop="first")
    behind = atdata.mix({a: 1, b: 1}, stop="first").filter(lambda s: s.n % 2 == 0)

    assert len(even) == len(list(even)) == 200
    assert kinds(list(even)) == {"Left": 100, "Right": 100}
    assert [s.n for s in behind] == [
        s.n for s in atdata.mix({a: 1, b: 1}, stop="first") if s.n % 2 == 0
    ]
    assert len(behind) == len(list(behind)) == 101
    shares = [list(behind.shuffled(seed=3, world=World(i, 3))) for i in range(3)]
    alone = behind.shuffled(seed=3)
    assert sorted(s.n for one in shares for s in one) == sorted(s.n for s in alone)
    assert len(list(alone)) == len(alone)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_new_weights_hold_from_their_sample_on(tmp_path: Path) -> None:
    """What comes before stays, a state of before goes on with them, and a later one does not."""
    a, b = left(tmp_path, 500), right(tmp_path, 500)
    mixed = atdata.mix({a: 1, b: 1})
    stream = mixed.shuffled(seed=5, batch_size=10)
    some = iter(stream)
    before = [s for _ in range(10) for s in next(some)]

    changed = mixed.reweight([9, 1], at=100)
    resumed = changed.shuffled(seed=5)
    resumed.load_state_dict(stream.state_dict())
    after = list(resumed)

    assert before + after == list(changed.shuffled(seed=5))
    assert before == list(mixed.shuffled(seed=5))[:100]
    assert kinds(list(after[:100])) == {"Left": 90, "Right": 10}
    next(some)
    with pytest.raises(StateError, match="weights"):
        changed.shuffled(seed=5).load_state_dict(stream.state_dict())
    with pytest.raises(ValueError, match="in order"):
        changed.reweight([1, 1], at=50)


def test_a_member_is_not_seen_by_one_reader_alone(tmp_path: Path) -> None:
    """Readers take turns so that the mixture's own period does not divide the members up."""
    mixed = atdata.mix({left(tmp_path, 400): 1, right(tmp_path, 400): 1})

    for reader in range(2):
        found = kinds(list(mixed.ordered(world=World(reader, 2))))
        assert abs(found["Left"] - found["Right"]) < 100


def test_mixtures_nest_repeat_and_stand_beside_others(tmp_path: Path) -> None:
    """Everything that is done to a dataset can be done to a mixture."""
    a, b = left(tmp_path, 30), right(tmp_path, 30)
    mixed = atdata.mix({a: 1, b: 1})

    twice = mixed.repeat(2)
    nested = atdata.mix({mixed: 1, a.map(lambda s: Left(-s.n)): 1})
    beside = atdata.concat([mixed, a])

    assert len(list(twice)) == len(twice) == 120
    assert len(list(nested)) == len(nested)
    assert sorted(s.n for s in beside.shuffled(seed=1)) == sorted(s.n for s in beside)
    assert [s.n for s in mixed.skip(3).take(4)] == [s.n for s in mixed][3:7]
    assert len(mixed.map(lambda s: s.n)) == 60


def test_what_cannot_be_mixed_is_refused(tmp_path: Path) -> None:
    """Before anything is read, where that can be known."""
    a = left(tmp_path, 3)
    empty = a.skip(3)

    for weights, error in (({}, "nothing"), ({a: -1.0}, "negative"), ({a: 0}, "above 0")):
        with pytest.raises(ValueError, match=error):
            atdata.mix(weights)
    with pytest.raises(ValueError, match="stop"):
        atdata.mix({a: 1}, stop="last")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="dataset"):
        atdata.mix({"a.tar": 1})  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="no mixture"):
        a.reweight([1], at=3)
    with pytest.raises(ValueError, match="no samples"):
        list(atdata.mix({a: 1, empty: 1}, stop="all"))
    assert list(atdata.mix({a: 1, empty: 1})) == [Left(0)]
