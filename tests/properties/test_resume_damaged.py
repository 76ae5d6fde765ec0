"""Runs over damaged data that stop and go on: what is sound comes once, and so do complaints."""

import pickle
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dataset.places import foreign_tar
from tests.properties.teams import (
    CREWS,
    FOLDER,
    ORDERS,
    Crew,
    Item,
    Order,
    Reader,
    State,
    Team,
    bits,
    counted,
    item,
    odd,
    rest_of,
)

import atdata
from atdata import Dataset, StateError, TooManyErrorsError, World


@atdata.packable
class Misfit:
    """What does not fit where items are wanted."""

    n: str
    x: int


FATES = ["good", "misfits", "all misfit", "flipped", "cut", "no tar"]


@cache
def shard(first: int, fate: str) -> Path:
    """Nine samples, of which some or all cannot be read."""
    path = FOLDER / f"{first}-{fate}.tar".replace(" ", "-")
    good = [item(first + i) for i in range(9)]
    if fate in {"misfits", "all misfit"}:
        step = 3 if fate == "misfits" else 1
        some: list[Any] = list(good)
        some[::step] = [Misfit(str(i), i) for i in range(len(some[::step]))]
        path.write_bytes(foreign_tar(some, [f"{first + i:09d}" for i in range(9)]))
        return path
    atdata.write_samples(good, path)
    data = bytearray(path.read_bytes())
    if fate == "flipped":
        data[5 * 1024 + 512 + 3] ^= 0x55
    if fate == "cut":
        del data[5 * 1024 :]
    if fate == "no tar":
        data[:] = b"no tar at all" * 100
    path.write_bytes(data)
    return path


def opened(fates: Sequence[str], stages: str, **options: Any) -> Dataset[Item]:
    """A dataset of such shards."""
    paths = [shard(10 * number, fate) for number, fate in enumerate(fates)]
    ds = Dataset(paths, sample_type=Item, **options)
    if stages == "filtered":
        ds = ds.filter(odd)
    if stages == "repeated":
        ds = ds.repeat(2)
    if stages == "mixed":
        other = Dataset([shard(100, "good"), shard(110, "misfits")], sample_type=Item, **options)
        ds = atdata.mix([(ds, 2), (other, 1)], stop="all")
    return ds


DAMAGED = st.lists(st.sampled_from(FATES), min_size=1, max_size=6).map(
    lambda some: [*some, "good"]
)

STAGES = st.sampled_from(["plain", "filtered", "repeated", "mixed"])


def complaints(streams: Sequence[Any]) -> set[Any]:
    """What was left out; each stream has each thing once."""
    for stream in streams:
        assert len(set(stream.skipped)) == len(stream.skipped) == stream.n_skipped
    return {entry for stream in streams for entry in stream.skipped}


@given(DAMAGED, STAGES, ORDERS, st.lists(CREWS, min_size=1, max_size=3), st.data())
def test_what_can_be_read_comes_once_and_so_do_complaints(
    fates: list[str], stages: str, order: Order, crews: list[Crew], data: st.DataObject
) -> None:
    """Any damage, any readers, stopped anywhere: all that is sound, and one line for the rest."""
    alone = Team(opened(fates, stages, on_error="skip"), order, Crew())
    (wanted,) = alone.rest()
    wrong = complaints(alone.readers[0].streams)
    ds = opened(fates, stages, on_error="skip")
    states: Sequence[Sequence[State]] = ()
    delivered: list[Item] = []
    skipped: set[Any] = set()

    for crew in crews[:-1]:
        team = Team(ds, order, crew, states, pickled=data.draw(st.booleans(), "pickled"))
        for reader in team.readers:
            for _ in range(data.draw(st.integers(0, 4), "steps")):
                delivered += reader.next() or []
        states = team.states()
    team = Team(ds, order, crews[-1], states)
    delivered += team.all()
    skipped = complaints([stream for reader in team.readers for stream in reader.streams])

    assert counted(delivered) == counted(wanted)
    assert skipped == wrong
    if all(crew.readers == 1 and crew.workers < 2 for crew in crews):
        assert bits(delivered) == bits(wanted)


@given(DAMAGED, STAGES, ORDERS, CREWS, st.data())
def test_each_goes_on_from_its_own_state_past_damage(
    fates: list[str], stages: str, order: Order, crew: Crew, data: st.DataObject
) -> None:
    """The same readers and workers deliver what they would have, and complain of the same."""
    ds = opened(fates, stages, on_error="skip")
    whole = Team(ds, order, crew)
    wanted = [[rest_of(worker) for worker in alone(reader)] for reader in whole.readers]
    team = Team(ds, order, crew)
    found: list[list[list[Item]]] = []
    for reader in team.readers:
        found.append([])
        for worker in alone(reader):
            steps = range(data.draw(st.integers(0, 3), "steps"))
            found[-1].append([sample for _ in steps for sample in worker.next() or []])

    later = Team(ds, order, crew, team.states(), own=True)
    for reader, samples in zip(later.readers, found, strict=True):
        for worker, some in zip(alone(reader), samples, strict=True):
            some += rest_of(worker)

    assert [[bits(some) for some in one] for one in found] == [
        [bits(some) for some in one] for one in wanted
    ]
    for one, other in zip(whole.readers, later.readers, strict=True):
        for a, b in zip(one.streams, other.streams, strict=True):
            assert complaints([a]) == complaints([b])


