"""Whether a lens keeps the three laws, tried on samples.

========  =================================  ==========================================
law       must be the same                   in words
========  =================================  ==========================================
GetPut    ``put(get(s), s)`` and ``s``       writing back what was read changes nothing
PutGet    ``get(put(v, s))`` and ``v``       what was written is what is read
PutPut    ``put(w, put(v, s))``,             a second write hides the first
          ``put(w, s)``
========  =================================  ==========================================

Samples hold arrays and NaN, for which ``==`` gives no plain answer, so values are compared here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from atdata._exceptions import printable

type LawName = Literal["GetPut", "PutGet", "PutPut"]

_MEANING: dict[str, str] = {
    "GetPut": "put(get(s), s) = s",
    "PutGet": "get(put(v, s)) = v",
    "PutPut": "put(w, put(v, s)) = put(w, s)",
}


@dataclass(frozen=True, slots=True)
class Counterexample:
    """The first sample on which a law fails.

    Attributes:
        sample: Number of the sample among those that were given.
        field: Path of the first field that differs, such as `boxes[3].label`; empty for the whole.
        wanted: The value the law asks for.
        found: The value there is.
    """

    sample: int
    field: str
    wanted: Any
    found: Any

    def __str__(self) -> str:
        """One line that names the field and both values."""
        where = f"field {self.field!r}" if self.field else "the value"
        found, wanted = printable(repr(self.found), 80), printable(repr(self.wanted), 80)
        return f"sample {self.sample}: {where} is {found} instead of {wanted}"


@dataclass(frozen=True, slots=True)
class LawResult:
    """What trying one law showed.

    Attributes:
        law: Its name.
        n_checked: How often it was tried.
        counterexample: The first failure, or None.
    """

    law: LawName
    n_checked: int
    counterexample: Counterexample | None = None

    @property
    def holds(self) -> bool:
        """Whether the law held each time."""
        return self.counterexample is None

    def __str__(self) -> str:
        """One line, and one more for a counterexample."""
        told = f"{self.law}  {_MEANING[self.law]:<29}  "
        if self.counterexample is None:
            return f"{told}holds on {self.n_checked}"
        return f"{told}FAILS\n          {self.counterexample}"


@dataclass(frozen=True, slots=True)
class LawReport:
    """What `lens.check(samples)` found; true if all three laws held.

    Attributes:
        lens: The lens's name.
        get_put: Writing back what was read changes nothing.
        put_get: What was written is what is read.
        put_put: A second write hides the first.

    Examples:
        >>> from atdata.lens import Lens
        >>> half = Lens(lambda s: s // 2, lambda v, s: 2 * v)
        >>> report = half.check([4, 6, 7])
        >>> bool(report), report.put_get.holds
        (False, True)
        >>> print(report)
        lens <lambda>
          GetPut  put(get(s), s) = s             FAILS
                  sample 2: the value is 6 instead of 7
          PutGet  get(put(v, s)) = v             holds on 3
          PutPut  put(w, put(v, s)) = put(w, s)  holds on 3
    """

    lens: str
    get_put: LawResult
    put_get: LawResult
    put_put: LawResult

    @property
    def laws(self) -> tuple[LawResult, LawResult, LawResult]:
        """The three results, in the order GetPut, PutGet, PutPut."""
        return self.get_put, self.put_get, self.put_put

    def __bool__(self) -> bool:
        return all(law.holds for law in self.laws)

    def __str__(self) -> str:
        """The lens's name, then a line or two for each law."""
        return "\n  ".join([f"lens {self.lens}", *map(str, self.laws)])


def check_laws[S, V](
    name: str,
    get: Callable[[S], V],
    put: Callable[[V, S], S],
    samples: Iterable[S],
    views: Iterable[V] | None = None,
) -> LawReport:
    """Try the three laws on samples.

    Each call gets copies of its own, so a `put` that changes its arguments cannot make two
    results the same object and seem to keep a law.

    Args:
        name: The lens's name, for the report.
        get: Reads the view.
        put: Writes the view back.
        samples: The samples, at least one.
        views: Views to write, at least one; by default those of the samples. Each sample meets
            views of other samples, as many as the longer of the two lists asks for.

    Returns:
        One result for each law.

    Raises:
        ValueError: There are no samples, or no views.

    Examples:
        >>> bool(check_laws("first", lambda s: s[0], lambda v, s: (v, s[1]), [(1, 2), (3, 4)]))
        True
    """
    given = list(samples)
    if not given:
        raise ValueError("no samples to check the laws on; give at least one")
    written = [get(deepcopy(s)) for s in given] if views is None else list(views)
    if not written:
        raise ValueError("no views to check the laws with; give at least one, or leave them out")

    def sample(i: int) -> S:
        return deepcopy(given[i % len(given)])

    def view(i: int) -> V:
        return deepcopy(written[i % len(written)])

    def put_get(i: int) -> tuple[Any, Any]:
        return view(i + 1), get(put(view(i + 1), sample(i)))

    def put_put(i: int) -> tuple[Any, Any]:
        twice = put(view(i + 2), put(view(i + 1), sample(i)))
        return put(view(i + 2), sample(i)), twice

    longest = max(len(given), len(written))

    def attempt(
        law: LawName, times: int, wanted_and_found: Callable[[int], tuple[Any, Any]]
    ) -> LawResult:
        for i in range(times):
            try:
                wanted, found = wanted_and_found(i)
            except Exception as error:
                error.add_note(f"while trying {law} of lens {name} on sample {i % len(given)}")
                raise
            different = difference(wanted, found)
            if different is not None:
                return LawResult(law, i + 1, Counterexample(i % len(given), *different))
        return LawResult(law, times)

    return LawReport(
        name,
        attempt("GetPut", len(given), lambda i: (sample(i), put(get(sample(i)), sample(i)))),
        attempt("PutGet", longest, put_get),
        attempt("PutPut", longest, put_put),
    )


def same(a: object, b: object) -> bool:
    """Whether two values are equal, where arrays are compared by element and NaN is NaN.

    Examples:
        >>> same({"x": [1.0, float("nan")]}, {"x": [1.0, float("nan")]})
        True
    """
    return difference(a, b) is None


def difference(a: Any, b: Any) -> tuple[str, Any, Any] | None:
    """Find the first place where two values differ.

    A value's own `==` is believed when it answers `True`. Otherwise dataclasses, lists, tuples and
    mappings are entered, and arrays and tables are compared as such.

    Returns:
        The place as a path such as `boxes[3].label`, and the two values there; None if the values
        are equal.

    Examples:
        >>> difference({"a": [1, 2]}, {"a": [1, 3]})
        ("['a'][1]", 2, 3)
        >>> difference(1.0, 1.0)
    """
    if _equal(a, b):
        return None
    if type(a) is type(b):
        parts = _parts(a, b)
        if parts is not None:
            for step, x, y in parts:
                found = difference(x, y)
                if found is not None:
                    path, x, y = found  # noqa: PLW2901 - narrowed to the innermost values
                    dot = "." if path and path[0] not in ".[" else ""
                    return f"{step}{dot}{path}", x, y
            return None
    return "", a, b


def _equal(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if not is_dataclass(a):  # whose fields may have any of these names
        if type(a) is type(b) and hasattr(type(a), "equals"):  # a table, a column, an Arrow tensor
            return bool(a.equals(b))
        if hasattr(type(a), "shape") and hasattr(a, "dtype"):
            return hasattr(b, "dtype") and a.dtype == b.dtype and _same_elements(a, b)
    try:
        return (a == b) is True or (a != a and b != b) is True  # noqa: PLR0124 - NaN is not itself
    except (TypeError, ValueError):  # arrays inside: their truth value is not defined
        return False


def _same_elements(a: Any, b: Any) -> bool:
    if a.shape != b.shape:
        return False
    if hasattr(a, "nnz"):  # sparse: only what differs is stored
        return bool((a != b).nnz == 0)
    if getattr(a.dtype, "names", None):
        return all(_same_elements(a[name], b[name]) for name in a.dtype.names)
    return bool(((a == b) | ((a != a) & (b != b))).all())  # noqa: PLR0124


def _parts(a: Any, b: Any) -> Iterator[tuple[str, Any, Any]] | None:
    """The parts of two values of one type, each with its place; None if they have none."""
    if is_dataclass(a):
        names = [field.name for field in fields(a) if field.compare]
        return ((name, getattr(a, name), getattr(b, name)) for name in names)
    if isinstance(a, list | tuple) and len(a) == len(b):
        return ((f"[{i}]", x, y) for i, (x, y) in enumerate(zip(a, b, strict=True)))
    if isinstance(a, Mapping) and a.keys() == b.keys():
        return ((f"[{key!r}]", a[key], b[key]) for key in a)
    to_dict: Callable[[Any], Any] | None = getattr(type(a), "to_dict", None)
    return _parts(to_dict(a), to_dict(b)) if to_dict else None  # a sample without a type, a table
