"""kraken-tools decode: what it refuses before anything is loaded, and a small decoding."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kraken_bids.cli.commands.decode import decode
from kraken_bids.io.writing import write_table


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--events", "."], "or --from-scratch; found neither"),
        (["--events", ".", "--model", ".", "--from-scratch"], "found both"),
        (["--labels", "x", "--model", ".", "--preset", "small"], "no --preset beside --model"),
        (["--events", "nowhere", "--from-scratch"], "nothing at nowhere"),
        (["--from-scratch"], "found neither. Give one of them"),
        (["--labels", "x", "--from-scratch", "--folds", "1"], "--folds of 2 or more"),
        (["--events", ".", "--from-scratch", "--discard", "-1"], "--discard of 0 or more"),
        (["--labels", "x", "--from-scratch", "--classes", "a", "b"], "--classes beside --events"),
        (["--labels", "x", "--from-scratch", "--windows", "hcp"], "--windows beside --events"),
    ],
)
def test_what_cannot_be_is_said_at_once(words: list[str], message: str, tmp_path: Path) -> None:
    found = CliRunner().invoke(decode, [str(tmp_path), "--output", str(tmp_path / "out"), *words])

    assert found.exit_code != 0
    assert message in found.output
    assert not (tmp_path / "out").exists()


def test_help_and_a_wrong_path_load_no_torch() -> None:
    code = (
        "import sys; from click.testing import CliRunner; "
        "from kraken_bids.cli.commands.decode import decode; "
        "r = CliRunner(); assert r.invoke(decode, ['--help']).exit_code == 0; "
        "w = r.invoke(decode, ['nowhere', '--output', 'o', '--events', '.', '--from-scratch']); "
        "assert 'nothing at nowhere' in w.output, w.output; "
        "assert not {'torch', 'nilearn', 'bids'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_small_decoding_from_the_command_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    events = {"onset": [2.0, 12.0], "duration": [6.0, 6.0], "trial_type": ["a", "b"]}
    files = []
    for person in range(4):
        files.append(str(tmp_path / f"sub-{person}_task-x_timeseries.tsv"))
        write_table(Path(files[-1]), {f"R{k}": rng.standard_normal(30) for k in range(5)})
    (tmp_path / "bids").mkdir()
    write_table(tmp_path / "bids" / "task-x_events.tsv", events)

    found = CliRunner().invoke(decode, [
        *files, "--output", str(tmp_path / "out"), "--events", str(tmp_path / "bids"),
        "--from-scratch", "--repetition-time", "1", "--steps", "2", "--folds", "2",
        "--repeats", "1", "--device", "cpu",
    ])  # fmt: skip

    assert found.exit_code == 0, found.output
    assert [line.split()[0] for line in found.output.splitlines() if "accuracy" in line] == [
        "scratch", "shuffled", "linear", "chance"
    ]  # fmt: skip
    assert (tmp_path / "out" / "model.json").is_file()
