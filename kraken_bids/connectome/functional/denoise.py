"""Cleaning of region series: one regression of every confound, then a high-pass filter."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.functional.bold_quality import FrameQuality, standardized_dvars
from kraken_bids.connectome.functional.cleaning import Cleaning, CleanRun, Nuisance
from kraken_bids.connectome.functional.confounds import (
    MOTION,
    ChosenConfounds,
    Columns,
    Regressors,
    orthonormal_basis,
    select_columns,
)
from kraken_bids.connectome.functional.filters import high_pass_filter
from kraken_bids.connectome.functional.nuisance import (
    NILEARN,
    build_chosen_nuisance,
    build_global_signal,
    build_nuisance,
)
from kraken_bids.connectome.functional.outlier_frames import (
    count_non_steady_state,
    find_art_outliers,
    find_fmriprep_outliers,
    framewise_displacement,
)
from kraken_bids.connectome.functional.timeseries import RegionSeries
from kraken_bids.exceptions import ConnectomeError, TooShortError

MIN_DEGREES_OF_FREEDOM = 10
FMRIPREP_COSINE_HZ = 1 / 128
COSINES, DCT = "regression of fMRIPrep's cosines", "DCT-II projection after the regression"
NO_COSINES = "none: the confounds hold no cosines"
NEGLIGIBLE = 1e-10
"""A region whose residual is this small, relative to its series, did not vary: it is set to 0."""


def clean_run(
    series: RegionSeries,
    columns: Columns,
    metadata: Mapping[str, object] | None = None,
    *,
    tr: float,
    cleaning: Cleaning,
    gsr: bool,
) -> CleanRun:
    """Clean the region series of a run; see :func:`prepare_nuisance` and :func:`apply_nuisance`.

    To clean one run both with and without global signal regression, call those two: the
    regressors are found once.
    """
    nuisance = prepare_nuisance(series, columns, metadata, tr=tr, cleaning=cleaning)
    return apply_nuisance(series, nuisance, gsr=gsr)


def prepare_nuisance(
    series: RegionSeries,
    columns: Columns,
    metadata: Mapping[str, object] | None = None,
    *,
    tr: float,
    cleaning: Cleaning,
    chosen: ChosenConfounds | None = None,
) -> Nuisance:
    """Find outliers and build the regressors of a run.

    Parameters
    ----------
    series : RegionSeries
        As ``compute_region_series`` gives them. Without WM and CSF
        voxels, fMRIPrep's columns stand in, and the regressors are named after them.
    columns : mapping of str to ndarray of shape (n_volumes,)
        fMRIPrep's confounds, ``n/a`` as NaN.
    metadata : mapping of str to object, optional
        Their sidecar.
    tr : float
        Repetition time, s.
    cleaning : Cleaning
        What to do.
    chosen : ChosenConfounds, optional
        Of a strategy whose confounds another software chooses.

    Returns
    -------
    Nuisance
        See there.

    Raises
    ------
    ConnectomeError
        If the repetition time is not positive, or confounds are absent, too short or not numbers.
    """
    if not tr > 0:
        raise ConnectomeError(
            f"expected a positive repetition time in seconds; found {tr}. "
            "Add RepetitionTime to the JSON of the BOLD file."
        )
    motion = select_columns(columns, MOTION, series.n_volumes)
    displacement = framewise_displacement(columns, motion)
    dropped = _dropped_volumes(columns, cleaning, series.n_volumes)
    outliers = _outliers(series, columns, motion, displacement, cleaning=cleaning)
    if chosen is not None:
        outliers |= ~chosen.kept
        dropped &= ~chosen.kept if cleaning.drop_volumes is None else True
    outliers &= ~dropped
    left_out = dropped | outliers
    if chosen is None:
        blocks = build_nuisance(
            cleaning.strategy,
            series,
            columns,
            metadata=metadata or {},
            tr=tr,
            outliers=left_out,
        )
        global_signal, note, missing = _find_global_signal(cleaning, series, columns)
    else:
        blocks = build_chosen_nuisance(chosen, left_out)
        global_signal, note, missing = chosen.global_signal, None, chosen.missing
    return Nuisance(
        blocks=blocks,
        global_signal=global_signal,
        global_signal_note=note,
        missing=missing,
        dropped=dropped,
        outliers=outliers,
        by_cosines=_has_cosines(cleaning, blocks),
        frames=_judge_frames(series, columns, displacement, kept=~left_out),
        tr=tr,
        cleaning=cleaning,
    )


def apply_nuisance(series: RegionSeries, nuisance: Nuisance, *, gsr: bool) -> CleanRun:
    """Regress every nuisance at once from the region series, then filter them.

    Parameters
    ----------
    series : RegionSeries
        The run.
    nuisance : Nuisance
        From :func:`prepare_nuisance`.
    gsr : bool
        Whether the global signal is among the regressors.

    Returns
    -------
    CleanRun
        NaN where the series were. Regions that do not vary are 0.

    Raises
    ------
    TooShortError
        If too few frames remain for the regressors and the filter.
    ConnectomeError
        If there is no global signal.

    Source
    ------
    fmriclean, ``fmri_clean_parcellated_timeseries.py --filterstrategy connregbp``.
    """
    if gsr and nuisance.global_signal is None:
        raise ConnectomeError(nuisance.missing)
    blocks = nuisance.list_blocks(gsr=gsr)
    basis = orthonormal_basis(np.hstack([block.values for block in blocks]))
    _check_degrees_of_freedom(basis.shape[1], nuisance, gsr=gsr)
    note = nuisance.global_signal_note
    return CleanRun(
        cleaned=_clean_means(series.means, basis, nuisance),
        kept=~nuisance.left_out,
        regressors=tuple(name for block in blocks for name in block.names),
        n_volumes=series.n_volumes,
        n_dropped=int(nuisance.dropped.sum()),
        n_outliers=int(nuisance.outliers.sum()),
        outlier_rule=nuisance.cleaning.outlier_rule,
        mean_fd=_mean_fd(nuisance.frames.framewise_displacement),
        frames=nuisance.frames,
        tr=nuisance.tr,
        high_pass=FMRIPREP_COSINE_HZ if nuisance.by_cosines else nuisance.high_pass,
        high_pass_method=_name_high_pass(nuisance),
        strategy=nuisance.cleaning.strategy,
        gsr=gsr,
        notes=(note,) if gsr and note else (),
    )


def _find_global_signal(
    cleaning: Cleaning, series: RegionSeries, columns: Columns
) -> tuple[Regressors | None, str | None, str]:
    """Return the global signal's regressors, a note, and why there are none."""
    try:
        return *build_global_signal(cleaning.strategy, series, columns), ""
    except ConnectomeError as error:
        return None, None, str(error)


