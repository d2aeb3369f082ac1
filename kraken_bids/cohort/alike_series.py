"""Whether series are of the kind that a model learned from: regions, scaling, repetition time."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.repetition_time import TOLERANCE
from kraken_bids.cohort.region_columns import find_columns
from kraken_bids.exceptions import ConnectomeError, name_few
from kraken_bids.models.series.data_description import SeriesData

logger = logging.getLogger(__name__)

SCALES_APART = 4.0
"""Standard deviations that differ by such a factor are of another scale."""


def check_alike(found: SeriesData, wanted: SeriesData, *, learns_times: bool = False) -> None:
    """Raise ConnectomeError unless a model of some series may be given others.

    Atlas, regions and their order, normalisation, scale and repetition times must be the same; of
    what is not known of the model nothing is asked. Another recipe of cleaning is a warning.

    Parameters
    ----------
    found, wanted : SeriesData
        Of the series, and of those that the model learned from.
    learns_times : bool
        Whether the model goes on learning: then another repetition time is a warning.
    """
    if found.atlas and wanted.atlas and found.atlas != wanted.atlas:
        raise ConnectomeError(
            f"expected series of {wanted.atlas}, of which the model is; found {found.atlas}. Give "
            f"those of {wanted.atlas} (--atlas), or pretrain a model on {found.atlas}."
        )
    if found.n_regions != wanted.n_regions:
        raise ConnectomeError(
            f"expected {wanted.n_regions} regions, as the model has; found {found.n_regions}. "
            f"Give series of {wanted.atlas or 'its atlas'}."
        )
    if found.regions and wanted.regions and found.regions != wanted.regions:
        k = next(k for k, name in enumerate(found.regions) if name != wanted.regions[k])
        raise ConnectomeError(
            "expected the regions of the model in its order; found "
            f"{found.regions[k]} in place of {wanted.regions[k]} (region {k + 1}). Give tables "
            "with the names of regions above their columns, which are put into order."
        )
    if found.normalization != wanted.normalization:
        raise ConnectomeError(
            f"expected series with normalisation {wanted.normalization}, as the model learned "
            f"from; found {found.normalization}. Give --normalization {wanted.normalization}."
        )
    _check_scale(found, wanted)
    _check_times(found, wanted, learns_times=learns_times)
    differing = [k for k in wanted.cleaning if found.cleaning.get(k) != wanted.cleaning[k]]
    if differing and found.cleaning:
        logger.warning(
            "the series were cleaned otherwise than those that the model learned from: %s",
            "; ".join(
                f"{k} {found.cleaning.get(k, 'unknown')}, there {wanted.cleaning[k]}"
                for k in differing
            ),
        )


def order_regions(
    names: Sequence[str], n_regions: int, like: SeriesData, *, where: str, is_said: bool
) -> NDArray[np.intp] | None:
    """Find the column of each region of a model.

    Parameters
    ----------
    names : sequence of str
        Of the columns; empty where nothing says them.
    n_regions : int
        Number of columns.
    where : str
        File, for messages.
    is_said : bool
        Whether the user says that the series are of the model's atlas.

    Returns
    -------
    ndarray of int, shape (n_regions of the model,), or None
        None where nothing is to be done.

    Raises
    ------
    ConnectomeError
        If a region of the model is missing, or nothing says which columns they are.
    """
    if names and like.regions:
        return _order_names(names, like, where)
    if n_regions != like.n_regions:
        raise ConnectomeError(
            f"{where}: expected {like.n_regions} regions, as the model has; found {n_regions}. "
            f"Give series of {like.atlas or 'its atlas'}."
        )
    if like.regions and not is_said:
        atlas = like.atlas
        raise ConnectomeError(
            f"{where}: expected names of regions above the columns, to put them into the order of "
            f"the model ({name_few(like.regions)}); found none. Add them"
            + (f", or, where its columns are those of {atlas}: --atlas {atlas}." if atlas else ".")
        )
    return None


def _order_names(names: Sequence[str], like: SeriesData, where: str) -> NDArray[np.intp] | None:
    if tuple(names) == like.regions:
        return None
    order, missing = find_columns(names, like.regions, like.atlas)
    if missing:
        raise ConnectomeError(
            f"{where}: expected the regions of the model; found none called "
            f"{name_few(missing)}. Give series of {like.atlas or 'its atlas'}, with its names of "
            "regions."
        )
    logger.info("%s: regions put into the order of the model by their names", where)
    return order


def _check_scale(found: SeriesData, wanted: SeriesData) -> None:
    if not found.deviations or len(wanted.deviations) != len(found.deviations):
        return
    own, theirs = np.array(found.deviations), np.array(wanted.deviations)
    varies = (own > 0) & (theirs > 0)
    if not varies.any():
        return
    ratio = np.median(own[varies] / theirs[varies])
    shift = np.abs(np.array(found.means) - wanted.means)[varies] / theirs[varies]
    if not 1 / SCALES_APART <= ratio <= SCALES_APART or np.median(shift) > SCALES_APART:
        raise ConnectomeError(
            "expected series on the scale of those that the model learned from (standard "
            f"deviation {np.median(theirs):.3g}, mean {np.median(wanted.means):.3g}); found "
            f"standard deviation {np.median(own):.3g}, mean {np.median(found.means):.3g} (medians "
            "over regions). Bring them to the same unit."
        )


def _check_times(found: SeriesData, wanted: SeriesData, *, learns_times: bool) -> None:
    known = np.array(wanted.repetition_times)
    other = [
        time
        for time in found.repetition_times
        if known.size and np.abs(known - time).min() > TOLERANCE * time
    ]
    if not other:
        return
    times = f"{', '.join(f'{time:g}' for time in other)} s"
    learned = f"{', '.join(f'{time:g}' for time in wanted.repetition_times)} s"
    if learns_times:
        logger.warning("repetition time %s: the model has learned from %s so far", times, learned)
        return
    raise ConnectomeError(
        f"expected a repetition time that the model has learned from ({learned}); found {times}: "
        "for these times between volumes its embedding was never trained. Resample the series in "
        "time, or pretrain a model on series of this repetition time too."
    )
