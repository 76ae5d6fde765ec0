"""Lenses in the catalogue: what is loaded does what was stored, or is refused."""

import dataclasses
import json
from pathlib import Path

import pytest
from tests.index.shapes import Loud, Nick, Person, number_record, shout, text_record

import atdata
from atdata import Index, LensNotFoundError, RecordExistsError, RecordNotFoundError, Repository
from atdata._exceptions import LensRecordError
from atdata.lens import Lens, mapping
from atdata.model.record import LENS, Put, Row
from atdata.providers import MemoryProvider


def test_rules_are_kept_as_data(index: Index) -> None:
    """And read back without any code, both ways."""
    ref = index.store_lens(
        mapping(Person, Nick, {"name": "name"}), name="nick", description="What they are called."
    )

    loaded = index.load_lens(ref, source_type=Person, view_type=Nick)
    built = index.load_lens(ref)

    assert ref == "atdata://local/lens/nick@1.0.0"
    assert loaded(Person("Ann", 3)) == Nick("Ann")
    assert loaded.put(Nick("Bob"), Person("Ann", 3)) == Person("Bob", 3)
    source = built.source_type("Ann", 3)
    assert built(source).name == "Ann"
    record = index.get_lens(ref)
    assert record["$ref"] == ref
    assert record["description"] == "What they are called."
    assert index.list_lenses() == list(index.lenses) == [record]


def test_one_type_given_is_enough(local: Index) -> None:
    """The other is built of its schema."""
    ref = local.store_lens(mapping(Person, Nick, {"name": "name"}), name="nick")

    loaded = local.load_lens(ref, source_type=Person)

    assert loaded(Person("Ann", 3)).name == "Ann"


def test_code_does_what_it_did_or_is_refused(local: Index) -> None:
    """It never becomes something that looks alike: the fields' names decide nothing."""
    ref = local.store_lens(shout, name="shout")

    with pytest.raises(LensRecordError, match="tests.index.shapes"):
        local.load_lens(ref)
    loaded = local.load_lens(ref, allowed_modules=["tests.index.shapes"])

    assert loaded(Person("Ann", 3)) == Loud("ANN")
    assert loaded.put(Loud("BOB"), Person("Ann", 3)) == Person("bob", 3)


def test_code_without_a_name_is_known_and_not_loaded(local: Index) -> None:
    """The catalogue tells of it, and nothing stands in for it."""

    def backwards(person: Person) -> Nick:
        return Nick(person.name[::-1])

    ref = local.store_lens(Lens(backwards), name="backwards")

    assert local.get_lens(ref)["getter"]["kind"] == "opaque"
    with pytest.raises(LensRecordError, match="neither"):
        local.load_lens(ref, allowed_modules=["tests.*"])


def test_names_of_code_that_is_nobodys_lens_are_refused(local: Index) -> None:
    """A record may say anything; what it says is neither imported nor called."""
    ref = local.store_lens(shout, name="shout")
    (row,) = local.provider.rows(LENS)
    for module, name in [("os", "system"), ("builtins", "eval"), ("tests.index.kinds", "points")]:
        record = json.loads(row.body)
        record["getter"] |= {"module": module, "qualname": name}
        local.provider.commit([Put(Row(LENS, row.name, row.tag, json.dumps(record), row.refs))])

        with pytest.raises(LensRecordError):
            local.load_lens(ref)
        with pytest.raises(LensRecordError):
            local.load_lens(ref, allowed_modules=[module])


def test_versions_of_lenses(local: Index) -> None:
    """Each new one is the next; one that is said must be new, or the same."""
    one, other = mapping(Person, Nick, {"name": "name"}), shout

    assert local.store_lens(one, name="l").endswith("l@1.0.0")
    assert local.store_lens(other, name="l").endswith("l@1.0.1")
    assert local.store_lens(one, name="l", version="2.0.0").endswith("l@2.0.0")
    assert local.store_lens(one, name="l", version="2.0.0").endswith("l@2.0.0")
    with pytest.raises(RecordExistsError, match="l@2.0.0"):
        local.store_lens(other, name="l", version="2.0.0")
    with pytest.raises(RecordNotFoundError, match="1.0.1"):
        local.load_lens("atdata://local/lens/l@9.0.0")
    for wrong in ("l@1.0.0", "atdata://local/lens/l", "atdata://local/lens/@1.0.0", ""):
        with pytest.raises(ValueError):
            local.get_lens(wrong)
    with pytest.raises(ValueError, match="version="):
        local.store_lens(one, name="l@3.0.0")


def test_lenses_are_found_by_what_they_lead_from_and_to(index: Index) -> None:
    """By the references of the schemas, which are published with the lens."""
    index.store_lens(mapping(Person, Nick, {"name": "name"}), name="nick")
    index.store_lens(shout, name="shout")
    person, nick = index.publish_schema(Person), index.publish_schema(Nick)

    assert [found["name"] for found in index.find_lenses(person)] == ["nick", "shout"]
    assert [found["name"] for found in index.find_lenses(person, nick)] == ["nick"]
    assert index.find_lenses(nick) == []


def test_two_types_of_one_name(local: Index) -> None:
    """The lens leads from one to the other, not from one to itself."""
    text, number = text_record(), number_record()

    def length(record: text) -> number:  # type: ignore[valid-type]
        return number(len(record.a))

    made = Lens(length)

    record = local.get_lens(local.store_lens(made, name="length"))

    assert record["source_schema"] != record["view_schema"]
    assert [
        dataclasses.fields(local.get_schema_type(record[side]))[0].type
        for side in ("source_schema", "view_schema")
    ] == [str, int]


def test_a_named_repository_has_lenses_of_its_own(tmp_path: Path) -> None:
    """Every reference that is given leads there and back."""
    with Index(path=tmp_path / "i.db", repos={"lab": Repository(MemoryProvider())}) as index:
        ref = index.store_lens(mapping(Person, Nick, {"name": "name"}), name="lab/nick")
        person = index.publish_schema(Person, repo="lab")

        assert ref == "atdata://lab/lens/nick@1.0.0"
        assert index.list_lenses("lab") == [index.get_lens(ref)]
        assert index.get_lens(ref)["$ref"] == ref
        assert index.get_lens(ref)["source_schema"] == person
        assert [found["$ref"] for found in index.find_lenses(person, repo="lab")] == [ref]
        assert index.load_lens(ref, source_type=Person, view_type=Nick)(Person("A", 1)) == Nick(
            "A"
        )
        assert index.list_lenses() == []
        assert list(index.schemas) == []


def test_damaged_lenses_are_left_out(local: Index) -> None:
    """And loading one is an error that says so."""
    local.store_lens(shout, name="shout")
    for body in ("{}", "[]", "no json"):
        local.provider.commit([Put(Row(LENS, "bad", "1.0.0", body))])

        assert [found["name"] for found in local.lenses] == ["shout"]
        with pytest.raises(ValueError):
            local.load_lens("atdata://local/lens/bad@1.0.0")


def test_a_lens_is_registered_if_asked(local: Index) -> None:
    """Otherwise `as_type` does not know it."""

    @atdata.packable
    class Shouted:
        words: str

    ref = local.store_lens(mapping(Person, Shouted, {"words": "name"}), name="words")
    local.write([Person("Ann", 3)], name="p")

    local.load_lens(ref, source_type=Person, view_type=Shouted)
    with pytest.raises(LensNotFoundError):
        local.open("p", Person).as_type(Shouted)
    local.load_lens(ref, source_type=Person, view_type=Shouted, register=True)

    assert list(local.open("p", Person).as_type(Shouted)) == [Shouted("Ann")]
