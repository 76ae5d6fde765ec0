"""How the fields of one dataclass are written and read as a map."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from operator import attrgetter
from typing import Any, get_origin

import msgspec

from atdata._exceptions import UnsupportedTypeError
from atdata.codec.misfit import Misfit, wrong
from atdata.codec.shapes import named_sizes
from atdata.codec.values import Kind, ValueCodec

UNSET = msgspec.UNSET
"""Stands for a field that the data lacks and that the class itself sets (`field(init=False)`)."""


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """How one field of a sample type is written and read.

    Attributes:
        name: The field's name, which is its key in the payload.
        annotation: The declared type, evaluated.
        kind: Plain kinds may be read and written in bulk; everything else is `"other"`.
        optional: None is allowed.
        dtype: The declared numpy dtype of an array, or None for any.
        shape: The declared shape of an array, or None for any. Its entries are sizes, names that
            stand for one size throughout a sample, and None for any size.
        required: Data without this field is refused.
        init: The constructor takes it.
        kw_only: The constructor takes it by keyword only.
        codec: How its values are written and read, without a path.
        to_wire: From a value and its path to what msgspec writes; raises `SchemaError`.
        from_wire: From a decoded value and its path to the value; raises `SchemaError`.
    """

    name: str
    annotation: object
    kind: Kind
    optional: bool
    dtype: Any
    shape: tuple[int | str | None, ...] | None
    required: bool
    init: bool
    kw_only: bool
    codec: ValueCodec
    to_wire: Callable[[Any, str], Any]
    from_wire: Callable[[Any, str], Any]
    _default: Callable[[], Any]

    def default(self) -> Any:
        """The value of the field where the data has none."""
        return self._default()


def field_plan(
    owner: str, field: "dataclasses.Field[Any]", annotation: object, codec: ValueCodec
) -> FieldPlan:
    """Join what a field declares with the codec of its annotation."""
    factory, value = field.default_factory, field.default

    def to_wire(value: Any, path: str) -> Any:
        try:
            return codec.to_wire(value)
        except Misfit as misfit:
            raise misfit.within(path).error(owner) from misfit.__cause__

    def from_wire(value: Any, path: str) -> Any:
        try:
            return codec.from_wire(value, True)
        except Misfit as misfit:
            raise misfit.within(path).error(owner) from misfit.__cause__

    def default() -> Any:
        if factory is not MISSING:
            return factory()
        return UNSET if value is MISSING else value

    bulk = codec.kind != "other"
    return FieldPlan(
        name=field.name,
        annotation=annotation,
        kind=codec.kind,
        optional="nil" in codec.kinds,
        dtype=codec.dtype if bulk else None,
        shape=codec.shape if bulk else None,  # type: ignore[arg-type]  # "..." is never in bulk
        required=field.init and value is MISSING and factory is MISSING,
        init=field.init,
        kw_only=bool(field.kw_only),
        codec=codec,
        to_wire=to_wire,
        from_wire=from_wire,
        _default=default,
    )


class Record:
    """A dataclass as a map: all its fields, in their order.

    It is made empty and filled afterwards, because a class may hold itself in a field.

    Attributes:
        type: The dataclass, with its type arguments where there are any.
        name: The class's name, as errors show it.
        fields: One plan for each field.
        construct: Makes an instance of the values of all fields, in the order of the fields.
        recheck: A payload may hide something that decoding overlooks (see `ValueCodec`).
        loose: A payload may hold a timestamp of msgpack's (see `ValueCodec`).
    """

    def __init__(self, kind: Any) -> None:
        self.type: Any = kind
        self.cls: type[Any] = get_origin(kind) or kind
        self.name = self.cls.__qualname__.rpartition("<locals>.")[2]
        self.fields: tuple[FieldPlan, ...] = ()
        self.construct: Callable[..., Any] = self.cls
        self.recheck = False
        self.loose = True  # inside itself it is decoded as a plain dictionary
        self._struct: type[msgspec.Struct] | None = None
        self._making = False

    def fill(self, fields: Sequence[FieldPlan]) -> None:
        """Take the fields, and put together what writing and reading them needs."""
        self.fields = tuple(fields)
        self._names = tuple(plan.name for plan in fields)
        self._get = _getter(self._names)
        self._writers = [(i, plan.codec.to_wire) for i, plan in enumerate(fields)]
        self._readers = [
            (i, plan.codec.from_wire) for i, plan in enumerate(fields) if not plan.codec.native
        ]
        self._named_dims = [
            (i, plan.codec.shape)
            for i, plan in enumerate(fields)
            if plan.codec.shape and any(isinstance(dim, str) for dim in plan.codec.shape)
        ]
        # A float alone is checked where it is read, which costs less than encoding all again.
        self.recheck = any(p.codec.recheck and p.codec.kind != "float" for p in fields)
        self.loose = any(plan.codec.loose for plan in fields)
        self.construct = _constructor(self.type, self.cls, self.fields)

    @property
    def struct(self) -> type[msgspec.Struct]:
        """The msgspec type that the map is decoded to and encoded from; made on first use."""
        if self._struct is None:
            self._making = True
            try:
                wires = [(plan.name, plan.codec.wire_type()) for plan in self.fields]
                self._struct = msgspec.defstruct(self.cls.__name__, wires)
            finally:
                self._making = False
        return self._struct

    def wire_type(self) -> Any:
        """What to decode a nested map to: its struct, or a dictionary inside itself."""
        return dict[str, Any] if self._making else self.struct

    def to_wire(self, sample: Any) -> msgspec.Struct:
        """Check all fields of an instance, and convert them to what msgspec writes."""
        if type(sample) is not self.cls:
            hint = (
                f"A {type(sample).__name__} has fields of its own, which would be lost."
                if isinstance(sample, self.cls)
                else ""
            )
            raise wrong(self.name, sample, hint)
        try:
            values = list(self._get(sample))
        except AttributeError as error:
            name = str(getattr(error, "name", ""))
            raise Misfit("a value", "no such attribute", str(error)).within(name) from None
        if self._named_dims:
            self._check_dims(values)
        i = 0
        try:
            for i, write in self._writers:
                values[i] = write(values[i])
        except Misfit as misfit:
            raise misfit.within(self._names[i])  # noqa: B904 - it is the same one
        return self.struct(*values)

    def from_wire(self, wire: Any, copy: bool) -> Any:
        """Make an instance of a decoded struct or map; a ready instance is checked and passes."""
        if type(wire) is self._struct:
            return self.from_values(list(msgspec.structs.astuple(wire)), copy)
        if isinstance(wire, Mapping):
            return self.from_map(wire, copy)
        if not isinstance(wire, self.cls):
            raise wrong(self.name, wire)
        self.to_wire(wire)
        return wire

    def from_values(self, values: list[Any], copy: bool) -> Any:
        """Make an instance of a decoded struct's values; native ones are right already."""
        i = 0
        try:
            for i, read in self._readers:
                values[i] = read(values[i], copy)
        except Misfit as misfit:
            raise misfit.within(self._names[i])  # noqa: B904 - it is the same one
        if self._named_dims:
            self._check_dims(values)
        return self.construct(*values)

    def from_map(self, wire: Mapping[str, Any], copy: bool) -> Any:
        """Make an instance of any map: more keys are ignored, missing ones take the default."""
        values: list[Any] = []
        missing: list[str] = []
        for plan in self.fields:
            if plan.name in wire:
                try:
                    values.append(plan.codec.from_wire(wire[plan.name], copy))
                except Misfit as misfit:
                    raise misfit.within(plan.name)  # noqa: B904 - it is the same one
            elif plan.required:
                missing.append(plan.name)
            else:
                values.append(plan.default())
        if missing:
            raise Misfit(
                "",
                "",
                f"Give a value, or declare a default, for: {', '.join(missing)}",
                expected=self._names,
                actual=[str(key) for key in wire],
            )
        if self._named_dims:
            self._check_dims(values)
        return self.construct(*values)

    def _check_dims(self, values: Sequence[Any]) -> None:
        sizes: dict[str, tuple[int, str]] = {}
        for i, dims in self._named_dims:
            shape = getattr(values[i], "shape", None)
            for dim, size in named_sizes(dims, shape) if shape is not None else ():
                known, where = sizes.setdefault(dim, (size, self._names[i]))
                if known != size:
                    wanted = f"dimension {dim} to be {known}, as in {where}"
                    raise Misfit(wanted, f"{size} in shape {shape}").within(self._names[i])


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda _: ()
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda sample: (get(sample),)


