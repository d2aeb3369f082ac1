"""``participant --analysis decode-volumes``: whole volumes of a dataset decoded."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from kraken_bids.cli.app import main
from kraken_bids.connectome.functional.confounds import MOTION
from kraken_bids.io.writing import write_table
from kraken_bids.models.volumes.architecture import VolumeArchitecture
from kraken_bids.models.volumes.checkpoint import VolumeModel, write_volume_model
from kraken_bids.models.volumes.network import build_network
from kraken_bids.pipeline.run_status import read_status
from kraken_bids.pipeline.verified_outputs import verify_outputs
from kraken_bids.pipeline.volumes import relevance_images
from kraken_bids.pipeline.volumes.cleaned_volumes import AFFINE
from tests.conftest import describe
from tests.pipeline.volumes.conftest import N_VOLUMES, SHAPE, TR, write_run

NAME = "task-motor_space-MNI152NLin6Asym_res-2_desc"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Write two people's runs, and a decoder of the small grid."""
    bids, prep = tmp_path / "bids", tmp_path / "bids/derivatives/fmriprep"
    describe(prep, "fMRIPrep", "24.1.0")
    bids.joinpath("dataset_description.json").write_text(
        json.dumps({"Name": "raw", "BIDSVersion": "1.10.0"})
    )
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:-2, 2:-2, 2:-2] = 1
    for subject in ("01", "02"):
        rng = np.random.default_rng(int(subject))
        values = rng.normal(1000, 30, (*SHAPE, N_VOLUMES))
        folder = prep / f"sub-{subject}/func"
        (bids / f"sub-{subject}").mkdir()
        for path in write_run(folder, values, mask):
            path.rename(folder / path.name.replace("sub-01", f"sub-{subject}"))
    torch.manual_seed(0)
    shape = VolumeArchitecture("3d", ("left", "right"), SHAPE, (3, 4), (1, 2))
    write_volume_model(VolumeModel(build_network(shape).eval()), tmp_path / "decoder")
    return tmp_path


def run(tree: Path, *words: str):
    arguments = [str(tree / "bids"), str(tree / "out"), "participant", "--n-procs", "1", *words]
    return CliRunner().invoke(main, arguments)


def decode(tree: Path, *words: str):
    decoder = str(tree / "decoder")
    return run(tree, "--analysis", "decode-volumes", "--decoder", decoder, *words)


def table_of(tree: Path, subject: str) -> Path:
    folder = tree / f"out/sub-{subject}/func"
    return folder / f"sub-{subject}_{NAME}-decode_probabilities.tsv"


def test_runs_of_everyone_are_decoded_and_no_connectome_is_asked_for(tree) -> None:
    outcome = decode(tree)
    assert outcome.exit_code == 0, outcome.output
    for subject in ("01", "02"):
        table = pd.read_csv(table_of(tree, subject), sep="\t")
        np.testing.assert_allclose(table[["p_left", "p_right"]].sum(axis=1), 1)
        assert len(table) == N_VOLUMES
    first = table_of(tree, "01").stat().st_mtime_ns
    again = decode(tree)
    assert again.exit_code == 0
    assert "decoded already" in again.output
    assert table_of(tree, "01").stat().st_mtime_ns == first


def test_of_decoded_volumes_alone_nothing_lacks(tree) -> None:
    """Neither connectomes nor a model are missed, and the group level says why it does nothing."""
    out = tree / "out"
    assert decode(tree).exit_code == 0
    assert read_status(out).is_done
    assert "2 done; group level: n/a" in next(read_status(out).describe())
    found = verify_outputs(out)
    assert found.is_sound
    assert [note.partition(" were")[0] for note in found.notes] == ["decoded volumes"]
    group = CliRunner().invoke(main, [str(tree / "bids"), str(out), "group"])
    assert group.exit_code == 3
    assert "decoded volumes alone, which have no group level" in " ".join(group.output.split())
    table_of(tree, "02").write_text("cut")
    lacking = next(one for one in read_status(out).sessions if one.state != "done")
    assert (lacking.label, lacking.state) == ("sub-02", "missing")
    assert lacking.why.startswith("1 of 1 runs are not decoded")
    again = decode(tree, "--participant-label", "02")
    assert "decoded already" not in again.output
    assert read_status(out).is_done


def test_relevance_asked_for_later_decodes_again(tree) -> None:
    assert decode(tree, "--participant-label", "01").exit_code == 0
    outcome = decode(tree, "--participant-label", "01", "--relevance")
    assert outcome.exit_code == 0, outcome.output
    image = table_of(tree, "01").with_name(f"sub-01_{NAME}-decode_relevance.nii.gz")
    assert nibabel.load(image).shape == (*SHAPE, N_VOLUMES)


