"""What the README says is so."""

import re
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.bids.outputs import relmat_path
from kraken_bids.cli.app import main
from kraken_bids.cli.commands.cluster_jobs import cluster
from kraken_bids.cli.commands.evaluate import evaluate
from kraken_bids.cli.commands.fc import fc
from kraken_bids.cli.commands.predict import predict
from kraken_bids.cli.commands.sc import sc
from kraken_bids.demo.cohort import simulate_cohort
from kraken_bids.flavors import list_flavors, parse_meas
from kraken_bids.io.writing import write_relmat
from kraken_bids.labelled import to_square
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.training import TrainingSettings, train_model

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OTHERS_OPTIONS = {
    "--output-spaces", "--level", "--rm", "--gpus", "--nv", "--help",
}  # fmt: skip
"""Options of fMRIPrep, Docker and Apptainer that the README names."""


def test_every_option_named_exists() -> None:
    """Each long option is ours, or one of the other programs it tells how to call."""
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", README))
    commands = (main, predict, evaluate, sc, fc, cluster)
    ours = {name for command in commands for option in command.params for name in option.opts}

    assert named - ours - OTHERS_OPTIONS == set()


def test_every_local_link_leads_somewhere() -> None:
    """Pictures and documents are in the repository."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_table_of_measures_is_the_code_s() -> None:
    """Each BIDS label of the table means the flavor beside it."""
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)_<atlas>_(\w+)` \|", README, re.MULTILINE)

    assert len(rows) == 5
    for meas, measure, processing in rows:
        flavor = parse_meas(meas, "fs86")
        assert (flavor.measure, flavor.processing) == (measure, processing)


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_two_commands_are_in_the_makefile(target: str) -> None:
    """``make demo`` and ``make test``."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert f"make {target}" in README
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_file_names_of_the_readme_are_those_written() -> None:
    """The measured and the predicted example are names of known flavors."""
    names = re.findall(r"_atlas-(\w+?)_meas-(\w+?)_(?:desc-\w+kraken_)?relmat\.dense\.tsv", README)

    assert len(names) >= 3
    known = {(flavor.parcellation, flavor.meas) for flavor in list_flavors(["fs86"])}
    assert set(names) <= known


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Blocks of "In Python", one after the other, beside a small likeness of ``make demo``'s."""
    write_small_demo(tmp_path / "demo-data")
    monkeypatch.chdir(tmp_path)
    section = README.split("## In Python")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict[str, object] = {}

    for block in blocks:
        exec(block, names)

    assert len(blocks) >= 2
    assert "ctx-rh-insula" in capsys.readouterr().out
    assert np.shape(names["latent"]) == (12, 4)


def write_small_demo(folder: Path) -> None:
    cohort = simulate_cohort(12, 0, parcellations=["fs86"])
    settings = TrainingSettings(transform="pca6", latent_size=4, n_epochs=0, batch_size=4)
    write_model(train_model(cohort, settings=settings), folder / "model")
    out = folder / "derivatives"
    for flavor, edges in cohort.items():
        for k, row in enumerate(edges):
            entities = {"sub": f"{k + 1:02d}"}
            write_relmat(relmat_path(out, entities, flavor, source=None), to_square(row, flavor))
    (out / "group").mkdir()
    (out / "group/latents.tsv").write_text("participant_id\tsource\tz000\nsub-01\tfusion\t0.1\n")
