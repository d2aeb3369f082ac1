"""Names of outputs are those of the design, and lead back to their flavors."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.output_dataset import (
    check_output_folder,
    write_bidsignore,
    write_dataset_description,
    write_region_tables,
)
from kraken_bids.bids.outputs import (
    calibrated_archive_path,
    coverage_path,
    discordance_path,
    find_calibrated,
    find_relmats,
    find_sessions,
    frames_path,
    group_path,
    group_report_path,
    intervals_path,
    is_predicted,
    labels_path,
    latents_path,
    prediction_archive_path,
    relmat_path,
    sidecar_path,
    timeseries_path,
)
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import list_flavors, parse_flavor
from kraken_bids.io.nifti import write_labels
from kraken_bids.io.writing import write_json, write_relmat, write_table, write_text
from kraken_bids.parcellations import load_parcellation

FC = parse_flavor("FCcorr_fs86_hpf")
SC = parse_flavor("SCifod2act_fs86_volnorm")
RUN = {"sub": "01", "ses": "1", "task": "rest", "run": "02", "space": "T1w", "res": "2"}


def test_measured_names() -> None:
    """Entities of the source, then atlas and meas; func for FC and dwi for SC."""
    out = Path("out")
    assert relmat_path(out, RUN, FC, source=None) == Path(
        "out/sub-01/ses-1/func/"
        "sub-01_ses-1_task-rest_run-02_space-T1w_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv"
    )
    tracts = {"sub": "01", "space": "ACPC", "model": "ifod2"}
    assert relmat_path(out, tracts, SC, source=None) == Path(
        "out/sub-01/dwi/sub-01_space-ACPC_atlas-fs86_meas-SCifod2actVN_relmat.dense.tsv"
    )
    stem = "out/sub-01/ses-1/func/sub-01_ses-1_task-rest_run-02_space-T1w_atlas-fs86_"
    assert timeseries_path(out, RUN, "fs86") == Path(stem + "timeseries.tsv")
    assert coverage_path(out, RUN, "fs86") == Path(stem + "coverage.tsv")
    assert labels_path(out, RUN, "fs86") == Path(stem + "dseg.nii.gz")
    clean = timeseries_path(out, RUN, "fs86", is_clean=True)
    assert clean == Path(stem + "desc-hpf_timeseries.tsv")
    frames = stem.replace("atlas-fs86", "desc-quality") + "timeseries.tsv"
    assert frames_path(out, RUN) == Path(frames)


@pytest.mark.parametrize(
    ("source", "desc"),
    [("fusionSC", "fusionSCkraken"), ("FCcorr_fs86_hpf", "FCcorrfs86hpfkraken")],
)
def test_predicted_names(source: str, desc: str) -> None:
    """Predictions carry subject and session only, and always desc-<source>kraken."""
    assert relmat_path(Path("out"), RUN, SC, source=source) == Path(
        f"out/sub-01/ses-1/dwi/sub-01_ses-1_atlas-fs86_meas-SCifod2actVN_desc-{desc}"
        "_relmat.dense.tsv"
    )


def test_calibrated_names(tmp_path: Path) -> None:
    """They are found by session, with their sidecars, and are nobody's raw or measured files."""
    path = relmat_path(tmp_path, RUN, SC, source="fusionFC", is_calibrated=True)
    assert path.name.endswith("SCifod2actVN_desc-fusionFCkrakencal_relmat.dense.tsv")
    archive, intervals = (
        f(tmp_path, "01", "1") for f in (calibrated_archive_path, intervals_path)
    )
    assert archive.name == "sub-01_ses-1_desc-krakencal_relmats.h5"
    assert intervals.name == "sub-01_ses-1_desc-krakencal_intervals.h5"
    raw = relmat_path(tmp_path, RUN, SC, source="fusionFC")
    for one in (path, sidecar_path(path), intervals, raw):
        write_text(one, "{}")
    assert set(find_calibrated(tmp_path, "01", "1")) == {path, sidecar_path(path), intervals}
    assert find_calibrated(tmp_path, "01", None) == []
    assert all(is_predicted(parse_name(one)) for one in (path, intervals, raw))


