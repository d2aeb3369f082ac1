"""Ends to regions: brute force and, where installed, tck2connectome itself as oracles."""

import csv
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kraken_bids.connectome.structural import nearest_labels as regions
from kraken_bids.connectome.structural.nearest_labels import (
    build_region_search,
    find_regions,
    is_inside,
)
from kraken_bids.exceptions import ConnectomeError

TCK2CONNECTOME = shutil.which("tck2connectome")
MRTRIX_CASE = Path(__file__).resolve().parents[3].parent / "shared/mrtrix"


def make_affine(*, sizes=(1.0, 1.0, 1.0), angles=(0.0, 0.0, 0.0), axes=(0, 1, 2), flips=(1, 1, 1)):
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        i, j = [k for k in range(3) if k != axis]
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        rotation = turn @ rotation
    affine = np.eye(4)
    affine[:3, :3] = (rotation * flips * np.array(sizes))[:, list(axes)]
    affine[:3, 3] = [-11.3, 7.9, -3.1]
    # as a NIfTI header stores it
    return affine.astype(np.float32).astype(np.float64)


GEOMETRIES = {
    "iso": make_affine(sizes=(1.25, 1.25, 1.25)),
    "oblique": make_affine(sizes=(1, 2, 3), angles=(0.2, -0.3, 0.1)),
    "LPS": make_affine(flips=(-1, -1, 1)),
    "fine oblique": make_affine(sizes=(0.8, 0.9, 0.8), angles=(-0.1, 0.05, 0.4)),
    "permuted": make_affine(sizes=(1, 1.5, 2), axes=(2, 0, 1), flips=(1, -1, 1)),
}


