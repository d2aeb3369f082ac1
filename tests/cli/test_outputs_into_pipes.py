"""Every command that writes an output leaves a pipe under its name as it is."""

import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kraken_bids.cli.tools import main


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.parametrize(
    "words",
    [
        ["demo", "{}"],
        ["convert", "model", "--output", "{}"],
        ["merge", "model", "other", "--output", "{}"],
        ["predict", "--model", "m", "--input", "x.npz", "--output", "{}"],
        [
            "predict",
            "--model",
            "m",
            "--input",
            "x.npz",
            "--save-adaptation",
            "{}",
            "--output",
            "o",
        ],
    ],
)
def test_a_pipe_is_refused_where_a_folder_or_several_files_are_written(
    pipe: Path, words: list[str]
) -> None:
    """With a message and at once: neither replaced nor waited for."""
    done = CliRunner().invoke(main, [word.format(pipe) for word in words])

    assert done.exit_code in {2, 3}, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "pipe" in done.output
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_evaluate_writes_its_table_through_a_pipe(tmp_path: Path, pipe: Path) -> None:
    """The same bytes as into a file, and nothing beside the pipe."""
    edges = np.random.default_rng(0).normal(size=(5, 3655))
    np.savez(tmp_path / "x.npz", FCcorr_fs86_hpf=edges, subjects=list("abcde"))
    words = ["evaluate", "--predicted", f"{tmp_path}/x.npz", "--observed", f"{tmp_path}/x.npz"]
    words += ["--permutations", "0", "--bootstraps", "0", "--output"]
    into_file = CliRunner().invoke(main, [*words, str(tmp_path / "table.tsv")])
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()), daemon=True)
    reader.start()

    done = CliRunner().invoke(main, [*words, str(pipe)])

    reader.join(timeout=30)
    assert into_file.exit_code == done.exit_code == 0, done.output
    assert found == [(tmp_path / "table.tsv").read_bytes()]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["pipe", "table.json", "table.tsv", "x.npz"]
