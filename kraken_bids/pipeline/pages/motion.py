"""What the group's report shows of head motion: how far connectomes follow it over sessions."""

from functools import partial
from pathlib import Path

import numpy as np

from kraken_bids.pipeline.check.qcfc import read_qcfc
from kraken_bids.pipeline.pages.tables import read_or_none
from kraken_bids.pipeline.pages.written import display_order, parse_known
from kraken_bids.report.pages import MotionEffect


def list_motion_effects(output_dir: Path) -> tuple[MotionEffect, ...]:
    """QC-FC of every functional flavor, as the group level has written it."""
    effects = [
        MotionEffect(
            flavor=one.flavor,
            n_sessions=one.n_sessions,
            median_abs_r=one.median_abs_r,
            chance_abs_r=one.chance_abs_r,
            share_p05=one.share_p05,
            share_fdr05=one.share_fdr05,
            distance_rho=one.distance_rho if np.isfinite(one.distance_rho) else None,
            correlation=one.r,
            distance=one.distance,
        )
        for one in read_or_none(partial(read_qcfc, output_dir)) or ()
    ]
    order = {f.name: display_order(f) for f in parse_known(e.flavor for e in effects)}
    return tuple(sorted((e for e in effects if e.flavor in order), key=lambda e: order[e.flavor]))
