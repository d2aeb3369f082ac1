"""Calibrations on disk, in one HDF5 file: for later runs, other sites and single subjects."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.exceptions import CheckpointError, FlavorError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.facts import Facts
from kraken_bids.io.foreign_hdf5 import EVERYTHING, Stored, list_hdf5
from kraken_bids.io.foreign_kinds import Kind
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.io.records import from_sidecar, to_sidecar
from kraken_bids.models.calibration.calibration import Calibration, CrossFit
from kraken_bids.models.calibration.difficulty import Difficulty
from kraken_bids.models.calibration.intervals import Intervals
from kraken_bids.scores.calibrated_records import CalibratedPairRecord, CalibratedRecord

FORMAT = "kraken_bids calibration"
CALIBRATION_NAME = "calibration.h5"
"""In ``group/``."""
SAVED = Kind(
    "saved calibrations",
    "Give the group/calibration.h5 of a group run, or run the group level again.",
    CheckpointError,
)
Vector = NDArray[np.float64]
ARRAYS = {
    **dict.fromkeys(("mean_measured", "mean_predicted", "slope", "error"), np.float32),
    **dict.fromkeys(("fold_means", "fold_slopes"), np.float32),
    **dict.fromkeys(("fold_kept", "latent_center"), np.float64),
    **dict.fromkeys(("difficulty_centers", "difficulty_weights"), np.float64),
    **dict.fromkeys(("folds", "fold_sizes"), np.int64),
}
"""Arrays of a pair, as what they are read."""
WORDS = ("model_sha256", "adaptation_mode", "adaptation", "rests_on")
"""Attributes of the whole file."""


@dataclass(frozen=True, eq=False)
class PairCalibration:
    """Calibration and intervals of one target from one source, and whom they were fitted on."""

    inputs: tuple[str, ...]
    """Flavors that the source averaged in the subjects it was fitted on."""
    units: str
    """Units of the measured connectomes it was fitted on, where their sidecars say so; or ''."""
    calibration: Calibration
    without: tuple[Calibration, ...]
    """Fitted without each fold; as lines around the mean raw prediction of everyone."""
    intervals: Intervals
    latent_center: Vector
    """Mean latent of the source over the subjects it was fitted on [n_latent]."""
    folds: NDArray[np.intp]
    """[n_fitted]"""
    subjects: tuple[str, ...]
    """What tells a subject of the same dataset again [n_fitted]."""
    connectomes: tuple[str, ...]
    """What tells a measured connectome again, wherever it is [n_fitted]."""
    people: tuple[CalibratedRecord, ...]
    """What is known of each of them [n_fitted]."""
    record: CalibratedPairRecord

    def find_row(self, connectome: str) -> int | None:
        """Row of a measured connectome that it was fitted on; None for another one."""
        return self._rows.get(connectome)

    def find_fold(self, subject: str) -> int | None:
        """Fold of a subject of the dataset it was fitted on; None of one who was not."""
        return self._folds.get(subject)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return _index(self.connectomes, range(len(self.connectomes)))

    @cached_property
    def _folds(self) -> dict[str, int]:
        return _index(self.subjects, self.folds.tolist())


def _index(names: Sequence[str], values: Sequence[int]) -> dict[str, int]:
    """Value of each name; of the first where a name is there twice."""
    return dict(zip(reversed(names), reversed(values), strict=True))


@dataclass(frozen=True, eq=False)
class SavedCalibrations:
    """Calibrations of a cohort, by source and target."""

    model_sha256: str
    adaptation_mode: str
    adaptation: str
    """Digest of the adaptation that the raw predictions had."""
    rests_on: str
    """Digest of everything that they were fitted on."""
    pairs: Mapping[tuple[str, Flavor], PairCalibration]
    refused: Mapping[tuple[str, Flavor], str] = field(default_factory=dict)
    """Why others could not be calibrated."""


def share_lines(fitted: CrossFit) -> tuple[Calibration, ...]:
    """Calibrations without each fold, all as lines around one mean raw prediction."""
    center = fitted.calibration.mean_predicted
    return tuple(
        Calibration(one.apply(center), center, one.slope, one.n_fitted, one.kept, one.correlation)
        for one in fitted.without
    )


def write_calibrations(saved: SavedCalibrations, path: Path) -> None:
    """Write calibrations; the same ones give the same bytes."""
    with write_hdf5(path) as file:
        file.attrs["format"] = FORMAT
        file.attrs["version"] = __version__
        for name in WORDS:
            file.attrs[name] = getattr(saved, name)
        reasons = [[source, target.name, why] for (source, target), why in saved.refused.items()]
        file.attrs["refused"] = json.dumps(sorted(reasons))
        file.attrs["n_pairs"] = len(saved.pairs)
        for (source, target), pair in sorted(saved.pairs.items(), key=str):
            _write_pair(file.create_group(f"pairs/{source}/{target.name}"), pair)


def _write_pair(group: h5py.Group, pair: PairCalibration) -> None:
    group.attrs["inputs"] = " ".join(pair.inputs)
    group.attrs["units"] = pair.units
    group.attrs["interval_coverage"] = pair.intervals.coverage
    for name in ("n_fitted", "kept", "correlation"):
        group.attrs[name] = getattr(pair.calibration, name)
    group.attrs["record"] = json.dumps(to_sidecar(pair.record))
    for name in ("mean_measured", "mean_predicted", "slope"):
        group[name] = getattr(pair.calibration, name)
    group["fold_means"] = np.stack([one.mean_measured for one in pair.without])
    group["fold_slopes"] = np.stack([one.slope for one in pair.without])
    group["fold_sizes"] = np.array([one.n_fitted for one in pair.without], np.int64)
    group["fold_kept"] = np.array([one.kept for one in pair.without])
    group["error"] = pair.intervals.error
    group["difficulty_centers"] = np.stack([one.center for one in pair.intervals.difficulty])
    group["difficulty_weights"] = np.stack([one.weights for one in pair.intervals.difficulty])
    group["latent_center"] = pair.latent_center
    group["folds"] = pair.folds.astype(np.int64)
    people = [json.dumps(to_sidecar(person)) for person in pair.people]
    texts = {"subjects": pair.subjects, "connectomes": pair.connectomes, "people": people}
    for name, words in texts.items():
        group.create_dataset(name, data=list(words), dtype=h5py.string_dtype())


def read_calibrations(path: Path) -> SavedCalibrations:
    """Read saved calibrations.

    Raises
    ------
    CheckpointError
        If there are none, the file is of another kind, or its arrays do not belong together or
        are not finite.
    """
    if not path.is_file():
        raise CheckpointError(
            "expected saved calibrations (group/calibration.h5, written by kraken-bids … group); "
            f"found no {path}. Check the path."
        )
    content = list_hdf5(SAVED, path, up_to=EVERYTHING)
    try:
        about = content[""].attributes
        if about.get("format") != FORMAT:
            raise SAVED.refuse(path, "an HDF5 file of another kind")
        names = [name for name in content if name.startswith("pairs/") and name.count("/") == 2]
        pairs = {
            (name.split("/")[1], parse_flavor(name.split("/")[2])): _read_pair(content, name)
            for name in names
        }
        if len(pairs) != int(about.get("n_pairs", max(1, len(pairs)))):
            raise ValueError(f"{len(pairs)} pairs of source and target, of more that were written")
        words = {name: str(about[name]) for name in WORDS}
        refused = {
            (str(source), parse_flavor(target)): str(why)
            for source, target, why in json.loads(str(about["refused"]))
        }
        return SavedCalibrations(**words, pairs=pairs, refused=refused)
    except (KeyError, ValueError, TypeError, OverflowError, FlavorError) as error:
        raise SAVED.refuse(path, error) from error


def check_calibrations(
    saved: SavedCalibrations,
    model_sha256: str,
    sizes: Mapping[Flavor, int],
    *,
    n_latent: int,
) -> None:
    """Check that calibrations are of a model's predictions.

    Parameters
    ----------
    sizes : mapping of Flavor to int
        Edges of each flavor of the model.
    n_latent : int
        Length of its latents.

    Raises
    ------
    CheckpointError
        If they are of another one's, or have other numbers of edges.
    """
    if saved.model_sha256 != model_sha256:
        raise CheckpointError(
            f"expected calibrations of this model's predictions (SHA-256 {model_sha256[:12]}…); "
            f"found those of another (SHA-256 {saved.model_sha256[:12]}…). Give those of this "
            "model, or run the group level with it."
        )
    for (source, target), pair in saved.pairs.items():
        n_edges, length = pair.calibration.slope.size, pair.latent_center.shape
        if length != (n_latent,):
            raise CheckpointError(
                f"expected latents of {n_latent} numbers in the calibration of {target}; found "
                f"{length}. The file is damaged: run the group level again."
            )
        if sizes.get(target) != n_edges:
            raise CheckpointError(
                f"expected a calibration of {sizes.get(target)} edges for {target} from {source}; "
                f"found {n_edges}. The file is damaged: run the group level again."
            )


def _read_pair(content: Mapping[str, Stored], name: str) -> PairCalibration:
    about, found = content[name].attributes, _read_arrays(content, name)
    coverage, center = float(about["interval_coverage"]), found["mean_predicted"]
    if not 0 < coverage < 1 or (found["error"] < 0).any():
        raise ValueError(f"intervals of {name} that promise {coverage}, or are upside down")
    texts = [
        tuple(map(str, content[f"{name}/{key}"].value))
        for key in ("subjects", "connectomes", "people")
    ]
    if any(len(words) != len(found["folds"]) for words in texts):
        raise ValueError(f"people of {name} who are not as many as their folds")
    correlation = float(about["correlation"])
    n, kept = int(about["n_fitted"]), float(about["kept"])
    whole = Calibration(found["mean_measured"], center, found["slope"], n, kept, correlation)
    folds = zip(
        *(found[f"fold_{key}"] for key in ("means", "slopes", "sizes", "kept")), strict=True
    )
    difficulty = zip(found["difficulty_centers"], found["difficulty_weights"], strict=True)
    return PairCalibration(
        tuple(str(about["inputs"]).split()),
        str(about["units"]),
        whole,
        without=tuple(
            Calibration(m, center, s, int(n), float(k), correlation) for m, s, n, k in folds
        ),
        intervals=Intervals(coverage, found["error"], tuple(Difficulty(*d) for d in difficulty)),
        latent_center=found["latent_center"],
        folds=found["folds"],
        subjects=texts[0],
        connectomes=texts[1],
        people=tuple(from_sidecar(CalibratedRecord, Facts(json.loads(w))) for w in texts[2]),
        record=from_sidecar(CalibratedPairRecord, Facts(json.loads(str(about["record"])))),
    )


def _read_arrays(content: Mapping[str, Stored], name: str) -> dict[str, NDArray[Any]]:
    """Read the arrays of a pair, and check that they belong together and are finite."""
    found = {
        key: np.asarray(content[f"{name}/{key}"].value, dtype) for key, dtype in ARRAYS.items()
    }
    n_folds = len(found["fold_sizes"])
    rows = [found[key] for key in ("mean_measured", "mean_predicted", "slope", "error")]
    tables = [found[key] for key in ("fold_means", "fold_slopes")]
    _check_shapes(name, rows, tables, n_folds=n_folds)
    if not all(np.isfinite(array).all() for array in found.values()):
        raise ValueError(f"numbers of {name} that are not finite")
    centers, weights = found["difficulty_centers"], found["difficulty_weights"]
    if centers.shape != weights.shape or centers.ndim != 2 or len(centers) != n_folds:
        raise ValueError(f"difficulties of {name} that are not one per fold")
    folds = found["folds"]
    if folds.ndim != 1 or not ((folds >= 0) & (folds < n_folds)).all():
        raise ValueError(f"folds of {name} that are none")
    return found


def _check_shapes(
    name: str, rows: Sequence[NDArray[Any]], tables: Sequence[NDArray[Any]], *, n_folds: int
) -> None:
    size = rows[0].shape
    if len(size) != 1 or n_folds < 2 or any(one.shape != size for one in rows):
        raise ValueError(f"arrays of {name} of different lengths")
    if any(one.shape != (n_folds, *size) for one in tables):
        raise ValueError(f"arrays of {name} that are not one row per fold")
