"""Numbers of a small synthetic dataset are those of the last release, or a change was meant.

``python scripts/write_reference_numbers.py`` writes them anew, and CHANGELOG.md says why.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.connectome.matrices import square_to_edges
from kraken_bids.io.tables import read_columns, read_relmat

FOLDER = Path(__file__).parents[1] / "reference_numbers"
WRITE = "KRAKEN_BIDS_WRITE_REFERENCE_NUMBERS"
"""Set by the script that writes the numbers anew."""
TOLERANCE = 1e-6
"""Of the root mean square of a file, for measured connectomes."""
LOOSE_TOLERANCE = 1e-5
"""For cleaned series, and for what a network gives that is trained in the fixture: on a CPU of
another family they differ by 1e-6 and 2e-6."""
LOOSE = ("_timeseries.tsv", "kraken_", "group/")
N_VALUES = 7
"""Values of a file that are kept, evenly spread."""
Summary = dict[str, Any]


def summarize(values: NDArray[Any]) -> Summary:
    """Count finite values; give their mean, root mean square, and some of them."""
    flat = np.asarray(values, np.float64).reshape(-1)
    known = flat[np.isfinite(flat)]
    places = np.linspace(0, len(known) - 1, N_VALUES).round().astype(int)
    rms = float(np.sqrt((known**2).mean()))
    return {
        "n": len(known),
        "mean": float(known.mean()),
        "rms": rms,
        "values": [float(value) for value in known[places]],
    }


def list_numbers(out: Path) -> Iterator[tuple[str, Summary]]:
    """List what is summarized: connectomes, series and latents of one participant, two tables."""
    for path in sorted((out / "sub-01").rglob("*.tsv")):
        name = path.relative_to(out).as_posix()
        if path.name.endswith("_relmat.dense.tsv"):
            yield name, summarize(square_to_edges(read_relmat(path)))
        elif path.name.endswith(("_timeseries.tsv", "_latents.tsv", "_coverage.tsv")):
            columns = read_columns(path).values()
            yield name, summarize(np.stack([c for c in columns if c.dtype.kind == "f"]))
    fits = json.loads((out / "group" / "adaptation.json").read_text())["Flavors"]
    lines = [[one["b0"], one["b1"], one["R2"]] for _, one in sorted(fits.items())]
    yield "group/adaptation.json", summarize(np.array(lines))
    metrics = read_columns(out / "group" / "metrics.tsv")
    is_plain = np.isin(metrics["metric"], ["avgcorr", "avgcorr_resid"])
    yield "group/metrics.tsv", summarize(metrics["value"][is_plain])


def is_same(found: Summary, kept: Summary, tolerance: float) -> bool:
    """Whether two summaries are of the same numbers."""
    first, second = (np.array([one["mean"], one["rms"], *one["values"]]) for one in (found, kept))
    is_near = np.abs(first - second) <= tolerance * max(kept["rms"], 1e-12)
    return bool(found["n"] == kept["n"] and is_near.all())


@pytest.fixture(scope="module")
def numbers(finished: Path) -> dict[str, Summary]:
    """Summaries of a finished run of both levels; written where the script asks for it."""
    found = dict(list_numbers(finished))
    if os.environ.get(WRITE):
        rounded = {
            name: {key: _round(value) for key, value in one.items()} for name, one in found.items()
        }
        lines = ",\n".join(f'"{name}": {json.dumps(one)}' for name, one in rounded.items())
        (FOLDER / f"{__version__}.json").write_text(f"{{\n{lines}\n}}\n")
    return found


def _round(value: Any) -> Any:
    if isinstance(value, list):
        return [_round(one) for one in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


@pytest.fixture(scope="module")
def kept(numbers: dict[str, Summary]) -> dict[str, Summary]:
    """Numbers of this version, or of the last release."""
    assert numbers
    files = sorted(FOLDER.glob("*.json"), key=lambda path: _order(path.stem))
    own = FOLDER / f"{__version__}.json"
    found: dict[str, Summary] = json.loads((own if own in files else files[-1]).read_text())
    return found


def _order(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdecimal()]


def test_numbers_are_those_of_the_last_release(
    numbers: dict[str, Summary], kept: dict[str, Summary]
) -> None:
    """File by file; a change that is meant is written with the script, and CHANGELOG says why."""
    differing = [
        name
        for name in kept
        if name not in numbers
        or not is_same(
            numbers[name],
            kept[name],
            LOOSE_TOLERANCE if any(part in name for part in LOOSE) else TOLERANCE,
        )
    ]
    assert not differing, "python scripts/write_reference_numbers.py, and a line in CHANGELOG.md"


def test_every_kind_of_file_is_among_them(kept: dict[str, Summary]) -> None:
    """Series, what is measured of function and structure, latents, predictions, group."""
    for ending in (
        "_timeseries.tsv",
        "_meas-FCcorrHPF_relmat.dense.tsv",
        "_meas-SCifod2actVN_relmat.dense.tsv",
        "_latents.tsv",
        "desc-fusionFCkraken_relmat.dense.tsv",
        "metrics.tsv",
    ):
        assert any(name.endswith(ending) for name in kept), ending


def test_a_changed_number_is_seen() -> None:
    """One value by one part in 10^5 of what is usual; rounding by the last digit is not."""
    values = np.random.default_rng(0).standard_normal(500)
    kept, moved = summarize(values), values.copy()
    assert is_same(summarize(values * (1 + 1e-8)), kept, TOLERANCE)
    assert not is_same(summarize(values * (1 + 1e-5)), kept, TOLERANCE)
    moved[0] += 1e-5
    assert not is_same(summarize(moved), kept, TOLERANCE)
    assert not is_same(summarize(values[:-1]), kept, TOLERANCE)
