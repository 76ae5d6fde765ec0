"""What a stream says about where it stands, and which states it goes on from."""

import json
import pickle
import random
import time
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties.teams import (
    Crew,
    Description,
    Item,
    Order,
    State,
    Team,
    dataset,
    few,
    moved,
    odd,
    through_json,
)

import atdata
from atdata import Dataset, StateError, World
from atdata.pipeline.stream import SampleStream

SIZES = (9, 4, 0, 7)
N = sum(SIZES)
SHUFFLED = Order("window", buffer_shards=2, seed=5)
LONG = Description((9,) * 7, (("filter", "odd"), ("map", None), ("repeat", 12)))


@atdata.packable
class Number:
    """The same samples as another type."""

    n: int


made: list[int] = []


@atdata.packable
class Counted:
    """A sample that tells when it is made."""

    n: int

    def __post_init__(self) -> None:
        made.append(self.n)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Dataset[Counted]:
    """Twenty thousand samples in twenty shards."""
    samples = (Number(n) for n in range(20_000))
    path = tmp_path_factory.mktemp("large") / "s.tar"
    return atdata.write_samples(samples, path, maxcount=1000).as_type(Counted)


type Stream = SampleStream[Any]


def shuffled(ds: Dataset[Any] | None = None, **changes: Any) -> Stream:
    """A stream of the dataset that most tests read."""
    order = Order(**{**vars(SHUFFLED), **changes})
    return order.stream(dataset(SIZES) if ds is None else ds, World(), None)


def numbers(samples: Any) -> list[int]:
    return [sample.n for sample in samples]


def after(stream: Stream, n: int) -> State:
    """The state of a pass that was left after some samples."""
    samples = iter(stream)
    for _ in range(n):
        next(samples)
    return through_json(stream.state_dict())


def resumed(stream: Stream, state: Any) -> list[int]:
    """What a stream delivers from a state on."""
    stream.load_state_dict(state)
    return numbers(stream)


WHOLE = numbers(shuffled())


# -- its form


def test_a_state_is_json_and_comes_back_the_same() -> None:
    """Lists and no tuples; integers, strings and nothing else."""
    stream = SHUFFLED.stream(dataset(SIZES), World(1, 3, 1, 2), 2)
    next(iter(stream))

    state = stream.state_dict()

    assert json.loads(json.dumps(state)) == state


def test_states_stay_under_a_kilobyte() -> None:
    """Also those of 128 workers that were stopped out of step, and then stopped again."""
    draws, ds = random.Random(1), LONG.open()
    order = Order("window", seed=2**63 - 1, epoch=10**6)
    states: list[list[State]] = []

    for crew in (Crew(16, 8), Crew(15), Crew(14)):
        team = Team(ds, order, crew, states)
        for reader in team.readers:
            for _ in range(draws.randrange(12)):
                reader.next()
        states = team.states()
        assert max(len(json.dumps(state)) for some in states for state in some) < 1000

    assert states[0][0]["eras"]


def test_a_long_chain_of_stages_has_a_short_name() -> None:
    """Fifty stages make no longer state than a few, and other stages are another reading."""
    ds = dataset(SIZES)
    for _ in range(50):
        ds = ds.map(moved)

    state = after(shuffled(ds), 3)

    assert len(json.dumps(state)) < 1000
    with pytest.raises(StateError, match="reads"):
        shuffled(ds.map(moved)).load_state_dict(state)


def test_integers_of_numpy_are_integers() -> None:
    """Seeds and epochs are often drawn, and sizes worked out."""
    n = np.int64

    def opened(one: Callable[[int], Any]) -> Stream:
        ds = atdata.mix({dataset(SIZES): one(2), dataset((5, 5), 100): one(1)}, seed=one(3))
        ds = ds.reweight([one(1), one(2)], at=one(6)).take(one(20)).repeat(one(2))
        shuffle: Any = {"seed": one(4), "buffer_shards": one(2), "epoch": one(5)}
        return ds.shuffled(
            batch_size=one(2), world=World(one(0), one(2), one(0), one(2)), **shuffle
        )

    drawn, plain = opened(n), opened(int)
    plain.load_state_dict(after(drawn, 2))

    assert json.dumps(opened(n).state_dict()) == json.dumps(opened(int).state_dict())
    assert [b.n.tolist() for b in plain] == [b.n.tolist() for b in list(opened(n))[2:]]


