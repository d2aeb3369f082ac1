"""A run whose region series XCP-D took: its columns by name, and what they cover."""

import logging

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.connectome.functional.timeseries import RegionSeries
from kraken_bids.exceptions import InputError, name_few
from kraken_bids.io.tables import read_columns
from kraken_bids.parcellations import Parcellation
from kraken_bids.pipeline.measure.bold_runs import MeasuredRun
from kraken_bids.pipeline.measure.cleaned_runs import read_volumes, take_cleaned
from kraken_bids.settings import MAX_IMPUTED_SHARE, FunctionalSettings

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]


def read_parcellated_run(
    run: BoldRun, parcellation: Parcellation, settings: FunctionalSettings
) -> MeasuredRun:
    """Read the region series of a run; the header says which column is which region.

    Raises
    ------
    InputError
        If a table is missing or damaged, or of another atlas or run.
    ConnectomeError
        If the run is too short (TooShortError), or motion is needed and not known.
    """
    assert run.cleaned is not None
    values = _read_series(run, parcellation)
    known = read_volumes(run.cleaned, run.bold, len(values))
    with np.errstate(invalid="ignore"):
        varies = values.max(axis=0) > values.min(axis=0)
    coverage = np.where(varies, _read_coverage(run, parcellation), 0.0)
    series = RegionSeries(
        means={run.atlas: values},
        coverage={run.atlas: coverage},
        n_voxels={},
        global_mean=np.full(len(values), np.nan),
        grey_mean=None,
        tissue={},
    )
    cleaned = take_cleaned(series, known, settings, tr=float(run.metadata["RepetitionTime"]))
    return MeasuredRun(run, series, cleaned, None)


def _read_series(run: BoldRun, parcellation: Parcellation) -> Floats:
    """Region means [n_volumes, n_regions] in the order of the atlas; NaN of regions without."""
    columns, names = read_columns(run.bold), parcellation.region_names
    strange = [name for name in columns if name not in names]
    lacking = [name for name in names if name not in columns]
    if strange or len(lacking) > MAX_IMPUTED_SHARE * len(names):
        raise InputError(
            f"{run.bold}: expected the {len(names)} regions of {run.atlas} as columns "
            f"({parcellation.description.removeprefix('regions of ')}); found {len(columns)}"
            f"{f', among them {name_few(strange)}' if strange else ''}"
            f"{f', without {name_few(lacking)}' if lacking else ''}. Give the table that XCP-D "
            f"used: atlases/atlas-{run.atlas}/*_dseg.tsv of its output folder."
        )
    if lacking:
        logger.warning("%s: no column for %s, NaN", run.bold, name_few(lacking))
    found = [values for values in columns.values() if values.dtype.kind == "f"]
    if len(found) < len(columns) or not len(found[0]):
        raise InputError(
            f"expected numbers in every column of {run.bold}; found words, or no rows. The file "
            "is damaged: copy it again."
        )
    nothing = np.full(len(found[0]), np.nan)
    series = np.column_stack([columns.get(name, nothing) for name in names])
    is_known = np.isfinite(series)
    partly = is_known.any(axis=0) & ~is_known.all(axis=0)
    if partly.any() or np.isinf(series).any():
        name = names[int((partly | np.isinf(series).any(axis=0)).argmax())]
        raise InputError(
            f"expected numbers in all volumes of a region, or n/a in all, in {run.bold}; found "
            f"both in {name}. The file is damaged: copy it again."
        )
    return series


def _read_coverage(run: BoldRun, parcellation: Parcellation) -> Floats:
    """Share of each region that XCP-D found covered; 1 where it does not say."""
    if run.coverage is None:
        return np.ones(parcellation.n_regions)
    columns = read_columns(run.coverage)
    shares = columns.get("coverage", np.empty(0, "U1"))
    nodes = next(iter(columns.values()))
    if shares.dtype.kind != "f":
        raise InputError(
            f"expected a column coverage of numbers in {run.coverage}; found "
            f"{', '.join(columns)}. Copy the table again, or leave it out."
        )
    words = [f"{node:.15g}" if isinstance(node, float) else str(node) for node in nodes]
    known = dict(zip(words, np.nan_to_num(shares).tolist(), strict=True))
    return np.array([known.get(name, 1.0) for name in parcellation.region_names])
