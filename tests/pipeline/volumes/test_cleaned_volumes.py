"""Cleaned volumes against nilearn's own way through a whole run in memory."""

import os

import nibabel
import numpy as np
import pytest

from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.models.volumes.architecture import VolumeCleaning
from kraken_bids.pipeline.volumes.cleaned_volumes import (
    AFFINE,
    open_cleaned_volumes,
)
from tests.pipeline.volumes.conftest import N_VOLUMES, SHAPE, TR, write_run


def open_run(run, folder, *, shape=SHAPE, space="MNI152NLin6Asym", **how):
    return open_cleaned_volumes(
        *run, space=space, cleaning=VolumeCleaning(**how), folder=folder, shape=shape
    )


def test_volumes_are_those_that_nilearn_cleans(run, tmp_path) -> None:
    from nilearn.image import smooth_img
    from nilearn.masking import apply_mask
    from nilearn.signal import clean

    expected = clean(
        apply_mask(smooth_img(str(run[0]), 3.0), str(run[1])).astype(np.float64),
        detrend=True, standardize=None, high_pass=1 / 128, t_r=TR,
    )  # fmt: skip
    spread = expected.std(axis=0)
    expected = (expected - expected.mean(axis=0)) / spread
    with open_run(run, tmp_path) as volumes:
        assert len(volumes) == N_VOLUMES
        assert volumes.repetition_time == TR
        assert volumes.notes == ()
        found = volumes.read(10, 3)
        assert found.shape == (3, *SHAPE)
        np.testing.assert_allclose(found[:, volumes.mask], expected[10:13], atol=2e-4)
        assert not found[:, ~volumes.mask].any()
    assert [path.name for path in tmp_path.iterdir()] == ["func"]


def test_a_voxel_that_never_varies_is_zero(run, tmp_path) -> None:
    with open_run(run, tmp_path, smoothing_fwhm=0) as volumes:
        assert not volumes.read(0, N_VOLUMES)[:, 4, 4, 4].any()


def test_a_part_that_never_varies_is_zero_although_it_is_smoothed(run, tmp_path) -> None:
    values = nibabel.load(run[0]).get_fdata()
    values[:, :, 6:] = 1234.5
    other = write_run(tmp_path, values, nibabel.load(run[1]).get_fdata().astype(np.uint8))
    with open_run(other, tmp_path, smoothing_fwhm=1) as volumes:
        assert not volumes.read(0, N_VOLUMES)[:, :, :, -3].any()


def test_a_full_disk_is_told_before_volumes_are_read(run, tmp_path, monkeypatch) -> None:
    """The room is taken at once: rows of a sparse file would end the process."""

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(InputError, match="No space left"), open_run(run, tmp_path):
        pass


def test_another_grid_of_the_template_is_resampled_and_said(run, tmp_path) -> None:
    """Every second voxel of a grid of 1 mm is one of 2 mm, however its axes run."""
    fine = AFFINE.copy()
    fine[:3, :3] = np.diag([1.0, 1.0, 1.0])
    fine[0, 3] = AFFINE[0, 3] - 2 * (SHAPE[0] - 1)
    values, mask = nibabel.load(run[0]).get_fdata(), nibabel.load(run[1]).get_fdata()
    rng = np.random.default_rng(1)
    finer = rng.normal(0, 1, (*(2 * n - 1 for n in SHAPE), N_VOLUMES))
    finer[::2, ::2, ::2] = values[::-1]
    mask_fine = np.kron(mask, np.ones((2, 2, 2)))[:-1, :-1, :-1]
    mask_fine[::2, ::2, ::2] = mask[::-1]
    folder = tmp_path / "fine"
    folder.mkdir()
    other = write_run(folder, finer, mask_fine.astype(np.uint8), fine)
    with open_run(run, tmp_path) as one, open_run(other, tmp_path) as two:
        assert "resampled linearly" in two.notes[0]
        np.testing.assert_allclose(one.read(5, 2), two.read(5, 2), atol=1e-4)


def test_another_template_is_refused_with_the_flag_to_use(run, tmp_path) -> None:
    with (
        pytest.raises(InputError, match="--output-spaces MNI152NLin6Asym:res-2"),
        open_run(run, tmp_path, space="MNI152NLin2009cAsym"),
    ):
        pass


def test_a_constant_volume_is_named(run, tmp_path) -> None:
    image = nibabel.load(run[0])
    values = image.get_fdata()
    values[..., 7] = 3.0
    other = write_run(tmp_path, values, nibabel.load(run[1]).get_fdata().astype(np.uint8))
    with pytest.raises(ConnectomeError, match="volume 8 of 60"), open_run(other, tmp_path):
        pass


def test_values_that_are_no_numbers_are_counted(run, tmp_path) -> None:
    values = nibabel.load(run[0]).get_fdata()
    values[3, 3, 3, 5:8] = np.nan
    other = write_run(tmp_path, values, nibabel.load(run[1]).get_fdata().astype(np.uint8))
    with open_run(other, tmp_path) as volumes:
        assert "3 values that were no number" in volumes.notes[0]
        assert np.isfinite(volumes.read(0, N_VOLUMES)).all()


def test_a_mask_of_nothing_is_refused(run, tmp_path) -> None:
    values = nibabel.load(run[0]).get_fdata()
    other = write_run(tmp_path, values, np.zeros(SHAPE, np.uint8))
    with (
        pytest.raises(InputError, match="brain mask that covers voxels"),
        open_run(other, tmp_path),
    ):
        pass


@pytest.mark.parametrize("n_volumes", [1, 2])
def test_a_run_of_which_detrending_leaves_nothing_is_named(run, tmp_path, n_volumes) -> None:
    """Its volumes would all be 0, which a network decodes like any other."""
    values = nibabel.load(run[0]).get_fdata()[..., :n_volumes]
    short = write_run(
        tmp_path / "short", values, nibabel.load(run[1]).get_fdata().astype(np.uint8)
    )
    told = f"bold.nii.gz; found {n_volumes} of at least 3"
    with pytest.raises(ConnectomeError, match=told), open_run(short, tmp_path, high_pass=0):
        pass
