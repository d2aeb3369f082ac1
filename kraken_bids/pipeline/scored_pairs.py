"""Scores of every source and target of a cohort, with all that is computed of them on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kraken_bids.cohort.calibrated_pairs import PairReader
from kraken_bids.cohort.from_dataset import MeasuredCohort
from kraken_bids.cohort.sources import PredictionPlan
from kraken_bids.flavors import Flavor
from kraken_bids.models.calibration.intervals import count_needed
from kraken_bids.pipeline.calibrate.choice_of_calibration import NONE
from kraken_bids.pipeline.calibrated_cohort import GroupCalibration, plan_calibration
from kraken_bids.pipeline.check.cohort_scores import Scores, score_members
from kraken_bids.pipeline.check.compared_sessions import ControlRules
from kraken_bids.pipeline.check.imputed_flavors import ImputationReader
from kraken_bids.pipeline.check.input_quality import Encoded, InputView
from kraken_bids.pipeline.check.kept_results import Kept
from kraken_bids.pipeline.check.pair_calibrations import PairCalibrations
from kraken_bids.pipeline.check.region_residuals import ResidualReader, name_inputs
from kraken_bids.pipeline.levels import Job


@dataclass(frozen=True)
class ScoreBasis:
    """What scores rest on besides the connectomes and their predictions."""

    kept: Kept
    rules: ControlRules
    families: Sequence[str]
    """Of every member."""


@dataclass(frozen=True)
class ScoredPairs:
    """What comes of each pair of source and target while it is in memory."""

    scores: Scores
    planned: GroupCalibration
    residuals: ResidualReader
    refused: Mapping[tuple[str, Flavor], str]
    """Why pairs could not be calibrated."""
    is_whole: bool
    """Whether all that was to be computed was."""


def score_pairs(
    job: Job,
    plan: PredictionPlan,
    cohort: MeasuredCohort,
    basis: ScoreBasis,
    *,
    encoded: Encoded,
    views: Mapping[Flavor, InputView],
) -> ScoredPairs:
    """Score every source and target, and calibrate those across modalities.

    Parameters
    ----------
    job : Job
        Gets what goes wrong.
    encoded : Encoded
        Everyone's inputs as the model encodes them.
    views : mapping of Flavor to InputView
        How much of them it sees.
    """
    worth, members, kept = plan.settings.worth, cohort.members, basis.kept
    rests_on = name_inputs(plan.model, plan.sources, basis.families)
    planned = plan_calibration(
        *(plan, cohort, {flavor: view.outside for flavor, view in views.items()}),
        families=basis.families,
        rests_on=[kept.inputs, rests_on],
    )
    residuals = ResidualReader(plan.settings.data.output_dir)
    draws = ImputationReader(plan, members, basis.families, basis.rules.columns, kept, rests_on)
    readers: list[PairReader] = [residuals, planned.fitting] if worth.calibrate != NONE else []
    if readers:
        residuals.recall(kept, rests_on, plan.model.flavors)
    readers += [draws] if worth.impute else []
    n_needed = count_needed(worth.interval_coverage)
    calibrations = PairCalibrations(members, basis.families, readers, n_needed)
    scores = score_members(
        *(plan.model, members, plan.sources),
        adaptation=plan.adaptation,
        judged=[source.name for source in plan.written_sources],
        kept=kept,
        failures=encoded.failures,
        calibrations=calibrations,
    )
    is_whole = not (encoded.failures or calibrations.problems)
    job.problems += calibrations.problems
    residuals.leave_out(calibrations.refused)
    if residuals in readers and is_whole:
        residuals.keep(kept, rests_on)
    draws.finish(calibrations.refused)
    return ScoredPairs(scores, planned, residuals, calibrations.refused, is_whole)
