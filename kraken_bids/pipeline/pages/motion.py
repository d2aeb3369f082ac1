"""What the group's report shows of head motion: how far connectomes follow it over sessions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kraken_bids.flavors import parse_flavor
from kraken_bids.pipeline.pages.written import display_order
from kraken_bids.pipeline.predictions.cohort import Member
from kraken_bids.pipeline.quality.qcfc import read_mean_fd, read_qcfc
from kraken_bids.report.pages import MotionEffect


def list_motion_effects(output_dir: Path) -> tuple[MotionEffect, ...]:
    """QC-FC of every functional flavor, as the group level has written it."""
    effects = []
    for row, correlation, distance in read_qcfc(output_dir):
        rho = float(row["distance_rho"])
        effects.append(
            MotionEffect(
                flavor=str(row["flavor"]),
                n_sessions=int(row["n_sessions"]),
                median_abs_r=float(row["median_abs_r"]),
                chance_abs_r=float(row["chance_abs_r"]),
                share_p05=float(row["share_p05"]),
                share_fdr05=float(row["share_fdr05"]),
                distance_rho=rho if np.isfinite(rho) else None,
                correlation=correlation,
                distance=distance,
            )
        )
    return tuple(sorted(effects, key=lambda effect: display_order(parse_flavor(effect.flavor))))


def count_with_motion(members: Sequence[Member]) -> int:
    """Sessions whose head motion is known."""
    return sum(
        any(np.isfinite(read_mean_fd(path)) for path in member.connectomes.values())
        for member in members
    )
