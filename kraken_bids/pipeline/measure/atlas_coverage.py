"""How well the runs of a task cover the regions of an atlas, and how much a lesion holds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.functional.bold_quality import temporal_snr
from kraken_bids.parcellations import Parcellation
from kraken_bids.pipeline.measure.bold_runs import MeasuredRun
from kraken_bids.pipeline.measure.label_grids import GridRegions


@dataclass(frozen=True)
class MeasuredAtlas:
    """How well the runs of a group cover the regions of one atlas."""

    n_voxels: NDArray[np.int64] | None
    """None of series that came without volumes."""
    coverage: NDArray[np.float64]
    """[n_regions] Smallest share over the runs."""
    tsnr: NDArray[np.float64]
    """[n_regions] Mean over the runs."""
    labels: NDArray[np.int32] | None = None
    """[x, y, z] Region numbers on the grid of the first run; None likewise."""
    affine: NDArray[np.float64] | None = None
    lesioned: NDArray[np.float64] | None = None
    """[n_regions] Share of each region inside the lesion; None where there is no mask."""
    lesion_volume: float | None = None
    """mm³, on the grid of the first run."""

    def table(self, parcellation: Parcellation) -> dict[str, Sequence[object]]:
        """Columns of the coverage table."""
        return {
            "index": parcellation.indices,
            "name": parcellation.region_names,
            **({} if self.n_voxels is None else {"n_voxels": self.n_voxels.tolist()}),
            "coverage": self.coverage.round(4).tolist(),
            "tsnr": self.tsnr.round(3).tolist(),
            **({} if self.lesioned is None else {"lesioned": self.lesioned.round(4).tolist()}),
        }


def cover_atlas(runs: Sequence[MeasuredRun], name: str) -> MeasuredAtlas:
    """Find how well all runs cover the regions of an atlas."""
    return MeasuredAtlas(
        runs[0].series.n_voxels.get(name),
        coverage=np.min([run.series.coverage[name] for run in runs], axis=0),
        tsnr=np.mean([_temporal_snr(run, name) for run in runs], axis=0),
    )


def lay_lesion(
    atlas: MeasuredAtlas,
    affine: NDArray[np.float64],
    regions: GridRegions,
    inside: NDArray[np.int32] | None,
) -> MeasuredAtlas:
    """Add where the regions lie, and how much of them a lesion holds."""
    atlas = replace(atlas, labels=regions.labels, affine=affine)
    if inside is None:
        return atlas
    counts = np.bincount(regions.labels[inside > 0], minlength=len(regions.n_whole) + 1)[1:]
    return replace(
        atlas,
        lesioned=counts / np.maximum(regions.n_whole, 1),
        lesion_volume=float(inside.sum() * abs(np.linalg.det(affine[:3, :3]))),
    )


def _temporal_snr(run: MeasuredRun, name: str) -> NDArray[np.float64]:
    """Temporal SNR of each region; NaN where the run came cleaned, mostly without its mean."""
    means = run.series.means[name]
    if run.source.cleaned is not None:
        return np.full(means.shape[1], np.nan)
    return temporal_snr(means, run.plain.kept)
