"""``kraken-tools communities``: files that it writes, and messages."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kraken_bids.cli.tools import main
from kraken_bids.io.tables import read_columns
from kraken_bids.io.writing import write_table

pytest.importorskip("leidenalg", reason="the extra communities is not installed")


@pytest.fixture
def series(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 3
    paths = []
    for number, n_volumes in enumerate((90, 120)):
        signal = rng.standard_normal((n_volumes, 3))
        values = 1.5 * signal[:, labels] + rng.standard_normal((n_volumes, 12))
        path = tmp_path / f"sub-0{number}_task-rest_timeseries.tsv"
        write_table(path, {f"r{k}": values[:, k] for k in range(12)})
        paths.append(str(path))
    return paths


def test_communities_presence_and_baselines_are_written(tmp_path: Path, series: list[str]) -> None:
    out = tmp_path / "out"
    words = [
        "communities",
        *series,
        "--output",
        str(out),
        "--n-communities",
        "4",
        "--epochs",
        "40",
    ]
    words += ["--seeds", "2", "--n-nulls", "2", "--device", "cpu"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    labels = read_columns(out / "desc-communities_dseg.tsv")
    assert list(labels["name"]) == [f"r{k}" for k in range(12)]
    for k in range(3):
        assert len(set(labels["community"][k::3])) == 1
    shares = read_columns(out / "desc-communities_probseg.tsv")
    total = sum(shares[f"C{k}"] for k in range(1, 5))
    np.testing.assert_allclose(total, 1, atol=1e-6)
    presence = read_columns(out / "sub-01_task-rest_desc-communities_timeseries.tsv")
    assert {len(own) for own in presence.values()} == {120}
    assert all((own >= 0).all() and (own <= 1).all() for own in presence.values())
    metrics = read_columns(out / "metrics.tsv")
    assert list(metrics["method"])[:2] == ["dynamic communities", "Leiden, mean correlation"]
    assert metrics["modularity"][0] >= 0.98 * metrics["modularity"][1]
    rows = read_columns(out / "communities.tsv")
    assert rows["n_regions"].tolist() == [4, 4, 4, 0]
    assert len(read_columns(out / "history.tsv")["total"]) == 80
    assert json.loads((out / "history.json").read_text())["Stability"] == 1.0
    assert (out / "figures" / "sub-00_task-rest_presence.png").read_bytes()[:4] == b"\x89PNG"
    assert "Leiden" in result.output


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["--n-communities", "few"], "--n-communities: expected a number or auto; found 'few'", 2),
        (["--n-communities", "40"], "as regions (12); found 40", 4),
        (["--nulls", "white"], "--nulls: expected phase, shuffle; found white", 2),
        (["--gamma", "-1"], "--gamma: expected 0 to 100", 2),
        (["--timescale", "-3"], "--timescale: expected 0 to 1000", 2),
        (["--n-nulls", "-1"], "--n-nulls", 2),
    ],
)
def test_wrong_options_are_refused_by_name(
    tmp_path: Path, series: list[str], words: list[str], message: str, code: int
) -> None:
    result = CliRunner().invoke(
        main, ["communities", *series, "--output", str(tmp_path / "out"), *words]
    )
    assert result.exit_code == code, result.output
    assert message in result.output


def test_a_baseline_that_is_not_installed_is_named_before_the_search(
    tmp_path: Path, series: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "leidenalg", None)
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["communities", *series, "--output", str(out)])
    assert result.exit_code == 2
    assert "kraken-bids[communities]" in result.output
    assert not out.exists()
