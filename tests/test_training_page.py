"""The commands of docs/training.md run, one after the other, on people who do not exist."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kraken_bids.cli.tools import main
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.png import is_whole_png
from kraken_bids.io.tables import read_columns
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.training import TrainingSettings, train_model

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "training.md").read_text(encoding="utf-8")
N_REGIONS, N_FACTORS = 40, 12


def list_commands(story: str) -> list[list[str]]:
    """Words of every command of a story, in its order."""
    section = PAGE.split(f"\n## {story}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def simulate(
    n_people: int, seed: int, *, n_regions: int = N_REGIONS, turn: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Square FC and SC [n_people, n, n] that share some of what sets people apart.

    ``turn`` is the angle by which what is shared means something else in SC, as an illness may.
    """
    fields, rng = np.random.default_rng(0), np.random.default_rng([1, seed])
    n_edges = n_regions * (n_regions - 1) // 2
    shared = rng.standard_normal((n_people, N_FACTORS))
    half = N_FACTORS // 2
    turned = np.kron([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], np.eye(half))
    squares = []
    for low, high, common in ((-0.95, 0.95, shared), (0.0, 50.0, shared @ turned)):
        mean, loadings = fields.standard_normal(n_edges), fields.standard_normal((2, 12, n_edges))
        own = rng.standard_normal((n_people, N_FACTORS))
        edges = 0.35 + 0.2 * mean + 0.03 * (common @ loadings[0] + own @ loadings[1])
        edges += 0.15 * rng.standard_normal(edges.shape)
        square = np.zeros((n_people, n_regions, n_regions))
        rows, columns = np.triu_indices(n_regions, 1)
        square[:, rows, columns] = square[:, columns, rows] = np.clip(edges, low, high)
        squares.append(square)
    return squares[0], squares[1]


def write_cohort(folder: Path) -> None:
    for prefix, n_people, seed in (("", 160, 0), ("new_", 30, 1)):
        names = np.array([f"{100 * seed + k + 1:03d}" for k in range(n_people)])
        for kind, square in zip(("FC", "SC"), simulate(n_people, seed), strict=True):
            np.savez(folder / f"{prefix}{kind}.npz", subjects=names, data=square)
    rows = "".join(f"sub-{k + 1:03d}\tfamily{k // 2}\n" for k in range(160))
    (folder / "participants.tsv").write_text(f"participant_id\tfamily\n{rows}")
    regions = "".join(f"{k + 1}\tregion{k + 1:02d}\n" for k in range(N_REGIONS))
    (folder / "mine40.tsv").write_text(f"index\tname\n{regions}")


def write_fs86(folder: Path) -> None:
    """Write the same people in the published model's atlas, and patients of another scanner."""
    for prefix, n_people, seed in (("fs86_", 160, 0), ("new_fs86_", 30, 1), ("patients_", 60, 2)):
        names = np.array([f"{100 * seed + k + 1:03d}" for k in range(n_people)])
        is_ill = prefix == "patients_"
        squares = simulate(n_people, seed, n_regions=86, turn=1.2 * is_ill)
        for kind, square in zip(("FC", "SC"), squares, strict=True):
            shifted = 0.8 * square + 0.05 if is_ill else square
            np.savez(folder / f"{prefix}{kind}.npz", subjects=names, data=shifted)


def write_published(folder: Path) -> None:
    """Write what stands for the published model: trained on other people, in its atlas."""
    rows, columns = np.triu_indices(86, 1)
    squares = simulate(120, 3, n_regions=86)
    flavors = map(parse_flavor, ("FCcorr_fs86_hpf", "SCifod2act_fs86_volnorm"))
    edges = {f: square[:, rows, columns] for f, square in zip(flavors, squares, strict=True)}
    settings = TrainingSettings(
        transform="pca30", latent_size=24, batch_size=40, dropout=0.2, n_epochs=300, device="cpu"
    )
    write_model(train_model(edges, settings=settings), folder)


def run(words: list[str]) -> str:
    """Run a command; the published model is the one that stands for it here."""
    assert words[0] == "kraken-tools"
    words = ["published" if word == "pretrained" else word for word in words]
    done = CliRunner().invoke(main, words[1:])
    assert done.exit_code == 0, f"{words}\n{done.output}"
    return done.output


def test_a_model_from_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells new people apart across modalities, and its peer is judged on the same people."""
    write_cohort(tmp_path)
    monkeypatch.chdir(tmp_path)

    said = [run(words) for words in list_commands("From scratch on your atlas")]

    scores = read_columns(tmp_path / "scores.tsv")
    rank = scores["value"][(scores["metric"] == "avgrank") & (scores["source"] == "fusionSC")]
    assert rank.item() > 0.8
    assert "mine40: 40 regions by name" in said[1]
    assert "by pls" in "".join(said)
    assert is_whole_png(tmp_path / "my-model/curves.png")


def test_a_new_flavor_onto_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The merged model predicts it from flavors that it never met in training."""
    write_cohort(tmp_path)
    write_fs86(tmp_path)
    write_published(tmp_path / "published")
    monkeypatch.chdir(tmp_path)

    for words in list_commands("A new flavor onto the published model"):
        run(words)

    scores = read_columns(tmp_path / "scores.tsv")
    rank = scores["value"][(scores["metric"] == "avgrank") & (scores["source"] == "fusionSC")]
    assert rank.item() > 0.7


def test_a_clinical_cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their structure means something else to function: a map of latents is found to help."""
    write_fs86(tmp_path)
    write_published(tmp_path / "published")
    monkeypatch.chdir(tmp_path)

    said = [run(words) for words in list_commands("A clinical cohort")]

    assert "Taken: latent map" in said[0]
    assert is_whole_png(tmp_path / "at-home/finetune.png")
    assert (tmp_path / "patients.npz").is_file()


def test_pictures_and_links_of_the_page_are_there() -> None:
    """Drawn by these commands, and small."""
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", PAGE)

    assert len(links) >= 2
    for link in links:
        assert (DOCS / link).exists(), link
        assert (DOCS / link).stat().st_size < 150_000
