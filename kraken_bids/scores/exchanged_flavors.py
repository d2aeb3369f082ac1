"""Correlations with and without the global signal that were given one in place of the other."""

from collections.abc import Mapping

import numpy as np

from kraken_bids.flavors import Flavor
from kraken_bids.scores.doubt_words import Doubt
from kraken_bids.scores.edge_values import some_rows
from kraken_bids.scores.plausibility import InputCheck

MIN_LEVEL_GAP = 0.01
"""By which the mean correlation without the global signal is higher, where it cannot be: it lies
0.03 to 0.10 below the one with it (20 real subjects)."""


def list_exchanged_doubts(checks: Mapping[Flavor, InputCheck]) -> list[Doubt]:
    """List correlations without the global signal that are higher than those with it.

    The two flavors are too alike to be told apart each by itself.
    """
    doubts = []
    for flavor, check in checks.items():
        partner = checks.get(
            Flavor(flavor.measure, flavor.parcellation, f"{flavor.processing}gsr")
        )
        if partner is None:
            continue
        rows = [
            row
            for row, level in check.levels.items()
            if partner.levels.get(row, level) > level + MIN_LEVEL_GAP
        ]
        if rows:
            whom = some_rows(rows, check.n_subjects)
            doubts += [
                Doubt(
                    one.flavor,
                    "seems to be exchanged: correlations are higher without the global signal "
                    "than with it",
                    (("mean edge", f"{np.mean([one.levels[row] for row in rows]):.3f}"),),
                    "Give hpf (with it) and hpfgsr (without it) as what they are.",
                    whom,
                )
                for one in (check, partner)
            ]
    return doubts
