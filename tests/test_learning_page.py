"""The commands of docs/series.md run, one after the other, on people who do not exist."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kraken_bids.cli.tools import main
from kraken_bids.io.records import from_columns
from kraken_bids.io.tables import read_columns
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.models.series.peers import ALL_SUBJECTS, MEAN, NETWORK, PeerLoss

PAGE = (Path(__file__).resolve().parents[1] / "docs/series.md").read_text(encoding="utf-8")
N_REGIONS, N_VOLUMES, LENGTH = 8, 160, 20
STATES = ("left", "right")


def list_commands() -> list[list[str]]:
    """Words of every command of the page, in its order."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    return [shlex.split(line) for line in "\n".join(blocks).splitlines() if line.strip()]


def write_people(folder: Path, n_people: int = 6) -> None:
    """Write series that turn slowly through a few patterns, and another one in each state."""
    patterns = np.random.default_rng(0).standard_normal((2 + len(STATES), N_REGIONS))
    for k in range(n_people):
        rng = np.random.default_rng([1, k])
        states = rng.permutation(np.repeat([0, 1], N_VOLUMES // LENGTH // 2))
        phase = 2 * np.pi * np.arange(N_VOLUMES) / 12 + rng.uniform(0, 6)
        values = np.cos(phase)[:, None] * patterns[0] + np.sin(phase)[:, None] * patterns[1]
        values += patterns[2:][np.repeat(states, LENGTH)]
        values += 0.3 * rng.standard_normal(values.shape)
        start = f"sub-{k + 1:02d}_task-motor"
        func = folder / "out" / f"sub-{k + 1:02d}" / "func"
        path = func / f"{start}_space-T1w_atlas-mine8_desc-hpf_timeseries.tsv"
        write_table(path, {f"region{r}": values[:, r] for r in range(N_REGIONS)})
        write_json(path.with_suffix(".json"), {"RepetitionTime": 1.0})
        onsets = LENGTH * np.arange(len(states), dtype=float)
        events = folder / "raw" / f"sub-{k + 1:02d}" / "func" / f"{start}_events.tsv"
        write_table(events, {
            "onset": onsets, "duration": np.full(len(states), float(LENGTH)),
            "trial_type": [STATES[one] for one in states],
        })  # fmt: skip
    write_json(
        folder / "raw/dataset_description.json", {"Name": "Nobody", "BIDSVersion": "1.10.0"}
    )


def run(words: list[str]) -> str:
    assert words[0] == "kraken-tools"
    done = CliRunner().invoke(main, words[1:])
    assert done.exit_code == 0, f"{words}\n{done.output}"
    return done.output


def test_the_three_stories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network beats the mean, states are decoded, every run has a vector."""
    write_people(tmp_path)
    monkeypatch.chdir(tmp_path)

    for words in list_commands():
        run(words)

    rows = from_columns(PeerLoss, read_columns(tmp_path / "pretrained/peers.tsv"))
    losses = {row.predictor: row.loss for row in rows if row.subject == ALL_SUBJECTS}
    assert losses[NETWORK] < losses[MEAN]
    page = (tmp_path / "pretrained/report.html").read_text(encoding="utf-8")
    assert "the best of its peers" in page or "loses to" in page
    scores = read_columns(tmp_path / "decoded/scores.tsv")
    own = (scores["method"] == "pretrained") & (scores["repeat"] == "all")
    assert scores["balanced_accuracy"][own].item() > 0.7
    assert len(next(iter(read_columns(tmp_path / "vectors.tsv").values()))) == 6
