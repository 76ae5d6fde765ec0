"""A run that stopped goes on as if it never had, whoever reads then and however."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties.teams import (
    CREWS,
    DESCRIPTIONS,
    ORDERS,
    Crew,
    Description,
    Item,
    Mixture,
    Order,
    State,
    Team,
    bits,
    counted,
    mixtures,
)

EXAMPLES = settings.default.max_examples

DATASETS = DESCRIPTIONS | mixtures()


def unbroken(description: Description | Mixture, order: Order) -> list[Item]:
    """What one reader delivers who is never stopped."""
    (samples,) = Team(description.open(), replace(order, tail="keep"), Crew()).rest()
    return samples


def run_until_stopped(team: Team, crew: Crew, n: int, data: st.DataObject) -> list[Item]:
    """What a team delivers until each reader stops, all in step or each somewhere else."""
    most = n // crew.readers // (crew.unit or 1) + 2
    steps = st.integers(0, most)
    if data.draw(st.booleans(), "in step"):
        counts = [data.draw(steps, "steps")] * crew.readers
    else:
        counts = data.draw(st.lists(steps, min_size=crew.readers, max_size=crew.readers), "steps")
    delivered: list[Item] = []
    for reader, count in zip(team.readers, counts, strict=True):
        for _ in range(count):
            delivered += reader.next() or []
    return delivered


@settings(max_examples=2 * EXAMPLES)
@given(DATASETS, ORDERS, st.lists(CREWS, min_size=1, max_size=4), st.data())
def test_all_who_go_on_deliver_the_order_once(
    description: Description | Mixture, order: Order, crews: list[Crew], data: st.DataObject
) -> None:
    """Any readers, stopped in step or not, any times: nothing is lost, nothing comes twice."""
    wanted = unbroken(description, order)
    ds = description.open()
    states: Sequence[Sequence[State]] = ()
    delivered: list[Item] = []

    for crew in crews[:-1]:
        team = Team(ds, order, crew, states, pickled=data.draw(st.booleans(), "pickled"))
        delivered += run_until_stopped(team, crew, len(wanted), data)
        states = team.states()
    team = Team(ds, order, crews[-1], states)
    lengths = team.lengths()
    delivered += team.all()

    assert counted(delivered) == counted(wanted)
    assert team.given() == lengths
    if all(crew.readers == 1 for crew in crews):
        assert bits(delivered) == bits(wanted)


@given(DATASETS, ORDERS, CREWS, st.lists(st.integers(0, 4), min_size=1, max_size=3), st.data())
def test_each_goes_on_from_its_own_state(
    description: Description | Mixture,
    order: Order,
    crew: Crew,
    stops: list[int],
    data: st.DataObject,
) -> None:
    """The same readers and workers, each with its own state, deliver what they would have."""
    ds = description.open()
    wanted = [bits(samples) for samples in Team(ds, order, crew).rest()]
    found: list[list[Item]] = [[] for _ in range(crew.readers)]
    states: Sequence[Sequence[State]] = ()

    for _ in stops:
        team = Team(ds, order, crew, states, own=True)
        for reader, turn, samples in zip(team.readers, turns(states, crew), found, strict=True):
            reader.turn = turn
            for _ in range(data.draw(st.integers(0, 3), "steps")):
                samples += reader.next() or []
        states = team.states()
    team = Team(ds, order, crew, states, own=True)
    for reader, turn, samples in zip(team.readers, turns(states, crew), found, strict=True):
        reader.turn = turn
        while (some := reader.next()) is not None:
            samples += some

    assert [bits(samples) for samples in found] == wanted


def turns(states: Sequence[Sequence[State]], crew: Crew) -> list[int]:
    """Whose turn it is among each reader's workers: of the first that has given the fewest."""
    if crew.workers < 2 or not states:
        return [0] * crew.readers
    owns = [[state["worker"][4] for state in some] for some in states]
    return [own.index(min(own)) for own in owns]


