"""Calibration in both levels of the app: the group fits and saves, a participant takes it over."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from kraken_bids import __version__
from kraken_bids.cohort.failures import Failure
from kraken_bids.cohort.from_dataset import MeasuredCohort
from kraken_bids.cohort.sources import PredictionPlan
from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import Flavor
from kraken_bids.io.digests import digest
from kraken_bids.models.calibration.saved_calibrations import (
    SavedCalibrations,
    read_calibrations,
)
from kraken_bids.pipeline.calibrate.calibrated_files import (
    Records,
    remove_calibrated,
    write_calibrated,
)
from kraken_bids.pipeline.calibrate.calibration_tables import (
    list_metrics,
    write_pair_table,
    write_session_table,
)
from kraken_bids.pipeline.calibrate.choice_of_calibration import (
    AUTO,
    NONE,
    ChosenCalibration,
    choose_calibration,
    digest_adaptation,
    save_fitted,
    saved_path,
)
from kraken_bids.pipeline.calibrate.fitted_pairs import (
    FittedPairs,
    Surroundings,
    Vector,
    add_ceiling,
)
from kraken_bids.pipeline.calibrate.session_calibrations import SessionCalibrator
from kraken_bids.scores.calibrated_records import NOBODY, CalibratedPairRecord
from kraken_bids.scores.quality_control import CROSS_MODAL, InputQuality, Metric

logger = logging.getLogger(__name__)


@dataclass
class GroupCalibration:
    """What the group level fits, and what it rests on."""

    fitting: FittedPairs
    rests_on: str
    saved: SavedCalibrations | None
    """What is saved, where it was fitted on the same."""

    def list_metrics(self) -> list[Metric]:
        """List what calibrations add to the metrics of the group."""
        pairs = self.saved.pairs if self.saved else self.fitting.found
        return list_metrics(pair.record for pair in pairs.values())


def plan_calibration(
    plan: PredictionPlan,
    cohort: MeasuredCohort,
    outside: Mapping[Flavor, Vector],
    *,
    families: Sequence[str],
    rests_on: object,
) -> GroupCalibration:
    """Plan what the group level fits; nothing where that is saved already, or not asked for.

    Parameters
    ----------
    outside : mapping of Flavor to ndarray of shape (n_members,)
        Share of each input's variance that the model does not see.
    families : sequence of str
        Of every member.
    rests_on : object
        What tells the inputs of this run from others: values that JSON can hold.
    """
    worth = plan.settings.worth
    around = surround(plan, cohort, outside)
    written = {source.name for source in plan.written_sources}
    wanted = frozenset(
        source.name
        for source in plan.sources
        if source.name in CROSS_MODAL.values() or (source.single and source.name in written)
    )
    key = digest(
        *("calibration", __version__, rests_on, list(families), plan.model.sha256),
        *(digest_adaptation(plan), worth.interval_coverage, sorted(wanted)),
    )
    saved = None if plan.settings.run.force else _read_saved(plan, key)
    is_fitted = worth.calibrate == AUTO and saved is None
    fitting = FittedPairs(
        around, families, worth.interval_coverage, wanted if is_fitted else frozenset()
    )
    return GroupCalibration(fitting, key, saved if worth.calibrate == AUTO else None)


def calibrate_group(
    plan: PredictionPlan,
    planned: GroupCalibration,
    refused: Mapping[tuple[str, Flavor], str],
    *,
    metrics: Sequence[Metric],
    executor: Executor,
    is_whole: bool,
) -> list[Failure]:
    """Save what was fitted, calibrate every session, and write the tables of the group.

    Parameters
    ----------
    refused : mapping of (str, Flavor) to str
        Why pairs could not be calibrated.
    metrics : sequence of Metric
        Of the group, among them shares of the ceiling.
    is_whole : bool
        Whether all that was to be fitted was.

    Raises
    ------
    CheckpointError
        If a file that was asked for does not fit.
    """
    output, fitting = plan.settings.data.output_dir, planned.fitting
    asked = plan.settings.worth.calibrate
    own = {key: why for key, why in refused.items() if key[0] in fitting.wanted}
    if fitting.found:
        shares = {
            (one.source, one.target): one.value for one in metrics if one.metric == "ceiling_share"
        }
        found = {key: add_ceiling(pair, shares) for key, pair in fitting.found.items()}
        save_fitted(plan, planned.rests_on if is_whole else "", found, refused=own)
        _say_fitted([pair.record for pair in found.values()])
    elif fitting.wanted:
        _say_refused(own)
        if is_whole and not plan.settings.data.is_part:
            _remove_saved(plan)  # that of other connectomes, families or another coverage
    chosen = choose_calibration(plan)
    if asked == NONE or (chosen is not None and not chosen.is_own):
        _remove_saved(plan)
    records, failures = _calibrate(plan, fitting.around, chosen, executor)
    saved = chosen.saved if chosen else None
    if saved:
        _warn_of_trained(saved)
    write_pair_table(
        output,
        [pair.record for pair in saved.pairs.values()] if saved else [],
        saved.refused if saved else own,
        records,
    )
    write_session_table(output, fitting.around.members, records)
    return failures


def calibrate_sessions(
    plan: PredictionPlan,
    cohort: MeasuredCohort,
    inputs: Mapping[tuple[int, Flavor], InputQuality],
    executor: Executor,
) -> list[Failure]:
    """Calibrate the sessions of a participant run with a saved calibration, if there is one.

    Raises
    ------
    CheckpointError
        If a file that was asked for does not fit.
    """
    outside = {flavor: np.full(len(cohort.members), np.nan) for _, flavor in inputs}
    for (index, flavor), one in inputs.items():
        if one.outside_share is not None:
            outside[flavor][index] = one.outside_share
    around = surround(plan, cohort, outside)
    _, failures = _calibrate(plan, around, choose_calibration(plan), executor)
    return failures


def surround(
    plan: PredictionPlan, cohort: MeasuredCohort, outside: Mapping[Flavor, Vector]
) -> Surroundings:
    """Join what calibrations take of a cohort besides its connectomes."""
    sources = {source.name: source for source in plan.sources}
    provenance = plan.model.provenance
    return Surroundings(cohort.members, sources, cohort.digests, outside, provenance)


def _calibrate(
    plan: PredictionPlan,
    around: Surroundings,
    chosen: ChosenCalibration | None,
    executor: Executor,
) -> tuple[Records, list[Failure]]:
    """Calibrate every session, or take away what an earlier run has calibrated."""
    if chosen is not None:
        return write_calibrated(SessionCalibrator(plan, around, chosen), executor)
    n_removed, failures = remove_calibrated(plan.settings.data.output_dir, around.members)
    if n_removed:
        logger.info(
            "calibrated predictions of %d session(s) are taken away: this run has none to put in "
            "their place",
            n_removed,
        )
    return {}, failures


def _read_saved(plan: PredictionPlan, key: str) -> SavedCalibrations | None:
    """Read what is saved, where it was fitted on the same."""
    path = saved_path(plan.settings)
    if not path.exists():
        return None
    try:
        saved = read_calibrations(path)
    except CheckpointError as error:
        logger.warning("%s is fitted anew: %s", path, error)
        return None
    return saved if saved.rests_on == key else None


def _remove_saved(plan: PredictionPlan) -> None:
    """Take away the group's own calibration, which the sessions no longer have."""
    path = saved_path(plan.settings)
    if path.exists():
        logger.info("%s is removed: this run calibrates with something else, or not at all", path)
        path.unlink(missing_ok=True)


