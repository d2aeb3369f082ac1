"""One synthetic cohort judged as the package judges a real one, beside what is true of it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import r2_score
from worth_cohorts import SyntheticCohort, make_cohort
from worth_population import SOURCE_OF, count_regions, make_population
from worth_slopes import judge_slopes

from kraken_bids.connectome.edge_groups import EdgeGroups, group_edges
from kraken_bids.flavors import Flavor
from kraken_bids.models.calibration.calibration import N_FOLDS, CrossFit, fit_calibration
from kraken_bids.models.calibration.difficulty import describe_subjects
from kraken_bids.models.calibration.imputation import Imputer
from kraken_bids.models.calibration.intervals import (
    fit_intervals,
    measure_coverage,
    span_predictions,
)
from kraken_bids.models.splits import deal_folds
from kraken_bids.parcellations import Parcellation
from kraken_bids.pipeline.check.peer_comparison import Fitting, Measured, compare_peer
from kraken_bids.scores.calibrated_scores import judge_held_out
from kraken_bids.scores.covariates import encode_covariates
from kraken_bids.scores.discordance import ControlRegression, measure_residuals
from kraken_bids.scores.inner_products import multiply_rows
from kraken_bids.scores.resampling import Kinship
from kraken_bids.scores.second_measurements import compare_twice
from kraken_bids.scores.significance import compare, score_comparison

Figures = dict[str, float]
Floats = NDArray[np.float64]
FloatLike = NDArray[np.floating]

PROMISED = 0.9
N_NEW = 200
"""New people of the same population, on whom coverage is measured too."""
N_CHANGED, CHANGES = 6, (1.0, 1.5)
"""People in whom one region is changed, and by how many standard deviations of each edge."""
RATE = 0.05
N_DRAWS, MISSING = 20, 0.4
NETWORKS = 5
NORMAL_95 = 1.959964
ROUNDING = 1e-6
"""Of a gain: connectomes have 32-bit numbers."""


def judge_repeat(strength: str, seed: int, n_subjects: int) -> Figures:
    """Judge one cohort in every way; SC → FC, 435 edges."""
    population = make_population(strength, seed=seed)
    target = next(flavor for flavor in population.flavors if flavor.group == "FC")
    options = {"n_subjects": n_subjects, "seed": seed, "population": population}
    cohort = make_cohort(strength, **options)
    fitted = calibrate(cohort, target)
    changed = [
        make_cohort(strength, **options, n_changed=N_CHANGED, change=size) for size in CHANGES
    ]
    return {
        **judge_gain(cohort, target, fitted),
        **judge_others(cohort, target),
        **judge_coverage(cohort, target, fitted),
        **judge_discordance(changed[0], target),
        "hits_large": judge_discordance(changed[1], target)["hits"],
        **judge_imputation(cohort, target, seed),
    }


def calibrate(
    cohort: SyntheticCohort, target: Flavor, rows: Sequence[int] | slice = slice(None)
) -> CrossFit:
    """Calibrate predictions across modalities on some of the people."""
    measured, predicted = take(cohort, target, rows)
    return fit_calibration(measured, predicted, folds=deal_folds(len(measured), N_FOLDS))


def take(
    cohort: SyntheticCohort, target: Flavor, rows: Sequence[int] | slice = slice(None)
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Measured and raw predicted edges of some people."""
    source = SOURCE_OF[target.group]
    return cohort.measured[target][rows], cohort.predicted[source, target][rows]


def judge_gain(cohort: SyntheticCohort, target: Flavor, fitted: CrossFit) -> Figures:
    """Gain and R² of raw and calibrated predictions, with what new people would show."""
    measured, predicted = take(cohort, target)
    truth = cohort.population.truth(target)
    own_mean = fitted.mean_held_out[fitted.folds]
    n_fitted = len(measured) * (1 - 1 / len(fitted.without))
    one = np.ones(1)
    found = {
        "true_cal_gain": find_true_gain(cohort, target, fitted),
        "true_raw_gain": truth.gain(
            truth.mean_predicted, one, truth.mean_predicted, n_fitted=n_fitted
        ),
    }
    options = {"n_permutations": 0, "n_bootstraps": 500}
    raw = score_comparison(compare(measured, predicted, folds=fitted.folds), **options)
    held_out = judge_held_out(measured, fitted.held_out, fitted.mean_held_out, fitted.folds)
    calibrated = held_out.score_gain(Kinship.none(len(measured)))
    for name, gain, r2 in (
        ("raw", raw["gain"], raw["r2"].value),
        ("cal", calibrated, held_out.r2),
    ):
        true = found[f"true_{name}_gain"]
        found |= {
            f"{name}_gain": gain.value,
            f"{name}_gain_covers": float(gain.low - ROUNDING <= true <= gain.high + ROUNDING),
            f"{name}_r2": r2,
        }
    found["person_gain_covers"] = cover_people(cohort, target, fitted, held_out.gains)
    found["mean_r2"] = r2_score(measured, own_mean)
    found["cal_r2_out_of_sample"] = score_out_of_sample(measured, fitted.held_out, own_mean)
    return found


