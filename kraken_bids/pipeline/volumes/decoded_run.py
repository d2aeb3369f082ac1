"""Decode the volumes of one run, and say which voxels spoke for each decision."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.bids.names import format_name, full_space, parse_name
from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.connectome.resample import resample_labels
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.io.images import read_labels
from kraken_bids.io.nifti import write_volumes
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.models.volumes.checkpoint import VolumeModel
from kraken_bids.models.volumes.decoding import decode_volumes
from kraken_bids.models.volumes.relevance import Rule, explain_volume
from kraken_bids.models.volumes.relevance_flow import RelevanceFlow
from kraken_bids.parcellations import Parcellation
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.volumes.cleaned_volumes import (
    AFFINE,
    CleanedVolumes,
    open_cleaned_volumes,
    smooth,
)

logger = logging.getLogger(__name__)

MAP_FWHM = 6.0
"""mm by which the mean map of a state is smoothed, as in the release."""
UNSPELLED = re.compile("[^0-9A-Za-z]")
"""What no entity of a BIDS name may hold."""
DECODED = "decode"
"""``desc-`` of what is written."""


@dataclass(frozen=True)
class DecodingRequest:
    """What is wanted of a run."""

    bold: Path
    mask: Path
    folder: Path
    """Where the results go."""
    has_relevance: bool = False
    rule: Rule = "signed"
    labels: Mapping[str, tuple[Path, Parcellation]] = field(default_factory=dict)
    """Atlas to its label image in MNI152NLin6Asym, and its regions to sum relevance in."""
    n_threads: int = 1
    device: str = "cpu"
    digest: str = ""
    """Of all that the results follow from; kept once all are there."""

    def path(self, suffix: str, *, extension: str = ".tsv", **entities: str) -> Path:
        """Path of a result, named as the run is."""
        own = {k: v for k, v in parse_name(self.bold).items() if k not in {"suffix", "extension"}}
        name = format_name(
            {**own, **entities, "desc": DECODED}, suffix=suffix, extension=extension
        )
        return self.folder / name


def decode_run(model: VolumeModel, request: DecodingRequest) -> list[Path]:
    """Decode a run, and write probabilities and what else is wanted.

    Returns
    -------
    list of Path
        Tables and images that were written.

    Raises
    ------
    InputError
        If a file cannot be read or is in another space, or the disk is full.
    ConnectomeError
        If a volume cannot be decoded.
    """
    with open_cleaned_volumes(
        request.bold,
        request.mask,
        space=full_space(parse_name(request.bold)),
        cleaning=model.cleaning,
        folder=request.folder,
        shape=model.network.architecture.grid,
    ) as volumes:
        for note in volumes.notes:
            logger.warning("%s", note)
        probabilities = _decode(model, volumes, request)
        written = _explain(model, volumes, probabilities, request) if request.has_relevance else []
        # last: its sidecar says that all is there
        return [_write_probabilities(model, volumes, probabilities, request), *written]


def _decode(
    model: VolumeModel, volumes: CleanedVolumes, request: DecodingRequest
) -> NDArray[np.float64]:
    progress = Progress(f"{request.bold.name}: decoded", len(volumes))
    rows = []
    for row in decode_volumes(
        model.network,
        lambda k: volumes.read(k, 1)[0],
        len(volumes),
        n_threads=request.n_threads,
        device=request.device,
    ):
        rows.append(row)
        progress.advance()
    found = np.array(rows)
    if not np.isfinite(found).all():
        raise ConnectomeError(
            f"expected probabilities of every volume of {request.bold}; found some that are no "
            "numbers. Is the decoder one whose training diverged? Train it again."
        )
    return found


def _describe(
    model: VolumeModel, volumes: CleanedVolumes, request: DecodingRequest
) -> dict[str, Any]:
    architecture = model.network.architecture
    return {
        "Software": "kraken_bids",
        "SoftwareVersion": __version__,
        "Sources": [str(request.bold), str(request.mask)],
        "Architecture": architecture.kind.upper(),
        "Decoder": dict(model.provenance),
        "SmoothingFWHM": model.cleaning.smoothing_fwhm,
        "HighPassHz": model.cleaning.high_pass,
        "RepetitionTime": volumes.repetition_time,
        "Notes": list(volumes.notes),
    }


def _write_probabilities(
    model: VolumeModel,
    volumes: CleanedVolumes,
    probabilities: NDArray[np.float64],
    request: DecodingRequest,
) -> Path:
    path = request.path("probabilities")
    states = _tell_apart(model.states)
    columns: dict[str, Any] = {
        "volume": np.arange(1, len(volumes) + 1),
        "onset": np.arange(len(volumes)) * volumes.repetition_time,
        "state": [states[k] for k in probabilities.argmax(axis=1)],
        **{f"p_{state}": probabilities[:, k] for k, state in enumerate(states)},
    }
    write_table(path, columns)
    words = {
        "volume": "number of the volume, from 1",
        "onset": "seconds from the first volume to the beginning of this one",
        "state": "most probable state",
        **{f"p_{name}": f"probability of {name}" for name in states},
    }
    facts = _describe(model, volumes, request)
    facts |= {"RunDigest": request.digest} if request.digest else {}
    write_json(
        sidecar_path(path),
        {"Description": "States that whole volumes were decoded into", **facts}
        | {name: {"Description": text} for name, text in words.items()},
    )
    return path


def _tell_apart(states: Sequence[str]) -> list[str]:
    """Names of states, with a number where another one has the name already."""
    names: list[str] = []
    for state in states:
        numbered = (f"{state}{k}" for k in count(2))
        names.append(next(name for name in chain([state], numbered) if name not in names))
    return names


def _explain(
    model: VolumeModel,
    volumes: CleanedVolumes,
    probabilities: NDArray[np.float64],
    request: DecodingRequest,
) -> list[Path]:
    """Write relevance of every volume, its mean in every decoded state, and sums per region."""
    decoded = probabilities.argmax(axis=1)
    grid = model.network.architecture.grid
    sums = np.zeros((len(model.states), *grid), np.float64)
    arrived: dict[str, list[float]] = {}
    progress = Progress(f"{request.bold.name}: explained", len(volumes))

    def explain_all() -> Iterator[NDArray[np.float32]]:
        for k, state in enumerate(decoded):
            volume = torch.from_numpy(volumes.read(k, 1)[0]).to(request.device)
            flow = explain_volume(model.network, volume, int(state), rule=request.rule)
            relevance = np.asarray(flow.relevance.cpu().numpy(), np.float32)
            sums[state] += relevance
            _note(flow, arrived)
            progress.advance()
            yield relevance

    path = request.path("relevance", extension=".nii.gz")
    write_volumes(
        path, explain_all(), (*grid, len(volumes)), AFFINE, repetition_time=volumes.repetition_time
    )
    facts = {
        **_describe(model, volumes, request),
        "Units": "share of the decoded state's logit, which the sum of all voxels falls short of "
        "by what biases and steadied divisions kept (LostRelevance)",
        "LostRelevance": {name: float(np.mean(own)) for name, own in arrived.items()},
        "Rule": "alpha2-beta1, flat in the first layer"
        if model.network.architecture.kind == "3d"
        else f"epsilon, {request.rule}",
    }
    write_json(sidecar_path(path), {"Description": "Layer-wise relevance", **facts})
    counts = np.bincount(decoded, minlength=len(sums))
    names = _tell_apart(model.states)
    return [path, *_write_means(names, sums, counts, request=request, facts=facts)]


def _note(flow: RelevanceFlow, arrived: dict[str, list[float]]) -> None:
    """Keep the share of relevance that each layer lost."""
    for name, share in flow.lost.items():
        arrived.setdefault(name, []).append(share)


def _write_means(
    names: Sequence[str],
    sums: NDArray[np.float64],
    counts: NDArray[np.intp],
    *,
    request: DecodingRequest,
    facts: Mapping[str, Any],
) -> list[Path]:
    """Write the mean map of every state that was decoded, smoothed, and its sums per region."""
    written = []
    spelled = dict(zip(names, _tell_apart([UNSPELLED.sub("", one) for one in names]), strict=True))
    means = {
        names[int(k)]: (sums[k] / counts[k]).astype(np.float32) for k in np.flatnonzero(counts)
    }
    for name, mean in means.items():
        path = request.path("relevance", extension=".nii.gz", label=spelled[name], stat="mean")
        smoothed = smooth(mean, MAP_FWHM)
        write_volumes(path, [smoothed], (*mean.shape, 1), AFFINE, repetition_time=0.0)
        number = int(counts[list(names).index(name)])
        told = {**facts, "NumberOfVolumes": number, "MapSmoothingFWHM": MAP_FWHM}
        write_json(sidecar_path(path), {"Description": f"Mean relevance of {name}", **told})
        written.append(path)
    for atlas, (image, parcellation) in request.labels.items():
        labels, affine = read_labels(image)
        placed = resample_labels(labels, affine, target_shape=sums.shape[1:], target_affine=AFFINE)
        path = request.path("relevance", atlas=atlas)
        rows = {
            name: np.array([mean[placed == label].sum() for label in parcellation.labels])
            for name, mean in means.items()
        }
        write_table(path, {"region": list(parcellation.region_names), **rows})
        write_json(
            sidecar_path(path),
            {"Description": "Mean relevance of each decoded state, summed in regions", **facts},
        )
        written.append(path)
    return written
