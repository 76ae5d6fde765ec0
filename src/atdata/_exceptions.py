"""Every error atdata raises on purpose.

::

    AtdataError
    ├── SchemaError            (TypeError)          a value or payload does not fit its sample type
    │   ├── UnsupportedTypeError                    an annotation that no payload can represent
    │   └── SchemaRecordError  (ValueError)         a schema's record that describes no sample type
    ├── ShardError             (tarfile.TarError)   a shard is damaged, cut short or not a shard
    │   └── ShardNotFoundError (FileNotFoundError)  there is no shard at that address
    ├── SourceError            (OSError)            a place refused or failed to give its bytes
    │   └── UnsafeURLError     (ValueError)         an address that is not allowed to be opened
    ├── SampleKeyError         (KeyError)           no sample has that key
    ├── LensNotFoundError      (ValueError)         no lens leads from one type to another
    │   └── AmbiguousLensError                      more than one does, and none is shorter
    ├── LensRecordError        (ValueError)         a stored lens that cannot be loaded
    ├── ManifestError          (LookupError)        a shard's manifest is missing or cannot be used
    ├── PartialFailureError                         some shards of a job failed
    ├── TooManyErrorsError                          more was left out than `max_errors` allows
    ├── StateError             (ValueError)         a state of other data, or no state at all
    ├── RecordNotFoundError    (KeyError)           the catalogue has no such record
    ├── DamagedRecordError     (ValueError)         a record of the catalogue cannot be read
    ├── RecordExistsError      (ValueError)         a record that never changes is there already
    ├── ConflictError                               someone else changed a record first
    ├── StorageError           (OSError)            a database or a store refused or failed
    ├── UnknownFieldError      (AttributeError)     a sample type has no such field
    ├── PredicateSyntaxError   (ValueError)         the text of a question that cannot be read
    └── MissingExtraError      (ImportError)        an optional library is not installed

A wrong argument is a plain ``ValueError`` or ``TypeError``; this tree is for what the data, a
store or a server did. Facts are attributes. The message says what cannot be done, shows the facts
and ends with what to do. Every error pickles with its facts, because loader workers send them
home.
"""

import re
import shlex
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any, Self

_LONGEST_FACT = 200


def printable(value: object, limit: int = _LONGEST_FACT) -> str:
    """Show outside data in a message: control characters escaped, length bounded.

    Examples:
        >>> printable(chr(27) + "[31m").endswith("x1b[31m")
        True
    """
    text = str(value)
    cut = text[:limit]
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
    return safe if len(text) <= limit else f"{safe}… ({len(text)} characters)"


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_ADDRESS = re.compile(r"[^:]*:[/\\]{2}(?P<authority>[^/\\?#]*)(?P<path>[^?#]*)")


def redacted(url: str) -> str:
    """An address for a message: without user name, password, query and fragment.

    Examples:
        >>> redacted("https://me:secret@example.org/a.tar?token=1")
        'https://example.org/a.tar'
        >>> redacted("data/a?.tar")
        'data/a?.tar'
    """
    match = _SCHEME.match(url)
    scheme = match[1].lower() if match else None
    if scheme in {None, "file"}:
        return url
    match = _ADDRESS.match(url)
    if match is None:
        return f"{scheme}:…"
    host = match["authority"].rpartition("@")[2]
    # A password may hold the characters that end an authority: show nothing that looks so.
    if not re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:[0-9]*)?", host):
        return f"{scheme}://…"
    return f"{scheme}://{host}{match['path']}"


def shard_name(shard_id: str) -> str:
    """A shard's id for a message; an address is shown as `redacted` shows it.

    Examples:
        >>> shard_name("https://me:secret@example.org/a.tar"), shard_name("memory:7")
        ('https://example.org/a.tar', 'memory:7')
    """
    return redacted(shard_id) if _ADDRESS.match(shard_id) else shard_id


def _rebuild(kind: type["AtdataError"], message: str, facts: dict[str, Any]) -> "AtdataError":
    error = kind.__new__(kind, message)
    error.args = (message,)
    error.__dict__.update(facts)
    return error


