"""Slopes of every edge on a covariate over imputed cohorts, beside the true ones."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from worth_cohorts import SyntheticCohort

from kraken_bids.flavors import Flavor
from kraken_bids.scores.pooled_estimates import pool_estimates

Floats = NDArray[np.float64]


def judge_slopes(
    cohort: SyntheticCohort, target: Flavor, draws: Floats, covariate: str
) -> Mapping[str, float]:
    """Share of the edges whose interval holds the true slope, and how much of it is found."""
    x = cohort.covariates[covariate]
    design = np.column_stack([np.ones(len(x)), x])
    inverse = np.linalg.inv(design.T @ design)
    slopes, variances = [], []
    for edges in draws:
        fit = inverse @ design.T @ edges
        left = ((edges - design @ fit) ** 2).sum(axis=0) / (len(x) - 2)
        slopes.append(fit[1])
        variances.append(left * inverse[1, 1])
    found = pool_estimates(slopes, variances, dof=len(x) - 2)
    true = cohort.population.slope_on(target, covariate)
    square = float(true @ true)
    return {
        "covers": float(((found.low <= true) & (true <= found.high)).mean()),
        "found": float(found.estimate @ true) / square if square > 0 else float("nan"),
    }
