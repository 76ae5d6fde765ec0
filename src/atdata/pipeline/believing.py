"""For which fields a manifest may be believed by those who read samples as some type."""

from functools import lru_cache
from typing import Any, get_args, get_origin

from atdata._type_utils import bare, field_types, union_members
from atdata.manifest.fields import FieldSpec, plan_fields
from atdata.manifest.manifest import Manifest
from atdata.sample.dynamic import DictSample
from atdata.sample.holding import holds_what_it_is_given

_SAME_IN_ANY_TYPE = frozenset(("bool", "int", "float", "str"))


def believed_fields(manifest: Manifest, kind: Any) -> frozenset[str]:
    """The fields that hold, in samples read as a type, exactly what the manifest says.

    Args:
        manifest: What lies beside the shard.
        kind: The type that payloads are decoded as.
    """
    found = manifest.columns
    if kind is DictSample:
        return frozenset(
            path
            for path, column in found.items()
            if column.removeprefix("list[").removesuffix("]") in _SAME_IN_ANY_TYPE
            and path not in manifest.forms
            and "." not in path
        )
    untyped = manifest.schema_type == DictSample.__name__
    return frozenset(
        one.path
        for one in _columns_of(kind).values()
        if found.get(one.path) in (one.kind, f"{one.kind}_utc")
        and manifest.forms.get(one.path, "") == one.form
        # A sample may lack the key, and then has the type's default.
        and not (untyped and manifest.facts[one.path].nulls)
    )


def may_be_known(kind: Any, path: str) -> bool:
    """Whether manifests may hold a field of the samples that are read as a type."""
    if kind is DictSample:
        return True
    return path in _columns_of(kind)


@lru_cache(maxsize=256)
def _columns_of(kind: Any) -> dict[str, FieldSpec]:
    """The columns that manifests may have of a type, by path."""
    if not holds_what_it_is_given(kind):
        return {}
    return {one.path: one for one in plan_fields(kind).columns}


_PLAIN = (bool, int, float, str)


def is_held_as_it_is(kind: Any, path: str) -> bool:
    """Whether a field's values are the same objects in samples as in columns: no enum, no set."""
    if kind is DictSample:
        return True
    for field, annotation in field_types(kind):
        if field.name == path:
            whole, _ = bare(annotation)
            members = [bare(one)[0] for one in union_members(whole) or (whole,)]
            return all(map(_is_plain, members))
    return False


def _is_plain(kind: Any) -> bool:
    if get_origin(kind) is list:
        return bare(get_args(kind)[0])[0] in _PLAIN
    return kind in _PLAIN or kind is type(None)