def test_other_names() -> None:
    """Latents, archive, reports, group files and sidecars."""
    out = Path("out")
    latents = latents_path(out, "01", "1")
    assert latents == Path("out/sub-01/ses-1/sub-01_ses-1_desc-kraken_latents.tsv")
    assert latents_path(out, "sub-01", None) == Path("out/sub-01/sub-01_desc-kraken_latents.tsv")
    archive = prediction_archive_path(out, "01", None)
    assert archive == Path("out/sub-01/sub-01_desc-kraken_relmats.h5")
    assert group_report_path(out) == Path("out/group.html")
    assert group_path(out, "qc.tsv") == Path("out/group/qc.tsv")
    relmat = relmat_path(out, RUN, FC, source=None)
    assert sidecar_path(relmat).name == relmat.name.replace(".dense.tsv", ".json")


def test_find_measured_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Measured files are found at both levels, bare names too; predictions never are."""
    square = np.eye(86)
    paths = [
        relmat_path(tmp_path, RUN, FC, source=None),
        tmp_path / "sub-02/func/sub-02_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv",
        tmp_path / "sub-02/dwi/sub-02_atlas-fs86_meas-SCifod2actVN_relmat.dense.tsv",
    ]
    for path in paths:
        write_relmat(path, square)
    for source in ("fusion", "FCcorr_fs86_hpf"):
        write_relmat(relmat_path(tmp_path, RUN, SC, source=source), square)
        calibrated = relmat_path(tmp_path, RUN, SC, source=source, is_calibrated=True)
        write_relmat(calibrated, square)
    write_relmat(tmp_path / "sub-02/func/sub-02_atlas-fs86_meas-other_relmat.dense.tsv", square)
    write_text(tmp_path / "sub-02/func/.sub-02_atlas-fs86_meas-x_relmat.dense.tsv.1-2.tmp", "")
    found = find_relmats(tmp_path)
    assert [(f.subject, f.session, f.flavor, f.path) for f in found] == [
        ("01", "1", FC, paths[0]),
        ("02", None, FC, paths[1]),
        ("02", None, SC, paths[2]),
    ]
    assert "meas-other" in caplog.text
    assert found[0].entities["run"] == "02"
    assert find_sessions(tmp_path) == [("01", "1"), ("02", None)]
    assert [f.subject for f in find_relmats(tmp_path, "sub-02")] == ["02", "02"]
    assert find_relmats(tmp_path / "no") == []


def test_every_flavor_comes_back(tmp_path: Path) -> None:
    """Name and flavor are one to one."""
    flavors = list_flavors(["fs86"])
    for flavor in flavors:
        write_text(relmat_path(tmp_path, {"sub": "01"}, flavor, source=None), "1\n")
    assert sorted(f.flavor for f in find_relmats(tmp_path)) == sorted(flavors)


def write_outputs(root: Path) -> None:
    """Write the tree of the design, with small contents."""
    write_dataset_description(root, name="Krakencoder outputs", sources={"fmriprep": root / "in"})
    write_bidsignore(root)
    write_region_tables(root, [load_parcellation("fs86")])
    write_text(root / "README.md", "# Outputs\n")
    for name in ("CITATION.md", "CITATION.bib", "failures.tsv", "20260101.toml", "20260101.log"):
        write_text(root / "logs" / name, "x\n")
    paths = [
        latents_path(root, "01", "1"),
        discordance_path(root, "01", "1"),
        timeseries_path(root, RUN, "fs86"),
        coverage_path(root, RUN, "fs86"),
        timeseries_path(root, RUN, "fs86", is_clean=True),
        frames_path(root, RUN),
        prediction_archive_path(root, "01", "1"),
    ]
    for flavor in (FC, SC):
        paths.append(relmat_path(root, RUN, flavor, source=None))
        paths.append(relmat_path(root, RUN, flavor, source="fusionSC"))
    for path in paths:
        write_table(path, {"a": [1.0]})
        write_json(sidecar_path(path), {"Sources": ["bids:fmriprep:sub-01/func/x.nii.gz"]})
    regions = labels_path(root, RUN, "fs86")
    write_labels(regions, np.ones((3, 3, 3), int), np.eye(4))
    write_json(sidecar_path(regions), {"SpatialReference": "bids:fmriprep:sub-01/func/x.nii.gz"})
    write_text(root / "sub-01.html", "<html></html>")
    write_text(group_report_path(root), "<html></html>")
    for name in ("adaptation.json", "adaptation.h5", "latents.tsv", "figures/a.png"):
        write_text(group_path(root, name), "{}\n")
    write_text(root / "sub-01/figures/a.svg", "<svg/>")
    # What a killed run may leave.
    write_text(root / "sub-01/ses-1/func/.sub-01_relmat.dense.tsv.1-a.tmp", "half")
    write_text(root / "logs/.failures.lock", "")


def test_bids_validator_passes(tmp_path: Path) -> None:
    """The validator finds no error in what is written; an unknown file it would find."""
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.is_file():
        pytest.skip("bids-validator-deno is not installed")
    write_outputs(tmp_path)

    def validate() -> subprocess.CompletedProcess[str]:
        command = [str(validator), str(tmp_path), "--ignoreWarnings"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = validate()
    assert done.returncode == 0, done.stdout + done.stderr
    write_text(tmp_path / "sub-01/ses-1/func/sub-01_unknown.tsv", "x\n")
    assert validate().returncode != 0


def test_sidecars_of_names_with_dots() -> None:
    """Two atlases called a.b and a.c have a sidecar each; double extensions are one."""
    assert sidecar_path(Path("out/FCcorr_a.b_hpf.tsv")) == Path("out/FCcorr_a.b_hpf.json")
    assert sidecar_path(Path("sub-1_relmat.dense.tsv")) == Path("sub-1_relmat.json")
    assert sidecar_path(Path("x.r01.nii.gz")) == Path("x.r01.json")


@pytest.mark.parametrize("folder", ["sub-02/func", "sub-01/ses-2/func"])
def test_matrices_of_another_participant_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, folder: str
) -> None:
    """A matrix whose name says another subject or session than its folder is nobody's."""
    right = tmp_path / "sub-01/ses-1/func/sub-01_ses-1_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv"
    wrong = tmp_path / folder / right.name
    for path in (right, wrong):
        path.parent.mkdir(parents=True)
        path.touch()
    assert [found.path for found in find_relmats(tmp_path)] == [right]
    assert f"{wrong} is passed over" in caplog.text


