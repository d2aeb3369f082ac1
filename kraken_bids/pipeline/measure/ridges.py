"""Partial correlations that the group level computes again, and the λ that it chose."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import group_path, sidecar_path
from kraken_bids.cohort.measurements import FUNCTIONAL
from kraken_bids.cohort.saved_ridge import TABLE
from kraken_bids.cohort.sidecar_records import FILE
from kraken_bids.cohort.sidecars import read_digest, read_measured_digest, redo_digest, size_of
from kraken_bids.connectome.functional.correlations import compute_partial_correlation
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.tables import read_header, read_relmat
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_json, write_relmat, write_table
from kraken_bids.published.cache import PublishedFile, check_copy, explain_by_hand
from kraken_bids.published.models import find_file, list_published

BEFORE_REFIT = "RunDigestBeforeRefit"
"""In a sidecar while its matrix is replaced: a refit that was stopped goes on from there."""


@dataclass(frozen=True)
class PartialFile:
    """A measured partial correlation, and the correlation that it is made of."""

    subject: str
    session: str | None
    partial: Path
    correlation: Path


@dataclass(frozen=True)
class Choice:
    """λ for one flavor."""

    facts: Mapping[str, object]
    """``Lambda``, ``LambdaSource`` and how it was found, for sidecars."""
    tried: NDArray[np.float64]
    errors: NDArray[np.float64]
    """[n_tried]; nothing where λ was given."""

    @property
    def ridge(self) -> float:
        """λ."""
        return float(str(self.facts[FUNCTIONAL.lambda_]))


def refit_file(file: PartialFile, choice: Choice) -> bool:
    """Give a file the chosen λ, matrix and sidecar; whether its matrix changed.

    Raises
    ------
    InputError
        If the correlation that it is made of is missing, broken, or of another run.
    ConnectomeError
        If that has no inverse at this λ.
    """
    path = sidecar_path(file.partial)
    sidecar = read_json(path) if path.is_file() else {}
    new = {
        **choice.facts,
        **({"LambdaErrors": f"bids::group/{TABLE}"} if len(choice.tried) else {}),
    }
    is_whole = FILE.run_digest in sidecar
    is_damaged = read_digest(file.partial, if_whole=True) is None
    is_other = is_damaged or sidecar.get(FUNCTIONAL.lambda_) != choice.ridge
    kept = {key: value for key, value in sidecar.items() if not key.startswith(FUNCTIONAL.lambda_)}
    measured = str(kept.pop(BEFORE_REFIT, ""))
    if is_other:
        measured = read_measured_digest(file.partial) if is_whole else measured
        square = compute_partial_correlation(read_relmat(file.correlation), ridge=choice.ridge)
        _check_same_run(file, measured)
        kept.pop(FILE.run_digest, None)
        # a refit that is stopped leaves no matrix that seems to have the λ of its sidecar
        write_json(path, kept | {BEFORE_REFIT: measured})
        write_relmat(file.partial, square, header=read_header(file.partial))
        new |= size_of(file.partial)
        new[FILE.run_digest] = redo_digest(measured, choice.ridge)
    if is_other or sidecar != kept | new:
        write_json(path, kept | new)
    return is_other


def _check_same_run(file: PartialFile, measured: str) -> None:
    """Refuse a correlation that was not measured along with the partial correlation."""
    if read_measured_digest(file.correlation) != measured:
        raise InputError(
            f"--refit-pcorr: expected {file.correlation} and {file.partial.name} of one run of "
            "the participant level; found other RunDigests in their sidecars (other inputs or "
            "settings, or a run that was stopped). Run the participant level again with both "
            "flavors."
        )


def write_choices(output_dir: Path, choices: Mapping[Flavor, Choice]) -> None:
    """Write ``group/pcorr.tsv`` and its sidecar, from which :func:`read_saved_ridges` reads."""
    path = group_path(output_dir, TABLE)
    rows = [
        (flavor.parcellation, ridge, error if np.isfinite(error) else None)
        for flavor, choice in choices.items()
        for ridge, error in zip(choice.tried, choice.errors, strict=True)
    ]
    names = ("atlas", "lambda", "error")
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    write_table(path, dict(zip(names, columns, strict=True)))
    write_json(sidecar_path(path), {
        "Description": "Search for the ridge λ of the partial correlations",
        "lambda": {"Description": "λ tried"},
        "error": {"Description": "mean over sessions of the distance between the edges of the "
                  "regularised inverse and of the target; n/a where there is no inverse"},
        "Atlases": {flavor.parcellation: choice.facts for flavor, choice in choices.items()},
    })  # fmt: skip


PREFIX = "kraken_regtarget_"
NAMES = ("C", "FC")
"""What the reference calls the matrix in the files that it writes and reads."""


def list_targets() -> tuple[PublishedFile, ...]:
    """Every published target."""
    return tuple(file for name, file in list_published().items() if name.startswith(PREFIX))


def find_target(flavor: Flavor) -> Path | None:
    """Where the target of a flavor lies in the cache; None if there is none or it is not fetched.

    Raises
    ------
    InputError
        If the file there is damaged.
    """
    wanted = f"{PREFIX}{flavor.name}_"
    file = next((f for f in list_targets() if f.name.startswith(wanted)), None)
    path = None if file is None else find_file(file)
    if file is not None and path is not None and (found := check_copy(path, file.sha256)):
        raise InputError(
            f"expected {path} with SHA-256 {file.sha256}; found {found}. Run kraken-tools fetch "
            f"{file.name}, or remove it. {explain_by_hand(file, path.parent)}"
        )
    return path


def read_target(path: Path, n_regions: int) -> NDArray[np.float64]:
    """Precision matrix of a ``.mat``: its variable ``C`` or ``FC``, else its only square matrix.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no such matrix of finite numbers.
    """
    from kraken_bids.io.named_arrays import read_arrays

    arrays = read_arrays(path)
    shape = (n_regions, n_regions)
    fitting = {name: a for name, a in arrays.items() if a.shape == shape and a.dtype.kind in "fiu"}
    named = [fitting[name] for name in NAMES if name in fitting]
    found = named or (list(fitting.values()) if len(fitting) == 1 else [])
    if not found or not np.isfinite(found[0]).all() or not np.allclose(found[0], found[0].T):
        seen = ", ".join(f"{name} {a.shape}" for name, a in arrays.items()) or "nothing"
        raise InputError(
            f"expected one symmetric precision matrix {shape} of finite numbers in {path}, named "
            f"C; found {seen}. Is it the file of another atlas?"
        )
    return found[0].astype(np.float64)
