"""Labels of an image are told apart by where their regions lie."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from kraken_bids.connectome.labels.label_identity import identify_labels
from kraken_bids.connectome.labels.label_orders import list_orders
from kraken_bids.connectome.labels.region_places import (
    MIN_REGIONS,
    find_exchanged,
    find_known_centres,
    fit_places,
    load_centres,
    measure_centres,
    measure_sides,
)
from kraken_bids.connectome.resample import resample_labels
from kraken_bids.exceptions import InputError
from kraken_bids.io.images import read_labels
from kraken_bids.parcellations import Parcellation, load_parcellation

FS86, SHEN, COCO = (load_parcellation(name) for name in ("fs86", "shen268", "coco439"))
MODEL_ATLASES = (FS86, SHEN, COCO)
GRID_MM = 4.0
SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "atlases"
PUBLISHED = {
    "fs86": "fs86_allsubj_mode.nii.gz",
    "shen268": "shen268_MNI1mm_dil1.nii.gz",
    "coco439": "cocommpsuit439_allsubj_mode.nii.gz",
}


def draw(
    values: Sequence[int], places: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Label image [x, y, z] with a ball of each value around its place, and its affine."""
    affine = np.diag([GRID_MM, GRID_MM, GRID_MM, 1.0])
    affine[:3, 3] = (-96, -132, -96)
    shape = (49, 57, 49)
    points = np.indices(shape).reshape(3, -1).T * GRID_MM + affine[:3, 3]
    known = np.isfinite(places).all(axis=1)
    distance, nearest = cKDTree(places[known]).query(points)
    labels = np.asarray(values, np.int32)[known][nearest]
    # every region has at least the voxel that its place lies in
    labels[distance > 8] = 0
    own = np.rint((places[known] - affine[:3, 3]) / GRID_MM).astype(int)
    image = labels.reshape(shape)
    image[tuple(own.T)] = np.asarray(values, np.int32)[known]
    return image, affine


def draw_atlas(parcellation: Parcellation) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Draw a parcellation by the index of its regions."""
    return draw(parcellation.indices, load_centres(parcellation.name))


@pytest.mark.parametrize("parcellation", MODEL_ATLASES, ids=lambda p: p.name)
def test_the_right_image_raises_no_doubt(parcellation: Parcellation) -> None:
    """By index, and of fs86 by FreeSurfer's numbers too."""
    for values in {parcellation.indices, parcellation.labels}:
        image, affine = draw(values, load_centres(parcellation.name))
        found = identify_labels(image, affine, parcellation)
        assert found.values == values
        # nuclei of a few millimetres share a voxel of this grid with their neighbours
        assert all("have no voxel" in doubt for doubt in found.doubts)


def test_freesurfers_numbers_are_told_by_the_values_and_not_by_the_largest() -> None:
    """A brainstem numbered 87 beside the 86 indices does not make them FreeSurfer's numbers."""
    image, affine = draw_atlas(FS86)
    image[0, 0, 0] = 87
    found = identify_labels(image, affine, FS86)
    assert found.values == FS86.indices
    assert found.doubts == ("labels that no region has are left out: 87.",)


@pytest.mark.parametrize("parcellation", MODEL_ATLASES, ids=lambda p: p.name)
def test_every_other_numbering_that_is_known_is_refused_by_its_name(
    parcellation: Parcellation,
) -> None:
    """Whichever of the orders in use an image has, the message says which.

    Of the many orders of FreeSurfer's blocks every eighth is drawn; none of an atlas whose regions
    lie nobody knows where.
    """
    orders = [o for o in list_orders(parcellation.name) if np.isfinite(o.places).any()]
    blocks = [order for order in orders if "(cortex" in order.title]
    for order in (
        *(order for order in orders if all(order is not block for block in blocks)),
        *blocks[::8],
    ):
        image, affine = draw(range(1, len(order.places) + 1), order.places)
        with pytest.raises(InputError) as refused:
            identify_labels(image, affine, parcellation)
        said = str(refused.value)
        assert order.title in said or "left and right exchanged" in said, (order.title, said)


@pytest.mark.parametrize(
    ("title", "first", "last"),
    [
        ("MRtrix's 84 regions", "ctx-lh-bankssts", "Right-Cerebellum-Cortex"),
        ("Connectome Mapper's 83", "ctx-rh-lateralorbitofrontal", "Left-Amygdala"),
        ("35 of either side", "ctx-lh-bankssts", "ctx-rh-insula"),
    ],
)
def test_orders_begin_and_end_as_their_software_has_them(
    title: str, first: str, last: str
) -> None:
    """MRtrix's fs_default.txt, the Connectome Mapper's table, FreeSurfer's colour table."""
    (places,) = [o.places for o in list_orders("fs86") if title in o.title.replace("1 to ", "")]
    known = dict(zip(FS86.region_names, load_centres("fs86"), strict=True))
    np.testing.assert_array_equal(places[0], known[first])
    np.testing.assert_array_equal(places[-1], known[last])