def score_out_of_sample(measured: FloatLike, predicted: FloatLike, mean: FloatLike) -> float:
    """R² of edges, averaged, against the mean that the fit had; not that of the people judged."""
    errors, errors_of_mean = (
        ((np.asarray(measured, np.float64) - one) ** 2).sum(axis=0) for one in (predicted, mean)
    )
    return float((1 - errors / errors_of_mean).mean())


def find_true_gain(cohort: SyntheticCohort, target: Flavor, fitted: CrossFit) -> float:
    """Gain of the calibrations without each fold over the means of the same people.

    Expected of new people; where nothing is kept of a prediction both are the same.
    """
    truth = cohort.population.truth(target)
    sizes = np.bincount(fitted.folds)
    lines = [(one.mean_measured, one.slope, one.mean_predicted) for one in fitted.without]
    errors = [1 - truth.gain(*line) for line in lines]
    mean_errors = [1 - truth.gain(mean, np.zeros(1), x) for mean, _, x in lines]
    return float(1 - (sizes @ errors) / (sizes @ mean_errors))


def cover_people(
    cohort: SyntheticCohort, target: Flavor, fitted: CrossFit, gains: Floats
) -> float:
    """Share of people whose interval holds the gain that the best lines would give them."""
    truth = cohort.population.truth(target)
    measured, predicted = take(cohort, target)
    apart = measured - truth.mean_measured
    left = apart - truth.slope * (predicted - truth.mean_predicted)
    best = 1 - (left**2).sum(axis=1) / (apart**2).sum(axis=1)
    assert fitted.increments is not None
    kept = np.array([one.kept for one in fitted.without])
    reach = NORMAL_95 * fitted.increments.spread_gains(kept)
    return float((np.abs(gains - best) <= reach + ROUNDING).mean())


def judge_others(cohort: SyntheticCohort, target: Flavor) -> Figures:
    """Score raw predictions, the mean, a closed-form peer and a second session."""
    measured, predicted = take(cohort, target)
    people = list(range(len(measured)))
    fitting = Fitting.of(people, cohort.families)
    scores = score_comparison(
        compare(measured, predicted, folds=fitting.folds), n_permutations=0, n_bootstraps=0
    )
    inputs = [
        Measured.of(people, cohort.measured[one]) for one in cohort.population.inputs_of(target)
    ]
    peer = compare_peer(Measured.of(people, measured), inputs, people, fitting)
    twice = np.stack([measured, cohort.retest[target]], axis=1).reshape(-1, measured.shape[1])
    pairs = [(2 * k, 2 * k + 1) for k in people]
    ceiling = compare_twice(*multiply_rows(twice), pairs)
    return {
        "avgcorr": scores["avgcorr"].value,
        "baseline_avgcorr": scores["baseline_avgcorr"].value,
        "resid": scores["avgcorr_resid"].value,
        "pls_gain": score_comparison(peer, n_permutations=0, n_bootstraps=0)["gain"].value,
        "ceiling": float(np.diag(ceiling.cells["avgcorr_resid"]).mean()),
    }


def judge_coverage(cohort: SyntheticCohort, target: Flavor, fitted: CrossFit) -> Figures:
    """Share of measured edges in their intervals: in nested folds, and of new people."""
    population = cohort.population
    measured, predicted = take(cohort, target)
    center = read_factors(cohort, target).mean(axis=0)
    features = describe(cohort, target, center)
    covered, _ = measure_coverage(measured, predicted, fitted, features, coverage=PROMISED)
    intervals = fit_intervals(measured, fitted, features, coverage=PROMISED)
    others = make_cohort(
        population.strength, n_subjects=N_NEW, seed=10_000 + int(1e6 * abs(center[0])) % 10_000,
        population=population,
    )  # fmt: skip
    y, x = take(others, target)
    low, high = span_predictions(x, fitted.without)
    reach = intervals.judge(describe(others, target, center))[:, None] * intervals.error
    held = (y >= low - reach) & (y <= high + reach)
    return {
        "coverage": float(covered.mean()),
        "coverage_new": float(held.mean()),
        "coverage_lowest_edge": float(held.mean(axis=0).min()),
        "width": float(np.mean(high - low + 2 * reach)),
        "spread": float(np.sqrt(population.truth(target).variance_measured).mean()),
    }