def test_equal_weights_are_the_same_weights() -> None:
    """Whole numbers, fractions of one, or any other unit."""
    state = after(mixture("plain", weights=[1, 3], at=2), 9)

    for weights in ([2, 6], [0.25, 0.75], [Fraction(1, 4), Fraction(3, 4)]):
        mixture("plain", weights=weights, at=2).load_state_dict(state)


# -- when it is asked for


def test_a_state_may_be_taken_at_any_time() -> None:
    """Before a pass, at each of its samples, at its end and after it."""
    stream = shuffled()
    states = [through_json(stream.state_dict())]
    for _ in stream:
        states.append(through_json(stream.state_dict()))
    states.append(through_json(stream.state_dict()))

    found = [resumed(shuffled(), state) for state in states]

    assert found == [*(WHOLE[n:] for n in range(N + 1)), []]


def test_a_state_that_was_loaded_is_the_state() -> None:
    """What is loaded can be taken again, as often as one likes, before anything is read."""
    state = after(shuffled(), 7)
    stream = shuffled()

    for _ in range(3):
        stream.load_state_dict(state)
        state = through_json(stream.state_dict())

    assert numbers(stream) == WHOLE[7:]


def test_after_a_resumed_epoch_comes_a_whole_one() -> None:
    """A state holds for one pass; the next epoch is read from its start, and so is this one."""
    stream = shuffled()

    rest = resumed(stream, after(shuffled(), 5))
    again = numbers(stream)
    stream.set_epoch(1)
    second = numbers(stream)

    assert (rest, again) == (WHOLE[5:], WHOLE)
    assert second == numbers(shuffled(epoch=1)) != WHOLE


def test_setting_the_epoch_of_a_state_keeps_it() -> None:
    """Loops that set each epoch go on where they stopped, and only there."""
    state = after(shuffled(epoch=2), 5)
    stream = shuffled()
    stream.load_state_dict(state)
    epochs: dict[int, list[int]] = {}

    for epoch in range(stream.epoch, 4):
        stream.set_epoch(epoch)
        epochs[epoch] = numbers(stream)

    assert epochs == {2: numbers(shuffled(epoch=2))[5:], 3: numbers(shuffled(epoch=3))}


def test_an_epoch_at_its_very_end_is_over() -> None:
    """Nothing comes from it any more, whoever goes on; the next epoch is whole."""
    for tail in ("keep", "drop", "pad"):
        order = Order(**{**vars(SHUFFLED), "tail": tail})
        team = Team(dataset(SIZES), order, Crew(3))
        team.rest()
        states = team.states()
        ends = {len(reader.streams[0]) for reader in team.readers}

        again = Team(dataset(SIZES), order, Crew(3), states)
        one = Team(dataset(SIZES), order, Crew(3), [states[0]])

        assert ends == ({6, 7} if tail == "keep" else {6} if tail == "drop" else {7})
        assert again.rest() == one.rest() == [[], [], []]


def test_two_passes_at_once_do_not_disturb_each_other() -> None:
    """Each gives all; the state is that of the one that began last."""
    stream = shuffled()
    first, second = iter(stream), iter(stream)
    mingled = [next(one).n for _ in range(5) for one in (first, second)]

    state = stream.state_dict()
    rest = numbers(first)

    assert mingled == [n for n in WHOLE[:5] for _ in range(2)]
    assert rest == numbers(second) == WHOLE[5:]
    assert resumed(shuffled(), state) == WHOLE[5:]


def test_items_can_be_resumed() -> None:
    """Samples with their keys are delivered as those without."""
    stream = shuffled()
    pairs = stream.items()
    before = [next(pairs) for _ in range(6)]

    again = shuffled()
    again.load_state_dict(stream.state_dict())
    found = before + list(again.items())

    assert found == list(shuffled().items())
    assert [sample.n for _, sample in found] == WHOLE


def test_a_pickled_stream_takes_its_state_along() -> None:
    """What was loaded is there in the other process; a pass under way stays where it is."""
    state = after(shuffled(), 8)
    loaded, under_way = shuffled(), shuffled()
    loaded.load_state_dict(state)
    next(iter(under_way))

    copies = pickle.loads(pickle.dumps([loaded, under_way]))

    assert [numbers(copy) for copy in copies] == [WHOLE[8:], WHOLE]
    assert numbers(loaded) == WHOLE[8:]


