"""ITK transforms move points as ITK does."""

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.spatial.transform import Rotation

from kraken_bids.exceptions import InputError
from kraken_bids.io.itk_transforms import read_transform

MATRIX = np.array([[1.1, 0.2, 0], [-0.1, 0.9, 0.3], [0.05, 0, 1.2]])
TRANSLATION, CENTRE = np.array([3.0, -4, 5]), np.array([10.0, 20, -30])
POINT = np.array([7.0, -11, 13])
FLIP = np.array([-1.0, -1, 1])


def move_like_itk(point: np.ndarray) -> np.ndarray:
    """Move a RAS point by y = M (x - c) + c + t, which ITK computes in LPS."""
    return (MATRIX @ (point * FLIP - CENTRE) + CENTRE + TRANSLATION) * FLIP


def write_text(path: Path, kind: str, parameters: np.ndarray, fixed: np.ndarray) -> None:
    join = " ".join
    path.write_text(
        f"#Insight Transform File V1.0\n#Transform 0\nTransform: {kind}\n"
        f"Parameters: {join(map(repr, map(float, parameters)))}\n"
        f"FixedParameters: {join(map(repr, map(float, fixed)))}\n"
    )


def apply(affine: np.ndarray, point: np.ndarray) -> np.ndarray:
    return affine[:3, :3] @ point + affine[:3, 3]


def write_h5(path: Path, steps: list[tuple[str, np.ndarray, np.ndarray]], spelling: str) -> None:
    with h5py.File(path, "w") as file:
        for i, (kind, parameters, fixed) in enumerate(steps):
            group = file.create_group(f"TransformGroup/{i}")
            group["TransformType"] = [kind.encode()]
            if kind != "CompositeTransform_double_3_3":
                group[f"{spelling}Parameters"] = parameters
                group[f"{spelling}FixedParameters"] = fixed


@pytest.mark.parametrize("kind", ["AffineTransform", "MatrixOffsetTransformBase"])
def test_text_affine(tmp_path: Path, kind: str) -> None:
    """Matrix, translation and centre, between LPS and RAS."""
    path = tmp_path / "x.txt"
    write_text(path, f"{kind}_double_3_3", np.r_[MATRIX.ravel(), TRANSLATION], CENTRE)
    ((affine, field),) = read_transform(path)
    assert field is None
    np.testing.assert_allclose(apply(affine, POINT), move_like_itk(POINT), atol=1e-12)


def test_mat_affine(tmp_path: Path) -> None:
    """ANTs writes the same as a Matlab file."""
    path = tmp_path / "x.mat"
    parameters = np.r_[MATRIX.ravel(), TRANSLATION][:, None]
    content = {"AffineTransform_double_3_3": parameters, "fixed": CENTRE[:, None]}
    savemat(path, content, format="4")
    ((affine, _),) = read_transform(path)
    np.testing.assert_allclose(apply(affine, POINT), move_like_itk(POINT), atol=1e-12)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("precision", "dtype"), [(0, "f8"), (10, "f4")])
def test_mat_files_of_either_order_and_precision(
    tmp_path: Path, order: str, precision: int, dtype: str
) -> None:
    """As ITK writes them: a header of five numbers, name, values; scipy reads the same."""
    kind = precision + (1000 if order == ">" else 0)
    values = {"Transform": np.r_[MATRIX.ravel(), TRANSLATION], "fixed": CENTRE}
    names = {"Transform": b"MatrixOffsetTransformBase_double_3_3\0", "fixed": b"fixed\0"}
    data = b"".join(
        struct.pack(f"{order}5i", kind, len(values[key]), 1, 0, len(name))
        + name
        + values[key].astype(f"{order}{dtype}").tobytes()
        for key, name in names.items()
    )
    path = tmp_path / "x.mat"
    path.write_bytes(data)
    np.testing.assert_array_equal(loadmat(path)["fixed"].ravel(), CENTRE)
    ((affine, _),) = read_transform(path)
    np.testing.assert_allclose(apply(affine, POINT), move_like_itk(POINT), atol=1e-4)
    for n_bytes in (3, 30, 100, len(data) - 1):
        path.write_bytes(data[:n_bytes])
        with pytest.raises(InputError, match=r"expected an ITK transform in .*x\.mat"):
            read_transform(path)


