"""Decode the volumes of one run, and say which voxels spoke for each decision."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.sidecar_records import FILE
from kraken_bids.cohort.sidecars import size_of
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.models.volumes.checkpoint import VolumeModel
from kraken_bids.models.volumes.decoding import decode_volumes
from kraken_bids.models.volumes.relevance import check_rule
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.volumes.cleaned_volumes import CleanedVolumes, open_cleaned_volumes
from kraken_bids.pipeline.volumes.decoders import compare_times, read_parcels
from kraken_bids.pipeline.volumes.decoding_request import (
    DecodingRequest,
    describe_decoding,
    name_states,
)
from kraken_bids.pipeline.volumes.relevance_images import NOT_DECODED, write_relevance

logger = logging.getLogger(__name__)


def decode_run(model: VolumeModel, request: DecodingRequest) -> list[Path]:
    """Decode a run, and write probabilities and what else is wanted.

    Relevance that an earlier decoding of the run left in the folder is removed: it would be of
    other probabilities.

    Returns
    -------
    list of Path
        Tables and images that were written.

    Raises
    ------
    SettingsError
        If the rule of relevance is not one of the decoder.
    InputError
        If a file cannot be read or is in another space, no region of an atlas is in the volumes,
        or the disk is full.
    ConnectomeError
        If a volume cannot be decoded.
    """
    grid = model.network.architecture.grid
    check_rule(model.network, request.rule)
    # before the run is read: an atlas that is beside the brain is told at once
    parcels = {
        atlas: read_parcels(image, regions, grid)
        for atlas, (image, regions) in request.labels.items()
        if request.has_relevance
    }
    with open_cleaned_volumes(
        request.bold,
        request.mask,
        space=full_space(parse_name(request.bold)),
        cleaning=model.cleaning,
        folder=request.folder,
        shape=grid,
        prepare=request.prepare,
    ) as volumes:
        unlike = compare_times(model, [volumes.repetition_time])
        volumes.notes += tuple(f"{request.bold.name}: {text}" for text in unlike)
        for note in volumes.notes:
            logger.warning("%s", note)
        probabilities = _decode(model, volumes, request)
        # before the first file changes: what is there belongs to another decoding
        sidecar_path(request.path("probabilities")).unlink(missing_ok=True)
        _remove_relevance(request)
        decoded = np.where(volumes.kept, probabilities.argmax(axis=1), NOT_DECODED)
        images = []
        if request.has_relevance:
            images = write_relevance(model, volumes, decoded, request, parcels=parcels)
        # last: its sidecar says that all is there
        return [_write_probabilities(model, volumes, probabilities, request), *images]


def _remove_relevance(request: DecodingRequest) -> None:
    """Remove the relevance of an earlier decoding; where none replaces it, that is said."""
    old = request.find_relevance()
    for path in old:
        path.unlink()
    if old and not request.has_relevance:
        logger.warning(
            "%s: relevance of the decoding before is removed (%d files), since the run is decoded "
            "anew without; --relevance makes it again",
            request.bold.name, len(old),
        )  # fmt: skip


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
    found[~volumes.kept] = np.nan
    return found


def _write_probabilities(
    model: VolumeModel,
    volumes: CleanedVolumes,
    probabilities: NDArray[np.float64],
    request: DecodingRequest,
) -> Path:
    path = request.path("probabilities")
    states = name_states(model.states)
    columns: dict[str, Any] = {
        "volume": np.arange(1, len(volumes) + 1),
        "onset": np.arange(len(volumes)) * volumes.repetition_time,
        "state": [
            states[row.argmax()] if is_kept else "n/a"
            for row, is_kept in zip(probabilities, volumes.kept, strict=True)
        ],
        **{f"p_{state}": probabilities[:, k] for k, state in enumerate(states)},
    }
    write_table(path, columns)
    words = {
        "volume": "number of the volume, from 1",
        "onset": "seconds from the first volume to the beginning of this one",
        "state": "most probable state; n/a where the volume does not count",
        **{f"p_{name}": f"probability of {name}" for name in states},
    }
    facts = describe_decoding(model, volumes, request)
    facts |= {FILE.run_digest: request.digest, **size_of(path)} if request.digest else {}
    write_json(
        sidecar_path(path),
        {"Description": "States that whole volumes were decoded into", **facts}
        | {name: {"Description": text} for name, text in words.items()},
    )
    return path
