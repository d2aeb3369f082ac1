"""Confounds and scrubbed volumes as nilearn's fMRIPrep interface chooses them."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.cleaned_bold import AROMA
from kraken_bids.connectome.functional.confounds import ChosenConfounds, Regressors
from kraken_bids.exceptions import ConnectomeError, InputError

if TYPE_CHECKING:
    from pandas import DataFrame

SCRUBBING = {"fd_threshold": 0.5, "std_dvars_threshold": 1.5, "scrub": 5}
"""nilearn's own values: mm, arbitrary, volumes."""
_LOCK = Lock()
"""What is ignored of warnings is known to the whole process: one thread at a time."""
NAMES = ("sub-1_task-1_desc-{}_bold.nii.gz", "sub-1_task-1_desc-confounds_timeseries")


def choose_confounds(
    strategy: str,
    bold: Path,
    confounds: Path,
    sidecar: Path | None,
    *,
    fd_threshold: float | None,
    with_gsr: bool,
) -> ChosenConfounds:
    """Choose the confounds of a run, and the volumes that count, as nilearn does.

    Parameters
    ----------
    strategy : {'simple', 'scrubbing', 'compcor', 'ica_aroma'}
    bold : path
        The run, of which only the name is looked at.
    confounds : path
        fMRIPrep's table.
    sidecar : path or None
        Its ``.json``.
    fd_threshold : float or None
        mm, for ``scrubbing``; None: nilearn's 0.5.
    with_gsr : bool
        Whether the global signal is looked for.

    Raises
    ------
    InputError
        If ``ica_aroma`` is asked for with another series than fMRIPrep's, or ``compcor`` without
        a sidecar.
    ConnectomeError
        If columns are missing.

    Source
    ------
    ``nilearn.interfaces.fmriprep.load_confounds_strategy``
    """
    _check_inputs(strategy, bold, confounds, sidecar)
    # nilearn finds the table by the name of the series, in one folder
    with TemporaryDirectory() as folder:
        image, table = (Path(folder, name) for name in NAMES)
        table.with_suffix(".tsv").symlink_to(confounds.resolve())
        if sidecar is not None:
            table.with_suffix(".json").symlink_to(sidecar.resolve())
        image = Path(str(image).format(AROMA if strategy == "ica_aroma" else "preproc"))
        return _choose(image, strategy, fd_threshold, with_gsr=with_gsr)


def _check_inputs(strategy: str, bold: Path, confounds: Path, sidecar: Path | None) -> None:
    if strategy == "ica_aroma" and f"_desc-{AROMA}_bold" not in bold.name:
        raise InputError(
            f"--denoise ica_aroma: expected the series that ICA-AROMA cleaned, desc-{AROMA}_bold "
            f"of fMRIPrep up to 23.0 (--use-aroma); found {bold}. Give that series, or choose "
            "another --denoise."
        )
    if strategy == "compcor" and sidecar is None:
        raise InputError(
            f"--denoise compcor: expected the sidecar of {confounds} beside it, which says which "
            "components are of which tissue; found none. Copy it there."
        )


def _choose(
    image: Path, strategy: str, fd_threshold: float | None, *, with_gsr: bool
) -> ChosenConfounds:
    given = {"fd_threshold": fd_threshold} if fd_threshold is not None else {}
    options: dict[str, object] = {**SCRUBBING, **given} if strategy == "scrubbing" else {}
    chosen, kept = _load(image, strategy, options)
    global_signal, missing = None, ""
    if with_gsr:
        try:
            wider, _ = _load(image, strategy, options | {"global_signal": "basic"})
            global_signal = _to_regressors(wider[["global_signal"]])
        except ConnectomeError as error:
            missing = str(error)
    counts = np.ones(len(chosen), bool) if kept is None else np.isin(np.arange(len(chosen)), kept)
    return ChosenConfounds(_to_regressors(chosen), counts, global_signal, missing)


def _load(
    image: Path, strategy: str, options: Mapping[str, object]
) -> tuple["DataFrame", NDArray[np.intp] | None]:
    from nilearn.interfaces.fmriprep import load_confounds_strategy

    try:
        with _LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # too few volumes are refused by their number
            found, kept = load_confounds_strategy(str(image), strategy, **options)
    except KeyError as error:
        raise _explain(strategy, f"no column {error}") from error
    except (TypeError, ValueError) as error:
        raise _explain(strategy, str(error).partition(" You may want")[0]) from error
    return found, kept


def _explain(strategy: str, found: str) -> ConnectomeError:
    return ConnectomeError(
        f"expected the confounds that nilearn's strategy {strategy} takes; found: {found} Give "
        "the table as fMRIPrep wrote it, with its .json, or choose another --denoise."
    )


def _to_regressors(table: "DataFrame") -> Regressors:
    values = table.to_numpy(np.float64)
    names = tuple(map(str, table.columns))
    broken = [names[k] for k in np.flatnonzero(~np.isfinite(values).all(axis=0))]
    if broken:
        raise ConnectomeError(
            f"expected numbers in the confounds after the first row; found n/a or infinite values "
            f"in {', '.join(broken)}. Give the table as fMRIPrep wrote it."
        )
    return Regressors(names, values)
