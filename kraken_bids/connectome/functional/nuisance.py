"""Which nuisance regressors each denoising strategy uses, in which order."""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.functional.confounds import (
    MIN_TISSUE_VOXELS,
    MOTION,
    N_TISSUE_REGRESSORS,
    TISSUE_MEANS,
    ChosenConfounds,
    Columns,
    Regressors,
    compute_tissue_regressors,
    difference,
    expand,
    one_hot,
    rest_effect,
    select_columns,
    select_components,
)
from kraken_bids.connectome.functional.timeseries import RegionSeries
from kraken_bids.exceptions import ConnectomeError

Strategy = Literal[
    "fmriclean", "acompcor", "24p", "36p", "none", "simple", "scrubbing", "compcor", "ica_aroma"
]

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
NILEARN: tuple[Strategy, ...] = ("simple", "scrubbing", "compcor", "ica_aroma")
"""Strategies whose confounds nilearn chooses."""
TISSUES = ("WM", "CSF")


def build_nuisance(
    strategy: Strategy,
    series: RegionSeries,
    columns: Columns,
    *,
    metadata: Mapping[str, object],
    tr: float,
    outliers: NDArray[np.bool_],
) -> tuple[Regressors, ...]:
    """Nuisance regressors of a strategy, in its order, without the global signal.

    Parameters
    ----------
    strategy : str
        ``fmriclean``: ones | WM, CSF (mean + 4 components each) | 24 motion with forward
        differences | rest effect and its difference | outliers | linear. ``acompcor``: ones |
        fMRIPrep's 5 WM + 5 CSF components, cosines | 24 motion | outliers | linear. ``24p``: ones
        | 24 motion | outliers | linear. ``36p``: the same with WM and CSF means and their
        expansions. ``none``: ones | outliers | linear.
    series : RegionSeries
        For the tissue voxels.
    columns, metadata : mapping
        fMRIPrep's confounds and their sidecar.
    tr : float
        Repetition time, s.
    outliers : ndarray of bool, shape (n_volumes,)
        Frames left out, dropped first volumes among them; one regressor each.

    Returns
    -------
    tuple of Regressors
        The first holds the ones; the global signal goes after it.

    Raises
    ------
    ConnectomeError
        If the confounds lack a column that the strategy needs.
    """
    n = series.n_volumes
    ones = Regressors(("ones",), np.ones((n, 1)))
    linear = Regressors(("linear",), np.arange(n, dtype=np.float64)[:, None])
    blocks: tuple[Regressors, ...] = ()
    if strategy == "fmriclean":
        blocks = _fmriclean_blocks(
            series, columns, metadata=metadata, tr=tr, outliers=one_hot(outliers), linear=linear
        )
    elif strategy == "acompcor":
        blocks = (*_fmriprep_components(columns, metadata, n), _motion(columns, n, forward=False))
    elif strategy == "36p":
        means = list(TISSUE_MEANS.values())
        tissues = expand(select_columns(columns, means, n), means, forward=False)
        blocks = (tissues, _motion(columns, n, forward=False))
    elif strategy == "24p":
        blocks = (_motion(columns, n, forward=False),)
    return (ones, *blocks, one_hot(outliers), linear)


def build_chosen_nuisance(
    chosen: ChosenConfounds, outliers: NDArray[np.bool_]
) -> tuple[Regressors, ...]:
    """Nuisance regressors of confounds that another software chose: ones | these | outliers."""
    ones = Regressors(("ones",), np.ones((len(outliers), 1)))
    return ones, chosen.regressors, one_hot(outliers)


def build_global_signal(
    strategy: Strategy, series: RegionSeries, columns: Columns
) -> tuple[Regressors, str | None]:
    """Regressors of the global signal, and a warning where they are second choice.

    Grey-matter mean and its forward difference, as fmriclean regresses; for ``36p`` fMRIPrep's
    whole-brain signal with its expansions, which is part of that strategy's definition.

    Raises
    ------
    ConnectomeError
        If there is neither a grey-matter mask nor a column ``global_signal``.
    """
    n = series.n_volumes
    name = "global_signal"
    if strategy == "36p":
        return expand(select_columns(columns, [name], n), [name], forward=False), None
    if series.grey_mean is not None and np.isfinite(series.grey_mean).all():
        grey = series.grey_mean[:, None]
        values = np.hstack([grey, difference(grey, forward=True)])
        return Regressors(("GM_mean", "GM_mean_derivative1"), values), None
    brain = select_columns(columns, [name], n)
    values = np.hstack([brain, difference(brain, forward=True)])
    warning = (
        "no grey-matter mask on the BOLD grid: fMRIPrep's whole-brain global_signal stands in for "
        "the grey-matter mean in global signal regression"
    )
    return Regressors((name, f"{name}_derivative1"), values), warning


def _fmriclean_blocks(
    series: RegionSeries,
    columns: Columns,
    *,
    metadata: Mapping[str, object],
    tr: float,
    outliers: Regressors,
    linear: Regressors,
) -> tuple[Regressors, ...]:
    n = series.n_volumes
    motion = _motion(columns, n, forward=True)
    rest = rest_effect(n, tr)[:, None]
    minimal = np.hstack([linear.values, motion.values[:, :6], outliers.values, rest])
    tissues = []
    for tissue in TISSUES:
        voxels = series.tissue.get(tissue)
        if voxels is not None and voxels.shape[1] >= MIN_TISSUE_VOXELS:
            tissues.append(compute_tissue_regressors(voxels, minimal, tissue))
        else:
            tissues.append(_fmriprep_tissue(tissue, columns, metadata, n))
    rests = Regressors(
        ("rest", "rest_derivative1"), np.hstack([rest, difference(rest, forward=True)])
    )
    return (*tissues, motion, rests)


def _fmriprep_tissue(
    tissue: str, columns: Columns, metadata: Mapping[str, object], n: int
) -> Regressors:
    """Return fMRIPrep's mean and first four components of a tissue, where no voxels are given."""
    names = select_components(columns, metadata, tissue, N_TISSUE_REGRESSORS - 1)
    names = (TISSUE_MEANS[tissue], *names)
    return Regressors(names, select_columns(columns, names, n))


def _fmriprep_components(
    columns: Columns, metadata: Mapping[str, object], n: int
) -> tuple[Regressors, ...]:
    names: list[str] = []
    for tissue in TISSUES:
        components = select_components(columns, metadata, tissue, N_TISSUE_REGRESSORS)
        if not components:
            raise ConnectomeError(
                f"expected fMRIPrep's CompCor columns of {tissue} for --denoise acompcor; found "
                "none among the confounds. Use --denoise fmriclean or 24p, or rerun fMRIPrep."
            )
        names += components
    names += sorted(name for name in columns if name.startswith("cosine"))
    return (Regressors(tuple(names), select_columns(columns, names, n)),)


def _motion(columns: Columns, n: int, *, forward: bool) -> Regressors:
    return expand(select_columns(columns, MOTION, n), MOTION, forward=forward)