@given(DATASETS, ORDERS, CREWS, CREWS, st.data())
def test_one_state_stands_for_all_in_step(
    description: Description | Mixture, order: Order, crew: Crew, later: Crew, data: st.DataObject
) -> None:
    """Readers that stop in step go on from the states of any one of them and its workers."""
    wanted = unbroken(description, order)
    ds = description.open()
    team = Team(ds, order, crew)
    steps = data.draw(st.integers(0, len(wanted) // crew.readers // (crew.unit or 1) + 3), "steps")
    delivered = [s for _ in range(steps) for some in team.step() for s in some or ()]

    one = data.draw(st.sampled_from(team.states()), "state")
    team = Team(ds, order, later, [one])
    lengths = team.lengths()
    delivered += team.all()

    assert counted(delivered) == counted(wanted)
    assert team.given() == lengths


@settings(max_examples=max(10, EXAMPLES // 2))
@given(DATASETS, ORDERS, st.data())
def test_what_was_read_ahead_counts_as_not_delivered(
    description: Description | Mixture, order: Order, data: st.DataObject
) -> None:
    """Any depth of reading ahead, another one after each stop: nothing is lost or comes twice."""
    wanted = unbroken(description, order)
    ds = description.open()
    crews = st.builds(
        Crew,
        readers=st.integers(1, 2),
        workers=st.sampled_from([0, 2]),
        unit=st.sampled_from([None, 1, 4]),
        ahead=st.sampled_from([None, 0, 1, 200, 1 << 20]),
    )
    states: Sequence[Sequence[State]] = ()
    delivered: list[Item] = []

    for crew in data.draw(st.lists(crews, min_size=1, max_size=2), "crews"):
        team = Team(ds, order, crew, states)
        delivered += run_until_stopped(team, crew, len(wanted), data)
        states = team.states()
    delivered += Team(ds, order, data.draw(crews, "last"), states).all()

    assert counted(delivered) == counted(wanted)


@given(DATASETS, ORDERS, CREWS)
def test_each_round_is_the_next_stretch_of_the_order(
    description: Description | Mixture, order: Order, crew: Crew
) -> None:
    """What all readers have delivered together, in step, is always a beginning of the order."""
    wanted = unbroken(description, order)
    team = Team(description.open(), order, replace(crew, unit=None))
    at = 0

    while any(given := team.step()):
        stretch = [sample for some in given for sample in some or ()]
        assert counted(stretch) == counted(wanted[at : at + crew.readers])
        at += len(stretch)

    assert at == len(wanted)


@given(
    DATASETS, ORDERS, st.sampled_from(["drop", "pad"]), st.booleans(),
    st.lists(CREWS, min_size=1, max_size=3), st.data(),
)  # fmt: skip
def test_readers_get_equally_many(
    description: Description | Mixture, order: Order, tail: str, drop_last: bool,
    crews: list[Crew], data: st.DataObject,
) -> None:  # fmt: skip
    """With `tail`, all readers end after as many batches, fresh or resumed; and stats say how."""
    wanted = unbroken(description, order)
    order = replace(order, tail=tail, drop_last=drop_last)
    ds = description.open()
    states: Sequence[Sequence[State]] = ()
    delivered: list[Item] = []

    for crew in crews[:-1]:
        team = Team(ds, order, crew, states)
        delivered += run_until_stopped(team, crew, len(wanted), data)
        states = team.states()
    crew = crews[-1]
    team = Team(ds, order, crew, states)
    lengths = team.lengths()
    last = team.rest()
    delivered += [sample for some in last for sample in some]

    assert team.given() == lengths
    if not states:
        assert len({len(some) for some in last}) == 1
        assert len({sum(some) for some in lengths}) == 1
    found = {reader.streams[0].stats.dropped for reader in team.readers}
    dropped = max(found)
    assert len(found) == 1 or drop_last  # readers that are out of step count for themselves
    (repeated,) = {reader.streams[0].stats.repeated for reader in team.readers}
    missing, extra = counted(wanted) - counted(delivered), counted(delivered) - counted(wanted)
    short = (crew.unit or 1) - 1 if drop_last else 0
    assert dropped <= crew.readers - 1 + crew.readers * short
    assert 0 <= repeated < crew.readers
    if crew.readers == 1 and crew.workers < 2 and order.shuffle == "none" and drop_last:
        assert missing.total() <= short  # read as it comes, and never counted
    elif tail == "drop":
        assert missing.total() == dropped
        assert not extra
    else:
        assert missing.total() <= dropped <= crew.readers * short
        assert extra.total() <= sum(one.readers - 1 for one in crews)
        if not states and not drop_last:
            assert extra.total() == repeated
