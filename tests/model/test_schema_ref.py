"""References to schemas: which are read, and which are not."""

import pytest

from atdata.model.schema_ref import SchemaRef, make_schema_ref, parse_schema_ref


@pytest.mark.parametrize("version", ["1.0.0", "", "weird", "1.0.0-beta+build.123", "1/2"])
def test_a_reference_comes_back_with_any_version(version: str) -> None:
    """The version is free text."""
    assert parse_schema_ref(make_schema_ref("Digit", version)) == ("Digit", version)


def test_the_older_form_is_read() -> None:
    """Its module is left out."""
    assert parse_schema_ref("local://schemas/my.module.Digit@1.0.0") == ("Digit", "1.0.0")
    assert parse_schema_ref("local://schemas/Digit@1.0.0") == ("Digit", "1.0.0")


def test_a_name_with_dots_is_no_other_name() -> None:
    """`my.mod.S` is not taken for `S`."""
    with pytest.raises(ValueError, match="Invalid schema name 'my.mod.S'"):
        parse_schema_ref("atdata://local/schema/my.mod.S@1.0.0")
    with pytest.raises(ValueError, match="Invalid schema name"):
        make_schema_ref("my.mod.S", "1.0.0")


def test_another_authority_is_read_as_such_and_is_not_local() -> None:
    """Who has a schema is part of its address."""
    ref = "atdata://did:plc:abc123/schema/Digit@1.0.0"

    assert SchemaRef.parse(ref) == SchemaRef("did:plc:abc123", "Digit", "1.0.0")
    assert str(SchemaRef.parse(ref)) == ref
    with pytest.raises(ValueError, match="Invalid schema reference.*not local"):
        parse_schema_ref(ref)


@pytest.mark.parametrize(
    "ref",
    [
        *("", "Digit", "at://x/y/z", "@handle/Digit@1.0.0", "atdata://local/lens/Digit@1.0.0"),
        *("atdata://local/schema/Digit", "atdata://local/schema/@1.0.0", "atdata://local/schema/"),
        *("atdata://../schema/Digit@1.0.0", "atdata:///schema/Digit@1.0.0", "local://schemas/"),
        *("atdata://local/schema/class@1.0.0", "atdata://local/schema/a/b@1.0.0"),
        *("atdata://local/schema/D@1\n2", "atdata://local/schema/" + "D" * 5000 + "@1.0.0"),
    ],
    ids=lambda ref: repr(ref)[:40],
)
def test_what_is_no_reference_is_refused(ref: str) -> None:
    """The error shows what was given, bounded."""
    with pytest.raises(ValueError, match=r"(?i)schema|authority") as caught:
        parse_schema_ref(ref)
    assert len(str(caught.value)) < 900
