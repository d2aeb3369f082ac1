"""Which calibration predictions get: the one just fitted, a saved one, a given file, or none."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.sources import PredictionPlan
from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import Flavor
from kraken_bids.io.digests import compute_sha256, digest
from kraken_bids.models.calibration.saved_calibrations import (
    CALIBRATION_NAME,
    PairCalibration,
    SavedCalibrations,
    check_calibrations,
    read_calibrations,
    write_calibrations,
)
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.settings import Settings
from kraken_bids.worth_settings import WorthSettings

logger = logging.getLogger(__name__)

AUTO, NONE = "auto", "none"
Key = tuple[str, Flavor]
"""Source and target."""


@dataclass(frozen=True, eq=False)
class ChosenCalibration:
    """What a run calibrates with."""

    saved: SavedCalibrations
    path: Path
    """The file that holds it."""
    sha256: str
    """Of the file."""
    is_own: bool
    """Whether it is that of OUTPUT_DIR, whose subjects are told by their labels."""

    def name_in(self, output_dir: Path) -> str:
        """Name of the file for sidecars: a BIDS URI where it is in OUTPUT_DIR."""
        if self.is_own:
            return f"bids::{self.path.relative_to(output_dir).as_posix()}"
        return str(self.path)


def saved_path(settings: Settings) -> Path:
    """Path of the calibration that the group level saves in OUTPUT_DIR."""
    return group_path(settings.data.output_dir, CALIBRATION_NAME)


def digest_adaptation(plan: PredictionPlan) -> str:
    """Digest of the adaptation that the raw predictions of a run have."""
    return digest("adaptation", mode_of(plan), plan.adapted)


def mode_of(plan: PredictionPlan) -> str:
    """Give the mode of a plan's adaptation; ``none`` without one."""
    return "none" if plan.adaptation is None else plan.adaptation.mode


def read_given_calibration(path: Path, model: Model) -> SavedCalibrations:
    """Read a calibration that was asked for, and check that it is of this model's predictions.

    Raises
    ------
    CheckpointError
        If it cannot be read, or is of another model.
    """
    try:
        saved = read_calibrations(path)
        _check_model(saved, model)
    except CheckpointError as error:
        raise CheckpointError(f"--calibrate {path}: {error}") from error
    return saved


def choose_calibration(plan: PredictionPlan) -> ChosenCalibration | None:
    """Choose what a run calibrates with, and say so in the log.

    ``auto`` takes what the group level saved in OUTPUT_DIR, if it is of this model and of
    predictions with the adaptation that those of this run have.

    Returns
    -------
    ChosenCalibration or None
        None where there is nothing to calibrate with, or it is not asked for.

    Raises
    ------
    CheckpointError
        If a file that was asked for is of another model, or of predictions adapted in another
        way.
    """
    asked = plan.settings.worth.calibrate
    if asked == NONE:
        logger.info("calibration: none, as asked for")
        return None
    own = saved_path(plan.settings)
    if asked != AUTO:
        path = Path(asked)
        saved = read_given_calibration(path, plan.model)
        _check_mode(saved, plan, path)
        logger.info("calibration: %s, %d pair(s) of source and target", path, len(saved.pairs))
        _say_promise(saved, plan)
        is_own = own.exists() and path.exists() and own.samefile(path)
        return ChosenCalibration(saved, path, compute_sha256(path), is_own)
    return _take_saved(plan, own)


def _take_saved(plan: PredictionPlan, path: Path) -> ChosenCalibration | None:
    if not path.exists():
        logger.info("calibration: none, since the group level has saved none")
        return None
    try:
        saved = read_calibrations(path)
        _check_model(saved, plan.model)
    except CheckpointError as error:
        logger.warning("the saved calibration %s is passed over: %s", path, error)
        return None
    if saved.adaptation != digest_adaptation(plan):
        logger.warning(
            "the saved calibration %s is of predictions with another adaptation and is not used: "
            "nothing is calibrated. Run the group level again",
            path,
        )
        return None
    logger.info("calibration: the one saved by the group level, %s", path)
    _say_promise(saved, plan)
    return ChosenCalibration(saved, path, compute_sha256(path), is_own=True)


def _say_promise(saved: SavedCalibrations, plan: PredictionPlan) -> None:
    """Warn where another coverage was asked for than intervals were fitted for."""
    asked = plan.settings.worth.interval_coverage
    others = sorted({one.intervals.coverage for one in saved.pairs.values()} - {asked})
    if others and asked != WorthSettings.interval_coverage:
        logger.warning(
            "--interval-coverage %g is of no effect: the intervals of this calibration promise "
            "%s. The coverage is chosen where a calibration is fitted",
            asked,
            ", ".join(f"{one:g}" for one in others),
        )


def _check_model(saved: SavedCalibrations, model: Model) -> None:
    check_calibrations(saved, model.sha256, model.sizes, n_latent=model.latent_size)


def _check_mode(saved: SavedCalibrations, plan: PredictionPlan, path: Path) -> None:
    if saved.adaptation_mode != mode_of(plan):
        raise CheckpointError(
            f"--calibrate {path}: expected a calibration of predictions adapted as those of this "
            f"run are ({mode_of(plan)}); found one of predictions adapted by "
            f"{saved.adaptation_mode}. Adapt in the same way (--adaptation-mode, --adaptation), "
            "or fit a calibration here."
        )


def save_fitted(
    plan: PredictionPlan,
    rests_on: str,
    pairs: Mapping[Key, PairCalibration],
    refused: Mapping[Key, str],
) -> None:
    """Save for later runs what was fitted on a cohort, and why some pairs were not.

    Parameters
    ----------
    rests_on : str
        Digest of everything that was fitted on; '' where it is to be fitted anew the next time.
    """
    saved = SavedCalibrations(
        plan.model.sha256,
        mode_of(plan),
        digest_adaptation(plan),
        rests_on,
        pairs,
        dict(refused),
    )
    write_calibrations(saved, saved_path(plan.settings))