def test_relevance_has_a_section_and_stays_where_it_is_not_asked_for_again(tree) -> None:
    """Of participants without connectomes too; the page is drawn of files alone."""
    labels = np.zeros(SHAPE, np.int16)
    labels[2:6], labels[6:10] = 1, 2
    image = tree / "tpl-MNI152NLin6Asym_atlas-halves_dseg.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), image)
    words = ("--participant-label", "01", "--atlas", f"halves={image}")
    outcome = decode(tree, *words, "--relevance")
    assert outcome.exit_code == 0, outcome.output
    stem = table_of(tree, "01").name.partition("_desc-")[0]
    sums = table_of(tree, "01").with_name(f"{stem}_atlas-halves_desc-decode_relevance.tsv")
    assert list(pd.read_csv(sums, sep="\t")["region"]) == ["halves_1", "halves_2"]
    page = tree / "out" / "sub-01.html"
    assert "Relevance in regions of halves" in page.read_text()
    assert "arrived at the voxels" in page.read_text()
    again = decode(tree, *words)
    assert "decoded already" in again.output
    assert sums.is_file()
    page.unlink()
    assert decode(tree, *words, "--reports-only").exit_code == 0
    assert "Relevance in regions of halves" in page.read_text()


def test_relevance_of_another_decoder_does_not_stay(tree) -> None:
    """Maps of states that the decoder of the probabilities does not know would mislead."""
    words = ("--participant-label", "01", "--relevance")
    assert decode(tree, *words).exit_code == 0
    func = table_of(tree, "01").parent
    (
        func / "sub-01_task-motor_run-2_space-MNI152NLin6Asym_res-2_desc-decode_relevance.json"
    ).touch()
    assert list(func.glob("*_label-*"))
    torch.manual_seed(0)
    shape = VolumeArchitecture("3d", ("up", "down"), SHAPE, (3, 4), (1, 2))
    write_volume_model(VolumeModel(build_network(shape).eval()), tree / "decoder")
    outcome = decode(tree, "--participant-label", "01")
    assert outcome.exit_code == 0
    assert "relevance of the decoding before is removed" in " ".join(outcome.output.split())
    assert [path.name for path in func.glob("*_relevance.*")] == [
        "sub-01_task-motor_run-2_space-MNI152NLin6Asym_res-2_desc-decode_relevance.json"
    ]
    assert set(pd.read_csv(table_of(tree, "01"), sep="\t")["state"]) <= {"up", "down"}


def test_a_run_stopped_in_the_middle_is_begun_anew(tree, monkeypatch) -> None:
    """Whatever it had written: the sidecar of its probabilities comes last."""
    explain, explained = relevance_images.explain_volume, []

    def stop_at_the_tenth(*given, **how):
        explained.append(given)
        if len(explained) == 10:
            raise KeyboardInterrupt
        return explain(*given, **how)

    words = ("--participant-label", "01", "--relevance")
    monkeypatch.setattr(relevance_images, "explain_volume", stop_at_the_tenth)
    assert decode(tree, *words).exit_code != 0
    func = table_of(tree, "01").parent
    assert not list(func.glob("*.json"))
    assert not list(func.glob("*.nii.gz"))
    outcome = decode(tree, *words)
    assert outcome.exit_code == 0, outcome.output
    assert len(explained) == 10 + N_VOLUMES
    assert table_of(tree, "01").with_suffix(".json").is_file()
    assert not [path for path in func.iterdir() if path.name.startswith(".")]


def test_a_file_that_is_cut_is_told_with_its_whole_volumes(tree) -> None:
    func = tree / "bids/derivatives/fmriprep/sub-01/func"
    (path,) = func.glob("*_bold.nii.gz")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    outcome = decode(tree)
    assert outcome.exit_code == 1
    failures = pd.read_csv(tree / "out/logs/failures.tsv", sep="\t")
    assert f"expected {N_VOLUMES} volumes in" in failures["message"][0]
    assert "cut or damaged" in failures["message"][0]
    assert list((tree / "out/sub-01").rglob("*.tsv")) == []
    assert table_of(tree, "02").is_file()


def test_cleaning_by_confounds_is_of_the_dataset(tree) -> None:
    """Without their table a run fails; with it what is decoded already is decoded anew."""
    assert decode(tree, "--participant-label", "01").exit_code == 0
    words = ("--participant-label", "01", "--cleaning", "24p")
    outcome = decode(tree, *words)
    assert outcome.exit_code == 3
    assert "--cleaning deeplight, which needs none" in " ".join(outcome.output.split())
    func = tree / "bids/derivatives/fmriprep/sub-01/func"
    rng = np.random.default_rng(0)
    write_table(
        func / "sub-01_task-motor_desc-confounds_timeseries.tsv",
        {name: rng.normal(0, 0.01, N_VOLUMES) for name in MOTION},
    )
    outcome = decode(tree, *words)
    assert outcome.exit_code == 0, outcome.output
    assert "decoded already" not in outcome.output
    told = json.loads(table_of(tree, "01").with_suffix(".json").read_text())
    assert told["Cleaning"] == "24p"
    assert "trans_x_derivative1_power2" in told["Regressors"]


