"""The lens that a list of rules makes: each field of the view comes from one field of the source.

It is data at work: what it does is in its rules and in the two types, so it can be kept as a
record and made again from it.
"""

from collections.abc import Iterable
from dataclasses import MISSING, Field, fields
from typing import Any, get_args, get_origin

from atdata._exceptions import SchemaError
from atdata._type_utils import bare, field_types, numpy_dtype_to_string, union_members
from atdata.lens._conversions import Conversion, conversion
from atdata.lens._laws import same
from atdata.lens._lens import DerivedLens, LensKind, type_name
from atdata.model.lens_parts import DTYPES, AsType, FieldRule, UnfitError


class MappedLens[S, V](DerivedLens[S, V]):
    """Reads the fields of a view out of a sample by rules, and writes them back.

    `put` makes the new sample as `dataclasses.replace` does, by calling its class, so that
    `__post_init__` sees each sample. Fields that the class does not take as arguments
    (`init=False`) are set afterwards if a rule leads there, or if they have a default and thus
    are not the class's own to work out.

    Args:
        name: The lens's name.
        source_type: The type of the samples.
        view_type: The type of the views.
        rules: Which must be sound for both types: no field is in two of them.
    """

    def __init__(
        self, name: str, source_type: type[S], view_type: type[V], rules: Iterable[FieldRule]
    ) -> None:
        super().__init__(name, source_type, view_type)
        self.rules = tuple(rules)
        has, wants = dataclass_fields(source_type), dataclass_fields(view_type)
        view_init = {f.name for f in wants if f.init}
        source_init = {f.name for f in has if f.init}
        forth = {rule.view_field: rule for rule in self.rules}
        back = {rule.source_field: rule for rule in self.rules}
        made = [(r, _conversion(r, source_type)) for r in self.rules if r.transform is not None]
        as_is = [(r.view_field, str(r.source_field)) for r in self.rules if r.transform is None]
        # The view: what the class takes, and what is set afterwards.
        self._taken = [(view, source) for view, source in as_is if view in view_init]
        self._set = [(view, source) for view, source in as_is if view not in view_init]
        self._made = [(r, does) for r, does in made if r.view_field in view_init]
        self._made_set = [(r, does) for r, does in made if r.view_field not in view_init]
        # The sample: the same, of fields of the view and fields that the view does not have.
        kept = [
            (f.name, False, f.name)
            for f in has
            if f.name not in back and (f.init or has_default(f))
        ]
        whole = [*kept, *((source, True, view) for view, source in as_is)]
        written = [(r, does) for r, does in made if r.source_field is not None]
        self._whole = [step for step in whole if step[0] in source_init]
        self._whole_set = [step for step in whole if step[0] not in source_init]
        self._written = [(r, does) for r, does in written if r.source_field in source_init]
        self._written_set = [(r, does) for r, does in written if r.source_field not in source_init]
        # What has no place in the sample.
        self._unshared = [f for f in wants if f.name not in forth and has_default(f)]
        self._constant = [(r, does) for r, does in made if r.source_field is None]

    @property
    def kind(self) -> LensKind:
        """`mapped`."""
        return "mapped"

    def get(self, s: S) -> V:
        """Make the view from the fields of the sample.

        Raises:
            SchemaError: A transform refuses a value, which the view could not give back.
        """
        given = {view: getattr(s, source) for view, source in self._taken}
        for rule, does in self._made:
            given[rule.view_field] = self._read(rule, does, s)
        view = self._view(**given)
        for name, source in self._set:
            object.__setattr__(view, name, getattr(s, source))  # as a frozen class allows
        for rule, does in self._made_set:
            object.__setattr__(view, rule.view_field, self._read(rule, does, s))
        return view

    def put(self, v: V, s: S) -> S:
        """Make a sample with what the view has, and from `s` what the view does not have.

        Raises:
            SchemaError: A transform refuses a value.
            ValueError: A field that the sample has no place for is not at its default.
        """
        for field in self._unshared:
            self._refuse_change(field.name, getattr(v, field.name), default_of(field))
        for rule, does in self._constant:
            self._refuse_change(rule.view_field, getattr(v, rule.view_field), does.read(None))
        given = {name: getattr(v if mine else s, of) for name, mine, of in self._whole}
        for rule, does in self._written:
            given[str(rule.source_field)] = self._write(rule, does, v, s)
        sample = self._source(**given)
        for name, mine, of in self._whole_set:
            object.__setattr__(sample, name, getattr(v if mine else s, of))
        for rule, does in self._written_set:
            object.__setattr__(sample, str(rule.source_field), self._write(rule, does, v, s))
        return sample

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedLens, (self._name, self._source, self._view, self.rules)

    def _read(self, rule: FieldRule, does: Conversion, s: S) -> Any:
        there = None if rule.source_field is None else getattr(s, rule.source_field)
        try:
            return does.read(there)
        except UnfitError as error:
            raise self._refused(self._source, str(rule.source_field), error) from None

    def _write(self, rule: FieldRule, does: Conversion, v: V, s: S) -> Any:
        try:
            return does.write(getattr(v, rule.view_field), getattr(s, str(rule.source_field)))
        except UnfitError as error:
            raise self._refused(self._view, rule.view_field, error) from None

    def _refuse_change(self, name: str, value: Any, wanted: Any) -> None:
        if not same(value, wanted):
            raise ValueError(
                f"lens {self.name} cannot write back field {name!r}: "
                f"{type_name(self._source)} has no such field\n"
                "  Leave it at its default, or write a lens with @atdata.lens."
            )

    def _refused(self, kind: Any, field: str, error: UnfitError) -> SchemaError:
        return SchemaError(
            type_name(kind),
            path=field,
            wanted=error.wanted,
            found=error.found,
            hint=f"Lens {self.name} converts only what it can give back as it was.",
        )


def _conversion(rule: FieldRule, source: Any) -> Conversion:
    assert rule.transform is not None
    declared = None
    if isinstance(rule.transform, AsType):
        kinds = {field.name: kind for field, kind in field_types(source)}
        declared = declared_dtype(kinds[rule.source_field or ""])
    return conversion(rule.transform, declared)


def declared_dtype(kind: Any) -> str | None:
    """The dtype that an annotation declares for an array, or None if it leaves it open.

    Examples:
        >>> import numpy as np
        >>> from numpy.typing import NDArray
        >>> declared_dtype(NDArray[np.uint8] | None), declared_dtype(NDArray)
        ('uint8', None)
    """
    plain, _ = bare(kind)
    for member in union_members(plain) or (plain,):
        for argument in get_args(bare(member)[0])[1:]:
            names = [numpy_dtype_to_string(element) for element in get_args(argument)]
            if names and names[0] in DTYPES:
                return names[0]
    return None


def dataclass_fields(kind: Any) -> tuple[Field[Any], ...]:
    """The fields of a dataclass, or of one with type arguments.

    Examples:
        >>> dataclass_fields(FieldRule)[0].name
        'view_field'
    """
    return fields(get_origin(kind) or kind)


def has_default(field: Field[Any]) -> bool:
    """Whether a field need not be given.

    Examples:
        >>> [has_default(field) for field in fields(FieldRule)]
        [False, False, True]
    """
    return field.default is not MISSING or field.default_factory is not MISSING


def default_of(field: Field[Any]) -> Any:
    """What a field is if it is not given.

    Examples:
        >>> default_of(fields(FieldRule)[2]) is None
        True
    """
    return field.default if field.default_factory is MISSING else field.default_factory()