class AtdataError(Exception):
    """Base of every error atdata raises on purpose."""

    def __str__(self) -> str:
        """The message as written (``KeyError`` alone would quote it)."""
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the message and the facts, whatever the constructor of the subclass wants."""
        return _rebuild, (type(self), str(self), dict(vars(self)))


class SchemaError(AtdataError, TypeError):
    """A value or a payload does not fit its sample type.

    Attributes:
        sample_type_name: The sample type's name.
        path: Dotted path of the field at fault, such as ``"boxes[3].label"``; empty for the whole.
        wanted: What the type declares.
        found: What the value or the payload holds.
        expected_fields: All fields the type declares, when fields are missing or unexpected.
        actual_fields: All fields found, when fields are missing or unexpected.
        shard_id: The shard that holds the sample, when one was read.
        key: The sample's key, when one was read.
        offset: Byte offset of the sample's payload in the shard, when one was read.
    """

    shard_id: str | None = None
    key: str | None = None
    offset: int | None = None

    def __init__(
        self,
        sample_type_name: str,
        expected_fields: Sequence[str] | None = None,
        actual_fields: Sequence[str] | None = None,
        *,
        path: str = "",
        wanted: str = "",
        found: str = "",
        hint: str = "",
    ) -> None:
        self.sample_type_name = sample_type_name
        self.path = path
        self.wanted = wanted
        self.found = found
        self.expected_fields = list(expected_fields) if expected_fields is not None else None
        self.actual_fields = list(actual_fields) if actual_fields is not None else None
        lines: list[str] = []
        if path or wanted or found:
            lines.append(f"{printable(sample_type_name)} does not fit")
            lines += [f"  field   {printable(path)}"] if path else []
            lines += [f"  wanted  {printable(wanted)}"] if wanted else []
            lines += [f"  found   {printable(found)}"] if found else []
        elif self.expected_fields is None:
            lines.append(sample_type_name)
        else:
            lines.append(f"{printable(sample_type_name)} does not fit")
        if self.expected_fields is not None:
            actual = self.actual_fields or []
            missing = sorted(set(self.expected_fields) - set(actual))
            unexpected = sorted(set(actual) - set(self.expected_fields))
            if missing:
                lines.append(f"  Missing fields: {printable(', '.join(missing))}")
            if unexpected:
                lines.append(f"  Unexpected fields: {printable(', '.join(unexpected))}")
            lines.append(f"  expected {printable(sorted(self.expected_fields))}")
            lines.append(f"  actual   {printable(sorted(actual))}")
        lines += [f"  {hint}"] if hint else []
        super().__init__("\n".join(lines))

    def locate(self, shard_id: str, key: str, offset: int) -> Self:
        """Say where the sample lies that does not fit."""
        self.shard_id, self.key, self.offset = shard_id, key, offset
        shard = printable(shard_name(shard_id), 500)
        place = f"  shard   {shard}\n  key     {printable(key)}\n  offset  {offset}"
        self.args = (f"{self}\n{place}",)
        return self


class UnsupportedTypeError(SchemaError):
    """An annotation that no payload can represent, found when the class is defined."""


class SchemaRecordError(SchemaError, ValueError):
    """A schema's record describes no sample type: it is damaged, too new, or made to do harm.

    Attributes:
        record: The schema's name and version, as far as they are known.
        reason: What is wrong, in a few words.
    """

    def __init__(
        self,
        record: str,
        reason: str,
        *,
        path: str = "",
        wanted: str = "",
        found: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(record, path=path, wanted=wanted, found=found, hint=hint)
        self.record = record
        self.reason = reason
        self.hint = hint
        lines = [f"cannot use schema {printable(record)}: {printable(reason)}"]
        lines += [f"  field   {printable(path)}"] if path else []
        lines += [f"  wanted  {printable(wanted)}"] if wanted else []
        lines += [f"  found   {printable(found)}"] if found else []
        lines += [f"  {hint}"] if hint else []
        self.args = ("\n".join(lines),)


class ShardError(AtdataError, tarfile.TarError):
    """A shard is damaged, cut short, or holds what no shard may hold.

    Attributes:
        shard_id: The shard's address.
        reason: What is wrong, in a few words.
        offset: Byte offset in the shard where it was noticed, or None for the whole shard.
        key: Key of the sample at fault, where one is known.
    """

    def __init__(
        self,
        shard_id: str,
        reason: str,
        *,
        offset: int | None = None,
        key: str | None = None,
        hint: str = "Fetch or write the shard again, or read around it with on_error='skip'.",
    ) -> None:
        self.shard_id = shard_id
        self.reason = reason
        self.offset = offset
        self.key = key
        lines = [f"cannot read shard {printable(shard_name(shard_id), 500)}"]
        lines.append(f"  reason  {printable(reason, 1000)}")
        lines += [f"  offset  {offset}"] if offset is not None else []
        lines += [f"  key     {printable(key)}"] if key is not None else []
        lines += [f"  {hint}"] if hint else []
        super().__init__("\n".join(lines))


class ShardNotFoundError(ShardError, FileNotFoundError):
    """There is no shard at that address."""

    def __init__(self, shard_id: str, reason: str = "no such file") -> None:
        super().__init__(shard_id, reason, hint="Check the path; see what is there with ls.")


class SourceError(AtdataError, OSError):
    """A file system or a server refused or failed to give the bytes of a shard.

    Attributes:
        url: The address, without user name, password and query.
        reason: What happened.
        status: The HTTP status code, where there was one.
    """

    def __init__(
        self,
        url: str,
        reason: str,
        *,
        status: int | None = None,
        hint: str = "Check the address and that the server can be reached.",
    ) -> None:
        self.url = url
        self.reason = reason
        self.status = status
        super().__init__(
            f"cannot read {printable(url, 500)}\n  reason  {printable(reason)}\n  {hint}"
        )


class UnsafeURLError(SourceError, ValueError):
    """An address whose scheme or host is not allowed to be opened."""


class SampleKeyError(AtdataError, KeyError):
    """No sample has that key.

    Attributes:
        key: The key that was asked for.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(
            f"no sample has the key {printable(repr(key))}\n"
            "  Looking a key up is O(n) in shards without an index.\n"
            "  See the keys there are: ds.items()"
        )