def _say_fitted(records: Sequence[CalibratedPairRecord]) -> None:
    """Say in one line what was fitted, and what it is worth."""
    gains = [one.gain for one in records if one.gain is not None]
    reached = [one.coverage for one in records if one.coverage is not None]
    logger.info(
        "calibration: %d pair(s) of source and target fitted on %d session(s) at most: gain over "
        "the mean %.3f to %.3f, coverage %.3f to %.3f of %g promised",
        *(len(records), max(one.n or 0 for one in records), min(gains), max(gains)),
        *(min(reached), max(reached), records[0].promised),
    )


def _warn_of_trained(saved: SavedCalibrations) -> None:
    """Warn where the model may know the subjects whom a calibration was fitted on."""
    n_trained = max((pair.record.n_in_training or 0 for pair in saved.pairs.values()), default=0)
    if n_trained:
        logger.warning(
            "%d of the subjects that calibrations are fitted on are named as training subjects of "
            "the model. If they are the same people, gain and coverage are too good and do not "
            "hold for others: calibrate on people whom the model has not seen",
            n_trained,
        )


def _say_refused(refused: Mapping[tuple[str, Flavor], str]) -> None:
    """Say in one line why nothing was fitted."""
    if not refused:
        return
    reasons = sorted(refused.values(), key=lambda reason: reason.startswith(NOBODY))
    n_more = len(reasons) - 1
    more = f" (and {n_more} more pair(s) of source and target)" if n_more else ""
    logger.warning("no calibration is fitted: %s%s", reasons[0], more)
