"""The sidecar of every predicted connectome says how far to trust what it was made from."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from kraken_bids.bids.outputs import (
    latents_path,
    prediction_archive_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.texts import parse_json, read_json
from kraken_bids.io.writing import write_json
from kraken_bids.pipeline.group import run_group
from kraken_bids.run_settings import RunSettings
from kraken_bids.settings import DataSettings, PredictionSettings, Settings

pytestmark = pytest.mark.usefixtures("no_pages")

CORR, IFOD2 = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")


@pytest.fixture
def damaged(output_dir: Path) -> Path:
    """Write one participant's functional connectome in other units."""
    path = relmat_path(output_dir, {"sub": "03"}, CORR, source=None)
    np.savetxt(path, 30 * np.loadtxt(path), "%.6g", delimiter="\t")
    return output_dir


def run(output_dir: Path, model_folder: Path, output_format: str = "tsv") -> None:
    data = DataSettings(output_dir / "raw", output_dir, atlases=("fs86",))
    prediction = PredictionSettings(
        model=str(model_folder), adaptation="none", output_format=output_format
    )
    settings = Settings(data, prediction=prediction, run=RunSettings(n_procs=1))
    assert run_group(settings) == 0


def read_trust(output_dir: Path, source: str, target: str) -> tuple[dict, dict]:
    """Read the summary beside a prediction of participant 03, and the entries of its inputs."""
    path = relmat_path(output_dir, {"sub": "03"}, parse_flavor(target), source=source)
    content = read_json(sidecar_path(path))
    details = output_dir / content["TrustDetails"].removeprefix("bids::")
    assert details == sidecar_path(latents_path(output_dir, "03", None))
    return content["Trust"], read_json(details)["Trust"]


def test_a_prediction_bears_the_worst_verdict_of_its_inputs(
    damaged: Path, model_folder: Path
) -> None:
    """From function the damaged file is named, from structure it is not."""
    run(damaged, model_folder)

    summary, entries = read_trust(damaged, "fusionFC", IFOD2.name)
    assert entries[CORR.name]["Verdict"] == summary["Inputs"] == "check"
    assert summary["Verdict"] == "not judged"
    assert CORR.name in summary["Reason"]
    assert summary["Notes"][CORR.name] == entries[CORR.name]["Note"]
    assert read_trust(damaged, "fusion", CORR.name)[0]["Inputs"] == "check"
    from_structure, _ = read_trust(damaged, "fusionSC", IFOD2.name)
    assert from_structure["Inputs"] == entries[IFOD2.name]["Verdict"]
    assert CORR.name not in from_structure.get("Notes", {})


def test_a_prediction_from_the_other_modality_is_compared_with_the_measured(
    damaged: Path, model_folder: Path
) -> None:
    """Correlation, raw and without the mean, and rank; none where it was an input."""
    run(damaged, model_folder)

    summary, _ = read_trust(damaged, "fusionSC", CORR.name)
    square = np.loadtxt(relmat_path(damaged, {"sub": "03"}, CORR, source=None))
    guess = np.loadtxt(relmat_path(damaged, {"sub": "03"}, CORR, source="fusionSC"))
    upper = np.triu_indices(86, 1)
    expected = np.corrcoef(square[upper], guess[upper])[0, 1]
    assert summary["CrossModalCorrelation"] == pytest.approx(expected, abs=1e-4)
    assert abs(summary["CrossModalCorrelationResidual"]) < 1
    assert 1 <= summary["CrossModalRank"] <= summary["CrossModalRankOf"] == 12
    assert "CrossModalCorrelation" not in read_trust(damaged, "fusionFC", CORR.name)[0]


@pytest.mark.parametrize("output_format", ["tsv", "h5"])
def test_nothing_is_written_again_by_a_second_run(
    damaged: Path, model_folder: Path, output_format: str
) -> None:
    """Sidecars, matrices and latents of participants stay as they are, to their times."""
    run(damaged, model_folder, output_format)
    before = {path: path.stat().st_mtime_ns for path in damaged.glob("sub-*/**/*.*")}

    run(damaged, model_folder, output_format)

    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_what_the_last_run_left_is_compared_byte_by_byte(
    output_dir: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No sidecar of a prediction is parsed then; one that says another number is mended."""
    run(output_dir, model_folder)
    path = relmat_path(output_dir, {"sub": "03"}, CORR, source="fusionSC")
    latents, other = (latents_path(output_dir, one, None) for one in ("04", "05"))
    parsed: list[bytes] = []

    def parse(content: bytes) -> object:
        parsed.append(content)
        return parse_json(content)

    monkeypatch.setattr("kraken_bids.cohort.sidecars.parse_json", parse)
    run(output_dir, model_folder)
    assert not parsed

    before = {file: file.read_bytes() for file in output_dir.glob("sub-*/**/*.*")}
    times = sidecar_path(path).stat()
    for sidecar in map(sidecar_path, (path, latents)):
        sidecar.write_bytes(before[sidecar].replace(b'"check"', b'"chuck"'))
        assert sidecar.read_bytes() != before[sidecar]
    os.utime(sidecar_path(path), ns=(times.st_atime_ns, times.st_mtime_ns))
    other.write_bytes(b"")
    run(output_dir, model_folder)

    assert parsed
    assert {file: file.read_bytes() for file in before} == before


def test_who_came_first_does_not_show(output_dir: Path, model_folder: Path) -> None:
    """What a participant run beside the group left gives the same bytes in the end."""
    run(output_dir, model_folder)
    sidecar = sidecar_path(latents_path(output_dir, "03", None))
    alone, content = sidecar.read_bytes(), read_json(sidecar)
    verdicts = content.pop("Verdicts")
    assert verdicts
    trust = {key: content.pop(key) for key in ("Trust", "TrustSessions", "TrustDigest")}
    write_json(sidecar, content | trust | {"TrustLevel": "participant"})

    run(output_dir, model_folder)

    assert sidecar.read_bytes() == alone


def test_an_archive_has_a_summary_for_each_of_its_matrices(
    damaged: Path, model_folder: Path
) -> None:
    """With --output-format h5, by SOURCE/FLAVOR as in the archive."""
    run(damaged, model_folder, "h5")

    path = prediction_archive_path(damaged, "03", None)
    trust = read_json(sidecar_path(path))["Trust"]
    with h5py.File(path) as file:
        names = {f"{source}/{target}" for source in file for target in file[source]}
    assert set(trust) == names
    assert trust[f"fusionFC/{IFOD2.name}"]["Inputs"] == "check"
