"""A lens is stored as data if it is data, else by the name and digest of its code, if it can."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atdata import DictSample, packable
from atdata._exceptions import LensNotFoundError, LensRecordError
from atdata.lens import Lens, LensNetwork, cast, constant, default, mapping
from atdata.lens._record import lens_of, record_of
from atdata.model.lens import LensRecord
from atdata.model.lens_parts import CodeReference, Constant, FieldMapping, FieldRule, Opaque


@dataclass
class Photo:
    name: str
    stars: int
    score: float | None = None
    width: int = 640


@dataclass
class Named:
    name: str


@dataclass
class Card:
    title: str
    stars: float
    score: float
    source: str = "photos"
    notes: str = ""


def stored(lens: Lens[Any, Any], **more: Any) -> LensRecord:
    """The record of a lens, as it comes back from a catalogue."""
    record = record_of(
        lens, name="views/a", version="1.0.0", source_schema="Photo", view_schema="View", **more
    )
    return LensRecord.from_dict(json.loads(json.dumps(record.to_dict())))


def card() -> Lens[Photo, Card]:
    return mapping(
        Photo,
        Card,
        {
            "title": "name",
            "stars": cast("stars", "int->float"),
            "score": default("score", 0.5),
            "source": constant("lab"),
        },
    )


# What a lens does is not guessed from the names of fields.


def shouting(photo: Photo) -> Named:
    return Named(photo.name.upper())


def calmed(view: Named, photo: Photo) -> Photo:
    return replace(photo, name=view.name.lower())


shout = Lens(shouting, calmed)


def test_a_lens_that_changes_a_field_is_code_and_not_an_identity() -> None:
    """A view with the source's own field names, upper-cased, comes back upper-cased."""
    record = stored(shout)

    assert isinstance(record.getter, CodeReference)
    assert (record.getter.module, record.getter.qualname) == (__name__, "shout")
    again = lens_of(record, allowed_modules=[__name__])
    assert again(Photo("a", 1)) == Named("A")
    assert again.put(Named("B"), Photo("a", 1)) == Photo("b", 1)


@pytest.mark.parametrize(
    "made",
    [
        Lens(lambda photo: Named(photo.name)),
        Lens(shouting, lambda view, photo: photo),
        shout | Lens.identity(Named),
        Lens.identity(int),
        Lens.identity(DictSample),
        Lens(Named),
        Lens(shouting),  # which no name leads to
    ],
)
def test_what_is_neither_data_nor_code_with_a_name_is_opaque(made: Lens[Any, Any]) -> None:
    """It can be told of, and not be loaded, whatever is allowed."""
    record = stored(made)

    assert (record.getter, record.putter) == (Opaque(), Opaque())
    with pytest.raises(LensRecordError, match=r"without a name(.|\n)*atdata\.lens\.mapping"):
        lens_of(record, Photo, Named, allowed_modules=[__name__])


def test_a_lens_of_samples_without_a_type_is_opaque() -> None:
    """What it reads depends on each sample."""

    @packable
    class Digit:
        label: int

    assert stored(LensNetwork().transform(DictSample, Digit)).getter == Opaque()


# Lenses that are data.


def test_a_mapped_lens_is_stored_as_its_rules() -> None:
    """All that it does is in the record, and nothing of it is code."""
    record = stored(card(), description="cards", report=card().check([Photo("a", 1)]))

    assert isinstance(record.getter, FieldMapping)
    assert record.getter == record.putter
    assert record.getter.mappings[0] == FieldRule("title", "name")
    assert record.getter.mappings[3] == FieldRule("source", None, Constant("lab"))
    assert record.to_dict()["getter"]["mappings"][1] == {
        "source_field": "stars",
        "view_field": "stars",
        "transform": {"kind": "cast", "cast": "int->float"},
    }
    assert (record.description, record.laws) == ("cards", ("GetPut", "PutGet", "PutPut"))


photos = st.builds(
    Photo,
    st.text(max_size=5),
    st.integers(-(2**53), 2**53),
    st.none() | st.floats(allow_nan=False),
    st.integers(),
)


@given(samples=st.lists(photos, min_size=1, max_size=4))
def test_a_mapped_lens_and_the_lens_of_its_record_are_one(samples: list[Photo]) -> None:
    """On any samples, both read and write the same."""
    lens = card()
    again = lens_of(stored(lens), Photo, Card)

    assert again.kind == "mapped"
    for photo, other in zip(samples, reversed(samples)):
        assert again(photo) == lens(photo)
        assert again.put(again(other), photo) == lens.put(lens(other), photo)