def make_labels(shape=(20, 22, 18), n_regions=12, seed=0):
    """Compact regions with gaps, touching the border of the image."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, dtype=np.int32)
    for k in range(1, n_regions + 1):
        corner = [rng.integers(0, n - 4) for n in shape]
        labels[tuple(slice(c, c + rng.integers(2, 6)) for c in corner)] = k
    return labels


def make_points(labels, affine, n=4000, seed=1):
    """Points in and around the image, as float32."""
    rng = np.random.default_rng(seed)
    voxels = rng.uniform(-4, np.array(labels.shape) + 3, (n, 3))
    return (voxels @ affine[:3, :3].T + affine[:3, 3]).astype(np.float32)


def brute_regions(labels, affine, points, radius):
    """Oracle: distance to the centre of every labelled voxel."""
    voxels = np.argwhere(labels > 0)
    centres = voxels @ affine[:3, :3].T + affine[:3, 3]
    found = []
    for block in np.array_split(points.astype(np.float64), 20):
        distances = np.linalg.norm(block[:, None] - centres[None], axis=2)
        nearest = labels[tuple(voxels[distances.argmin(axis=1)].T)]
        found.append(np.where(distances.min(axis=1) < radius, nearest, 0))
    return np.concatenate(found)


@pytest.mark.parametrize("radius", [0.3, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_nearest_labelled_centre_within_the_radius(name, radius):
    """Every geometry and radius, also below half a voxel, agrees with a full search."""
    labels, affine = make_labels(), GEOMETRIES[name]
    points = make_points(labels, affine, 3000)
    search = build_region_search(labels, affine, radius=radius)
    found = find_regions(search, points)
    np.testing.assert_array_equal(found, brute_regions(labels, affine, points, radius))
    assert found.dtype == np.int32
    assert (found > 0).any()
    assert (found == 0).any()


def test_sheared_images_are_searched_in_full():
    """Where voxels are not boxes of nearest points, a labelled own voxel need not win."""
    labels, affine = make_labels(), np.eye(4)
    affine[0, 1] = 0.7
    points = make_points(labels, affine, 2000)
    search = build_region_search(labels, affine, radius=3.0)
    assert not search.takes_own_voxel
    np.testing.assert_array_equal(
        find_regions(search, points), brute_regions(labels, affine, points, 3.0)
    )


def test_shape_blocks_and_broken_points(monkeypatch):
    """Pairs of ends keep their shape, block size does not matter, NaN and infinity are nowhere."""
    labels, affine = make_labels(), GEOMETRIES["iso"]
    ends = make_points(labels, affine).reshape(-1, 2, 3)
    search = build_region_search(labels, affine, radius=4.0)
    whole = find_regions(search, ends)
    assert whole.shape == ends.shape[:2]
    broken = ends.copy()
    broken[3, 0, 1], broken[7, 1] = np.nan, np.inf
    whole[3, 0] = whole[7, 1] = 0
    monkeypatch.setattr(regions, "POINTS_AT_ONCE", 777)
    np.testing.assert_array_equal(find_regions(search, broken), whole)


def test_the_radius_is_exclusive():
    """A centre exactly R away does not count; a hair nearer does."""
    labels = np.zeros((9, 9, 9), dtype=int)
    labels[4, 4, 4] = 1
    search = build_region_search(labels, np.eye(4), radius=2.0)
    points = np.array([[6.0, 4, 4], [5.999999, 4, 4], [4, 4, 6.0], [4, 4, 4]])
    assert find_regions(search, points).tolist() == [0, 1, 0, 1]


def test_ties_go_by_offset_then_z_y_x():
    """Half-way between two labels the lower offset in z, then y, then x wins, on the RAS grid."""
    labels = np.zeros((9, 9, 9), dtype=int)
    labels[2, 4, 4], labels[6, 4, 4] = 1, 2
    point = np.array([[4.0, 4.0, 4.0]])
    search = build_region_search(labels, np.eye(4), radius=3.0)
    assert find_regions(search, point).tolist() == [1]
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 8
    same = build_region_search(labels[::-1], flipped, radius=3.0)
    assert find_regions(same, point).tolist() == [1]


def test_volumes_and_box():
    """Voxels per region, voxel volume, and which points lie in the image's box."""
    labels, affine = make_labels(), GEOMETRIES["oblique"]
    search = build_region_search(labels.astype(float)[..., None], affine, radius=2.0)
    counts = np.bincount(labels.ravel(), minlength=16)
    np.testing.assert_array_equal(search.n_voxels(15), counts[1:])
    assert search.voxel_mm3 == pytest.approx(6.0)
    corners = np.array([[-0.4, 0, 0], [-0.6, 0, 0], [19.4, 21.4, 17.4], [19, 21, 17.6]])
    inside = is_inside(search, corners @ affine[:3, :3].T + affine[:3, 3])
    assert inside.tolist() == [True, False, True, False]
    with pytest.raises(ConnectomeError, match="found 12"):
        search.n_voxels(11)


def test_unusable_label_images_are_refused():
    """An empty image and a radius of 0 have no answer; fractional labels were interpolated."""
    with pytest.raises(ConnectomeError, match="found 0 labelled voxels"):
        build_region_search(np.zeros((3, 3, 3)), np.eye(4), radius=4.0)
    with pytest.raises(ConnectomeError, match="0 mm"):
        build_region_search(np.ones((3, 3, 3)), np.eye(4), radius=0.0)
    with pytest.raises(ConnectomeError, match="nearest neighbour"):
        build_region_search(np.full((3, 3, 3), 1.5), np.eye(4), radius=4.0)


def write_tck(path, ends):
    """Write streamlines of two points each."""
    header = f"mrtrix tracks\ndatatype: Float32LE\ncount: {len(ends)}\nfile: . 100\nEND\n"
    triplets = np.full((len(ends), 3, 3), np.nan, dtype="<f4")
    triplets[:, :2] = ends
    end = np.full(3, np.inf, dtype="<f4")
    path.write_bytes(header.encode().ljust(100) + triplets.tobytes() + end.tobytes())


