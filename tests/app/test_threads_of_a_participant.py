"""``--omp-nthreads``: function, structure, spaces and runs at once, with the same numbers."""

import threading
from pathlib import Path
from typing import Any

import pytest

from kraken_bids.pipeline.measure import functional_connectomes
from kraken_bids.pipeline.measure import session as measuring

pytestmark = pytest.mark.usefixtures("without_pictures")

FLAVORS = (
    *(f"FCcorr_{atlas}_{way}" for atlas in ("fs86", "shen268") for way in ("hpf", "hpfgsr")),
    "SCifod2act_fs86_volnorm",
    "SCsdstream_fs86_volnorm",
)


def read_files(folder: Path) -> dict[str, bytes]:
    """Everything that was measured of a participant."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in (folder / "sub-01").rglob("*")
        if path.suffix in {".tsv", ".json", ".gz"} and "kraken_relmat" not in path.name
    }


def test_files_are_the_same_byte_for_byte(app: Any) -> None:
    """In two spaces, of two runs and two tractograms; the log tells of all."""
    words = ("--participant-label", "01", "--atlases", "shen268")
    assert app.participant(*words, flavors=FLAVORS).exit_code == 0
    one_by_one = read_files(app.out)
    assert (
        app.participant(*words, "--force", "--omp-nthreads", "4", flavors=FLAVORS).exit_code == 0
    )

    assert len([name for name in one_by_one if name.endswith("_relmat.dense.tsv")]) == len(FLAVORS)
    assert read_files(app.out) == one_by_one


def test_halves_spaces_and_runs_are_measured_at_once(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Structure waits for two runs of each space, and these for it: no one else would end it."""
    all_at_once = threading.Barrier(5, timeout=20)
    read, measure = functional_connectomes.read_run, measuring.measure_structural

    def read_run(*arguments: Any, **options: Any) -> Any:
        all_at_once.wait()
        return read(*arguments, **options)

    def measure_structural(task: Any) -> None:
        all_at_once.wait()
        measure(task)

    monkeypatch.setattr(functional_connectomes, "read_run", read_run)
    monkeypatch.setattr(measuring, "measure_structural", measure_structural)
    words = ("--participant-label", "01", "--atlases", "shen268", "--omp-nthreads", "5")
    outcome = app.participant(*words, flavors=FLAVORS)

    assert outcome.exit_code == 0, outcome.output


@pytest.mark.parametrize("half", ["function", "structure"])
def test_one_half_survives_the_other(app: Any, half: str) -> None:
    """As with one thread: what fails is named, and the other half is measured."""
    app.copy_bids("01")
    path = app.bold("01") if half == "function" else app.dwi("01", "streamlines.tck.gz")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    outcome = app.participant("--omp-nthreads", "3")

    assert outcome.exit_code == 3
    assert outcome.says(path.name, "cut")
    assert "sub-01" in app.failures()
    measured = {name.split("meas-")[1][:2] for name in app.measured("01")}
    assert measured == {"SC" if half == "function" else "FC"}