def _dropped_volumes(columns: Columns, cleaning: Cleaning, n_volumes: int) -> NDArray[np.bool_]:
    n = cleaning.drop_volumes
    return np.arange(n_volumes) < (count_non_steady_state(columns) if n is None else n)


def _outliers(
    series: RegionSeries,
    columns: Columns,
    motion: NDArray[np.float64],
    displacement: NDArray[np.float64],
    *,
    cleaning: Cleaning,
) -> NDArray[np.bool_]:
    outliers = np.zeros(series.n_volumes, dtype=bool)
    if cleaning.outlier_rule == "art":
        outliers |= find_art_outliers(series.global_mean, motion)
    elif cleaning.outlier_rule == "fmriprep":
        outliers |= find_fmriprep_outliers(columns, series.n_volumes)
    # scrubbing has its own use of the threshold
    if cleaning.fd_threshold is not None and cleaning.outlier_rule != "scrubbing":
        outliers |= np.nan_to_num(displacement) > cleaning.fd_threshold
    return outliers


def _has_cosines(cleaning: Cleaning, blocks: tuple[Regressors, ...]) -> bool:
    return cleaning.strategy in {"acompcor", *NILEARN} and any(
        name.startswith("cosine") for block in blocks for name in block.names
    )


def _name_high_pass(nuisance: Nuisance) -> str:
    if nuisance.by_cosines:
        return COSINES
    return NO_COSINES if nuisance.cleaning.strategy in NILEARN else DCT


def _judge_frames(
    series: RegionSeries,
    columns: Columns,
    displacement: NDArray[np.float64],
    *,
    kept: NDArray[np.bool_],
) -> FrameQuality:
    dvars, dvars_source = standardized_dvars(columns, series.means)
    return FrameQuality(
        framewise_displacement=displacement,
        dvars=dvars,
        dvars_source=dvars_source,
        global_signal=series.global_mean,
        kept=kept,
    )


def _clean_means(
    means: Mapping[str, NDArray[np.float64]], basis: NDArray[np.float64], nuisance: Nuisance
) -> dict[str, NDArray[np.float64]]:
    """Regress and filter the series of all parcellations at once."""
    cleaned = high_pass_filter(
        _regress(np.hstack(list(means.values())), basis),
        tr=nuisance.tr,
        high_pass=nuisance.high_pass,
        left_out=nuisance.left_out,
    )
    cuts = np.cumsum([values.shape[1] for values in means.values()])[:-1]
    return dict(zip(means, np.split(cleaned, cuts, axis=1), strict=True))


def _regress(raw: NDArray[np.float64], basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a basis does not explain; exactly 0 where that is nothing."""
    residual = raw - basis @ (basis.T @ raw)
    with np.errstate(invalid="ignore"):
        residual[:, np.abs(residual).max(axis=0) <= NEGLIGIBLE * np.abs(raw).max(axis=0)] = 0.0
    return residual


def _check_degrees_of_freedom(rank: int, nuisance: Nuisance, *, gsr: bool) -> None:
    n = len(nuisance.dropped)
    n_dropped, n_outliers = int(nuisance.dropped.sum()), int(nuisance.outliers.sum())
    n_regressors = rank - n_dropped - n_outliers
    n_slow = int(np.ceil(2 * nuisance.tr * n * max(0.0, nuisance.high_pass)))
    left = n - rank - n_slow
    if left < MIN_DEGREES_OF_FREEDOM:
        ways_out = {
            "Lower --drop-volumes": n_dropped,
            "The run moves too much: leave it out, or raise --fd-threshold": n_outliers,
            "The run is too short: leave it out, or use --denoise 24p or none": n_regressors,
            "Lower --high-pass": n_slow,
        }
        raise TooShortError(
            f"expected at least {MIN_DEGREES_OF_FREEDOM} degrees of freedom after cleaning; found "
            f"{left}: {n} volumes - {n_dropped} dropped - {n_outliers} outliers - "
            f"{n_regressors} regressors of --denoise {nuisance.cleaning.strategy}"
            f"{' with global signal' if gsr else ''} - {n_slow} slow frequencies. "
            f"{max(ways_out, key=lambda way: ways_out[way])}."
        )


def _mean_fd(displacement: NDArray[np.float64]) -> float:
    known = displacement[np.isfinite(displacement)]
    return float(known.mean()) if len(known) else float("nan")