class LensNotFoundError(AtdataError, ValueError):
    """No lens leads from one type to another.

    Attributes:
        source_type: The type to view.
        view_type: The type it should be viewed as.
        available_targets: Types the source can be viewed as, each with its lens's name.
    """

    def __init__(
        self,
        source_type: type[Any],
        view_type: type[Any],
        available_targets: Sequence[tuple[type[Any], str]] | None = None,
    ) -> None:
        self.source_type = source_type
        self.view_type = view_type
        self.available_targets = list(available_targets or [])
        source, view = _name(source_type), _name(view_type)
        lines = [f"No lens transforms {source} → {view}"]
        lines += [f"  reachable: {_name(t)} (by {name})" for t, name in self.available_targets]
        lines += [
            "  Define one:",
            "      @atdata.lens",
            f"      def view(s: {source}) -> {view}: ...",
        ]
        super().__init__("\n".join(lines))


class AmbiguousLensError(LensNotFoundError):
    """Several lens paths of the same length lead from one type to another.

    Attributes:
        candidates: Each path as the names of its lenses.
    """

    def __init__(
        self,
        source_type: type[Any],
        view_type: type[Any],
        candidates: Sequence[Sequence[str]],
    ) -> None:
        super().__init__(source_type, view_type)
        self.candidates = [list(path) for path in candidates]
        source, view = _name(source_type), _name(view_type)
        lines = [f"more than one shortest path of lenses leads {source} → {view}"]
        lines += ["  " + " | ".join(path) for path in self.candidates]
        lines += [
            f"  Register the one you mean: atdata.lens on a function from {source} to {view},"
        ]
        lines += ["  or view in steps: ds.as_type(Between).as_type(View)"]
        self.args = ("\n".join(lines),)


class LensRecordError(AtdataError, ValueError):
    """A lens record is none, does not fit its types, or names code that may not be loaded.

    Attributes:
        record: The record's name and version, as far as it has some.
        path: The part at fault, such as `getter.mappings[3].source_field`; empty for the whole.
        wanted: What may be there.
        found: What is there.
    """

    def __init__(self, record: str, path: str, wanted: str, found: str, hint: str = "") -> None:
        self.record = record
        self.path = path
        self.wanted = wanted
        self.found = found
        lines = [f"lens record {printable(record)!r} cannot be used"]
        lines += [f"  at      {printable(path)}"] if path else []
        lines += [f"  wanted  {printable(wanted, 400)}", f"  found   {printable(found, 400)}"]
        lines += [f"  {hint}"] if hint else []
        super().__init__("\n".join(lines))


