"""Partial correlations that the group level computes again, and the λ that it chose."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.matrix_headers import read_header
from kraken_bids.bids.outputs import group_path, sidecar_path
from kraken_bids.bids.read import read_json, read_relmat
from kraken_bids.bids.write import write_json, write_relmat, write_table
from kraken_bids.connectome.functional import compute_partial_correlation
from kraken_bids.flavors import Flavor
from kraken_bids.pipeline.sessions import redo_digest

TABLE = "pcorr.tsv"
"""In ``group/``: the error of every λ tried; what was chosen stands in its sidecar."""


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
        return float(str(self.facts["Lambda"]))


def read_saved_ridges(output_dir: Path) -> dict[str, float]:
    """λ per atlas that a group run saved in OUTPUT_DIR; empty where none did."""
    path = sidecar_path(group_path(output_dir, TABLE))
    chosen = read_json(path).get("Atlases", {}) if path.is_file() else {}
    return {atlas: float(facts["Lambda"]) for atlas, facts in chosen.items()}


def refit_file(file: PartialFile, choice: Choice) -> bool:
    """Give a file the chosen λ, matrix and sidecar; whether its matrix changed.

    Raises
    ------
    InputError
        If the correlation that it is made of is missing or broken.
    ConnectomeError
        If that has no inverse at this λ.
    """
    path = sidecar_path(file.partial)
    sidecar = read_json(path) if path.is_file() else {}
    old = {key: value for key, value in sidecar.items() if key.startswith("Lambda")}
    new = {
        **choice.facts,
        **({"LambdaErrors": f"bids::group/{TABLE}"} if len(choice.tried) else {}),
    }
    is_other = sidecar.get("Lambda") != choice.ridge
    if is_other:
        square = compute_partial_correlation(read_relmat(file.correlation), ridge=choice.ridge)
        write_relmat(file.partial, square, header=read_header(file.partial))
        new["RunDigest"] = redo_digest(str(sidecar.get("RunDigest", "")), choice.ridge)
    if is_other or old != new:
        kept = {key: value for key, value in sidecar.items() if key not in old}
        write_json(path, kept | new)
    return is_other


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
