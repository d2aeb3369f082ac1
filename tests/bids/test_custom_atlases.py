"""Regions of an atlas of the user's own, from its image and its table."""

import logging
from pathlib import Path

import nibabel
import numpy as np
import pytest

from kraken_bids.bids.custom_atlases import find_names, read_custom_parcellation, read_region_table
from kraken_bids.bids.output_dataset import write_region_tables
from kraken_bids.exceptions import InputError
from kraken_bids.parcellations import load_parcellation


def save(path: Path, labels: list[float], dtype: type = np.int16) -> str:
    image = np.zeros((4, 4, 4), dtype)
    image[: len(labels), 1, 1] = labels
    nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), path)
    return str(path)


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


def test_without_a_table_labels_are_regions(tmp_path: Path) -> None:
    """Every label above 0, ascending, whatever the gaps; floats that are whole are labels."""
    found = read_custom_parcellation(
        "mine", save(tmp_path / "a.nii.gz", [30, 2, 2, 7], np.float32)
    )
    assert found.labels == found.indices == (2, 7, 30)
    assert found.region_names == ("mine_2", "mine_7", "mine_30")
    assert set(found.hemispheres) == {"M"}
    assert set(found.groups) == {"mine"}


@pytest.mark.parametrize(
    ("name", "space"),
    [
        ("atlas.nii.gz", "MNI152NLin6Asym"),
        ("x_space-MNI152NLin2009cAsym_dseg.nii.gz", "MNI152NLin2009cAsym"),
        ("tpl-MNI152NLin6Asym_atlas-x_dseg.nii", "MNI152NLin6Asym"),
        ("sub-{subject}_dseg.nii.gz", "T1w"),
        ("sub-{subject}_space-MNI152NLin6Asym_dseg.nii.gz", "MNI152NLin6Asym"),
    ],
)
def test_the_name_says_the_space(tmp_path: Path, name: str, space: str) -> None:
    """Else an image for everyone is in the published atlases' space, a subject's in T1w."""
    table = write(tmp_path / "names.tsv", "index\tname", "1\ta", "2\tb")
    save(tmp_path / name, [1, 2])
    assert read_custom_parcellation("mine", str(tmp_path / name), table).space == space


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_the_table_beside_the_image_is_found(tmp_path: Path, ending: str) -> None:
    """Same name but .tsv, also where the name holds dots."""
    write(tmp_path / "my.1mm.tsv", "index\tname", "2\tb", "1\ta")
    found = read_custom_parcellation("mine", save(tmp_path / f"my.1mm{ending}", [1, 2]))
    assert found.labels == (2, 1)
    assert found.region_names == ("b", "a")


def test_unnamed_labels_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Labels of the image that the table lacks are named in a warning and left out."""
    table = write(tmp_path / "names.tsv", "index\tname", "0\tbackground", "1\ta", "9\tb")
    with caplog.at_level(logging.WARNING):
        found = read_custom_parcellation("mine", save(tmp_path / "a.nii", [1, 5, 6]), table)
    assert found.labels == (1, 9)
    assert "2 label(s) without a row" in caplog.text
    assert "5, 6" in caplog.text


def test_a_table_that_counts_from_0_is_refused(tmp_path: Path) -> None:
    """Else every region would bear its neighbour's name; a background row is no region."""
    image = save(tmp_path / "a.nii", [1, 2, 3])
    table = write(tmp_path / "names.tsv", "index\tname", "0\tThal", "1\tCaud", "2\tPut")
    with pytest.raises(InputError, match=r"counts from 0 \(index 0: Thal\).*label 3 has no row"):
        read_custom_parcellation("mine", image, table)
    for word in ("Background", "Unknown", "???", "n/a", "0", "Clear Label", "Unlabelled"):
        write(table, "index\tname", f"0\t{word}", "1\tCaud", "2\tPut")
        assert read_custom_parcellation("mine", image, table).labels == (1, 2)


@pytest.mark.parametrize("name", ["a.nii", "sub-{subject}_dseg.nii"])
def test_a_region_of_index_0_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Where the image counts from 0 too, its first region is background."""
    save(tmp_path / name, [1, 2])
    table = write(tmp_path / "names.tsv", "index\tname", "0\tThal", "1\tCaud", "2\tPut")
    read_custom_parcellation("mine", str(tmp_path / name), table)
    assert "index 0 (Thal)" in caplog.text


def test_a_table_of_another_atlas_is_refused(tmp_path: Path) -> None:
    """None of the image's labels has a row."""
    table = write(tmp_path / "names.tsv", "index\tname", "1001\ta", "1002\tb")
    with pytest.raises(InputError, match="table of another atlas"):
        read_custom_parcellation("mine", save(tmp_path / "a.nii", [1, 2, 3]), table)