def test_a_state_that_is_refused_late_stays_refused() -> None:
    """Whoever tries again gets no epoch from its start in its place."""
    ds, stream = dataset(SIZES).filter(odd), shuffled(dataset(SIZES).filter(odd))
    state = SHUFFLED.stream(ds, World(0, 2), None).state_dict()
    stream.load_state_dict({**state, "delivered": N - 1})

    for _ in range(2):
        with pytest.raises(StateError, match="cannot have delivered"):
            next(iter(stream))


def test_stats_count_what_this_pass_has_given() -> None:
    """Samples, not positions: without what filters drop, and without what came before."""
    ds = dataset(SIZES).filter(few)
    for order in (Order(), SHUFFLED):
        for unit in (None, 3):
            first = order.stream(ds, World(), unit)
            n = sum(len(found) if unit else 1 for found in first)
            state = after(order.stream(ds, World(), unit), 1)
            rest = order.stream(ds, World(), unit)
            rest.load_state_dict(state)
            pairs = [(rest.stats.delivered, found) for found in rest]

            assert first.stats.delivered == n == len(list(ds))
            assert rest.stats.delivered == n - (unit or 1)
            assert pairs[0][0] == min(unit or 1, n - (unit or 1))


def test_an_unseeded_pass_is_resumed_in_its_own_order() -> None:
    """The seed that was drawn is in the state."""
    ds = dataset(SIZES)
    first = ds.shuffled()
    samples = iter(first)
    before = [next(samples).n for _ in range(9)]

    rest = resumed(ds.shuffled(), first.state_dict())

    assert before + rest == before + numbers(samples)
    assert sorted(before + rest) == sorted(numbers(ds))


def mixed(ds: Dataset[Counted]) -> Dataset[Counted]:
    return atdata.mix({ds: 2, ds.take(900): 1}, stop="all")


READINGS: dict[str, Callable[[Dataset[Counted], World], Stream]] = {
    "in order": lambda ds, world: ds.ordered(world=world),
    "batches in order": lambda ds, world: ds.ordered(16, world=world),
    "repeated": lambda ds, world: ds.repeat(3).ordered(world=world),
    "mapped": lambda ds, world: ds.map(lambda s: s).ordered(world=world),
    "shuffled": lambda ds, world: ds.shuffled(seed=1, world=world),
    "batches": lambda ds, world: ds.shuffled(batch_size=16, seed=1, world=world),
    "global": lambda ds, world: ds.shuffled(seed=1, shuffle="global", world=world),
    "mixed": lambda ds, world: mixed(ds).ordered(world=world),
}


@pytest.mark.parametrize("readers", [1, 4])
@pytest.mark.parametrize("reading", READINGS)
def test_resuming_reads_nothing_that_came_before(
    reading: str, readers: int, large: Dataset[Counted]
) -> None:
    """At nine tenths of an epoch, no more samples are made for the first one than at its start."""
    stream = READINGS[reading](large, World(0, readers))
    made.clear()
    next(iter(stream))
    at_first = len(made)
    state = stream.state_dict()
    delivered = state["delivered"] + len(large) * 9 // 10 // readers

    stream.load_state_dict({**state, "delivered": delivered})
    made.clear()
    begin = time.perf_counter()
    next(iter(stream))

    assert 0 < len(made) <= max(at_first, 4096)
    assert time.perf_counter() - begin < 5  # it takes milliseconds, on a machine that is not busy


def test_a_filter_of_one_reader_is_not_tried_before() -> None:
    """Resuming reads from where it goes on, also behind a filter."""
    tried: list[int] = []

    def kept(s: Item) -> bool:
        tried.append(s.n)
        return s.n % 2 == 1

    def opened() -> Dataset[Item]:
        return dataset((9,) * 7).filter(kept)

    for order in (Order(), SHUFFLED):
        whole = numbers(order.stream(opened(), World(), None))
        state = after(order.stream(opened(), World(), None), 24)
        tried.clear()

        found = resumed(order.stream(opened(), World(), None), state)

        assert found == whole[24:]
        assert len(tried) < 20


# -- whose it is

