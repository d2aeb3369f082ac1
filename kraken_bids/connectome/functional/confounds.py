"""Nuisance regressors of a BOLD run, from fMRIPrep's confounds and from tissue voxels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError

Columns = Mapping[str, NDArray[np.floating]]

MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
FD = "framewise_displacement"
NON_STEADY_STATE = "non_steady_state_outlier"
N_TISSUE_REGRESSORS = 5
MIN_TISSUE_VOXELS = 2 * N_TISSUE_REGRESSORS
TISSUE_MEANS = {"WM": "white_matter", "CSF": "csf"}
OF_TISSUE = (*TISSUE_MEANS.values(), "global_signal")
"""Columns that fMRIPrep takes from tissue masks."""
TISSUE_PREFIXES = {"WM": "w_comp_cor_", "CSF": "c_comp_cor_"}
HRF_SECONDS = 39.2
VOXELS_AT_ONCE = 2_000


@dataclass(frozen=True)
class Regressors:
    """Some columns of a design matrix."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    """[n_volumes, len(names)]."""


@dataclass(frozen=True)
class ChosenConfounds:
    """Confounds and volumes as another software chooses them."""

    regressors: Regressors
    kept: NDArray[np.bool_]
    """[n_volumes] Volumes that count."""
    global_signal: Regressors | None
    """None where it is not wanted or cannot be had."""
    missing: str
    """Why it cannot be had; or ''."""


def select_columns(columns: Columns, names: Sequence[str], n_volumes: int) -> NDArray[np.float64]:
    """Columns of fMRIPrep's confounds as an array [n_volumes, len(names)].

    NaN in the first row, which fMRIPrep writes where no earlier frame exists, becomes 0.

    Raises
    ------
    ConnectomeError
        If a column is absent, has another length, or is NaN after the first row.
    """
    absent = [name for name in names if name not in columns]
    if absent:
        raise ConnectomeError(
            f"expected the confounds {', '.join(names)}; found no {', '.join(absent)} among "
            f"{len(columns)} columns. Give fMRIPrep's desc-confounds_timeseries.tsv."
            f"{_way_around(absent)}"
        )
    values = np.empty((n_volumes, len(names)))
    for i, name in enumerate(names):
        column = read_numbers(columns, name).copy()
        if len(column) != n_volumes:
            raise ConnectomeError(
                f"expected {n_volumes} rows of confounds, one per volume; found {len(column)}. "
                "Do the confounds belong to this run? Is the BOLD file complete?"
            )
        if n_volumes and np.isnan(column[0]):
            column[0] = 0.0
        values[:, i] = column
    broken = np.flatnonzero(~np.isfinite(values).all(axis=0))
    if len(broken):
        bad = [names[int(i)] for i in broken]
        raise ConnectomeError(
            f"expected numbers in the confounds after the first row; found n/a or infinite values "
            f"in {', '.join(bad)}. Give the table as fMRIPrep wrote it."
            f"{_way_around(bad)}"
        )
    return values


def _way_around(names: Sequence[str]) -> str:
    """Say how to clean without these columns, if it can be done."""
    if not all(name in OF_TISSUE or "_comp_cor_" in name for name in names):
        return ""
    return (
        " Or clean without them (--denoise 24p), or from probability maps of the tissues: "
        "--tissue WM=IMAGE CSF=IMAGE of kraken-tools fc, label-WM_probseg and label-CSF_probseg "
        "in fMRIPrep's anat folder for kraken-bids."
    )


def read_numbers(columns: Columns, name: str) -> NDArray[np.float64]:
    """One column of fMRIPrep's confounds as numbers, ``n/a`` as NaN.

    Raises
    ------
    ConnectomeError
        If it holds words.
    """
    column = np.asarray(columns[name])
    if column.dtype.kind not in "biuf":
        words = [word for word in map(str, column) if not _is_number(word)]
        raise ConnectomeError(
            f"expected numbers, with points before decimals, or n/a in the confounds column "
            f"{name}; found {words[0]!r} and {len(words) - 1} more words. Give the table as "
            "fMRIPrep wrote it."
        )
    return column.astype(np.float64, copy=False)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return word == "n/a"
    return True


def expand(values: NDArray[np.float64], names: Sequence[str], *, forward: bool) -> Regressors:
    """Values [n_volumes, n], their differences in time, and the squares of both: 4n columns.

    With ``forward``: difference to the next frame, 0 at the end (fmriclean, CONN); without: to the
    frame before, 0 at the start (fMRIPrep's ``_derivative1``).
    """
    both = np.hstack([values, difference(values, forward=forward)])
    suffixes = ("", "_derivative1", "_power2", "_derivative1_power2")
    return Regressors(
        tuple(name + suffix for suffix in suffixes for name in names), np.hstack([both, both**2])
    )


def difference(values: NDArray[np.float64], *, forward: bool) -> NDArray[np.float64]:
    """Difference in time of [n_volumes, n], padded with a zero row; see :func:`expand`."""
    steps = np.diff(values, axis=0)
    pad = np.zeros((1, values.shape[1]))
    return np.vstack([steps, pad] if forward else [pad, steps])


def rest_effect(n_volumes: int, tr: float) -> NDArray[np.float64]:
    """Response [n_volumes] to a scan that starts: a step through the haemodynamic response.

    Rises over some 12 s, overshoots and settles near 1/tr (s).

    Source
    ------
    CONN's "rest" effect in fmriclean. Its table of the SPM response (sampled at 0.8 s) is this
    difference of two gamma densities, to 1.2e-6.
    """
    t = np.arange(n_volumes) * tr
    peak, undershoot = (t**k * np.exp(-t) / math.factorial(k) for k in (5, 15))
    response = 1.2 * (peak - undershoot / 6)
    response[t > HRF_SECONDS] = 0.0
    return np.cumsum(response)


def one_hot(frames: NDArray[np.bool_]) -> Regressors:
    """One column per marked frame, 1 there."""
    at = np.flatnonzero(frames)
    values = np.zeros((len(frames), len(at)))
    values[at, np.arange(len(at))] = 1.0
    return Regressors(tuple(f"outlier_{t}" for t in at), values)


def select_components(
    columns: Columns, metadata: Mapping[str, object], tissue: str, n_components: int
) -> tuple[str, ...]:
    """Names of fMRIPrep's first CompCor columns of a tissue, ``WM`` or ``CSF``, in their order.

    Up to 20.2 only ``Mask`` in their sidecar, ``metadata``, tells WM from CSF. Fewer than
    ``n_components``, or none, where fMRIPrep kept fewer.
    """

    def is_of_tissue(name: str) -> bool:
        entry = metadata.get(name)
        return isinstance(entry, Mapping) and entry.get("Mask") == tissue

    names = [name for name in columns if "_comp_cor_" in name and is_of_tissue(name)]
    names = names or [name for name in columns if name.startswith(TISSUE_PREFIXES[tissue])]
    # not by spelling: _100 would come before _99, where 20.2 numbers all tissues in one row
    return tuple(sorted(names, key=_number_at_end)[:n_components])


def _number_at_end(name: str) -> int:
    digits = name.rpartition("_")[2]
    return int(digits) if digits.isdecimal() and len(digits) < 10 else 10**9  # no number: last


def compute_tissue_regressors(
    voxels: NDArray[np.floating], nuisance: NDArray[np.float64], tissue: str
) -> Regressors:
    """Mean of a tissue and four principal components of what is left of its voxels.

    From the voxels [n_volumes, n_voxels], their mean and ``nuisance`` [n_volumes, n] (trend,
    motion, outliers, rest effect) are regressed; of five components the first, which carries the
    voxels' constant level, gives way to the mean.

    Source
    ------
    fmriclean, ``fmri_save_confounds.py``, ``getmaskcomps``, with nilearn's
    ``high_variance_confounds`` (which leaves out the voxel of least power).
    """
    mean = voxels.mean(axis=1, dtype=np.float64)
    design = np.column_stack([mean, nuisance])
    Q = orthonormal_basis(design - design.mean(axis=0))
    gram = np.zeros((len(voxels), len(voxels)))
    least, least_power = np.zeros(len(voxels)), np.inf
    for first in range(0, voxels.shape[1], VOXELS_AT_ONCE):
        block = voxels[:, first : first + VOXELS_AT_ONCE].astype(np.float64)
        block -= Q @ (Q.T @ block)
        gram += block @ block.T
        power = np.einsum("tv,tv->v", block, block)
        if power.min() < least_power:
            least, least_power = block[:, power.argmin()], power.min()
    gram -= np.outer(least, least)
    n = len(voxels)
    n_components = min(N_TISSUE_REGRESSORS, n)
    from scipy.linalg import eigh  # here: its import takes a tenth of a small run

    _, vectors = eigh(gram, subset_by_index=[n - n_components, n - 1])
    components = vectors[:, ::-1][:, 1:]
    names = [f"{tissue}_component{i + 1}" for i in range(components.shape[1])]
    return Regressors((f"{tissue}_mean", *names), np.column_stack([mean, components]))


def orthonormal_basis(design: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal basis [n_volumes, rank] of the columns of a design matrix.

    Columns are scaled first, and those that add nothing to the others are left out.
    """
    largest = np.abs(design).max(axis=0)
    scaled = design[:, largest > 0] / largest[largest > 0]
    norms = np.linalg.norm(scaled, axis=0)
    left, singular, _ = np.linalg.svd(scaled / norms, full_matrices=False)
    if not len(singular):
        return np.zeros((len(design), 0))
    basis: NDArray[np.float64] = left[
        :, singular > singular[0] * len(design) * np.finfo(float).eps
    ]
    return basis
