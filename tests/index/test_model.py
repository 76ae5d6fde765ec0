"""The index beside a plain model of it: whatever is done, in whatever order, both agree."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.index.kinds import FILES, numbers, pending, points, shards

from atdata import Index, RecordExistsError, RecordNotFoundError
from atdata.model.version import is_version, version_key

NAMES = st.sampled_from(["a", "b", "a/b"])
VERSIONS = st.sampled_from([None, "1.0.0", "1.2.0", "1.10.0", "word"])
COUNTS = st.integers(1, 3)


class Catalogue(RuleBasedStateMachine):
    """Writes, additions, labels, renamings and removals, done twice: here and in dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="atdata-model-"))
        self.index = Index(path=self.folder / "index.db")
        self.samples: dict[tuple[str, str], list[int]] = {}  # by name and CID, oldest first
        self.latest: dict[str, str] = {}
        self.versions: dict[tuple[str, str], str] = {}
        self.n = 0

    def teardown(self) -> None:
        self.index.close()
        shutil.rmtree(self.folder)

    def _stored(self, name: str, cid: str, version: str | None, samples: list[int]) -> None:
        self.samples[name, cid] = samples
        self.latest[name] = cid
        if version is not None:
            self.versions[name, version] = cid

    @rule(name=NAMES, version=VERSIONS, n=COUNTS)
    def write(self, name: str, version: str | None, n: int) -> None:
        """Samples that no other write has."""
        taken = version is not None and (name, version) in self.versions
        start, self.n = self.n, self.n + n
        try:
            entry = self.index.write(points(n, start), name=name, version=version, maxcount=2)
        except RecordExistsError:
            assert taken
        else:
            assert not taken
            self._stored(name, entry.cid, version, list(range(start, start + n)))

    @rule(name=NAMES, version=VERSIONS, n=COUNTS)
    def append(self, name: str, version: str | None, n: int) -> None:
        """Behind the latest."""
        taken = version is not None and (name, version) in self.versions
        start, self.n = self.n, self.n + n
        try:
            entry = self.index.append(points(n, start), name=name, version=version)
        except RecordNotFoundError:
            assert name not in self.latest
        except RecordExistsError:
            assert taken
        else:
            assert not taken
            before = self.samples[name, self.latest[name]]
            self._stored(name, entry.cid, version, [*before, *range(start, start + n)])

    @precondition(lambda self: self.samples)
    @rule(data=st.data(), version=VERSIONS, force=st.booleans())
    def label(self, data: st.DataObject, version: str | None, force: bool) -> None:
        """A version or the bare name for any entry of a name."""
        order = list(self.samples)
        name, cid = data.draw(st.sampled_from(order))
        there = None if version is None else self.versions.get((name, version))
        fixed = there not in (None, cid) and is_version(version or "") and not force
        try:
            self.index.label(name, cid, version=version, force=force)
        except RecordExistsError:
            assert fixed
            return
        assert not fixed
        if version is not None:
            self.versions[name, version] = cid
        if there != cid or version is None:
            newer = order.index((name, cid)) > order.index((name, self.latest[name]))
            if version is None or newer:
                self.latest[name] = cid

    @rule(old=NAMES, new=NAMES)
    def rename(self, old: str, new: str) -> None:
        """Everything of a name is under another then."""
        try:
            self.index.rename(old, new)
        except RecordNotFoundError:
            assert old not in self.latest
        except RecordExistsError:
            assert new in self.latest
        else:
            assert old in self.latest
            assert new not in self.latest
            to = {old: new}
            self.samples = {(to.get(n, n), c): s for (n, c), s in self.samples.items()}
            self.versions = {(to.get(n, n), v): c for (n, v), c in self.versions.items()}
            self.latest[new] = self.latest.pop(old)

    @rule(name=NAMES, version=VERSIONS)
    def delete(self, name: str, version: str | None) -> None:
        """All of a name, or one version."""
        ref = name if version is None else f"{name}@{version}"
        known = name in self.latest if version is None else (name, version) in self.versions
        try:
            self.index.delete_dataset(ref)
        except RecordNotFoundError:
            assert not known
            return
        assert known
        if version is None:
            self.samples = {key: s for key, s in self.samples.items() if key[0] != name}
            self.versions = {key: c for key, c in self.versions.items() if key[0] != name}
            del self.latest[name]
            return
        cid = self.versions.pop((name, version))
        if cid in [c for (n, _), c in self.versions.items() if n == name]:
            return
        del self.samples[name, cid]
        left = [c for n, c in self.samples if n == name]
        if self.latest[name] == cid:
            del self.latest[name]
            if left:
                self.latest[name] = left[-1]

    @invariant()
    def agrees(self) -> None:
        """Every name and version has its samples, nothing else is there, and no shard is over."""
        listed = self.index.list_datasets()
        assert {entry.name: entry.cid for entry in listed} == self.latest
        assert {(e.name, e.cid) for e in self.index.entries} == set(self.samples)
        for name, cid in self.latest.items():
            assert numbers(self.index.open(name)) == self.samples[name, cid]
            found = self.index.versions(name)
            said = [v for n, v in self.versions if n == name]
            assert [one.version for one in found if one.version] == sorted(said, key=version_key)
            assert [one.cid for one in found if one.is_latest][:1] == [cid]
        for (name, version), cid in self.versions.items():
            assert self.index.get_dataset(f"{name}@{version}").cid == cid
        needed = {url for entry in self.index.entries for url in entry.data_urls}
        assert len(shards(self.index)) == FILES * len(needed)
        assert pending(self.index) == []


Catalogue.TestCase.settings = settings(max_examples=8, stateful_step_count=12)
TestCatalogue = Catalogue.TestCase
