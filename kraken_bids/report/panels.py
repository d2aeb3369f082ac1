"""Measured and predicted connectomes of a session, flavor by flavor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.sidecar_records import JUDGED
from kraken_bids.connectome.matrices import find_missing_regions, square_to_edges
from kraken_bids.flavors import Flavor, describe_flavor
from kraken_bids.io.records import from_sidecar
from kraken_bids.report.section import Floats, Group
from kraken_bids.report.written import Written, display_order
from kraken_bids.scores.quality_control import CROSS_MODAL, CrossModalScore
from kraken_bids.settings import MAX_IMPUTED_SHARE

MAX_PREDICTIONS = 2


@dataclass(frozen=True)
class PredictedMatrix:
    """One predicted connectome of the panel's flavor."""

    source: str
    """``fusion``, ``fusionSC``, ``fusionFC`` or a flavor."""
    square: Floats
    """[n_regions, n_regions]."""
    correlation: float | None = None
    """Pearson correlation with the measured edges."""
    correlation_resid: float | None = None
    """The same after the mean of the cohort (or of the training data) is subtracted from both."""
    verdict: str = ""
    """``about this person``, ``no better than the group mean`` or ``not judged``; may be empty."""
    reason: str = ""
    """What the verdict rests on."""
    correlation_mean: float | None = None
    """Correlation of the measured edges with the mean of other subjects, or of the cohort."""


@dataclass(frozen=True)
class FlavorPanel:
    """One flavor: measured and predicted side by side."""

    name: str
    group: Group
    description: str
    region_groups: tuple[str, ...]
    """Lobe, network or structure of each region [n_regions]."""
    hemispheres: tuple[str, ...]
    """``L``, ``R`` or ``M`` of each region [n_regions]."""
    measured: Floats | None
    """[n_regions, n_regions], NaN rows where a region was not measured; None where nothing was."""
    predictions: tuple[PredictedMatrix, ...]
    """In the order shown; two or three read best: cross-modal first, then fusion."""
    n_imputed: int = 0
    """Regions whose edges were replaced by the training mean."""
    used_as_input: bool = True
    mean_edge: float | None = None
    """Mean of the measured off-diagonal."""

    @property
    def parcellation(self) -> str:
        """The middle part of the flavor id."""
        parts = self.name.split("_")
        return parts[1] if len(parts) == 3 else ""


def list_panels(written: Written) -> tuple[FlavorPanel, ...]:
    """Measured and predicted matrices of every flavor of the model, side by side.

    Then those measured in atlases of the user's own. Other flavors that were measured and that the
    model does not know are among the files only.
    """
    measured = sorted(written.measured, key=display_order)
    targets = written.list_targets()
    own = [flavor for flavor in measured if flavor.parcellation in written.custom_atlases]
    shown = list(dict.fromkeys((*targets, *own))) if targets else measured
    return tuple(_build_panel(written, flavor) for flavor in shown)


def _build_panel(written: Written, flavor: Flavor) -> FlavorPanel:
    table = written.read_regions(flavor.parcellation)
    square = written.read_measured(flavor, table.n_regions)
    n_missing = 0 if square is None else int(find_missing_regions(square).sum())
    usable = square is not None and n_missing <= MAX_IMPUTED_SHARE * table.n_regions
    return FlavorPanel(
        name=flavor.name,
        group=flavor.group,
        description=describe_flavor(flavor),
        region_groups=table.groups,
        hemispheres=table.hemispheres,
        measured=square,
        predictions=_list_predictions(written, flavor, square, table.n_regions),
        n_imputed=n_missing if usable else 0,
        used_as_input=usable,
        mean_edge=None if square is None else float(np.nanmean(square_to_edges(square))),
    )


def _list_predictions(
    written: Written, flavor: Flavor, measured: Floats | None, n_regions: int
) -> tuple[PredictedMatrix, ...]:
    """List the cross-modal prediction first, then the fusion of everything, then others."""
    rows: list[PredictedMatrix] = []
    means = written.means.get(flavor.name)
    for source in dict.fromkeys((CROSS_MODAL[flavor.group], "fusion", *written.sources)):
        if len(rows) == MAX_PREDICTIONS:
            break
        square = written.read_prediction(flavor, source, n_regions)
        if square is None:
            continue
        raw = residual = of_mean = None
        if measured is not None:
            observed, edges = square_to_edges(measured), square_to_edges(square)
            raw = _correlate(observed, edges)
            if means is not None and means[0].shape == means[1].shape == edges.shape:
                residual = _correlate(observed - means[0], edges - means[1])
                of_mean = _read_mean_r(written, flavor) or _correlate(observed, means[0])
        known = written.predicted.part(JUDGED.verdicts).part(source).part(flavor.name)
        verdict, reason = known.text("Verdict"), known.text("Reason")
        rows.append(PredictedMatrix(source, square, raw, residual, verdict, reason, of_mean))
    return tuple(rows)


def _read_mean_r(written: Written, flavor: Flavor) -> float | None:
    """Read what the mean of other subjects correlates by, which the group level has written."""
    return from_sidecar(
        CrossModalScore, written.predicted.part(JUDGED.trust).part(flavor.name)
    ).group_mean_r


def _correlate(a: NDArray[np.floating], b: NDArray[np.floating]) -> float | None:
    both = np.isfinite(a) & np.isfinite(b)
    if not both.all():
        a, b = a[both], b[both]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])