def run_tck2connectome(folder, ends, labels, affine, *options):
    """Matrix and assignments of the real tck2connectome, on one thread."""
    write_tck(folder / "tracks.tck", ends)
    nib.save(nib.Nifti1Image(labels.astype(np.int16), affine), folder / "labels.nii.gz")
    names = ["tracks.tck", "labels.nii.gz", "out.csv", "-out_assignments", "pairs.txt"]
    command = [TCK2CONNECTOME, *names, "-symmetric", "-force", "-quiet", "-nthreads", "0"]
    subprocess.run([*command, *map(str, options)], cwd=folder, check=True, capture_output=True)
    pairs = np.loadtxt(folder / "pairs.txt", comments="#", dtype=int)
    return np.loadtxt(folder / "out.csv", delimiter=","), pairs


@pytest.mark.skipif(TCK2CONNECTOME is None, reason="tck2connectome is not installed")
@pytest.mark.parametrize("radius", [1, 2, 4])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_assignments_are_those_of_tck2connectome(name, radius, tmp_path):
    """No end differs from MRtrix's, for oblique, flipped, permuted and anisotropic images."""
    labels, affine = make_labels(seed=4), GEOMETRIES[name]
    ends = make_points(labels, affine, 20_000, seed=radius).reshape(-1, 2, 3)
    _, expected = run_tck2connectome(
        tmp_path, ends, labels, affine, "-assignment_radial_search", radius
    )
    ours = find_regions(build_region_search(labels, affine, radius=radius), ends)
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.skipif(TCK2CONNECTOME is None, reason="tck2connectome is not installed")
@pytest.mark.parametrize("name", ["iso", "LPS"])
def test_exact_ties_are_those_of_tck2connectome(name, tmp_path):
    """On axis-aligned grids even ends exactly half-way between voxels agree."""
    labels, affine = make_labels(seed=5), GEOMETRIES[name].copy()
    affine[:3, 3] = [-10, 8, -4]
    rng = np.random.default_rng(0)
    voxels = rng.integers(-4, 2 * np.array(labels.shape) + 4, (6000, 3)) / 2
    ends = (voxels @ affine[:3, :3].T + affine[:3, 3]).astype(np.float32).reshape(-1, 2, 3)
    _, expected = run_tck2connectome(tmp_path, ends, labels, affine)
    ours = find_regions(build_region_search(labels, affine, radius=4.0), ends)
    np.testing.assert_array_equal(ours, expected)


def read_tck_ends(path):
    """Read the ends of every streamline of MRtrix's test case."""
    content = path.read_bytes()
    header = content[: content.index(b"\nEND")].decode().splitlines()
    offset = next(int(line.split()[-1]) for line in header if line.startswith("file:"))
    assert "datatype: Float32LE" in header
    points = np.frombuffer(content, "<f4", offset=offset)
    points = points[: len(points) // 3 * 3].reshape(-1, 3)
    stops = np.flatnonzero(np.isnan(points[:, 0]))
    starts = np.concatenate([[0], stops[:-1] + 1])
    return np.stack([points[starts], points[stops - 1]], axis=1)


@pytest.mark.skipif(not MRTRIX_CASE.exists(), reason="needs ../shared/mrtrix, which is not here")
def test_mrtrix_own_case():
    """The 5000 assignments of MRtrix's test suite, and its counts at other radii."""
    image = nib.load(MRTRIX_CASE / "parc.nii.gz")
    labels, affine = np.asarray(image.dataobj), image.affine
    ends = read_tck_ends(MRTRIX_CASE / "tracks.tck")
    with (MRTRIX_CASE / "expected_assignments.csv").open() as file:
        rows = [row[0].split() if len(row) == 1 else row for row in csv.reader(file)]
    expected = np.array(rows, dtype=int)
    ours = find_regions(build_region_search(labels, affine, radius=4.0), ends)
    np.testing.assert_array_equal(ours, expected)
    for radius, n_one_two, n_three_four in ((0.3, 3, 1), (0.5, 474, 288), (2.0, 3384, 1616)):
        pairs = find_regions(build_region_search(labels, affine, radius=radius), ends)
        pairs = np.sort(pairs, axis=1).tolist()
        assert pairs.count([1, 2]) == n_one_two
        assert pairs.count([3, 4]) == n_three_four
