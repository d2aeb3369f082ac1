"""FSL's matrices and fields carry points as flirt and applywarp do."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kraken_bids.connectome.resample import apply_steps
from kraken_bids.exceptions import InputError
from kraken_bids.io.fsl_transforms import read_field, read_flirt
from kraken_bids.io.image_headers import read_geometry

SHAPE, ZOOMS = (9, 8, 7), np.array([2.0, 2.5, 3.0])


def make_affine(flip: int, seed: int) -> np.ndarray:
    """Turn and shift; ``flip`` 1: FSL calls it neurological, its determinant is positive."""
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", [0.1 * seed, -0.2, 0.05]).as_matrix()
    affine[:3, :3] = turn @ np.diag(ZOOMS * [flip, 1, 1])
    affine[:3, 3] = [-30 + seed, 10, -20]
    return affine


def fsl_of_voxel(voxel: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """As FSL defines it, one voxel at a time."""
    x, y, z = voxel
    if np.linalg.det(affine) > 0:
        x = SHAPE[0] - 1 - x
    return np.array([x, y, z]) * ZOOMS


def world_of_fsl(point: np.ndarray, affine: np.ndarray) -> np.ndarray:
    x, y, z = point / ZOOMS
    if np.linalg.det(affine) > 0:
        x = SHAPE[0] - 1 - x
    return affine[:3, :3] @ [x, y, z] + affine[:3, 3]


def save(path: Path, values: np.ndarray, affine: np.ndarray, intent: int = 0) -> Path:
    image = nibabel.Nifti1Image(values.astype(np.float32), affine)
    image.header["intent_code"] = intent
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("is_absolute", [False, True])
@pytest.mark.parametrize("reference", [1, -1])
@pytest.mark.parametrize("source", [1, -1])
def test_a_field_carries_every_voxel_centre_as_fsl_says(
    tmp_path: Path, source: int, reference: int, is_absolute: bool
) -> None:
    """Displacements or coordinates, in FSL's mm of the field's grid, with its flip of x."""
    ours, theirs = make_affine(reference, 1), make_affine(source, 2)
    voxels = np.argwhere(np.ones(SHAPE))
    fsl = np.array([fsl_of_voxel(voxel, ours) for voxel in voxels])
    moved = fsl + 3 * np.sin(fsl[:, [1, 2, 0]] / 9) + [4, -2, 1]
    stored = (moved if is_absolute else moved - fsl).reshape(*SHAPE, 3)
    warp = save(tmp_path / "warp.nii.gz", stored, ours, intent=2006)
    image = read_geometry(save(tmp_path / "image.nii.gz", np.zeros(SHAPE), theirs))
    found = apply_steps(voxels @ ours[:3, :3].T + ours[:3, 3], read_field(warp, image))
    expected = np.array([world_of_fsl(point, theirs) for point in moved])
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_without_an_image_a_field_lands_in_the_mni_template(tmp_path: Path) -> None:
    """FSL's MNI152: x from right to left, its first voxel at (90, -126, -72)."""
    affine = make_affine(-1, 1)
    voxels = np.argwhere(np.ones(SHAPE))
    fsl = np.array([fsl_of_voxel(voxel, affine) for voxel in voxels])
    coordinates = 5 * fsl + np.random.default_rng(1).uniform(0, 9, fsl.shape)
    warp = save(tmp_path / "warp.nii.gz", coordinates.reshape(*SHAPE, 3), affine)
    found = apply_steps(voxels @ affine[:3, :3].T + affine[:3, 3], read_field(warp, None))
    x, y, z = coordinates.T
    np.testing.assert_allclose(found, np.column_stack([90 - x, y - 126, z - 72]), atol=1e-4)


def test_beyond_a_field_its_nearest_affine_holds(tmp_path: Path) -> None:
    """Where the field is affine itself, far points are carried as it would."""
    affine = make_affine(-1, 1)
    voxels = np.argwhere(np.ones(SHAPE))
    fsl = np.array([fsl_of_voxel(voxel, affine) for voxel in voxels])
    matrix = np.diag([1.2, 0.9, 1.1])
    warp = save(tmp_path / "warp.nii.gz", (fsl @ matrix - fsl).reshape(*SHAPE, 3), affine)
    image = read_geometry(save(tmp_path / "image.nii.gz", np.zeros(SHAPE), affine))
    far = np.array([300.0, -200.0, 250.0])
    own = np.linalg.inv(affine) @ [*far, 1]
    expected = world_of_fsl(own[:3] * ZOOMS @ matrix, affine)
    np.testing.assert_allclose(apply_steps(far[None], read_field(warp, image))[0], expected, 1e-4)


@pytest.mark.parametrize("reference", [1, -1])
@pytest.mark.parametrize("source", [1, -1])
def test_a_matrix_of_flirt_goes_from_its_input_to_its_reference(
    tmp_path: Path, source: int, reference: int
) -> None:
    """In FSL's mm of both images."""
    affines = make_affine(source, 1), make_affine(reference, 2)
    images = [
        read_geometry(save(tmp_path / f"{k}.nii.gz", np.zeros(SHAPE), affine))
        for k, affine in enumerate(affines)
    ]
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [0.1, 0.05, -0.2]).as_matrix() * 1.1
    matrix[:3, 3] = [3, -4, 5]
    (tmp_path / "x.mat").write_text(
        "\n".join("  ".join(f"{v:.10f}" for v in row) + "  " for row in matrix) + "\n"
    )
    step, field = read_flirt(tmp_path / "x.mat", *images)
    assert field is None
    voxel = np.array([1.0, 2, 3])
    world = affines[0][:3, :3] @ voxel + affines[0][:3, 3]
    moved = matrix[:3, :3] @ fsl_of_voxel(voxel, affines[0]) + matrix[:3, 3]
    expected = world_of_fsl(moved, affines[1])
    np.testing.assert_allclose((step @ [*world, 1])[:3], expected, atol=1e-6)


def test_coefficients_are_not_taken_for_a_field(tmp_path: Path) -> None:
    """T1_to_MNI_warp_coef holds splines, whose numbers look like displacements."""
    path = save(tmp_path / "coef.nii.gz", np.zeros((*SHAPE, 3)), np.eye(4), intent=2007)
    with pytest.raises(InputError, match=r"found coefficients of splines.*fnirtfileutils"):
        read_field(path, None)


def test_what_is_no_field_is_refused(tmp_path: Path) -> None:
    """An image, NaN, a cut file, a missing one; a matrix of other shape."""
    with pytest.raises(InputError, match="expected 3 numbers per voxel"):
        read_field(save(tmp_path / "image.nii.gz", np.zeros(SHAPE), np.eye(4)), None)
    holes = save(tmp_path / "nan.nii.gz", np.full((*SHAPE, 3), np.nan), np.eye(4))
    with pytest.raises(InputError, match="expected finite displacements"):
        read_field(holes, None)
    cut = save(tmp_path / "cut.nii.gz", np.random.default_rng(1).random((*SHAPE, 3)), np.eye(4))
    cut.write_bytes(cut.read_bytes()[:2000])
    for path in (cut, tmp_path / "nothing.nii.gz"):
        with pytest.raises(InputError, match="expected an image"):
            read_field(path, None)
    (tmp_path / "x.mat").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n")
    with pytest.raises(InputError, match="expected a matrix of FLIRT"):
        read_flirt(tmp_path / "x.mat", None, None)  # type: ignore[arg-type]