def alone(reader: Reader) -> list[Reader]:
    """The workers of a reader, each by itself."""
    return [Reader([stream]) for stream in reader.streams]


def test_batches_keep_their_places_whoever_lost_some() -> None:
    """Readers stay in step, batch by batch: what cannot be read makes a batch shorter."""
    fates = ["misfits", "good", "misfits", "misfits"]
    order = Order(tail="drop")
    whole = [sample.n for sample in opened(["good"] * 4, "plain")]
    sound = {sample.n for sample in opened(fates, "plain", on_error="skip")}
    team = Team(opened(fates, "plain", on_error="skip"), order, Crew(2, 0, 4))
    steps: list[set[int]] = []

    while any(given_ := team.step()):
        assert all(given_)
        steps.append({sample.n for some in given_ for sample in some or ()})

    stretches = [set(whole[first : first + 8]) for first in range(0, 36, 8)]
    assert steps == [stretch & sound for stretch in stretches]
    assert {len(some) for some in steps} != {8}


def test_one_state_does_not_stand_for_readers_that_skip() -> None:
    """Each may have left out others, so each needs its own, or all those of all."""
    ds = opened(["misfits", "good", "good"], "plain", on_error="skip")
    team = Team(ds, Order(), Crew(3))
    for _ in range(2):
        team.step()
    states = team.states()

    own = Team(ds, Order(), Crew(3), states, own=True)
    everyone = Team(ds, Order(), Crew(2), states)

    assert counted(own.all()) == counted(everyone.all())
    for crew in (Crew(3), Crew(2), Crew(1), Crew(3, 2)):
        with pytest.raises(StateError, match="may have left out others"):
            Team(ds, Order(), crew, [states[0]]).rest()


@pytest.mark.parametrize("stages", ["plain", "filtered", "repeated", "mixed"])
@pytest.mark.parametrize("order", [Order(), Order("window", seed=3)])
def test_the_bound_on_errors_counts_those_before(stages: str, order: Order) -> None:
    """A resumed run bears no more than an unbroken one, and no less."""
    fates = ["misfits", "good", "flipped", "misfits"]
    alone_ = Team(opened(fates, stages, on_error="skip"), order, Crew())
    (wanted,) = alone_.rest()
    n = len(complaints(alone_.readers[0].streams))

    for bound in (n, n - 1):
        ds = opened(fates, stages, on_error="skip", max_errors=bound)
        team = Team(ds, order, Crew())
        (reader,) = team.readers
        found: list[Item] = []
        try:
            for _ in range(5):
                found += reader.next() or []
            later = Team(ds, order, Crew(), team.states())
            found += rest_of(later.readers[0])
        except TooManyErrorsError:
            assert bound < n
        else:
            assert bound == n
            assert bits(found) == bits(wanted)


def test_the_state_holds_what_was_left_out() -> None:
    """Shard, key, offset and reason of each, once, however often the run was stopped."""
    ds = opened(["misfits", "good", "misfits"], "repeated", on_error="skip")
    states: Sequence[Sequence[State]] = ()

    for crew in (Crew(), Crew(2), Crew(3, 2), Crew()):
        team = Team(ds, Order("window", seed=1), crew, states)
        for reader in team.readers:
            reader.next()
        states = team.states()
    team = Team(ds, Order("window", seed=1), Crew(), states)
    team.rest()
    ((state,),) = team.states()

    listed = state["skipped"]
    keys = [(Path(shard_id).name, key) for shard_id, key, _, _ in listed]
    assert sorted(keys) == [
        (f"{first}-misfits.tar", f"{first + i:09d}") for first in (0, 20) for i in (0, 3, 6)
    ]
    assert all(isinstance(offset, int) and "Item" in reason for _, _, offset, reason in listed)


@pytest.mark.parametrize("readers", [1, 2])
def test_other_processes_are_told_what_was_found_out(readers: int) -> None:
    """A stream that was counted before it is sent still says what cannot be read."""
    ds = opened(["misfits", "good", "flipped"], "filtered", on_error="skip")
    stream = ds.shuffled(seed=1, world=World(0, readers))
    n = len(stream)

    sent = pickle.loads(pickle.dumps(stream))

    assert len(list(sent)) == len(list(stream)) == n
    assert complaints([sent]) == complaints([stream])
    assert len(sent.skipped) == 4


def test_forged_complaints_are_complaints_and_nothing_else() -> None:
    """A state that tells of many bounds what is left out, and stays one."""
    ds = opened(["misfits", "good"], "plain", on_error="skip", max_errors=5)
    stream = ds.ordered(world=World())
    state = stream.state_dict()

    stream.load_state_dict({**state, "skipped": [["a", None, None, str(i)] for i in range(6)]})

    with pytest.raises(TooManyErrorsError):
        list(stream)
