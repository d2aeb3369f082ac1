"""Latents of a cohort that was read once, adapted as a whole or site by site."""

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.flavors_at_once import work_on_flavors
from kraken_bids.cohort.projections import Projected, fill_missing
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import Adaptation, FlavorAdaptation
from kraken_bids.models.krakencoder.adapted_sites import SiteAdaptation, group_sessions
from kraken_bids.models.krakencoder.model import Model


def encode_cohort(
    model: Model, projected: Projected, adaptation: Adaptation | None
) -> dict[Flavor, NDArray[np.float32]]:
    """Latents ``[n_subjects, n_latent]`` of every flavor; NaN where a subject lacks it.

    Connectomes with missing regions, and those of a transform that is not affine, are read again,
    since they can be adapted only now.

    Raises
    ------
    CheckpointError
        If the adaptation lacks a flavor that somebody has.
    """
    return work_on_flavors(
        lambda flavor: _encode(model, projected, flavor, adaptation),
        projected.found,
        model.device,
    )


def _encode(
    model: Model, projected: Projected, flavor: Flavor, adaptation: Adaptation | None
) -> NDArray[np.float32]:
    found = projected.found[flavor]
    is_anybody = bool(np.isfinite(found.rows).any())
    if isinstance(adaptation, SiteAdaptation) and is_anybody:
        latents = np.full_like(model.encode_projected(flavor, found.rows), np.nan)
        for own, rows in group_sessions(adaptation, projected.cohort.subjects, flavor):
            latents[rows] = _encode_rows(model, projected, flavor, fit=own, rows=rows)
        return latents
    fit = adaptation.of(flavor) if adaptation and is_anybody else None
    if fit is None or fit.mode == "none":
        return model.encode_projected(flavor, found.rows)
    rows = np.arange(len(found.rows))
    return _encode_rows(model, projected, flavor, fit=fit, rows=rows)


def _encode_rows(
    model: Model,
    projected: Projected,
    flavor: Flavor,
    *,
    fit: FlavorAdaptation,
    rows: NDArray[np.intp],
) -> NDArray[np.float32]:
    """Latents of the rows that one map adapts."""
    found = projected.found[flavor]
    own = found.rows[rows]
    if model.reductions[flavor].is_affine:
        own = model.adapt_projected(flavor, own, fit)
    latents = model.encode_projected(flavor, own)
    alone = Adaptation(model.sha256, fit.mode, {flavor: fit})
    places = {int(index): place for place, index in enumerate(rows)}
    for index in sorted(found.reread & set(places)):
        edges = projected.cohort.rows[flavor].read(index, index + 1)
        if np.isnan(edges).all():  # it was there, and cannot be read any more
            latents[places[index]] = np.nan
            continue
        edges = fill_missing(edges, model.training_means().get(flavor), fit)
        latents[places[index]] = model.encode_judged(flavor, edges, alone)[0]
    return latents