@pytest.mark.parametrize(
    ("rows", "columns", "is_complex", "n_name"),
    [
        (2**31 - 1, 2**31 - 1, 0, 6),
        (-3, -4, 0, 6),
        (12, 1, 1, 6),
        (12, 1, 0, 2**30),
        (12, 1, 0, -1),
    ],
)
def test_a_mat_file_that_declares_what_it_has_not_is_refused(
    tmp_path: Path, rows: int, columns: int, is_complex: int, n_name: int
) -> None:
    """Sizes, names and imaginary parts that are not there; also files of later versions."""
    header = struct.pack("<5i", 0, rows, columns, is_complex, n_name)
    path = tmp_path / "x.mat"
    path.write_bytes(header + b"fixed\0" + bytes(96))
    with pytest.raises(InputError, match=r"expected an ITK transform in .*x\.mat"):
        read_transform(path)
    savemat(path, {"AffineTransform_double_3_3": np.zeros(12), "fixed": CENTRE})
    with pytest.raises(InputError, match="no MATLAB file of version 4"):
        read_transform(path)


def test_a_field_that_declares_more_than_it_stores_is_refused(tmp_path: Path) -> None:
    """Gigabytes in some kilobytes; and parts that are groups in place of numbers."""
    path = tmp_path / "x.h5"
    fixed = np.r_[2.0, 2, 2, 0, 0, 0, 2, 2, 2, np.eye(3).ravel()]
    write_h5(path, [("DisplacementFieldTransform_float_3_3", np.zeros(24), fixed)], "Transform")
    with h5py.File(path, "r+") as file:
        group = file["TransformGroup/0"]
        del group["TransformParameters"]
        group.create_dataset("TransformParameters", (10**9,), "f4", chunks=(4096,))
    with pytest.raises(InputError, match=r"declares 4,000,000,000 bytes and stores 0"):
        read_transform(path)
    with h5py.File(path, "r+") as file:
        del file["TransformGroup/0/TransformParameters"]
        file.create_group("TransformGroup/0/TransformParameters")
    with pytest.raises(InputError, match=r"expected an ITK transform in .*x\.h5"):
        read_transform(path)
    with h5py.File(path, "r+") as file:
        del file["TransformGroup/0"]
    with pytest.raises(InputError, match="found: no 'TransformGroup'"):
        read_transform(path)


@pytest.mark.parametrize(("order", "flag"), [("yxz", 0), ("xyz", 1)])
def test_euler(tmp_path: Path, order: str, flag: int) -> None:
    """Angles turn about z, x, y, or z, y, x where the file says so (rightmost first)."""
    path = tmp_path / "x.txt"
    angles = {"x": 0.1, "y": -0.4, "z": 0.7}
    parameters = np.r_[list(angles.values()), TRANSLATION]
    write_text(path, "Euler3DTransform_double_3_3", parameters, np.r_[CENTRE, flag])
    ((affine, _),) = read_transform(path)
    turn = Rotation.from_euler(order, [angles[a] for a in order]).as_matrix()
    expected = (turn @ (POINT * FLIP - CENTRE) + CENTRE + TRANSLATION) * FLIP
    np.testing.assert_allclose(apply(affine, POINT), expected, atol=1e-12)