def _constructor(kind: Any, cls: type[Any], fields: Sequence[FieldPlan]) -> Callable[..., Any]:
    """The quickest call that takes all fields by position: the class itself where it can."""
    parameters = inspect.signature(cls.__init__).parameters
    taken = dict(list(parameters.items())[1:])
    by_name = {
        p.name for p in taken.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    anything = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    names = [plan.name for plan in fields]
    for plan in fields:
        if plan.init and plan.name not in by_name and not anything:
            raise UnsupportedTypeError(
                cls.__qualname__,
                path=plan.name,
                wanted="a constructor that takes every field",
                found=f"{cls.__name__}{inspect.signature(cls)}",
                hint="Leave __init__ to the dataclass and use __post_init__.",
            )
    for parameter in taken.values():
        needed = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        if needed and parameter.name not in names:
            raise UnsupportedTypeError(
                cls.__qualname__,
                path=parameter.name,
                wanted="a default for what is no field, because a payload does not hold it",
                found="a required argument of the constructor",
                hint="Give the InitVar a default.",
            )
    positional = [p.name for p in taken.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if positional[: len(names)] == names and all(plan.init for plan in fields):
        return kind  # type: ignore[no-any-return]  # the class, or the class with type arguments
    given = [(i, name) for i, name in enumerate(names) if fields[i].init]
    later = [(i, name) for i, name in enumerate(names) if not fields[i].init]

    def construct(*values: Any) -> Any:
        sample = kind(**{name: values[i] for i, name in given})
        for i, name in later:
            if values[i] is not UNSET:
                object.__setattr__(sample, name, values[i])
        return sample

    return construct