@pytest.mark.parametrize("parcellation", MODEL_ATLASES, ids=lambda p: p.name)
def test_exchanged_sides_are_refused(parcellation: Parcellation) -> None:
    """Whether the labels or the header are mirrored, the sides do not fit."""
    image, affine = draw_atlas(parcellation)
    for flipped in (image[::-1], image[::-1].copy()):
        with pytest.raises(InputError, match="left and right exchanged"):
            identify_labels(flipped, affine, parcellation)
    of_the_header = affine.copy()
    of_the_header[0] *= -1
    with pytest.raises(InputError, match="left and right exchanged"):
        identify_labels(image, of_the_header, parcellation)


@pytest.mark.parametrize("by_number", [True, False])
def test_two_exchanged_regions_are_named(by_number: bool) -> None:
    """In an image that is right otherwise; neighbours are too near to tell."""
    values = np.array(FS86.labels if by_number else FS86.indices)
    names = ("Left-Hippocampus", "Right-Hippocampus", "ctx-lh-cuneus", "ctx-rh-insula")
    rows = [FS86.region_names.index(name) for name in names]
    values[rows] = values[[rows[1], rows[0], rows[3], rows[2]]]
    image, affine = draw(values, load_centres("fs86"))
    (doubt,) = identify_labels(image, affine, FS86).doubts
    assert "as if their labels were exchanged" in doubt
    assert doubt.count(" and ") == 2
    assert "Left-Hippocampus and Right-Hippocampus" in doubt
    assert "ctx-lh-cuneus and ctx-rh-insula" in doubt


@pytest.mark.parametrize("parcellation", MODEL_ATLASES, ids=lambda p: p.name)
def test_bent_and_scattered_brains_have_no_exchanged_regions(parcellation: Parcellation) -> None:
    """In none of 100 draws, warped by up to 8 mm along each axis, 4 mm of scatter."""
    rng = np.random.default_rng(0)
    known = load_centres(parcellation.name)
    for _ in range(100):
        waves = rng.normal(0, 2 * np.pi / 120, (3, 3))
        found = known * rng.uniform(0.8, 1.2, 3)
        found += 8 * np.sin(known @ waves + rng.uniform(0, 6, 3))
        found += rng.normal(0, 4, found.shape)
        assert find_exchanged(found, known) == []


@pytest.mark.parametrize("parcellation", MODEL_ATLASES, ids=lambda p: p.name)
def test_an_order_that_nobody_knows_is_refused(parcellation: Parcellation) -> None:
    """Regions on the wrong sides cannot be anatomy."""
    rng = np.random.default_rng(0)
    places = rng.permutation(load_centres(parcellation.name))
    image, affine = draw(parcellation.indices, places)
    with pytest.raises(InputError, match="no other numbering that is known fits"):
        identify_labels(image, affine, parcellation)


def test_wrong_places_on_the_right_sides_are_doubted() -> None:
    """They are measured, and it is said; by FreeSurfer's numbers, which name regions, likewise."""
    rng = np.random.default_rng(0)
    places = load_centres("fs86").copy()
    for side in "LR":
        own = np.flatnonzero(np.array(FS86.hemispheres) == side)
        places[own] = places[rng.permutation(own)]
    for values in (FS86.indices, FS86.labels):
        image, affine = draw(values, places)
        found = identify_labels(image, affine, FS86)
        assert found.values == values
        assert "do not lie where they do" in found.doubts[0]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([2, 3, 4, 10, 11, 12, 13, 16, 17, 18, 26, 28, 49, 50, 51, 52, 53], "without the cortex"),
        ([2, 8, 10, 17, 47, 53, *range(11101, 11140), *range(12101, 12140)], "Destrieux"),
    ],
)
def test_freesurfers_numbers_of_something_else_are_refused(numbers: list[int], said: str) -> None:
    """Left-Hippocampus (17) never becomes Right-Accumbens, the 17th of fs86."""
    image = np.zeros((10, 10, 10), np.int32)
    image.ravel()[: len(numbers)] = numbers
    with pytest.raises(InputError, match=said):
        identify_labels(image, np.eye(4), FS86)


