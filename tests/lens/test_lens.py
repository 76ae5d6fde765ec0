"""A lens reads a view of a sample and writes it back."""

import copy
import pickle
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

import atdata.lens as lenses
from atdata.lens import Lens, lens


@dataclass(frozen=True)
class Photo:
    title: str
    stars: int


@dataclass(frozen=True)
class Caption:
    text: str


@dataclass(frozen=True)
class Length:
    n_letters: int


@lens
def caption(photo: Photo) -> Caption:
    """The title alone."""
    return Caption(photo.title)


@caption.putter
def write_caption(view: Caption, photo: Photo) -> Photo:
    return replace(photo, title=view.text)


@lens
def length(view: Caption) -> Length:
    return Length(len(view.text))


@length.putter
def _(view: Length, source: Caption) -> Caption:
    return Caption(source.text[: view.n_letters].ljust(view.n_letters, "."))


def read_stars(photo: Photo) -> int:
    return photo.stars


def write_stars(stars: int, photo: Photo) -> Photo:
    return replace(photo, stars=stars)


class Rounded:
    """A callable object serves as a getter."""

    def __call__(self, photo: Photo) -> int:
        return photo.stars // 2


SEA = Photo("sea", 3)


def test_a_lens_reads_and_writes() -> None:
    """`get`, a call and `put` do what the decorated functions do."""
    assert caption.get(SEA) == caption(SEA) == Caption("sea")
    assert caption.put(Caption("lake"), SEA) == Photo("lake", 3)


def test_a_lens_keeps_the_names_of_its_function() -> None:
    """Name, documentation and function stay visible on the lens."""
    assert caption.name == "caption"
    assert caption.__doc__ == "The title alone."
    assert vars(caption)["__name__"] == "caption"
    assert vars(caption)["__wrapped__"](SEA) == Caption("sea")
    assert (caption.source_type, caption.view_type) == (Photo, Caption)
    assert caption.kind == "declared"
    assert repr(caption) == "<Lens caption: Photo → Caption>"


def test_putter_returns_the_function() -> None:
    """The name of a decorated putter stays that of a function."""
    assert write_caption(Caption("hill"), SEA) == Photo("hill", 3)
    assert not isinstance(write_caption, Lens)


def test_without_a_putter_the_source_stays() -> None:
    """What is written through a lens without a putter is dropped."""
    assert Lens(read_stars).put(5, SEA) is SEA


@pytest.mark.parametrize(
    ("getter", "shown"),
    [
        (lambda: 0, r"0 parameters: \(\)"),
        (lambda photo, scale: photo * scale, r"2 parameters: \(photo, scale\)"),
        (lambda *photos: photos, r"1 parameters: \(\*photos\)"),
        (lambda *, photo: photo, r"1 parameters: \(\*, photo\)"),
        (partial(write_stars, 3, SEA), r"0 parameters"),
    ],
)
def test_a_getter_takes_exactly_one_argument(getter: Any, shown: str) -> None:
    """Another number of parameters is refused with the number and the names."""
    with pytest.raises(ValueError, match=f"one argument, the sample; it has {shown}"):
        Lens(getter)


def test_a_putter_takes_exactly_two_arguments() -> None:
    """A putter that cannot be called with a view and a sample is refused at once."""
    with pytest.raises(ValueError, match=r"two arguments.*1 parameters: \(view\)"):
        Lens(read_stars, lambda view: view)


def test_a_putter_takes_the_view_first() -> None:
    """Annotations in the wrong order are noticed before they damage a sample."""

    def swapped(photo: Photo, stars: int) -> Photo:
        return replace(photo, stars=stars)

    with pytest.raises(TypeError, match="takes the sample first"):
        Lens(read_stars, swapped)


def test_a_missing_annotation_is_refused_when_registering() -> None:
    """The decorator says which annotation is missing."""
    with pytest.raises(TypeError, match="no annotation for 'photo' and its result"):
        lens(lambda photo: photo)

    with pytest.raises(TypeError, match="no annotation for its result"):

        @lens
        def no_result(photo: Photo):
            return photo


def test_an_unannotated_lens_works_until_its_types_are_asked_for() -> None:
    """A lens that is not registered needs no annotations to read."""
    stars = Lens(lambda photo: photo.stars)

    assert stars.get(SEA) == 3
    with pytest.raises(TypeError, match="no annotation"):
        _ = stars.source_type