def read_factors(cohort: SyntheticCohort, target: Flavor) -> Floats:
    """Factors that the model reads from people's inputs: their latents, as it were."""
    inputs = cohort.population.inputs_of(target)
    readers = cohort.population.readers
    return np.mean([cohort.measured[one] @ readers[one] for one in inputs], axis=0)


def describe(cohort: SyntheticCohort, target: Flavor, center: Floats) -> Floats:
    """Features of people that may predict their errors."""
    latents = read_factors(cohort, target)
    return describe_subjects(latents, center, np.full(len(latents), np.nan))


def judge_discordance(cohort: SyntheticCohort, target: Flavor) -> Figures:
    """Share of planted changes that are found, and of everyone else's tests that are positive."""
    measured, _ = take(cohort, target)
    groups = make_groups(target)
    residuals = measure_residuals(measured, calibrate(cohort, target).held_out, groups)["shift"]
    covariates = encode_covariates({"age": list(cohort.covariates["age"])}, len(measured))
    fitted = ControlRegression(residuals, covariates, range(len(measured)))
    p, q = np.empty((2, *residuals.shape))
    for row in range(len(measured)):
        found = fitted.compare(row)
        p[row], q[row] = found.p, found.q
    region = groups.names.index(f"r{cohort.changed_region}")
    same = np.setdiff1d(np.arange(len(measured)), cohort.changed)
    return {
        "hits": float((q[cohort.changed, region] <= RATE).mean()),
        "false_positives": float((p[same] < RATE).mean()),
        "false_findings": float((q[same] <= RATE).any(axis=1).mean()),
    }


def make_groups(flavor: Flavor) -> EdgeGroups:
    """Brain, five networks and the regions of a toy atlas."""
    n = count_regions(flavor)
    names = tuple(f"r{k}" for k in range(n))
    networks = tuple(f"n{k % NETWORKS}" for k in range(n))
    return group_edges(
        Parcellation(flavor.parcellation, "", "image", "", "", names, ("M",) * n, networks,
                     tuple(range(1, n + 1)))
    )  # fmt: skip


def judge_imputation(cohort: SyntheticCohort, target: Flavor, seed: int) -> Figures:
    """Coverage of 95 % intervals of every edge's slope, two fifths of the cohort not measured."""
    n = len(cohort.families)
    rng = np.random.default_rng([seed, 3])
    lacking = np.sort(rng.choice(n, int(MISSING * n), replace=False))
    have = np.setdiff1d(np.arange(n), lacking)
    measured, predicted = take(cohort, target)
    fitted = calibrate(cohort, target, have)
    found: Figures = {}
    for name, kept in (("", ("age", "score")), ("_left_out", ("age",))):
        columns = {one: list(cohort.covariates[one]) for one in kept}
        design = encode_covariates(columns, n).values
        imputer = Imputer(
            measured[have], predicted[have], fitted, design[have], [str(k) for k in have], seed
        )
        whole = np.tile(measured.astype(np.float64), (N_DRAWS, 1, 1))
        rows = np.zeros(N_DRAWS, int)
        for draw, block in imputer.draw(predicted[lacking], design[lacking], N_DRAWS):
            place = lacking[rows[draw] : rows[draw] + len(block)]
            whole[draw, place] = block
            rows[draw] += len(block)
        found |= {
            f"{covariate}_{what}{name}": value
            for covariate in ("age", "score")
            for what, value in judge_slopes(cohort, target, whole, covariate).items()
        }
    whole = measured.astype(np.float64)
    whole[lacking] = fitted.calibration.apply(predicted[lacking])
    found |= {
        f"{covariate}_covers_naive": judge_slopes(
            cohort, target, np.stack([whole, whole]), covariate
        )["covers"]
        for covariate in ("age", "score")
    }
    return found
