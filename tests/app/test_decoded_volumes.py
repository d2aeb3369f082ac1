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
from kraken_bids.models.volumes.architecture import VolumeArchitecture
from kraken_bids.models.volumes.checkpoint import VolumeModel, write_volume_model
from kraken_bids.models.volumes.network import build_network
from tests.conftest import describe
from tests.pipeline.volumes.conftest import N_VOLUMES, SHAPE, write_run

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


def test_relevance_asked_for_later_decodes_again(tree) -> None:
    assert decode(tree, "--participant-label", "01").exit_code == 0
    outcome = decode(tree, "--participant-label", "01", "--relevance")
    assert outcome.exit_code == 0, outcome.output
    image = table_of(tree, "01").with_name(f"sub-01_{NAME}-decode_relevance.nii.gz")
    assert nibabel.load(image).shape == (*SHAPE, N_VOLUMES)


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