def test_folders_that_may_not_be_read_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One closed folder ends nothing: the connectomes in the others are found, and it is named."""
    flavor = parse_flavor("SCsdstream_fs86_volnorm")
    paths = [relmat_path(tmp_path, {"sub": label}, flavor, source=None) for label in ("1", "2")]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.touch()
    scan = os.scandir

    def scan_open_ones(folder: Path) -> object:
        if Path(folder).is_relative_to(tmp_path / "sub-1"):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr("kraken_bids.bids.folders.os.scandir", scan_open_ones)

    assert [found.path for found in find_relmats(tmp_path)] == paths[1:]
    assert str(tmp_path / "sub-1") in caplog.text


@pytest.mark.parametrize("place", ["sub-1", "sub-1/ses-a", "sub-1/ses-a/dwi"])
def test_folders_that_are_links_to_nowhere_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """As DataLad leaves what is not installed; the connectomes of the others are found."""
    flavor = parse_flavor("SCsdstream_fs86_volnorm")
    other = relmat_path(tmp_path, {"sub": "2", "ses": "a"}, flavor, source=None)
    other.parent.mkdir(parents=True)
    other.touch()
    link = tmp_path / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to("gone/with/the/disk")
    (tmp_path / "sub-2.html").symlink_to(".git/annex/objects/x")

    assert [found.path for found in find_relmats(tmp_path)] == [other]
    assert "sub-2.html" not in caplog.text
    assert f"{link} is a link to gone/with/the/disk, where nothing is" in caplog.text


def test_a_link_to_itself_is_calibrated_too(tmp_path: Path) -> None:
    """Whoever replaces or removes what was calibrated before removes the link."""
    flavor = parse_flavor("SCsdstream_fs86_volnorm")
    path = relmat_path(tmp_path, {"sub": "1"}, flavor, source="fusionFC", is_calibrated=True)
    path.parent.mkdir(parents=True)
    path.symlink_to(path)

    assert find_calibrated(tmp_path, "1", None) == [path]


def test_a_folder_whose_description_is_damaged_is_ours_where_a_run_has_left_its_settings(
    tmp_path: Path,
) -> None:
    """Whatever else is damaged with it; without any word of a run it is somebody's."""
    (tmp_path / "dataset_description.json").write_bytes(b"\x00")
    with pytest.raises(InputError, match="Choose another OUTPUT_DIR"):
        check_output_folder(tmp_path)
    write_text(tmp_path / "logs" / "20260101T000000_group_7.toml", "# kraken_bids 0.1.0\n")
    check_output_folder(tmp_path)