OTHERS: dict[str, tuple[Callable[[], Stream], Callable[[], Stream], set[str]]] = {
    "shards": (shuffled, lambda: shuffled(dataset((9, 4))), {"shards", "samples", "digest"}),
    "content": (shuffled, lambda: shuffled(dataset(SIZES, 50)), {"digest"}),
    "order of shards": (shuffled, lambda: shuffled(dataset((9, 7, 0, 4))), {"digest"}),
    "seed": (shuffled, lambda: shuffled(seed=6), {"seed"}),
    "no shuffle": (shuffled, lambda: shuffled(shuffle="none"), {"order", "seed"}),
    "window": (shuffled, lambda: shuffled(buffer_shards=3), {"order"}),
    "global": (shuffled, lambda: shuffled(shuffle="global"), {"order"}),
    "samples in order": (shuffled, lambda: shuffled(buffer_samples=1), {"order"}),
    "filter": (
        lambda: shuffled(dataset(SIZES).filter(odd)),
        lambda: shuffled(dataset(SIZES).filter(few)),
        {"reads"},
    ),
    "no filter": (lambda: shuffled(dataset(SIZES).filter(odd)), shuffled, {"reads"}),
    "map": (shuffled, lambda: shuffled(dataset(SIZES).map(moved)), {"reads"}),
    "type": (shuffled, lambda: shuffled(dataset(SIZES).as_type(Number)), {"reads"}),
    "window of rows": (
        lambda: shuffled(dataset(SIZES).take(12)),
        lambda: shuffled(dataset(SIZES).skip(1).take(12)),
        {"digest"},
    ),
    "repeat": (shuffled, lambda: shuffled(dataset(SIZES).repeat(2)), {"reads"}),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_state_of_another_reading_is_refused(what: str) -> None:
    """The error names what differs, and nothing else."""
    then, now, differ = OTHERS[what]
    state, stream = after(then(), 3), now()

    with pytest.raises(StateError) as caught:
        stream.load_state_dict(state)

    assert set(caught.value.differences) == differ
    assert all(name in str(caught.value) for name in differ)
    assert numbers(stream) == numbers(now())


MIXED = [(dataset((9, 9, 9)), 2), (dataset((9, 9), 100), 1)]


def mixture(stages: str, *, weights: Any = None, at: int = 0, **how: Any) -> Stream:
    """A stream of a mixture, with other weights from one of its samples on."""
    ds: Dataset[Any] = atdata.mix(MIXED, **{"stop": "all", **how})
    if weights is not None:
        ds = ds.reweight(weights, at=at)
    if stages == "filtered":
        ds = ds.filter(odd)
    if stages == "skipped":
        ds = ds.skip(6)
    if stages == "nested":
        ds = atdata.mix([(ds, 1), (dataset((9, 9, 9, 9), 200), 1)], stop="first")
    return ds.ordered(world=World())


def test_states_of_other_mixtures_are_refused() -> None:
    """Other weights, another seed, another end."""
    state = after(mixture("plain"), 5)

    for weights, how in [([1, 1], {}), (None, {"seed": 1}), (None, {"stop": "first"})]:
        with pytest.raises(StateError):
            mixture("plain", weights=weights, **how).load_state_dict(state)


@pytest.mark.parametrize("stages", ["plain", "filtered", "skipped", "nested"])
@pytest.mark.parametrize("n", [2, 7, 11])
@pytest.mark.parametrize("then", [False, True])
def test_weights_may_change_where_nobody_has_come(stages: str, n: int, *, then: bool) -> None:
    """A run goes on with other weights from later on; if they are from earlier on, it does not."""
    for at in range(1, 25):
        changed, same = mixture(stages, weights=[1, 3], at=at), mixture(stages)
        before, now = (changed, same) if then else (same, changed)
        delivered = iter(before)
        found = [next(delivered).n for _ in range(n)]

        try:
            found += resumed(now, through_json(before.state_dict()))
        except StateError as error:
            assert "weights" in error.differences
            assert at < n or stages in {"filtered", "skipped"}
        else:
            assert found == numbers(now)


def test_weights_count_as_far_as_any_reader_has_come() -> None:
    """Also one that had been far ahead when the readers changed."""
    ds = atdata.mix(MIXED, stop="all")
    first = Team(ds, Order(), Crew(2))
    delivered = [sample for _ in range(6) for sample in first.readers[0].next() or ()]
    second = Team(ds, Order(), Crew(3), first.states())
    delivered += [sample for some in second.step() for sample in some or ()]
    states = second.states()

    for at in (1, 6, 10):
        with pytest.raises(StateError, match="weights"):
            Team(ds.reweight([1, 3], at=at), Order(), Crew(), states)
    later = ds.reweight([1, 3], at=12)
    delivered += Team(later, Order(), Crew(), states).all()

    assert sorted(numbers(delivered)) == sorted(numbers(later))


def test_states_that_do_not_belong_together_are_refused() -> None:
    """Some readers' states are no state of all, and two runs are not one."""
    team = Team(dataset(SIZES), SHUFFLED, Crew(3, 2))
    team.step()
    team.step()
    states = team.states()
    flat = [state for some in states for state in some]
    other = Team(dataset(SIZES), SHUFFLED, Crew(2, 2)).states()
    later = Team(dataset(SIZES), Order(**{**vars(SHUFFLED), "epoch": 1}), Crew(3, 2)).states()
    whole = Team(dataset(SIZES), SHUFFLED, Crew(3)).states()
    apart = [after(SHUFFLED.stream(dataset(SIZES), World(0, 3, w, 2), None), w) for w in (0, 1)]
    wrong: dict[str, list[State]] = {
        "no state": [],
        "is missing": flat[:4],
        "of 2 workers": flat[:5],
        "of 2 workers of": [some[0] for some in states],
        "different runs": [*flat[:4], *later[2]],
        "different runs\n  readers": [*flat[:2], *other[1]],
        "same reader": [*flat, whole[0][0]],
        "of 2 workers of a": [*flat, flat[0]],
        "keep to their turns": apart,
    }

    for reason, some in wrong.items():
        with pytest.raises(StateError, match=reason):
            shuffled().load_state_dict(some)


def test_the_state_of_one_worker_is_not_that_of_another() -> None:
    """Were it taken by all, what one delivers would overlap with what the others do."""
    team = Team(dataset(SIZES), SHUFFLED, Crew(1, 2))
    for _ in range(3):
        team.step()
    (state, _), worlds = team.states()[0], Crew(1, 2).worlds()[0]
    own, other = (SHUFFLED.stream(dataset(SIZES), world, None) for world in worlds)
    own.load_state_dict(state)
    other.load_state_dict(state)

    assert len(numbers(own)) == N // 2 - 2
    with pytest.raises(StateError, match="state of worker 0, and this is worker 1"):
        list(other)


# -- what is none

GOOD = through_json(SHUFFLED.stream(dataset(SIZES), World(1, 4, 1, 2), 2).state_dict())

BAD: dict[str, Any] = {
    "nothing": {},
    "version": {**GOOD, "version": 2},
    "no version": {key: GOOD[key] for key in GOOD if key != "version"},
    "no data": {key: GOOD[key] for key in GOOD if key != "data"},
    "unknown field": {**GOOD, "more": 1},
    "negative": {**GOOD, "delivered": -1},
    "negative epoch": {**GOOD, "epoch": -1},
    "negative start": {**GOOD, "start": -1},
    "negative era": {**GOOD, "eras": [[1, -1]]},
    "empty era": {**GOOD, "eras": [[]]},
    "fraction": {**GOOD, "delivered": 0.5},
    "text": {**GOOD, "delivered": "1"},
    "true": {**GOOD, "delivered": True},
    "none": {**GOOD, "delivered": None},
    "too many": {**GOOD, "delivered": N},
    "far too many": {**GOOD, "delivered": 2**61},
    "huge": {**GOOD, "delivered": 10**30},
    "huge epoch": {**GOOD, "epoch": 10**30},
    "beyond the end": {**GOOD, "start": N + 1},
    "huge start": {**GOOD, "start": 2**63},
    "eras beyond the end": {**GOOD, "eras": [[0, N]]},
    "turns of nobody": {**GOOD, "eras": [[[1, 1], 1]]},
    "turns of nothing": {**GOOD, "eras": [[[1, 0, 0, 1], 1]]},
    "negative turns": {**GOOD, "eras": [[[1, 1, -1, 1], 1]]},
    "turns beyond the end": {**GOOD, "eras": [[[0, 1, 0, N], 1]]},
    "huge turns": {**GOOD, "eras": [[[0, 2**60, 1, 2**60], 1]]},
    "huge eras": {**GOOD, "eras": [[0, 2**61]] * 9},
    "more readers than there can be": {**GOOD, "reader": [0, 2**40]},
    "reader": {**GOOD, "reader": [4, 4]},
    "no readers": {**GOOD, "reader": [0, 0]},
    "three readers": {**GOOD, "reader": [0, 1, 2]},
    "worker": {**GOOD, "worker": [2, 2, 2, 0, 0]},
    "no unit": {**GOOD, "worker": [1, 2, 0, 0, 0]},
    "worker ahead": {**GOOD, "worker": [1, 2, 2, 0, 2**50]},
    "short worker": {**GOOD, "worker": [1, 2]},
    "weights": {**GOOD, "data": {**GOOD["data"], "weights": 1}},
    "weights of what": {**GOOD, "data": {**GOOD["data"], "weights": [[{}]]}},
    "weights of texts": {**GOOD, "data": {**GOOD["data"], "weights": [["0", "0"]]}},
    "nested data": {**GOOD, "data": {**GOOD["data"], "seed": {"a": []}}},
    "seed": {**GOOD, "data": {**GOOD["data"], "seed": 5.0}},
    "no facts": {**GOOD, "data": {}},
    "skipped": {**GOOD, "skipped": 5},
    "skipped what": {**GOOD, "skipped": ["abcd"]},
    "skipped lists": {**GOOD, "skipped": [[[], {}, [], {}]]},
    "skipped short": {**GOOD, "skipped": [["a"]]},
    "a text": "abc",
    "a number": 7,
    "null": None,
    "a list of numbers": [1, 2],
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_state_is_refused(what: str) -> None:
    """Whatever a file holds, it is a state of this reading or an error that says so."""
    stream = SHUFFLED.stream(dataset(SIZES), World(), None)

    with pytest.raises(StateError):
        resumed(stream, BAD[what])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

INTEGERS = st.integers(-3, 40) | st.sampled_from([2**31, 2**62, 2**63, 10**30])


@st.composite
def forged(draw: st.DrawFn) -> Any:
    """A state in which something was changed, and sometimes nothing but a number."""
    state: Any = json.loads(json.dumps(draw(st.sampled_from([GOOD, after(shuffled(), 4)]))))
    place = state
    while True:
        keys = range(len(place)) if isinstance(place, list) else sorted(place)
        key = draw(st.sampled_from(keys))
        if not isinstance(place[key], list | dict) or not place[key] or draw(st.booleans()):
            break
        place = place[key]
    place[key] = draw(INTEGERS | JSON)
    for field in draw(st.sets(st.sampled_from(["eras", "start", "delivered", "reader"]))):
        came = INTEGERS | st.lists(INTEGERS, max_size=5)
        lists = st.lists(st.lists(came, max_size=4), max_size=3)
        pairs = st.tuples(INTEGERS, INTEGERS).map(list)
        of = {"eras": lists, "reader": pairs}
        state[field] = draw(of.get(field, INTEGERS))
    return state


@given(forged() | JSON)
def test_a_forged_state_is_refused_or_tells_of_this_order(state: Any) -> None:
    """There is no other error, no long wait, and no sample that the order has not."""
    stream = shuffled()

    try:
        found = resumed(stream, state)
    except StateError:
        return

    assert set(found) <= set(WHOLE)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("stop", ["first", "never"])
def test_huge_numbers_make_nobody_remember_them(stop: Any) -> None:
    """A state of a few bytes takes no gigabyte and no minute, also where there is no end."""
    ds = atdata.mix([(dataset((9,)), 1), (dataset((9,), 100), 2)], stop=stop)
    good = Order().stream(ds, World(), None).state_dict()
    huge = (2**20, 2**40, 2**62)
    states = [
        {**good, **changes}
        for n in huge
        for changes in (
            {"eras": [[0, n]]},
            {"eras": [[0] * 1000 + [n]] * 20},
            {"reader": [0, n], "delivered": n},
            {"reader": [0, 2**20], "delivered": n},
            {"start": n, "eras": [[n, 0]], "delivered": n},
        )
    ]
    begin = time.perf_counter()
    tracemalloc.start()

    for state in states:
        stream = Order().stream(ds, World(), None)
        try:
            stream.load_state_dict(state)
            next(iter(stream), None)
        except StateError:
            continue
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 100 << 20
    assert time.perf_counter() - begin < 20


def test_a_state_nested_without_end_is_refused() -> None:
    """Not a stack that overflows."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]

    for state in (deep, {**GOOD, "data": {"seed": deep}}, {**GOOD, "eras": deep}):
        with pytest.raises(StateError):
            shuffled().load_state_dict(state)
