"""What is regressed from a run, by denoising strategy and in which order; frames left out."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.functional.bold_quality import (
    FrameQuality,
    count_non_steady_state,
    find_art_outliers,
    find_fmriprep_outliers,
    framewise_displacement,
    standardized_dvars,
)
from kraken_bids.connectome.functional.cleaning import NILEARN, Cleaning, Nuisance, Strategy
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

TISSUES = ("WM", "CSF")


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

    Without WM and CSF voxels in ``series``, fMRIPrep's columns stand in for these tissues.

    Parameters
    ----------
    columns, metadata : mapping
        fMRIPrep's confounds, ``n/a`` as NaN, and their sidecar.
    tr : float
        Repetition time, s.
    chosen : ChosenConfounds, optional
        Of a strategy whose confounds another software chooses.

    Raises
    ------
    ConnectomeError
        If the repetition time is not positive, or confounds are absent, too short or not numbers.
    """
    _check_tr(tr)
    # what is cleaned already comes with its displacement alone
    has_motion = chosen is None or MOTION[0] in columns
    motion = select_columns(columns, MOTION, series.n_volumes) if has_motion else None
    displacement = framewise_displacement(columns, motion)
    dropped, outliers = _find_left_out(
        series, columns, motion, displacement, cleaning=cleaning, chosen=chosen
    )
    left_out = dropped | outliers
    if chosen is None:
        blocks = build_nuisance(
            cleaning.strategy, series, columns,
            metadata=metadata or {}, tr=tr, outliers=left_out,
        )  # fmt: skip
        global_signal, note, missing = _find_global_signal(cleaning, series, columns)
    else:
        blocks = build_chosen_nuisance(chosen, left_out)
        global_signal, note, missing = chosen.global_signal, None, chosen.missing
    dvars, dvars_source = standardized_dvars(columns, series.means)
    return Nuisance(
        blocks=blocks,
        global_signal=global_signal,
        global_signal_note=note,
        missing=missing,
        dropped=dropped,
        outliers=outliers,
        by_cosines=_has_cosines(cleaning, blocks),
        frames=FrameQuality(displacement, dvars, dvars_source, series.global_mean, ~left_out),
        tr=tr,
        cleaning=cleaning,
    )


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

    ``fmriclean``: ones | WM, CSF (mean + 4 components each) | 24 motion with forward differences |
    rest effect and its difference | outliers | linear. ``acompcor``: ones | fMRIPrep's 5 WM + 5
    CSF components, cosines | 24 motion | outliers | linear. ``24p``: ones | 24 motion | outliers |
    linear. ``36p``: the same with WM and CSF means and their expansions. ``none``: ones | outliers
    | linear. Dropped first volumes are among the ``outliers`` [n_volumes].

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


def _find_global_signal(
    cleaning: Cleaning, series: RegionSeries, columns: Columns
) -> tuple[Regressors | None, str | None, str]:
    """Return the global signal's regressors, a note, and why there are none."""
    try:
        return *build_global_signal(cleaning.strategy, series, columns), ""
    except ConnectomeError as error:
        return None, None, str(error)


def _find_left_out(
    series: RegionSeries,
    columns: Columns,
    motion: NDArray[np.float64] | None,
    displacement: NDArray[np.float64],
    *,
    cleaning: Cleaning,
    chosen: ChosenConfounds | None,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """First volumes that are dropped, and other frames that do not count."""
    n = cleaning.drop_volumes
    dropped = np.arange(series.n_volumes) < (count_non_steady_state(columns) if n is None else n)
    outliers = np.zeros(series.n_volumes, dtype=bool)
    if cleaning.outlier_rule == "art" and motion is not None:
        outliers |= find_art_outliers(series.global_mean, motion)
    elif cleaning.outlier_rule == "fmriprep":
        outliers |= find_fmriprep_outliers(columns, series.n_volumes)
    # scrubbing has its own use of the threshold
    if cleaning.fd_threshold is not None and cleaning.outlier_rule != "scrubbing":
        outliers |= np.nan_to_num(displacement) > cleaning.fd_threshold
    if chosen is not None:
        outliers |= ~chosen.kept
        dropped &= ~chosen.kept if n is None else True
    return dropped, outliers & ~dropped


def _has_cosines(cleaning: Cleaning, blocks: tuple[Regressors, ...]) -> bool:
    return cleaning.strategy in {"acompcor", *NILEARN} and any(
        name.startswith("cosine") for block in blocks for name in block.names
    )


def _check_tr(tr: float) -> None:
    if not tr > 0:
        raise ConnectomeError(
            f"expected a positive repetition time in seconds; found {tr}. "
            "Add RepetitionTime to the JSON of the BOLD file."
        )