@given(samples=st.lists(photos, min_size=1, max_size=4))
def test_a_structural_lens_and_the_lens_of_its_record_are_one(samples: list[Photo]) -> None:
    """Its rules are known by how it was made; the laws hold afterwards as before."""
    lens = LensNetwork().transform(Photo, Named)
    again = lens_of(stored(lens), Photo, Named)

    assert lens.kind == "structural"
    assert again.check(samples)
    assert [again(s) for s in samples] == [lens(s) for s in samples]


def test_an_identity_is_stored_as_each_field_and_comes_back_as_identity() -> None:
    """It shows the very sample."""
    photo = Photo("a", 1)

    again = lens_of(stored(Lens.identity(Photo)), Photo, Photo)

    assert again.kind == "identity"
    assert again(photo) is photo


def test_a_loaded_lens_is_registered_only_if_asked() -> None:
    """Data from outside does not change what `as_type` finds."""

    @dataclass
    class Mine:
        title: str
        stars: float
        score: float
        source: str = ""

    record = stored(card())

    lens_of(record, Photo, Mine)
    with pytest.raises(LensNotFoundError):
        LensNetwork().transform(Photo, Mine)
    asked = lens_of(record, Photo, Mine, register=True)

    assert LensNetwork().transform(Photo, Mine) is asked


@dataclass
class Other:
    name: int
    stars: int


@pytest.mark.parametrize(
    ("source", "view", "path", "told"),
    [
        (Named, Card, "getter.mappings[1].source_field", "a field of Named"),
        (Photo, Named, "getter.mappings[0].view_field", "a field of Named"),
        (Other, Card, "getter.mappings[0]", "wanted  str, for field 'title'\n  found   int"),
        (dict, Card, "getter.mappings", "two dataclasses"),
        (Photo, str, "getter.mappings", "two dataclasses"),
    ],
)
def test_rules_that_do_not_fit_the_types_are_refused(
    source: type, view: type, path: str, told: str
) -> None:
    """The error names the rule, and what the type has in its place."""
    with pytest.raises(LensRecordError) as caught:
        lens_of(stored(card()), source, view)

    assert caught.value.path == path
    assert told in str(caught.value)


@pytest.mark.parametrize(("types", "missing"), [((), "view_type"), ((None, Card), "source_type")])
def test_rules_need_both_types(types: tuple[Any, ...], missing: str) -> None:
    """They say nothing of classes, so these are given."""
    with pytest.raises(ValueError, match=f"^{missing} is required"):
        lens_of(stored(card()), *types)


@pytest.mark.parametrize(
    "rules",
    [
        [FieldRule("title", "name"), FieldRule("title", "name")],
        [FieldRule("title", "name"), FieldRule("notes", "name")],
        [FieldRule("title", "__class__")],
        [FieldRule("title", "__init__")],
        [],
    ],
)
def test_rules_that_are_no_lens_are_refused(rules: list[FieldRule]) -> None:
    """A field twice, a member that is no field, a field without rule or default."""
    mapping = FieldMapping(tuple(rules))
    record = LensRecord("a", "1", "Photo", "Card", mapping, mapping)

    with pytest.raises(LensRecordError):
        lens_of(record, Photo, Card)


@pytest.mark.parametrize("putter", [None, Opaque(), FieldMapping(()), CodeReference("os", "x")])
def test_rules_go_back_by_the_same_rules(putter: Any) -> None:
    """A putter that is not the getter's way back would drop or mix what is written."""
    record = replace(stored(card()), putter=putter)

    with pytest.raises(LensRecordError, match="at +putter"):
        lens_of(record, Photo, Card)


# Lenses that are code.

MODULE = """
from dataclasses import dataclass, replace
from os import system
import os
import atdata.lens
from atdata.lens import Lens, lens

@dataclass
class Photo:
    title: str
    stars: int

@dataclass
class Caption:
    text: str

@lens
def caption(photo: Photo) -> Caption:
    return Caption(photo.title.upper())

@caption.putter
def _(view: Caption, photo: Photo) -> Photo:
    return replace(photo, title=view.text.lower())

def read(photo: Photo) -> Caption:
    return Caption(photo.title)

titles = Lens(read)
plain = read

class Views:
    @lens
    def stars(photo: Photo) -> int:
        return photo.stars

    @staticmethod
    def count(photo: Photo) -> int:
        return photo.stars

def factory():
    def inner(photo: Photo) -> Caption:
        return Caption("x")
    return Lens(inner)

made = factory()
short = Lens(lambda photo: Caption(photo.title))

class Louder(Lens):
    def get(self, s):
        return Caption("LOUD")

louder = Louder(read)
"""


