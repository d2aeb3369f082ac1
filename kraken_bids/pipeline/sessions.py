"""One session of one participant: the unit of work that travels to a worker."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.facts import Facts
from kraken_bids.bids.inputs import SessionInputs
from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.bids.write import bids_uri, write_json
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor, describe_flavor
from kraken_bids.parcellations import Parcellation, list_parcellations, load_parcellation
from kraken_bids.pipeline.provenance import digest, file_stamps
from kraken_bids.settings import MAX_IMPUTED_SHARE, Settings, to_plain
from kraken_bids.texts import read_json

logger = logging.getLogger(__name__)

REDONE = "+lambda="
"""In a digest: before it inputs and settings, after it the λ that the group level saved."""


@dataclass(frozen=True)
class SessionTask:
    """What a worker needs to measure one session."""

    session: SessionInputs
    settings: Settings
    datasets: tuple[Dataset, ...]
    own_atlases: Mapping[str, Parcellation] = field(default_factory=dict)
    """Regions of the user's own atlases; those of the model come with the package."""

    @property
    def label(self) -> str:
        """``sub-01`` or ``sub-01_ses-1``, for log lines."""
        return session_label(self.session.subject, self.session.session)

    def parcellation(self, name: str) -> Parcellation:
        """Regions of an atlas, the user's own or of the package."""
        return self.own_atlases.get(name) or load_parcellation(name)

    def wants(self, flavor: Flavor) -> bool:
        """Whether this run was asked to measure the flavor."""
        chosen = self.settings.data.flavors
        return not chosen or flavor in chosen

    def digest(self, stage: str, inputs: Iterable[Path | None], settings: object) -> str:
        """Digest of everything that a stage's results depend on."""
        own: list[object] = [(p.name, p.labels, p.region_names) for p in self.own_atlases.values()]
        own += ["header"] if self.settings.run.matrix_header else []
        stamps = file_stamps(inputs)
        return digest(stage, __version__, stamps, to_plain(settings), *([own] if own else []))

    def header(self, parcellation: str) -> tuple[str, ...]:
        """Names to write above a matrix of a parcellation; none unless they are asked for."""
        wanted = self.settings.run.matrix_header
        return self.parcellation(parcellation).region_names if wanted else ()

    def uris(self, paths: Iterable[Path]) -> list[str]:
        """``bids:`` URIs of input files, each once."""
        return list(dict.fromkeys(bids_uri(path, self.datasets) for path in paths))

    def software(self) -> dict[str, str]:
        """Fields of a sidecar that name this software."""
        return {"Software": "kraken_bids", "SoftwareVersion": __version__}


def session_label(subject: str, session: str | None) -> str:
    """``sub-01`` or ``sub-01_ses-1``."""
    return f"sub-{subject}" + (f"_ses-{session}" if session else "")


def is_up_to_date(task: SessionTask, planned: Mapping[Path, str]) -> bool:
    """Whether every file is there with its digest: same inputs, same settings, same saved λ."""
    if task.settings.run.force or not planned:
        return False
    paths = list(planned)
    done = all(read_digest(path, if_whole=True) == planned[path] for path in paths)
    if done:
        logger.info(
            "%s: %d connectome(s) up to date, skipped (--force redoes them): %s …",
            task.label,
            len(paths),
            paths[0].name,
        )
    return done


def read_digest(path: Path, *, if_whole: bool = False) -> str | None:
    """``RunDigest`` in the sidecar of a file; None where there is none.

    Parameters
    ----------
    path : Path
    if_whole : bool
        None also where the file is not there, or has another size than when it was written.
    """
    try:
        content = read_json(sidecar_path(path))
    except InputError:
        return None
    if if_whole and not is_whole(path, content):
        return None
    return Facts(content).text("RunDigest") or None


def is_whole(path: Path, sidecar: Mapping[str, object]) -> bool:
    """Whether a file is there, and has the size that its sidecar says it was written with."""
    try:
        size = path.stat().st_size
    except OSError:
        return False
    return sidecar.get("FileSize", size) == size


def size_of(path: Path) -> dict[str, object]:
    """Field of the sidecar of a file that has just been written, by which damage is seen."""
    return {"FileSize": path.stat().st_size}


def forget_digest(path: Path) -> None:
    """Take ``RunDigest`` out of a file's sidecar, before the file is replaced.

    A run that is stopped between the two leaves no file that seems to be what its sidecar says.
    """
    try:
        content = dict(read_json(sidecar_path(path)))
    except (InputError, OSError):  # nothing there that could vouch for it
        return
    if content.pop("RunDigest", None) is not None:
        write_json(sidecar_path(path), content)


def redo_digest(measured: str, ridge: float) -> str:
    """``RunDigest`` of a partial correlation with the λ that the group level saved for everyone.

    The same whether it was measured with that λ or computed again by the group level.
    """
    return f"{measured.partition(REDONE)[0]}{REDONE}{float(ridge)!r}"


def read_measured_digest(path: Path) -> str:
    """``RunDigest`` of a measured connectome without the λ of the group level; or ''."""
    return (read_digest(path) or "").partition(REDONE)[0]


def matrix_sidecar(flavor: Flavor) -> dict[str, object]:
    """Fields that every connectome's sidecar has, measured or predicted: what the matrix is."""
    return {
        "Flavor": flavor.name,
        "Description": describe_flavor(flavor),
        "Weighted": True,
        "Directed": False,
        "ValidDiagonal": False,
        "StorageFormat": "Full",
        "Atlas": flavor.parcellation,
        "NodesFile": f"bids::atlas-{flavor.parcellation}_dseg.tsv",
    }


def region_sidecar(parcellation: Parcellation, missing: NDArray[np.bool_]) -> dict[str, object]:
    """Name the regions without data (NaN) in a sidecar, and say what the model makes of them.

    ``ImputedRegions`` are those that the model's input fills with the training mean; none where
    so many are missing that the model does not take the connectome at all, or no model knows the
    atlas.
    """
    names = zip(parcellation.region_names, missing, strict=True)
    absent = [name for name, gone in names if gone]
    is_known = parcellation.name in list_parcellations()
    usable = is_known and bool(missing.mean() <= MAX_IMPUTED_SHARE)
    return {
        "MissingRegions": absent,
        "ImputedRegions": absent if usable else [],
        "UsableAsInput": usable,
    }