def test_numbers_of_other_atlases_are_not_taken_for_freesurfers() -> None:
    """AAL's 2001 and 2002 are precentral, FreeSurfer's bankssts and cingulate."""
    aal = [2001, 2002, *range(2101, 2112), *range(3001, 3003), *range(9001, 9030)]
    image = np.zeros((10, 10, 10), np.int32)
    image.ravel()[: len(aal)] = aal
    with pytest.raises(InputError, match="none of them among the labels 2001"):
        identify_labels(image, np.eye(4), FS86)
    with pytest.raises(InputError, match="image of another atlas"):
        identify_labels(image, np.eye(4), SHEN)


def test_a_slab_with_little_cortex_keeps_freesurfers_numbers() -> None:
    """Two cortical regions beside the deep ones, white matter and ventricles."""
    numbers = [2, 4, 7, 8, 10, 16, 41, 43, 46, 47, 251, 1016, 2016, 3016, 5001]
    image = np.zeros((10, 10, 10), np.int32)
    image.ravel()[: len(numbers)] = numbers
    assert identify_labels(image, np.eye(4), FS86).values == FS86.labels


@pytest.mark.parametrize(
    ("wrong", "right"), [("coco439", "cocoyeo243"), ("cocoyeo243", "coco439")]
)
def test_an_atlas_known_in_part_is_named_too(wrong: str, right: str) -> None:
    """Of cocoyeo243 the places of deep and cerebellar regions are known, by their names."""
    parcellation = load_parcellation(right)
    places = find_known_centres(parcellation).copy()
    lateral = {"L": -40.0, "R": 40.0, "M": 0.0}
    rng = np.random.default_rng(0)
    for k in np.flatnonzero(np.isnan(places).any(axis=1)):
        places[k] = [lateral[parcellation.hemispheres[k]], *rng.uniform(-60, 60, 2)]
    image, affine = draw(parcellation.indices, places)
    found = identify_labels(image, affine, parcellation)
    assert all("have no voxel" in doubt for doubt in found.doubts)
    with pytest.raises(InputError, match=f"the regions of {right}"):
        identify_labels(image, affine, load_parcellation(wrong))


def test_dkt_is_named() -> None:
    """Its six absent regions are no regions of too little signal."""
    dkt = [value for value in FS86.labels if value < 1000 or value % 1000 not in (1, 32, 33)]
    keep = np.isin(FS86.labels, dkt)
    image, affine = draw(dkt, load_centres("fs86")[keep])
    (doubt,) = identify_labels(image, affine, FS86).doubts
    assert "6 of 86 regions of fs86 have no voxel in the image: ctx-lh-bankssts" in doubt
    assert "DKT" in doubt


@pytest.mark.parametrize("parcellation", MODEL_ATLASES, ids=lambda p: p.name)
def test_right_regions_fit_wherever_however_large_and_however_few(
    parcellation: Parcellation,
) -> None:
    """Tilted, stretched, shrunk, warped brains, half or a slab of them: in 400 of 400 draws."""
    rng = np.random.default_rng(0)
    known = load_centres(parcellation.name)
    fits = []
    for trial in range(400):
        turn, _ = np.linalg.qr(np.eye(3) + rng.normal(0, 0.15, (3, 3)))
        turn *= np.sign(np.diag(turn))
        found = known @ (turn * rng.uniform(0.8, 1.2, 3)).T + rng.normal(0, 30, 3)
        waves = rng.normal(0, 2 * np.pi / 120, (3, 3))
        found += rng.uniform(0, 8, 3) * np.sin(known @ waves + rng.uniform(0, 6, 3))
        found += rng.normal(0, rng.uniform(1, 5), found.shape)
        if trial % 4 == 1:
            found[rng.random(len(known)) < 0.6] = np.nan
        if trial % 4 == 2:
            axis = rng.integers(3)
            found[np.abs(known[:, axis] - rng.uniform(-30, 30)) > 30] = np.nan
        if trial % 4 == 3:
            found[known[:, 0] > 5] = np.nan
        fits.append(fit_places(found, known))
    assert min(fit.explained for fit in fits) > 0.8
    assert not any(fit.is_mirrored for fit in fits)


def test_chance_explains_nothing_however_few_the_regions() -> None:
    """Random places of twelve to forty regions: the mean over draws is not above zero."""
    rng = np.random.default_rng(0)
    for n in (MIN_REGIONS, 20, 40):
        fits = [
            fit_places(rng.normal(size=(n, 3)), rng.normal(size=(n, 3))).explained
            for _ in range(200)
        ]
        assert np.mean(fits) < 0
    assert np.isnan(fit_places(np.zeros((5, 3)), np.zeros((5, 3))).explained)


