"""Connectomes of one kind, of a session or of everyone, and all that is known of their regions."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.output_connectomes import Kind
from kraken_bids.connectome.matrices import edges_to_square, square_to_edges
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.parcellations import Parcellation

Floats = NDArray[np.float64]
FEWEST_REGIONS = 2


@dataclass(frozen=True)
class Stack:
    """Connectomes of one kind."""

    kind: Kind
    regions: Parcellation
    subjects: tuple[str, ...]
    """With ``sub-`` [n_sessions]."""
    sessions: tuple[str | None, ...]
    """With ``ses-``; None where there are none [n_sessions]."""
    edges: Floats
    """[n_sessions, n_edges], row by row of the upper triangle; NaN where a region was not seen."""

    centres: Floats
    """Centre of each region in MNI152NLin6Asym, mm [n_regions, 3]; NaN where not known."""

    @property
    def unseen(self) -> NDArray[np.bool_]:
        """Regions [n_regions] that a session at least has not seen."""
        seen = np.ones(self.regions.n_regions, bool)
        for edges in self.edges:
            seen &= np.isfinite(edges_to_square(edges, diagonal=np.nan)).any(axis=1)
        return ~seen

    @property
    def networks(self) -> tuple[str, ...]:
        """Lobe, network or structure of each region."""
        return self.regions.groups

    def square(self, row: int, *, diagonal: float = 0.0) -> Floats:
        """Symmetric matrix [n_regions, n_regions] of a session."""
        return np.asarray(edges_to_square(self.edges[row], diagonal=diagonal), np.float64)

    def describe(self) -> dict[str, Any]:
        """Facts for the file beside."""
        kind = self.kind
        return {
            "Flavor": kind.flavor.name,
            "What": kind.what,
            **({"PredictedFrom": kind.source} if kind.source else {}),
            "Atlas": self.regions.name,
            "Regions": list(self.regions.region_names),
            "Sessions": [
                {"participant_id": subject} | ({"session_id": session} if session else {})
                for subject, session in zip(self.subjects, self.sessions, strict=True)
            ],
        }


def drop_missing(stack: Stack) -> Stack:
    """Leave out regions that a session has not seen, so that no NaN is left.

    Raises
    ------
    ConnectomeError
        If fewer than two regions are left.
    """
    keep = ~stack.unseen
    if keep.all():
        return stack
    if keep.sum() < FEWEST_REGIONS:
        raise ConnectomeError(
            f"expected two regions of {stack.regions.name} that every session has seen; found "
            f"{int(keep.sum())} for {stack.kind.flavor}. Export fewer sessions together, or keep "
            "the regions (NaN) by leaving out --drop-missing."
        )
    table = stack.regions
    places = np.flatnonzero(keep)
    regions = replace(
        table,
        region_names=tuple(table.region_names[k] for k in places),
        hemispheres=tuple(table.hemispheres[k] for k in places),
        groups=tuple(table.groups[k] for k in places),
        labels=tuple(table.labels[k] for k in places),
    )
    index = np.ix_(keep, keep)
    edges = [square_to_edges(edges_to_square(row, diagonal=0)[index]) for row in stack.edges]
    return replace(
        stack,
        regions=regions,
        edges=np.array(edges),
        centres=stack.centres[keep],
    )
