"""The commands of docs/training.md run, one after the other, on people who do not exist."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kraken_bids.cli.tools import main
from kraken_bids.io.files import is_whole_png
from kraken_bids.io.tables import read_columns

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
    n_people: int, seed: int, *, n_regions: int = N_REGIONS
) -> tuple[np.ndarray, np.ndarray]:
    """Square FC and SC [n_people, n, n] that share some of what sets people apart."""
    fields, rng = np.random.default_rng(0), np.random.default_rng([1, seed])
    n_edges = n_regions * (n_regions - 1) // 2
    shared = rng.standard_normal((n_people, N_FACTORS))
    squares = []
    for low, high in ((-0.95, 0.95), (0.0, 50.0)):
        mean, loadings = fields.standard_normal(n_edges), fields.standard_normal((2, 12, n_edges))
        own = rng.standard_normal((n_people, N_FACTORS))
        edges = 0.35 + 0.2 * mean + 0.03 * (shared @ loadings[0] + own @ loadings[1])
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


def run(words: list[str]) -> str:
    assert words[0] == "kraken-tools"
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


def test_pictures_and_links_of_the_page_are_there() -> None:
    """Drawn by these commands, and small."""
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", PAGE)

    assert len(links) >= 2
    for link in links:
        assert (DOCS / link).exists(), link
        assert (DOCS / link).stat().st_size < 150_000