def test_the_middle_of_a_label_is_that_of_its_voxels_on_small_and_large_grids() -> None:
    """Large images are looked at in steps, which moves the middle of a large region by little."""
    small = np.zeros((9, 9, 9), np.int32)
    small[2:5, 3, 3] = 7
    affine = np.diag([2.0, 1, 1, 1])
    centres = measure_centres(small, affine)
    assert centres.labels.tolist() == [7]
    np.testing.assert_array_equal(centres.points, [[6, 3, 3]])
    large = np.zeros((200, 200, 200), np.int32)
    large[50:90, 60:100, 70:110] = 3
    found = measure_centres(large, np.eye(4)).of(np.array([3, 4]))
    np.testing.assert_allclose(found[0], [69.5, 79.5, 89.5], atol=1)
    assert np.isnan(found[1]).all()
    assert len(measure_centres(np.zeros((3, 3, 3), np.int32), np.eye(4)).labels) == 0


def custom_atlas(names: Sequence[str], hemispheres: Sequence[str] = ()) -> Parcellation:
    """Make an atlas of a user's own whose labels count from 1."""
    n = len(names)
    return Parcellation(
        name="mine",
        space="T1w",
        source="image",
        image="",
        description="",
        region_names=tuple(names),
        hemispheres=tuple(hemispheres or "M" * n),
        groups=("mine",) * n,
        labels=tuple(range(1, n + 1)),
    )


def test_names_of_a_custom_atlas_that_are_known_are_compared_with_their_places() -> None:
    """FreeSurfer's names, one off: said, not refused, since the places are another image's."""
    names = FS86.region_names
    image, affine = draw(range(1, 87), load_centres("fs86"))
    assert identify_labels(image, affine, custom_atlas(names)).doubts == ()
    (doubt,) = identify_labels(image, affine, custom_atlas((*names[1:], names[0]))).doubts
    assert "bear names that are known" in doubt
    (doubt,) = identify_labels(image[::-1], affine, custom_atlas(names)).doubts
    assert "left and right are exchanged" in doubt


@pytest.mark.parametrize("spelled", ["L_area{}", "area{} Left", "LH-area{}", "7Net_LH_area{}"])
def test_names_of_a_custom_atlas_that_say_a_side_are_compared_with_the_image(spelled: str) -> None:
    """Left and right by turns, and one off: every region bears the name of the other side."""
    other = spelled.replace("LH", "RH").replace("Left", "Right").replace("L_", "R_")
    names = [form.format(k) for k in range(6) for form in (spelled, other)]
    places = np.array([[x, 10.0 * k, 0] for k in range(6) for x in (-40, 40)])
    image, affine = draw(range(1, 13), places)
    assert identify_labels(image, affine, custom_atlas(names)).doubts == ()
    (doubt,) = identify_labels(image, affine, custom_atlas([*names[1:], names[0]])).doubts
    assert "the left one lies further right" in doubt
    sides = ("L", "R") * 6
    assert identify_labels(image, affine, custom_atlas(tuple("abcdefghijkl"), sides)).doubts == ()
    assert measure_sides(places, sides) == 1
    assert measure_sides(places[:4], sides[:4]) == 1  # two of a side say nothing
    assert measure_sides(places, sides[::-1]) == 0


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_images_fit_on_any_grid(name: str) -> None:
    """As they are, at 2 and 3 mm, oblique, cropped, with regions missing: no doubt but absence."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not here")
    parcellation = load_parcellation(name)
    labels, affine = read_labels(SHARED / PUBLISHED[name])
    assert identify_labels(labels, affine, parcellation).doubts == ()
    rng = np.random.default_rng(0)
    for size in (2.0, 3.0):
        turn, _ = np.linalg.qr(np.eye(3) + rng.normal(0, 0.15, (3, 3)))
        target = np.eye(4)
        target[:3, :3] = turn * np.sign(np.diag(turn)) * size
        shape = np.full(3, round(220 / size))
        target[:3, 3] = [0, -18, 8] - target[:3, :3] @ (shape / 2)
        moved = resample_labels(labels, affine, target_shape=shape, target_affine=target)
        moved[rng.choice(shape[0], 5)] = 0
        moved[np.isin(moved, rng.choice(parcellation.n_regions, 20))] = 0
        moved[:, :, : shape[2] // 3] = 0
        found = identify_labels(moved.astype(np.int32), target, parcellation)
        assert all("have no voxel" in doubt for doubt in found.doubts)
