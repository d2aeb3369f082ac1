"""Small runs of whole volumes on a part of the template's grid."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from kraken_bids.models.volumes.architecture import VolumeArchitecture
from kraken_bids.models.volumes.checkpoint import VolumeModel
from kraken_bids.models.volumes.network import build_network
from kraken_bids.pipeline.volumes.cleaned_volumes import AFFINE

SHAPE, N_VOLUMES, TR = (12, 14, 11), 60, 2.0
STEM = "sub-01_task-motor_space-MNI152NLin6Asym_res-2_desc"


def write_run(folder: Path, values, mask, affine=AFFINE, *, stem: str = STEM):
    """Write a series [x, y, z, n_volumes] and its mask; returns both paths."""
    bold, brain = folder / f"{stem}-preproc_bold.nii.gz", folder / f"{stem}-brain_mask.nii.gz"
    folder.mkdir(exist_ok=True, parents=True)
    image = nibabel.Nifti1Image(values.astype(np.float32), affine)
    image.header.set_zooms((*image.header.get_zooms()[:3], TR))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, bold)
    nibabel.save(nibabel.Nifti1Image(mask, affine), brain)
    return bold, brain


def write_noise(folder: Path):
    """Write noise with a trend, and one voxel that never varies; returns both paths."""
    rng = np.random.default_rng(0)
    values = rng.normal(1000, 30, (*SHAPE, N_VOLUMES)) + np.linspace(0, 40, N_VOLUMES)
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:-2, 2:-2, 2:-2] = 1
    values[4, 4, 4] = 7.0
    return write_run(folder, values, mask)


@pytest.fixture
def run(tmp_path: Path):
    """Write a run of noise."""
    return write_noise(tmp_path / "func")


@pytest.fixture(params=["2d", "3d"], scope="module")
def model(request) -> VolumeModel:
    """Make an untrained decoder of the small grid, of either kind."""
    torch.manual_seed(0)
    shape = VolumeArchitecture(request.param, ("left", "right", "left"), SHAPE, (3, 4), (1, 2))
    return VolumeModel(build_network(shape).eval())