@pytest.mark.parametrize(
    ("image", "table"),
    [
        ("tpl-X_res-02_atlas-A_desc-8Parcels_dseg.nii.gz", "tpl-X_atlas-A_desc-8Parcels_dseg.tsv"),
        ("tpl-X_res-02_atlas-A_dseg.nii.gz", "../tpl-X_atlas-A_dseg.tsv"),
        ("tpl-X_cohort-2_res-1_seg-A_dseg.nii.gz", "tpl-X_seg-A_dseg.tsv"),
        ("atlas-4S156Parcels_space-X_res-01_dseg.nii.gz", "atlas-4S156Parcels_dseg.tsv"),
    ],
)
def test_tables_are_inherited_as_templateflow_and_atlaspack_have_them(
    tmp_path: Path, image: str, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Without res-, space- or cohort-, here or one folder up; of another atlas never."""
    folder = tmp_path / "folder"
    folder.mkdir()
    others = ("tpl-X_atlas-B_dseg.tsv", "tpl-Y_atlas-A_desc-8Parcels_dseg.tsv", "dseg.tsv")
    for other in (*others, "tpl-X_res-01_atlas-A_dseg.tsv", "atlas-A_probseg.tsv"):
        write(folder / other, "index\tname", "1\twrong", "2\twrong")
    path = save(folder / image, [1, 2])
    assert find_names(Path(path)) is None
    write(folder / table, "index\tname", "2\tb", "1\ta")
    with caplog.at_level(logging.INFO):
        assert read_custom_parcellation("A", path).region_names == ("b", "a")
    assert Path(table).name in caplog.text


@pytest.mark.parametrize("index", ["inf", "-1", "1.5", "n/a", "1e300", "one"])
def test_an_index_that_no_voxel_can_have_is_refused(tmp_path: Path, index: str) -> None:
    """Infinite, negative, broken, missing, beyond all labels, a word."""
    table = write(tmp_path / "names.tsv", "index\tname", "1\ta", f"{index}\tb")
    with pytest.raises(InputError, match=r"names\.tsv"):
        read_region_table("A", table)


def test_columns_of_xcpd_and_of_display(tmp_path: Path) -> None:
    """XCP-D calls names label; hemisphere and network order pictures; equal names are told."""
    table = write(
        tmp_path / "names.tsv",
        "index\tlabel\themisphere\tnetwork_label",
        *("1\tV1\tleft\tVis", "2\tV1\tR\tVis", "3\tstem\tboth\t7"),
    )
    found = read_region_table("mine", table)
    assert found.region_names == ("V1_1", "V1_2", "stem")
    assert found.hemispheres == ("L", "R", "M")
    assert found.groups == ("Vis", "Vis", "7")


@pytest.mark.parametrize(
    "rows",
    [
        ("index\tregion", "1\ta", "2\tb"),
        ("number\tname", "1\ta", "2\tb"),
        ("index\tname", "1\ta", "1\tb"),
        ("index\tname", "1.5\ta", "2\tb"),
        ("index\tname", "-1\ta", "2\tb"),
        ("index\tname", "one\ta", "two\tb"),
        ("index\tname", "0\tbackground", "1\ta"),
        ("index\tname", "1\ta", "99999999\tb"),
        ("index\tname", "1\ta", "2"),
        ("index\tname",),
    ],
)
def test_broken_tables_are_refused(tmp_path: Path, rows: tuple[str, ...]) -> None:
    """Columns, cells, doubles, one region alone, labels beyond any atlas: the path is said."""
    table = write(tmp_path / "names.tsv", *rows)
    with pytest.raises(InputError, match=r"names\.tsv"):
        read_region_table("mine", table)


def test_tables_in_outputs_read_back(tmp_path: Path) -> None:
    """What a run writes at the root is what the next one reads, for own and known atlases."""
    table = write(tmp_path / "names.tsv", "index\tname", "7\ta  b", "2\t12", "3\t12")
    own = read_region_table("mine", table)
    for parcellation in (own, load_parcellation("fs86"), load_parcellation("coco439")):
        for _ in range(2):
            write_region_tables(tmp_path, [parcellation])
        path = tmp_path / f"atlas-{parcellation.name}_dseg.tsv"
        found = read_region_table(parcellation.name, path)
        assert found.region_names == parcellation.region_names
        assert found.labels == parcellation.indices
    write(table, "index\tname", "7\ta b", "2\tother")
    with pytest.raises(InputError, match="another name"):
        write_region_tables(tmp_path, [read_region_table("mine", table)])