class ManifestError(AtdataError, LookupError):
    """Shards have no manifest, or one that is stale, partial or damaged.

    Attributes:
        shards: The shards, in reading order.
        reasons: Why, by shard.
        place: What the mending command is given.
    """

    def __init__(self, reasons: Mapping[str, str], place: str = "") -> None:
        self.reasons = dict(reasons)
        self.shards = list(self.reasons)
        self.place = place or _common_place(self.shards)
        n = len(self.shards)
        what = "shard has no usable manifest" if n == 1 else "shards have no usable manifest"
        lines = [f"{n} {what}"]
        for shard in self.shards[:5]:
            name = printable(shard_name(shard), 500)
            lines.append(f"  {name}: {printable(self.reasons[shard], 500)}")
        lines += [f"  and {n - 5} more"] if n > 5 else []
        lines.append(f"  Mend it:  atdata manifest build {printable(self.place, 500)}")
        super().__init__("\n".join(lines))


def _common_place(shards: Sequence[str]) -> str:
    """The one shard, or the folder of all, in quotes where a shell needs them."""
    names = [shard_name(shard) for shard in shards]
    if len(names) == 1:
        return shlex.quote(names[0])
    folders = {name.rpartition("/")[0] for name in names}
    return shlex.quote((folders.pop() or ".") if len(folders) == 1 else names[0])


class PartialFailureError(AtdataError):
    """Some shards of a job failed, and the others are done.

    Attributes:
        succeeded_shards: Shards that were processed.
        failed_shards: Shards that were not.
        errors: What happened, by shard.
        results: What the processed shards gave, by shard.
    """

    def __init__(
        self,
        succeeded_shards: Sequence[str],
        failed_shards: Sequence[str],
        errors: Mapping[str, Exception],
        results: Mapping[str, Any],
        *,
        hint: str = "Try the rest again: ds.process_shards(fn, shards=error.failed_shards)",
    ) -> None:
        self.succeeded_shards = list(succeeded_shards)
        self.failed_shards = list(failed_shards)
        self.errors = dict(errors)
        self.results = dict(results)
        n, total = len(self.failed_shards), len(self.failed_shards) + len(self.succeeded_shards)
        lines = [f"{n}/{total} shards failed"]
        for shard in self.failed_shards[:5]:
            first = str(self.errors.get(shard, "")).partition("\n")[0]
            lines.append(f"  {printable(shard_name(shard))}: {printable(first)}")
        lines += [f"  and {n - 5} more"] if n > 5 else []
        lines.append("  What is done: error.succeeded_shards, error.results")
        lines.append(f"  {hint}")
        super().__init__("\n".join(lines))


class TooManyErrorsError(AtdataError):
    """More samples could not be read than may be left out; the cause is the first one too many.

    Attributes:
        max_errors: How many were allowed.
    """

    def __init__(self, max_errors: int) -> None:
        self.max_errors = max_errors
        super().__init__(
            f"more than max_errors={max_errors} samples or blocks cannot be read\n"
            "  See which: stream.skipped. To read on, raise max_errors, or mend the shards."
        )


class StateError(AtdataError, ValueError):
    """A reading cannot be resumed from a state.

    Attributes:
        differences: What differs: by name, what the state says and what is here.
    """

    def __init__(
        self, reason: str, differences: Mapping[str, tuple[Any, Any]] | None = None
    ) -> None:
        self.differences = dict(differences or {})
        lines = [f"cannot resume: {reason}"]
        width = max([len(name) for name in self.differences], default=0)
        for name, (then, now) in self.differences.items():
            lines.append(f"  {name:<{width}}  state: {printable(then)}   here: {printable(now)}")
        if self.differences:
            lines.append("  Open the same data in the same way, or begin anew without the state.")
        super().__init__("\n".join(lines))


class RecordNotFoundError(AtdataError, KeyError):
    """The catalogue has no such record.

    Attributes:
        kind: What was looked for: `"dataset"`, `"schema"`, `"label"`, `"lens"`.
        ref: How it was asked for.
        repo: The repository that was asked.
        closest: What there is with a similar name.
    """

    def __init__(
        self,
        kind: str,
        ref: str,
        *,
        repo: str = "local",
        closest: Sequence[str] = (),
        hint: str = "",
    ) -> None:
        self.kind = kind
        self.ref = ref
        self.repo = repo
        self.closest = list(closest)
        lines = [f"no {kind} {printable(ref)!r} in repository {printable(repo)!r}"]
        lines += [f"  closest: {', '.join(map(printable, self.closest[:8]))}"] if closest else []
        lines += [f"  {hint}"] if hint else []
        super().__init__("\n".join(lines))


