"""What ``benchmarks/bench_faults.py`` tries by the hundred, tried a few times; it sees faults."""

import json
import random
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the modules of the benchmark."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("PYTHONPATH", str(BENCHMARKS.parent), prepend=":")
    from faults import compare, disks, kills, tally, trial, world

    return SimpleNamespace(
        compare=compare, disks=disks, kills=kills, tally=tally, trial=trial, world=world
    )


def test_killed_and_disturbed_runs_come_out_as_others(
    faults: Any, world: Any, tmp_path: Path
) -> None:
    """A run that is killed, or cannot write its files, does the same once it may."""
    small = faults.world.World(tmp_path, world.bids, world.model, ("01",), tmp_path)
    tally = faults.tally.Tally()
    scenario = faults.kills.make_scenario(
        "participant",
        lambda out: [*small.participant(out)[:4], *_options(world)],
        tmp_path / "undisturbed",
    )

    def begin() -> Any:
        return faults.trial.Trial(tmp_path / "fault", random.Random(5), tally)

    for way in ("SIGKILL all", "SIGTERM main"):
        faults.kills.kill(scenario, way, begin())
    limited = faults.disks.Fault("file size", {"limits": {"RLIMIT_FSIZE": 50_000}})
    faults.disks.disturb(limited, scenario, begin())

    assert tally.sums[0] >= 3
    assert tally.is_clean, tally.describe()


def test_the_comparison_finds_what_was_planted(faults: Any, world: Any, tmp_path: Path) -> None:
    """One digit, one file less, one more, one that is cut, one that another run has written."""
    out = tmp_path / "out"
    shutil.copytree(world.done, out)
    compare = faults.compare
    wanted = compare.read_results(out)
    assert not any(compare.list_differences(wanted, compare.read_results(out)).values())
    assert compare.list_halves(out) == []
    assert compare.list_contradictions(out) == []

    coverage = next(out.glob("sub-01/func/*_coverage.tsv"))
    coverage.write_text(coverage.read_text().replace("1\n", "0.9\n", 1))
    next(out.glob("sub-02/func/*_coverage.tsv")).unlink()
    (out / "sub-01" / "figures").mkdir(exist_ok=True)
    (out / "sub-01" / "figures" / "sub-01_old.png").write_bytes(b"half")
    sidecar = next(out.glob("sub-03/dwi/*desc-fusionkraken_relmat.json"))
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"RunDigest": "another"}))
    found = compare.list_differences(wanted, compare.read_results(out))

    assert {kind: [Path(name).parts[0] for name in names] for kind, names in found.items()} == {
        "lost": ["sub-02"],
        "left": ["sub-01"],
        "wrong": ["sub-01", "sub-03"],
    }
    assert [Path(line.partition(":")[0]).name for line in compare.list_halves(out)] == [
        "sub-01_old.png"
    ]
    (line,) = compare.list_contradictions(out)
    assert sidecar.name in line


def _options(world: Any) -> list[str]:
    flavors = ["FCcorr_fs86_hpf", "SCifod2act_fs86_volnorm"]  # measured at once
    options = ["--model", str(world.model), "--atlases", "fs86", "--flavors", *flavors]
    return [*options, "--participant-label", "01", "--omp-nthreads", "2"]