@pytest.mark.parametrize("spelling", ["Transform", "Tranform"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_composite(tmp_path: Path, spelling: str, dtype: type) -> None:
    """The last stored step comes first; fields are [x, y, z, 3] RAS mm; both spellings work."""
    path = tmp_path / "x.h5"
    size, origin, spacing = np.array([3, 4, 5]), np.array([1.0, -2, 3]), np.array([2.0, 3, 4])
    direction = Rotation.from_euler("xyz", [0.2, 0.1, -0.3]).as_matrix()
    field = np.random.default_rng(0).standard_normal((5, 4, 3, 3)).astype(dtype)
    write_h5(
        path,
        [
            ("CompositeTransform_double_3_3", np.empty(0), np.empty(0)),
            ("AffineTransform_double_3_3", np.r_[MATRIX.ravel(), TRANSLATION], CENTRE),
            (
                "DisplacementFieldTransform_double_3_3",
                field.ravel(),
                np.r_[size, origin, spacing, direction.ravel()],
            ),
        ],
        spelling,
    )
    (grid, displacement), (affine, none) = read_transform(path)
    assert none is None
    assert displacement is not None
    assert displacement.shape == (3, 4, 5, 3)
    voxel = np.array([2, 1, 4])
    in_lps = origin + direction @ (spacing * voxel)
    np.testing.assert_allclose(apply(grid, voxel), in_lps * FLIP, atol=1e-12)
    np.testing.assert_allclose(displacement[2, 1, 4], field[4, 1, 2] * FLIP, rtol=1e-6)
    np.testing.assert_allclose(apply(affine, POINT), move_like_itk(POINT), atol=1e-12)


def test_ten_steps_stay_in_order(tmp_path: Path) -> None:
    """Groups are numbers, not words: 10 comes after 9."""
    path = tmp_path / "x.h5"
    steps = [("CompositeTransform_double_3_3", np.empty(0), np.empty(0))]
    steps += [
        ("TranslationTransform_double_3_3", np.array([0, 0, i]), np.empty(0)) for i in range(11)
    ]
    write_h5(path, steps, "Transform")
    assert [affine[2, 3] for affine, _ in read_transform(path)] == list(range(10, -1, -1))


def test_refusals(tmp_path: Path) -> None:
    """Other kinds, other formats, lists and damaged files name the path."""
    path = tmp_path / "x.txt"
    write_text(path, "BSplineTransform_double_3_3", np.zeros(12), np.zeros(3))
    with pytest.raises(InputError, match="found BSpline"):
        read_transform(path)
    path.write_text("Transform: AffineTransform_double_3_3\nParameters: 1 0 0\n")
    with pytest.raises(InputError, match=r"x\.txt"):
        read_transform(path)
    for value in (np.nan, np.inf):
        write_text(path, "AffineTransform_double_3_3", np.r_[MATRIX.ravel(), 1, 2, value], CENTRE)
        with pytest.raises(InputError, match=r"x\.txt; found: .*not finite"):
            read_transform(path)
    path.write_text("nothing")
    with pytest.raises(InputError, match="found 0 transforms"):
        read_transform(path)
    with pytest.raises(InputError, match=r"\.lta"):
        read_transform(tmp_path / "x.lta")
    for name in ("x.h5", "x.mat"):
        (tmp_path / name).write_bytes(b"no transform at all")
        with pytest.raises(InputError, match=name):
            read_transform(tmp_path / name)


@pytest.mark.parametrize(
    ("place", "value"),
    [(slice(6, 9), [2.0, 0, 2]), (slice(9, 18), [0.0] * 9), (slice(3, 6), [np.nan, 0, 0])],
)
def test_a_field_without_a_place_is_refused(
    tmp_path: Path, place: slice, value: list[float]
) -> None:
    """Spacing, direction or origin that give its voxels no place."""
    fixed = np.r_[2.0, 2, 2, 0, 0, 0, 2, 2, 2, np.eye(3).ravel()]
    kind = "DisplacementFieldTransform_float_3_3"
    write_h5(tmp_path / "x.h5", [(kind, np.zeros(24), fixed)], "Transform")
    ((_, field),) = read_transform(tmp_path / "x.h5")
    assert field is not None
    assert field.shape == (2, 2, 2, 3)
    fixed[place] = value
    write_h5(tmp_path / "x.h5", [(kind, np.zeros(24), fixed)], "Transform")
    with pytest.raises(InputError, match=r"x\.h5 whose spacing and direction"):
        read_transform(tmp_path / "x.h5")