class DamagedRecordError(AtdataError, ValueError):
    """A record of the catalogue cannot be read.

    Attributes:
        kind: What it should be.
        ref: Its name, with its version or CID.
        reason: What is wrong with it.
    """

    def __init__(self, kind: str, ref: str, reason: str) -> None:
        self.kind = kind
        self.ref = ref
        self.reason = reason
        super().__init__(
            f"{kind} {printable(repr(ref))} in the catalogue is damaged: {printable(reason)}\n"
            "  Remove it, or restore it from a copy of the catalogue."
        )


class RecordExistsError(AtdataError, ValueError):
    """A record that never changes once it is there, is there already.

    Attributes:
        kind: What was to be stored.
        ref: Under which name and version.
    """

    def __init__(self, kind: str, ref: str, hint: str) -> None:
        self.kind = kind
        self.ref = ref
        super().__init__(f"{kind} {printable(ref)!r} is there already, and differs\n  {hint}")


class ConflictError(AtdataError):
    """Someone else changed a record between reading it and this commit; nothing was changed.

    Attributes:
        key: The record's kind, name and tag.
        expected: Number of the commit that was to have written it; 0: it was not to be there.
        found: Number of the commit that wrote it; 0: it is not there.
    """

    def __init__(self, key: tuple[str, str, str], expected: int, found: int) -> None:
        self.key = key
        self.expected = expected
        self.found = found
        kind, name, tag = key
        super().__init__(
            f"{kind} {printable(f'{name}@{tag}' if tag else name)!r} was changed by another "
            f"(commit {found} instead of {expected})\n"
            "  Nothing was changed. Read it again and retry."
        )


class StorageError(AtdataError, OSError):
    """A database or a store refused or failed; what was asked of it has not happened.

    Attributes:
        place: Which one, without passwords.
        reason: What it said.
    """

    def __init__(
        self, place: str, reason: str, hint: str = "Check that it can be reached."
    ) -> None:
        self.place = place
        self.reason = reason
        super().__init__(
            f"cannot use {printable(place, 500)}\n  reason  {printable(reason, 500)}\n  {hint}"
        )


class MissingExtraError(AtdataError, ImportError):
    """An optional library is not installed.

    Attributes:
        module: The module that could not be imported.
        extra: The extra that installs it.
    """

    def __init__(self, module: str, extra: str) -> None:
        self.module = module
        self.extra = extra
        super().__init__(
            f"this needs {module}, which is not installed\n  pip install 'atdata[{extra}]'"
        )


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


class UnknownFieldError(AtdataError, AttributeError):
    """A sample type has no such field.

    Attributes:
        field: The dotted path that was asked for.
        owner: Name of the type, or of what was asked.
        closest: Fields there are with a similar name.
    """

    def __init__(
        self, field: str, owner: str, there: Sequence[str], closest: Sequence[str] = ()
    ) -> None:
        self.field = field
        self.owner = owner
        self.closest = list(closest)
        lines = [f"{printable(owner)} has no field {printable(field)!r}"]
        if self.closest:
            lines.append(f"  closest: {', '.join(map(printable, self.closest))}")
        shown = ", ".join(map(printable, there[:20])) or "none"
        lines.append(f"  Fields there are: {shown}{', …' if there[20:] else ''}")
        super().__init__("\n".join(lines))


class PredicateSyntaxError(AtdataError, ValueError):
    """A predicate cannot be read from its text, or from its JSON.

    Attributes:
        reason: What is wrong.
        text: The text, or the path in the JSON.
        at: Where in the text, counted from 0; -1 for JSON.
    """

    def __init__(self, reason: str, text: str, at: int) -> None:
        self.reason = reason
        self.text = text
        self.at = at
        if at < 0:
            super().__init__(f"{reason}\n  at {printable(text)}")
            return
        start = max(0, at - 60)
        before = printable(text[start:at], 1000)
        line = before + printable(text[at : at + 60], 1000)
        super().__init__(f"{reason}\n  {line}\n  {' ' * len(before)}^")