@pytest.fixture
def module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], ModuleType]]:
    """Writes a module and imports it; each is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(name: str, text: str) -> ModuleType:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        forget(name)
        return import_module(name)

    def forget(name: str) -> None:
        for loaded in [n for n in sys.modules if n not in before and n.startswith(name)]:
            del sys.modules[loaded]

    yield write
    forget("")


type Write = Callable[[str, str], ModuleType]


@pytest.mark.parametrize("name", ["caption", "titles", "Views.stars"])
def test_a_lens_at_the_top_of_a_module_is_stored_by_its_name(module: Write, name: str) -> None:
    """Decorated, called, or in a class: where its module is allowed, that very lens comes back."""
    lab = module("lab_lenses", MODULE)
    lens = lab.Views.stars if "." in name else getattr(lab, name)

    record = stored(lens)

    assert isinstance(record.getter, CodeReference)
    assert (record.getter.module, record.getter.qualname) == ("lab_lenses", name)
    assert lens_of(record, allowed_modules=["lab_lenses"]) is lens
    view = int if "." in name else lab.Caption
    assert lens_of(record, lab.Photo, view, allowed_modules=("lab_lenses",)) is lens


@pytest.mark.parametrize("name", ["made", "short", "louder"])
def test_a_function_without_a_name_of_its_own_is_not_stored(module: Write, name: str) -> None:
    """A lambda, a function in a function, a subclass: their text does not say what they do."""
    assert stored(getattr(module("lab_lenses", MODULE), name)).getter == Opaque()


def test_the_digest_is_of_the_functions_text(module: Write) -> None:
    """It is the same wherever the functions stand and however lines end; both are in it."""
    first = stored(module("lab_lenses", MODULE).caption)
    moved = stored(module("lab_lenses", "# moved\n\n" + MODULE).caption)
    windows = stored(module("lab_lenses", MODULE.replace("\n", "\r\n")).caption)

    assert (first.getter, first.putter) == (moved.getter, moved.putter)
    assert (first.getter, first.putter) == (windows.getter, windows.putter)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("title.upper()", "title.title()", "getter"),
        ("text.lower()", "text", "putter"),
        ("@caption.putter\n", "", "putter"),
    ],
)
def test_code_that_changed_is_refused_with_both_digests(
    module: Write, old: str, new: str, part: str
) -> None:
    """One letter is enough, in the getter, in the putter, or a putter that is gone."""
    record = stored(module("lab_lenses", MODULE).caption)
    changed = module("lab_lenses", MODULE.replace(old, new)).caption
    now = stored(changed)

    with pytest.raises(LensRecordError) as caught:
        lens_of(record, allowed_modules=["lab_lenses"])

    error = caught.value
    before, after = getattr(record, part), getattr(now, part)
    assert error.path == f"{part}.source_sha256"
    assert before.source_sha256 in error.wanted
    assert (after.source_sha256 if after else "none") in error.found
    assert "store the lens again" in str(error)


def test_a_putter_that_was_added_is_refused(module: Write) -> None:
    """The record says that the lens drops what is written."""
    record = replace(stored(module("lab_lenses", MODULE).caption), putter=None)

    with pytest.raises(LensRecordError, match=r"putter\.source_sha256"):
        lens_of(record, allowed_modules=["lab_lenses"])


def test_a_record_without_a_digest_is_refused(module: Write) -> None:
    """Old records name code and not which: it may be any by now."""
    record = stored(module("lab_lenses", MODULE).titles)
    old = replace(record, getter=CodeReference("lab_lenses", "titles"))

    with pytest.raises(LensRecordError, match="store the lens again"):
        lens_of(old, allowed_modules=["lab_lenses"])


CANARY = """
from pathlib import Path
Path(__file__).with_name("ran").touch()
"""


def code(module: str, qualname: str) -> LensRecord:
    reference = CodeReference(module, qualname, "0" * 64)
    return LensRecord("a", "1", "Photo", "Caption", reference, None)


@pytest.mark.parametrize(
    "allowed",
    [
        [],
        ["canary"],
        ["canary_pkg"],
        ["canary_pkg.view"],
        ["canary_pkg.views.*"],
        ["canary_pk.*"],
        ["views"],
    ],
)
def test_a_module_that_is_not_allowed_is_not_imported(
    module: Write, tmp_path: Path, allowed: list[str]
) -> None:
    """No line of it or of its package runs, and the error says how to allow it."""
    folder = tmp_path / "canary_pkg"
    folder.mkdir()
    (folder / "__init__.py").write_text(CANARY)
    (folder / "views.py").write_text(CANARY)

    with pytest.raises(LensRecordError, match=r"allowed_modules=\['canary_pkg\.views'\]"):
        lens_of(code("canary_pkg.views", "caption"), allowed_modules=allowed)

    assert not (folder / "ran").exists()
    assert not [name for name in sys.modules if name.startswith("canary_pkg")]


@pytest.mark.parametrize("allowed", ["lab_pkg.views", "lab_pkg.*"])
def test_a_module_is_allowed_by_name_or_beneath_a_package(module: Write, allowed: str) -> None:
    """Exactly it, or all beneath."""
    lens = module("lab_pkg.views", MODULE).caption

    assert lens_of(stored(lens), allowed_modules=[allowed]) is lens


# A record cannot make a lens of just any callable.


@pytest.mark.parametrize(
    ("name", "qualname"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("pickle", "loads"),
        ("lab_lenses", "system"),
        ("lab_lenses", "os.system"),
        ("lab_lenses", "os.path.join"),
        ("lab_lenses", "read"),
        ("lab_lenses", "plain"),
        ("lab_lenses", "Views.count"),
        ("lab_lenses", "Photo"),
        ("lab_lenses", "louder"),
        ("lab_lenses", "lens"),
        ("lab_lenses", "caption.get"),
        ("lab_lenses", "caption.putter"),
        ("lab_lenses", "nowhere"),
        ("atdata.lens", "Lens"),
    ],
)
def test_only_a_lens_of_the_module_itself_is_loaded(
    module: Write, monkeypatch: pytest.MonkeyPatch, name: str, qualname: str
) -> None:
    """`os.system` and friends are no lenses, even where somebody allowed their modules."""
    module("lab_lenses", MODULE)
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("it ran"))

    with pytest.raises(LensRecordError, match=rf"an atdata\.Lens that is defined in {name}"):
        lens_of(code(name, qualname), allowed_modules=["lab_lenses", name])


def test_a_lens_from_another_module_is_not_loaded_through_this_one(module: Write) -> None:
    """What an allowed module imports is not allowed with it."""
    module("lab_lenses", MODULE)
    module("lab_more", "from lab_lenses import caption\n")

    with pytest.raises(LensRecordError, match="defined in lab_more itself"):
        lens_of(code("lab_more", "caption"), allowed_modules=["lab_more"])


def test_a_module_attribute_that_is_made_on_demand_is_not_asked(module: Write) -> None:
    """A module's `__getattr__` does not run on names from a record."""
    text = "def __getattr__(name):\n    raise SystemExit(name)\n"
    module("lab_demand", text)

    with pytest.raises(LensRecordError, match="no such name"):
        lens_of(code("lab_demand", "anything"), allowed_modules=["lab_demand"])