def test_a_repetition_time_that_was_mended_decodes_again(tree) -> None:
    """What was filtered at another rate must not stay for that of the run."""
    assert decode(tree, "--participant-label", "01").exit_code == 0
    assert pd.read_csv(table_of(tree, "01"), sep="\t")["onset"][1] == TR
    (bold,) = (tree / "bids/derivatives/fmriprep/sub-01/func").glob("*_bold.nii.gz")
    sidecar = bold.with_name(bold.name.replace(".nii.gz", ".json"))
    sidecar.write_text(json.dumps({"RepetitionTime": 1.25}))
    outcome = decode(tree, "--participant-label", "01")
    assert outcome.exit_code == 0, outcome.output
    assert pd.read_csv(table_of(tree, "01"), sep="\t")["onset"][1] == 1.25


def test_a_dry_run_names_what_would_be_decoded(tree) -> None:
    func = tree / "bids/derivatives/fmriprep/sub-02/func"
    (func / f"sub-02_{NAME}-brain_mask.nii.gz").unlink()
    outcome = decode(tree, "--dry-run")
    assert outcome.exit_code == 1
    assert "would decode" in outcome.output
    assert "expected the brain mask" in " ".join(outcome.output.split())
    assert "tractograms" not in outcome.output
    assert not (tree / "out").exists()


def test_one_participant_fails_alone(tree) -> None:
    func = tree / "bids/derivatives/fmriprep/sub-01/func"
    (func / f"sub-01_{NAME}-brain_mask.nii.gz").unlink()
    outcome = decode(tree)
    assert outcome.exit_code == 1
    assert table_of(tree, "02").is_file()
    failures = pd.read_csv(tree / "out/logs/failures.tsv", sep="\t")
    assert list(failures["participant_id"]) == ["sub-01"]
    assert list(failures["stage"]) == ["volumes"]
    assert "expected the brain mask" in failures["message"][0]


def test_another_template_is_refused_with_the_flag_to_use(tree) -> None:
    func = tree / "bids/derivatives/fmriprep/sub-02/func"
    for path in list(func.iterdir()):
        path.rename(func / path.name.replace("MNI152NLin6Asym_res-2", "MNI152NLin2009cAsym"))
    outcome = decode(tree, "--participant-label", "02")
    assert outcome.exit_code == 3
    assert "--output-spaces MNI152NLin6Asym:res-2" in outcome.output


def test_a_decoder_is_needed_and_must_be_one(tree) -> None:
    outcome = run(tree, "--analysis", "decode-volumes")
    assert outcome.exit_code == 2
    assert "expected --decoder PATH" in outcome.output
    outcome = run(tree, "--analysis", "decode-volumes", "--decoder", str(tree / "bids"))
    assert outcome.exit_code == 5
    assert "kraken-tools train-volumes wrote" in outcome.output
    assert not (tree / "out").exists()


def test_an_atlas_that_cannot_be_read_ends_a_run_that_is_not_called_done(tree) -> None:
    image = tree / "tpl-MNI152NLin6Asym_atlas-halves_dseg.nii.gz"
    image.write_text("no image")
    outcome = decode(tree, "--relevance", "--atlas", f"halves={image}")
    assert outcome.exit_code == 3
    assert str(image) in outcome.output.replace("\n", "")
    assert "participant(s) done" not in outcome.output


def test_a_run_of_two_datasets_is_decoded_once_and_that_is_said(tree) -> None:
    """Both would bear one name in the outputs: the first dataset's is taken."""
    prep = tree / "bids/derivatives"
    shutil.copytree(prep / "fmriprep", prep / "zprep")
    outcome = decode(tree, "--participant-label", "01")
    assert outcome.exit_code == 0, outcome.output
    assert "are left aside, since those of" in " ".join(outcome.output.split())
    told = json.loads(table_of(tree, "01").with_suffix(".json").read_text())
    assert "/fmriprep/" in told["Sources"][0]


def test_of_two_resolutions_the_one_of_two_millimetres_is_decoded(tree) -> None:
    func = tree / "bids/derivatives/fmriprep/sub-01/func"
    for path in list(func.iterdir()):
        shutil.copy(path, func / path.name.replace("res-2", "res-1"))
    assert decode(tree, "--participant-label", "01").exit_code == 0
    tables = [path.name for path in table_of(tree, "01").parent.glob("*.tsv")]
    assert tables == [f"sub-01_{NAME}-decode_probabilities.tsv"]
