"""Entries, schemas, labels and lenses, as they are stored without an index."""

import json

import pytest

from atdata._exceptions import RecordNotFoundError
from atdata.model.entry import DatasetEntry
from atdata.model.record import (
    LABEL,
    Put,
    Row,
)
from atdata.providers import IndexProvider

_SCHEMA_REF = "atdata://local/schema/S@1.0.0"


class RecordTests:
    """The methods that stand on rows do the same on every provider."""

    def test_entries_are_found_by_cid_and_by_name(self, provider: IndexProvider) -> None:
        """The newest of a name or a CID is the one; an entry stored again is replaced."""
        first = DatasetEntry("s", _SCHEMA_REF, ["a.tar", "b.tar"])
        second = DatasetEntry("s", _SCHEMA_REF, ["c.tar"], {"x": 1})
        third = DatasetEntry("other", _SCHEMA_REF, ["c.tar"])
        for entry in (first, second, third):
            provider.store_entry(entry)

        assert provider.get_entry_by_name("s") == second
        assert provider.get_entry_by_cid(first.cid) == first
        assert provider.get_entry_by_cid(second.cid) == third
        provider.store_entry(DatasetEntry("s", _SCHEMA_REF, ["c.tar"]))
        assert provider.get_entry_by_name("s").metadata is None
        assert [entry.name for entry in provider.iter_entries()] == ["other", "s", "s"]
        for missing in (provider.get_entry_by_cid, provider.get_entry_by_name):
            with pytest.raises(RecordNotFoundError):
                missing("nothing")

    def test_schemas_and_lenses_are_kept_by_version(self, provider: IndexProvider) -> None:
        """The highest version of three numbers is the latest; another is no version."""
        versions = ("1.0.0", "1.2.0", "1.1.5", "2.0.0", "1.9.9", "9.9", "10.0.0-rc1", "x")
        for version in versions:
            provider.store_schema("S", version, json.dumps(version))
            provider.store_lens("L", version, json.dumps({"source_schema": version}))
        provider.store_schema("S", "1.0.0", "{}")
        provider.store_lens("L", "broken", "{")

        assert (
            provider.find_latest_version("S") == provider.find_latest_lens_version("L") == "2.0.0"
        )
        assert provider.find_latest_version("L") is None
        assert provider.get_schema_json("S", "1.0.0") == "{}"
        assert provider.get_schema_json("S", "3.0.0") is provider.get_lens_json("S", "x") is None
        assert provider.get_lens_json("L", "x") == '{"source_schema": "x"}'
        assert len(list(provider.iter_schemas())) == len(versions)
        assert [name for name, _, _ in provider.iter_lenses()] == ["L"] * (len(versions) + 1)
        assert provider.find_lenses_by_schemas("x") == [("L", "x", '{"source_schema": "x"}')]
        assert provider.find_lenses_by_schemas("x", "y") == []

    def test_the_latest_label_is_the_one_stored_last(self, provider: IndexProvider) -> None:
        """Also one that was there before; versions and none stand side by side."""
        provider.store_label("a@b", "cid0", "1.0.0")
        provider.store_label("a", "cid1", "1.0.0")
        provider.store_label("a", "cid2", "2.0.0")
        provider.store_label("a", "cid3")
        assert provider.get_label("a") == ("cid3", None)
        provider.store_label("a", "cid4", "1.0.0", "a description")

        assert provider.get_label("a") == ("cid4", "1.0.0")
        assert provider.get_label("a", "2.0.0") == ("cid2", "2.0.0")
        assert provider.get_label("a", "") == ("cid3", None)
        assert len(list(provider.iter_labels())) == 4
        for name, version in (("*", None), ("a", "3.0.0"), ("b", None)):
            with pytest.raises(RecordNotFoundError):
                provider.get_label(name, version)

    def test_a_damaged_row_is_left_out_of_a_listing(self, provider: IndexProvider) -> None:
        """The others come; how many did not is counted."""
        provider.store_label("a", "cid")
        bodies = ("{", "[]", "{}", "[" * 100_000, '{"name":1,"cid":[]}', "")
        provider.commit([Put(Row(LABEL, f"b{i}", "", body)) for i, body in enumerate(bodies)])
        provider.store_label("c", "cid")

        names = [label[0] for label in provider.iter_labels()]

        assert names[0] == "a"
        assert names[-1] == "c"
        assert provider.n_damaged >= len(bodies) - 1