def test_a_callable_object_serves_as_a_getter() -> None:
    """The types come from its `__call__`."""
    rounded = Lens(Rounded())

    assert rounded.get(SEA) == 1
    assert (rounded.name, rounded.view_type) == ("Rounded", int)


def test_joined_lenses_read_forwards_and_write_backwards() -> None:
    """`f | g` reads f then g; what is written goes through g's source into f's."""
    joined = caption | length

    assert joined.get(SEA) == Length(3)
    assert joined.put(Length(5), SEA) == Photo("sea..", 3)
    assert joined.put(Length(2), SEA) == Photo("se", 3)
    assert (joined.source_type, joined.view_type) == (Photo, Length)
    assert (joined.name, joined.kind) == ("caption | length", "composed")


def test_matmul_joins_as_functions_are_joined() -> None:
    """`f @ g` is `g | f`."""
    joined = length @ caption

    assert joined.name == "caption | length"
    assert joined.get(SEA) == Length(3)


@pytest.mark.parametrize("other", [3, None, len, "caption"])
def test_only_lenses_join(other: Any) -> None:
    """Joining with anything else is the TypeError of the operator."""
    with pytest.raises(TypeError, match="unsupported operand"):
        caption | other
    with pytest.raises(TypeError, match="unsupported operand"):
        caption @ other


def test_lenses_join_where_their_types_meet() -> None:
    """A gap between what one gives and the next takes is refused, naming both."""
    gap: Any = caption

    with pytest.raises(
        TypeError, match="lens caption gives Caption, and lens caption takes Photo"
    ):
        caption | gap


def test_a_lens_takes_what_is_derived_from_its_source() -> None:
    """A lens from a base class joins one that gives a derived class."""

    class Long(Caption):
        pass

    def long(photo: Photo) -> Long:
        return Long(photo.title * 9)

    derived: Any = Lens(long)

    assert (derived | length).get(SEA) == Length(27)


def test_identity_shows_the_sample_itself() -> None:
    """The identity reads the sample and writes the view."""
    same = Lens.identity(Photo)

    assert same.get(SEA) is SEA
    assert same.put(Photo("lake", 1), SEA) == Photo("lake", 1)
    assert (same.source_type, same.view_type) == (Photo, Photo)
    assert (same.name, same.kind) == ("identity(Photo)", "identity")


def test_lenses_made_of_others_take_no_putter() -> None:
    """The way back of an identity or a composite follows from what it is made of."""
    with pytest.raises(TypeError, match="takes no putter"):
        (caption | length).putter(lambda view, photo: replace(photo, title=view))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_decorated_function_pickles_by_its_name(protocol: int) -> None:
    """A lens at the top of a module comes back as the very same object, putter and all."""
    assert pickle.loads(pickle.dumps(caption, protocol)) is caption


def test_lenses_of_importable_functions_pickle() -> None:
    """A lens that has no name of its own travels as its functions."""
    stars = Lens(read_stars, write_stars)

    again = pickle.loads(pickle.dumps(stars))

    assert again.get(SEA) == 3
    assert again.put(5, SEA) == Photo("sea", 5)
    assert (again.source_type, again.view_type) == (Photo, int)


def test_composites_and_identities_pickle() -> None:
    """A lens made of others travels with them."""
    joined = pickle.loads(pickle.dumps(Lens.identity(Photo) | caption | length))

    assert joined.name == "identity(Photo) | caption | length"
    assert joined.put(Length(1), SEA) == Photo("s", 3)


def test_lenses_can_be_copied() -> None:
    """A copy of a lens, deep or not, is a lens that does the same."""
    assert copy.copy(caption) is copy.deepcopy(caption) is caption
    assert copy.deepcopy(caption | length).get(SEA) == Length(3)


def test_a_lens_of_a_nested_function_does_not_pickle() -> None:
    """What the other process cannot import fails here, not there."""
    nested = Lens(lambda photo: photo.stars)

    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(nested)


def test_the_module_offers_its_type_names() -> None:
    """Annotations for getters and putters can be written with the names of the module."""
    getter: lenses.LensGetter[Photo, int] = read_stars
    putter: lenses.LensPutter[Photo, int] = write_stars
    signature: lenses.LensSignature = (Photo, int)

    assert Lens(getter, putter).source_type is signature[0]
