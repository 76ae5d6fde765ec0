"""From the arguments of `manifest` and `query` to shards and manifests, and what mends these."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import typer

from atdata._exceptions import ManifestError, ShardNotFoundError, shard_name
from atdata._protocols import DataSource
from atdata.cli.app import complain, harmless
from atdata.cli.options import Place, work
from atdata.cli.places import Found, find
from atdata.load._refs import is_reference
from atdata.manifest.document import JSON_SUFFIX
from atdata.manifest.reader import open_kept_manifest
from atdata.model.shard import beside
from atdata.sources import sidecars
from atdata.sources.joined import JoinedSource
from atdata.sources.naming import local_path

FOLDER = "manifests"
"""Where manifests of shards elsewhere go if nobody says where."""

NO_SHARD = "the shard is missing"
"""What an error about a manifest says if its shard is not there."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which shards are meant, as the command line says it.

    Attributes:
        arguments: Paths, folders, patterns, addresses and references.
        place: The catalogue of the references, and of the schema.
        schema: Reference of the schema of samples that no catalogue tells the type of.
        manifests: The folder of their manifests, if these do not lie beside the shards.
    """

    arguments: Sequence[str]
    place: Place
    schema: str | None = None
    manifests: str | None = None

    def found(self) -> list[tuple[str, Found]]:
        """The shards, each with the argument that names them.

        Raises:
            typer.BadParameter: An argument makes no sense.
            AtdataError: There is no such dataset, folder or schema.
        """
        named = any(map(is_reference, self.arguments))
        if named and self.schema is not None:
            raise typer.BadParameter(
                "--schema is for shards; a dataset of the catalogue has its own: leave it out"
            )
        sample_type: type[Any] | None = None
        if self.schema is not None:
            sample_type = work("references").sample_type(self.schema, self.place)
        found: list[tuple[str, Found]] = []
        for one in self.arguments:
            uses = is_reference(one) or not (named or self.schema)
            for shards in find([one], self.place if uses else Place()):
                typed = shards if sample_type is None else replace(shards, sample_type=sample_type)
                found.append((one, typed))
        return found

    def source(self, found: Found) -> DataSource:
        """What gives the shards with their manifests."""
        if self.manifests is None:
            return found.source
        return KeptManifests([found.source], folder=Path(self.manifests))

    def command(self, *, elsewhere: bool) -> str:
        """What follows `atdata manifest build` so that it builds these manifests.

        Args:
            elsewhere: Some of the shards are no files of this machine.

        Examples:
            >>> Asked(["a-{0..1}.tar"], Place()).command(elsewhere=False)
            "'a-{0..1}.tar'"
            >>> Asked(["@local/a"], Place(db="my lab.db")).command(elsewhere=True)
            "@local/a --out manifests --db 'my lab.db'"
        """
        words = [f"./{one}" if one.startswith("-") else one for one in self.arguments]
        words += [] if self.schema is None else ["--schema", self.schema]
        if self.manifests is not None or elsewhere:
            words += ["--out", self.manifests or FOLDER]
        for option, value in self.place._asdict().items():
            words += [] if value is None else [f"--{option}", value]
        return shlex.join(map(shard_name, words))


def refuse(error: ManifestError, asked: Asked, sources: Sequence[DataSource]) -> NoReturn:
    """Say which shards have no manifest that can be used, and how they get one.

    Raises:
        ShardNotFoundError: It is the shard that is missing.
        typer.Exit: With code 1, after it has been said.
    """
    for shard_id, reason in error.reasons.items():
        if reason == NO_SHARD:
            raise ShardNotFoundError(shard_id) from error
    away = any(local_path(one, shard) is None for one in sources for shard in one.list_shards())
    lines = [str(ManifestError(error.reasons, asked.command(elsewhere=away)))]
    if away and asked.manifests is None:
        lines.append(f"  Then add  --manifests {FOLDER}, or put what is in it beside the shards.")
    complain("\n".join(lines))
    raise typer.Exit(1)


def place_in(folder: Path, shard_id: str) -> Path:
    """A path in a folder that is called as a shard is; beside it lies the shard's manifest.

    Examples:
        >>> place_in(Path("kept"), "https://example.org/data/a.tar?token=1")
        PosixPath('kept/a.tar')
    """
    return folder / shard_name(shard_id).rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class KeptManifests(JoinedSource):
    """Shards whose manifests lie in a folder, wherever the shards are.

    Attributes:
        folder: The folder.
    """

    folder: Path = Path()

    def local_path(self, shard_id: str) -> None:
        """None, as what lies beside the shard is not asked for."""

    def read_sidecar(self, shard_id: str, suffix: str) -> bytes | None:
        """A file of the shard's manifest, or None if it is not there.

        Raises:
            ManifestError: It is not of the shard as that is now.
        """
        place = place_in(self.folder, shard_id)
        home = self._home(shard_id)
        if suffix == JSON_SUFFIX and local_path(home, shard_id) is not None:
            open_kept_manifest(home, shard_id, place)  # looks at more than a size
        return sidecars.read_file(Path(beside(str(place), suffix)))

    def __reduce__(self) -> tuple[Any, ...]:
        return KeptManifests, (self.sources, self.ids, self.recorded, self.folder)


def bad(error: Exception) -> typer.BadParameter:
    """What the library finds wrong with an argument, as the command line says it."""
    return typer.BadParameter(harmless(str(error)))
