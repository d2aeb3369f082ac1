"""Relevance of a run's volumes as images: of each, the mean of each state, and sums in regions."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.io.nifti import write_volumes
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.models.volumes.checkpoint import VolumeModel
from kraken_bids.models.volumes.relevance import Rule, explain_volume
from kraken_bids.models.volumes.relevance_rules import RelevanceFlow
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.volumes.cleaned_volumes import AFFINE, CleanedVolumes, smooth
from kraken_bids.pipeline.volumes.decoding_request import (
    DecodingRequest,
    describe_decoding,
    name_states,
    spell_states,
)

NOT_DECODED = -1
"""In place of the number of a state, of volumes that do not count."""
MAP_FWHM = 6.0
"""mm by which the mean map of a state is smoothed, as in the release."""
UNITS = (
    "part of the decoded state's logit (no unit): all voxels add up to the logit, less the share "
    "that LostRelevance says"
)


class LostRelevance:
    """What share of relevance each layer has lost, over the volumes of a run."""

    def __init__(self) -> None:
        self.total = 0.0
        """Sum of the logits' sizes."""
        self._lost: dict[str, float] = {}

    def add(self, flow: RelevanceFlow) -> None:
        """Add a volume; one whose logit is near 0 counts as little as its relevance does."""
        size = abs(flow.logit)
        self.total += size
        for layer, share in flow.lost.items():
            self._lost[layer] = self._lost.get(layer, 0.0) + share * size

    @property
    def shares(self) -> dict[str, float]:
        """Share of all relevance that each layer lost, or, if negative, made."""
        return {layer: lost / (self.total or 1.0) for layer, lost in self._lost.items()}


def write_relevance(
    model: VolumeModel,
    volumes: CleanedVolumes,
    decoded: NDArray[np.intp],
    request: DecodingRequest,
    *,
    parcels: Mapping[str, NDArray[np.intp]],
) -> list[Path]:
    """Write relevance of every volume, its mean in every decoded state, and sums per region.

    Parameters
    ----------
    decoded : int array of shape (n_volumes,)
        Number of the state of each volume; relevance of those not decoded is 0.
    parcels : mapping of str to int array of shape (x, y, z)
        Of each atlas of the request: number of the region of each voxel, from 1 on.

    Returns
    -------
    list of Path
        Images and tables that were written.
    """
    grid = model.network.architecture.grid
    sums = np.zeros((len(model.states), *grid), np.float64)
    lost = LostRelevance()
    explained = _explain_all(model, volumes, decoded, request, sums=sums, lost=lost)
    path = request.path("relevance", extension=".nii.gz")
    write_volumes(
        path, explained, (*grid, len(volumes)), AFFINE, repetition_time=volumes.repetition_time
    )
    counts = np.bincount(decoded[decoded != NOT_DECODED], minlength=len(sums))
    facts = {
        **describe_decoding(model, volumes, request),
        **describe_relevance(model.network.architecture.kind, request.rule),
        "LostRelevance": lost.shares,
        "MeanLogit": lost.total / max(1, int(counts.sum())),
    }
    write_json(sidecar_path(path), {"Description": "Layer-wise relevance", **facts})
    names = name_states(model.states)
    means = {
        names[int(k)]: (sums[k] / counts[k]).astype(np.float32) for k in np.flatnonzero(counts)
    }
    numbers = dict(zip(names, counts.tolist(), strict=True))
    images = _write_means(means, numbers, volumes.mask, request=request, facts=facts)
    return [path, *images, *_write_sums(means, parcels, request=request, facts=facts)]


def _explain_all(
    model: VolumeModel,
    volumes: CleanedVolumes,
    decoded: NDArray[np.intp],
    request: DecodingRequest,
    *,
    sums: NDArray[np.float64],
    lost: LostRelevance,
) -> Iterator[NDArray[np.float32]]:
    """Give relevance of one volume after the other, and add it up by state on the way."""
    progress = Progress(f"{request.bold.name}: explained", len(volumes))
    for k, state in enumerate(decoded):
        progress.advance()
        if state == NOT_DECODED:
            yield np.zeros(sums.shape[1:], np.float32)
            continue
        volume = torch.from_numpy(volumes.read(k, 1)[0]).to(request.device)
        flow = explain_volume(model.network, volume, int(state), rule=request.rule)
        relevance = np.asarray(flow.relevance.cpu().numpy(), np.float32)
        sums[state] += relevance
        lost.add(flow)
        yield relevance


def _write_means(
    means: Mapping[str, NDArray[np.float32]],
    numbers: Mapping[str, int],
    mask: NDArray[np.bool_],
    *,
    request: DecodingRequest,
    facts: Mapping[str, Any],
) -> list[Path]:
    """Write the mean map of every state that was decoded, smoothed."""
    written, spelled = [], spell_states(list(numbers))
    for name, mean in means.items():
        path = request.path("relevance", extension=".nii.gz", label=spelled[name], stat="mean")
        write_mean_map(path, mean, mask, state=name, n_volumes=numbers[name], facts=facts)
        written.append(path)
    return written


def describe_relevance(kind: str, rule: Rule) -> dict[str, str]:
    """Say for a sidecar what relevance is in, and by which rule of a 2D or 3D network."""
    flat = "alpha2-beta1, flat in the first layer"
    return {"Units": UNITS, "Rule": flat if kind == "3d" else f"epsilon, {rule}"}


def write_mean_map(
    path: Path,
    mean: NDArray[np.float32],
    mask: NDArray[np.bool_],
    *,
    state: str,
    n_volumes: int,
    facts: Mapping[str, Any],
) -> None:
    """Write the mean map of a state, smoothed, and its sidecar.

    Parameters
    ----------
    mean : array of shape (x, y, z)
        Over the volumes of the state, not smoothed.
    mask : bool array of shape (x, y, z)
        Voxels that the 95th percentile is of.
    """
    smoothed = smooth(mean, MAP_FWHM)
    write_volumes(path, [smoothed], (*mean.shape, 1), AFFINE, repetition_time=0.0)
    own = {
        "State": state,
        "NumberOfVolumes": n_volumes,
        "MapSmoothingFWHM": MAP_FWHM,
        "Percentile95": float(np.percentile(np.abs(smoothed[mask]), 95)),
    }
    told = {"Description": f"Mean relevance of {state}", **facts, **own}
    write_json(sidecar_path(path), told)


def _write_sums(
    means: Mapping[str, NDArray[np.float32]],
    parcels: Mapping[str, NDArray[np.intp]],
    *,
    request: DecodingRequest,
    facts: Mapping[str, Any],
) -> list[Path]:
    """Write the mean relevance of every state, not smoothed, summed in regions; n/a of none."""
    written = []
    for atlas, numbers in parcels.items():
        names = request.labels[atlas][1].region_names
        is_there = np.bincount(numbers.ravel(), minlength=len(names) + 1)[1:] > 0
        rows = {
            name: np.where(
                is_there,
                np.bincount(numbers.ravel(), mean.ravel().astype(np.float64), len(names) + 1)[1:],
                np.nan,
            )
            for name, mean in means.items()
        }
        path = request.path("relevance", atlas=atlas)
        write_table(path, {"region": list(names), **rows})
        write_json(
            sidecar_path(path),
            {"Description": "Mean relevance of each decoded state, summed in regions", **facts},
        )
        written.append(path)
    return written
