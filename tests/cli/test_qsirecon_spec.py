"""``kraken-tools qsirecon-spec`` writes what QSIRecon reads, and its files are found later."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from kraken_bids.bids.datasets import find_datasets
from kraken_bids.bids.inputs import find_session_inputs
from kraken_bids.cli.tools import main
from kraken_bids.parcellations import load_parcellation

TRAINED = "-cutoff 0.060000 -maxlength 300.000000"
"""Of both calls of tckgen."""
OF_QSIRECON = {"select": "-select 5000000", "downsample": "-downsample 3", "quiet": "-quiet"}
"""Keys that QSIRecon adds to nipype's."""


def write_spec(path: Path, *words: str) -> dict:
    result = CliRunner().invoke(main, ["qsirecon-spec", str(path), *words])
    assert result.exit_code == 0, result.output
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which the extra cluster brings")
    return yaml.safe_load(path.read_text())


def list_nodes(spec: dict, action: str) -> list[dict]:
    return [node for node in spec["nodes"] if node["action"] == action]


@pytest.mark.parametrize("words", [(), ("--single-shell",)])
def test_tckgen_is_called_as_for_training(tmp_path: Path, words: tuple[str, ...]) -> None:
    """The keys are nipype's, which makes of them the words of the published calls."""
    tracking = list_nodes(write_spec(tmp_path / "spec.yaml", *words), "tractography")
    assert [node["parameters"]["use_5tt"] for node in tracking] == [True, False]
    mrtrix3 = pytest.importorskip("nipype.interfaces.mrtrix3")
    for node, algorithm in zip(tracking, ("iFOD2", "SD_Stream"), strict=True):
        parameters = node["parameters"]["tckgen"]
        own = {key: parameters[key] for key in parameters if key not in OF_QSIRECON}
        fod = tmp_path / "fod.mif"
        fod.touch()
        tckgen = mrtrix3.Tractography(in_file=str(fod), seed_dynamic=str(fod), **own)
        line = tckgen.cmdline
        assert line.startswith(f"tckgen -algorithm {algorithm} {TRAINED}")
        assert "-seed_dynamic" in line
        assert type(parameters["select"]) is int
        assert parameters["select"] == 5_000_000
        assert parameters.get("downsample") == (3 if algorithm == "SD_Stream" else None)


def test_every_node_is_one_that_qsirecon_builds(tmp_path: Path) -> None:
    """Names are unique, inputs come before, software and actions are spelled as QSIRecon's."""
    known = {("MRTrix3", "csd"), ("MRTrix3", "tractography"), ("qsirecon", "select_gradients")}
    specs = [
        write_spec(tmp_path / "multi.yaml"),
        write_spec(tmp_path / "single.yml", "--single-shell"),
    ]
    for spec in specs:
        before = {"qsirecon"}
        for node in spec["nodes"]:
            assert (node["software"], node["action"]) in known
            assert node["input"] in before
            assert node["name"] not in before
            before.add(node["name"])
        assert spec["anatomical"] == ["mrtrix_5tt_hsvs"]
    tracks = [
        [{**node, "input": ""} for node in list_nodes(spec, "tractography")] for spec in specs
    ]
    assert tracks[0] == tracks[1]


def test_what_it_makes_is_found(raw: Path, tree: SimpleNamespace, tmp_path: Path) -> None:
    """Both tractograms, each with its own SIFT2 weights, which QSIRecon gives the same name."""
    suffixes = [
        node["qsirecon_suffix"]
        for node in list_nodes(write_spec(tmp_path / "spec.yaml"), "tractography")
    ]
    assert len(set(suffixes)) == 2
    root = raw / "derivatives/qsirecon"
    tree.describe(root, "QSIRecon", "26.0.0")
    tree.touch(root / "sub-01/anat", "sub-01_from-anat_to-ACPC_mode-image_xfm.txt")
    for suffix, algorithm in zip(suffixes, ("ifod2", "sdstream"), strict=True):
        folder = root / f"derivatives/qsirecon-{suffix}"
        tree.describe(folder, "QSIRecon", "26.0.0")
        tree.touch(
            folder / "sub-01/dwi",
            f"sub-01_space-ACPC_model-{algorithm}_streamlines.tck.gz",
            "sub-01_space-ACPC_model-sift2_streamlineweights.csv",
            "sub-01_space-ACPC_model-sift2_mu.txt",
        )
    (session,) = find_session_inputs(
        find_datasets(raw, {}), "01", parcellations=[load_parcellation("fs86")]
    )
    assert not session.problems
    found = {one.algorithm: one for one in session.tractographies}
    assert set(found) == {"ifod2", "sdstream"}
    for one in found.values():
        assert one.weights is not None
        assert one.mu is not None
        assert one.weights.parent == one.mu.parent == one.tracks.parent


def test_a_json_path_is_refused(tmp_path: Path) -> None:
    """QSIRecon tells the format by the ending."""
    result = CliRunner().invoke(main, ["qsirecon-spec", str(tmp_path / "spec.json")])
    assert result.exit_code == 2
    assert "expected a path that ends in .yaml" in result.output
