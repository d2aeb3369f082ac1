"""A run of the group level with nothing left to write opens each file about once."""

from collections import Counter
from pathlib import Path

import pytest

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort import sidecars as read_sidecars
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.io import texts
from kraken_bids.io.writing import write_json
from kraken_bids.pipeline import levels
from kraken_bids.pipeline.group import run_group
from kraken_bids.settings import DataSettings, PredictionSettings, Settings

pytestmark = pytest.mark.usefixtures("no_figures")


def test_sidecars_are_opened_once_where_nothing_changed(
    output_dir: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of latents are digested, and changed or shown on the page; no other is read twice."""
    for member in list_members(output_dir):
        for path in member.connectomes.values():
            write_json(sidecar_path(path), {"MeanFD": 0.1})
    settings = Settings(
        DataSettings(output_dir / "raw", output_dir, atlases=("fs86",)),
        prediction=PredictionSettings(model=str(model_folder)),
    )
    # pages that nothing changed for are not read; those of the first run would be
    monkeypatch.setattr(levels, "draw_subjects", lambda *_: [])
    assert run_group(settings) == 0
    opened: Counter[str] = Counter()
    read = texts.read_bytes

    def count(path: Path, *, at_most: int | None = None) -> bytes:
        opened[Path(path).name] += 1
        return read(path, at_most=at_most)

    for reader in (texts, read_sidecars):
        monkeypatch.setattr(reader, "read_bytes", count)

    assert run_group(settings) == 0

    # the methods section reads one session of those that were measured alike
    others = {name: n for name, n in opened.items() if not name.startswith("sub-01_")}
    predicted = {name: n for name, n in others.items() if name.endswith("kraken_relmat.json")}
    measured = {
        name: n
        for name, n in others.items()
        if name.endswith("relmat.json") and name not in predicted
    }
    latents = {name: n for name, n in others.items() if name.endswith("latents.json")}
    assert set(predicted.values()) == set(measured.values()) == {1}
    assert set(latents.values()) == {2}


def test_predictions_that_are_written_anew_are_judged_anew(
    output_dir: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One damaged file lets its whole session be written again, at first without verdicts."""
    settings = Settings(
        DataSettings(output_dir / "raw", output_dir, atlases=("fs86",)),
        prediction=PredictionSettings(model=str(model_folder)),
    )
    monkeypatch.setattr(levels, "draw_subjects", lambda *_: [])
    assert run_group(settings) == 0
    sidecars = sorted((output_dir / "sub-03").rglob("*kraken_relmat.json"))
    before = [path.read_bytes() for path in sidecars]
    last = sorted((output_dir / "sub-03").rglob("*kraken_relmat.dense.tsv"))[-1]
    last.write_bytes(last.read_bytes()[:-10])

    assert run_group(settings) == 0

    assert [path.read_bytes() for path in sidecars] == before
    assert all(b'"Trust"' in content for content in before)
