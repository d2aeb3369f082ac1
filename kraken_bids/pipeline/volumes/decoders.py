"""Decoders of volumes, from a model folder or from the release's files."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.custom_atlases import read_custom_parcellation
from kraken_bids.bids.transforms import find_label_space
from kraken_bids.bids.volume_runs import SPACE
from kraken_bids.connectome.resample import resample_labels
from kraken_bids.exceptions import InputError
from kraken_bids.io.digests import compute_sha256
from kraken_bids.io.facts import Facts
from kraken_bids.io.images import read_labels
from kraken_bids.models.volumes.checkpoint import VolumeModel, read_volume_model
from kraken_bids.models.volumes.published_weights import read_published_weights
from kraken_bids.parcellations import Parcellation, list_parcellations, load_parcellation
from kraken_bids.pipeline.volumes.cleaned_volumes import AFFINE
from kraken_bids.settings import split_atlas

PUBLISHED_FILES = (".npy", ".hdf5", ".h5")
PUBLISHED_TIME = 0.72
"""Seconds between volumes of the Human Connectome Project, which the release was trained on."""
TIMES = "RepetitionTimes"
"""Key in the provenance of a model."""
TIME_TOLERANCE = 0.1
"""Share by which a repetition time may differ from those of the training."""


def read_decoder(path: Path) -> VolumeModel:
    """Read a folder that train-volumes wrote, or weights of the release, which a user supplies.

    Raises
    ------
    CheckpointError
        If it is neither.
    """
    if path.suffix.lower() not in PUBLISHED_FILES or path.is_dir():
        return read_volume_model(path)
    network = read_published_weights(path)
    source = {"Weights": path.name, "WeightsSHA256": compute_sha256(path)}
    told = {"Source": "arXiv 2111.01562", TIMES: [PUBLISHED_TIME]}
    return VolumeModel(network, provenance={**source, **told})


def compare_times(model: VolumeModel, repetition_times: Collection[float]) -> list[str]:
    """Say which repetition times (s) are unlike those that a decoder was trained on.

    Nothing is said of a decoder of which they are not known.
    """
    known = Facts(model.provenance).numbers(TIMES)
    unlike = [
        f"{one:.3g}"
        for one in sorted({*repetition_times})
        if all(abs(one / own - 1) > TIME_TOLERANCE for own in known)
    ]
    if not known or not unlike:
        return []
    return [
        f"volumes every {', '.join(unlike)} s; the decoder was trained on those every "
        f"{', '.join(f'{own:.3g}' for own in known)} s. It sees one volume at a time, but the "
        "noise of a volume and what the high-pass leaves depend on that time: compare with runs "
        "whose states are known before you rely on it."
    ]


def place_labels(images: Mapping[str, str]) -> dict[str, tuple[Path, Parcellation]]:
    """Find the regions of label images, which must be in the template of the volumes.

    Parameters
    ----------
    images : mapping of str to str
        Atlas to ``IMAGE`` or ``IMAGE,NAMES.tsv``.

    Raises
    ------
    InputError
        If an image's name says another space.
    """
    found = {}
    for atlas, word in images.items():
        given, table = split_atlas(word)
        image = Path(given)
        space = find_label_space(image)
        if space not in {"", SPACE}:
            raise InputError(
                f"--labels {atlas}: expected a label image in {SPACE}, as the volumes are; found "
                f"one in {space}: {image}."
            )
        found[atlas] = (image, _read_regions(atlas, image, table))
    return found


def read_parcels(
    image: Path, parcellation: Parcellation, grid: tuple[int, int, int]
) -> NDArray[np.intp]:
    """Read the number of the region of each voxel of the grid, from 1 on; 0 for none.

    Raises
    ------
    InputError
        If none of the regions is in the image.
    """
    values, affine = read_labels(image)
    placed = resample_labels(values, affine, target_shape=grid, target_affine=AFFINE)
    parcels = np.zeros(grid, np.intp)
    for number, label in enumerate(parcellation.labels, start=1):
        parcels[placed == label] = number
    if not parcels.any():
        raise InputError(
            f"expected regions of the atlas in {image} on the grid of the volumes; found none."
        )
    return parcels


def _read_regions(atlas: str, image: Path, table: Path | None) -> Parcellation:
    if atlas in list_parcellations():
        return load_parcellation(atlas)
    return read_custom_parcellation(atlas, str(image), table)