@pytest.mark.parametrize(
    "text", ["raise RuntimeError('no')", "def broken(:", "import nowhere_at_all"]
)
def test_a_module_that_cannot_be_imported_is_told(
    module: Write, tmp_path: Path, text: str
) -> None:
    """The cause is kept."""
    (tmp_path / "lab_broken.py").write_text(text)

    with pytest.raises(LensRecordError, match="module lab_broken to be imported") as caught:
        lens_of(code("lab_broken", "caption"), allowed_modules=["lab_broken"])

    assert caught.value.__cause__ is not None


def test_code_between_other_types_is_refused(module: Write) -> None:
    """A lens of code has types of its own; both are named with their modules."""
    lab = module("lab_lenses", MODULE)
    record = stored(lab.caption)

    with pytest.raises(LensRecordError, match=r"wanted  .*\.Photo\n  found   lab_lenses\.Photo"):
        lens_of(record, Photo, allowed_modules=["lab_lenses"])
    with pytest.raises(LensRecordError, match=r"at +view_schema"):
        lens_of(record, lab.Photo, Named, allowed_modules=["lab_lenses"])


def test_allowed_modules_are_modules() -> None:
    """One text, or a pattern of another kind, would allow more or less than was meant."""
    record = stored(card())

    with pytest.raises(TypeError, match=r"such as \['lab'\]"):
        lens_of(record, Photo, Card, allowed_modules="lab")
    for pattern in ("*", "lab*", "lab.*.views", "", ".*", "lab/views", "__main__"):
        with pytest.raises(ValueError, match="is no module"):
            lens_of(record, Photo, Card, allowed_modules=[pattern])


@pytest.mark.parametrize(
    "change", [{"name": "../a"}, {"version": ""}, {"source_schema": "s" * 2000}]
)
def test_a_record_that_could_not_be_read_is_not_made(change: dict[str, str]) -> None:
    """The name, version and schemas are checked before anything is stored."""
    names = {"name": "a", "version": "1", "source_schema": "Photo", "view_schema": "Card"}

    with pytest.raises(LensRecordError, match=f"at +{next(iter(change))}"):
        record_of(card(), **{**names, **change})
