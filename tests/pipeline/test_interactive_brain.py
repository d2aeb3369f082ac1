"""``kraken-tools brain`` writes one file, which asks no other machine for anything."""

import re
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kraken_bids.bids.outputs import group_path
from kraken_bids.cli.tools import main
from kraken_bids.flavors import Flavor
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.pipeline.interactive_brain import LINK, REQUEST

FLAVOR = "FCcorr_fs86_hpf"


def write(root: Path, path: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["brain", str(root), str(path), "--flavor", FLAVOR, *words])


def read_weights(page: str) -> np.ndarray:
    """Values of the lines of nilearn's page."""
    found = re.search(r'"_con_w": "([^"]+)"', page)
    assert found is not None
    return np.frombuffer(b64decode(found[1]), "<f4")


def test_the_page_holds_the_strongest_and_asks_for_nothing(
    output_dir: Path, tmp_path: Path, cohort_edges: dict[Flavor, np.ndarray]
) -> None:
    """No script, style, picture or icon of another address."""
    path = tmp_path / "brain.html"
    result = write(output_dir, path, "--participant-label", "03", "--n-edges", "40")
    assert result.exit_code == 0, result.output
    page = path.read_text()
    assert "favicon" not in page
    assert not REQUEST.search(page)
    assert "Plotly" in page
    edges = next(rows for flavor, rows in cohort_edges.items() if flavor.name == FLAVOR)[2]
    wanted = np.sort(edges[np.argsort(-np.abs(edges))[:40]])
    values = read_weights(page)
    np.testing.assert_allclose(np.unique(values[np.abs(values) > 0]), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://cdn.example/x.js">',
        "<link rel='icon'\n href='https://x.example/a.ico' />",
        "<script async src=//cdn.example/x.js>",
        '<img alt="" src = "http://x.example/a.png">',
        "<style>@import 'https://x.example/a.css'</style>",
        '<i style="background:url(https://x.example/a.png)">',
    ],
)
def test_what_would_ask_is_recognised(tag: str) -> None:
    """In any of its spellings."""
    assert REQUEST.search(tag)
    assert not REQUEST.search('<a href="https://plot.ly">x</a> "https://cdn.plot.ly/"')


def test_what_changed_is_measured_less_the_mean(
    output_dir: Path, tmp_path: Path, cohort_edges: dict[Flavor, np.ndarray]
) -> None:
    """Of the group; before it has run there is none, which is said."""
    words = ("--participant-label", "03", "--what", "changed", "--n-edges", "10")
    refused = write(output_dir, tmp_path / "a.html", *words)
    assert refused.exit_code == 3
    assert "Run the group level" in " ".join(refused.output.split())
    rows = next(rows for flavor, rows in cohort_edges.items() if flavor.name == FLAVOR)
    place = group_path(output_dir, "mean_connectomes.h5")
    place.parent.mkdir()
    with write_hdf5(place) as file:
        file[f"{FLAVOR}/measured"] = rows.mean(axis=0)
    assert write(output_dir, tmp_path / "a.html", *words).exit_code == 0
    change = rows[2] - rows.mean(axis=0)
    wanted = np.sort(change[np.argsort(-np.abs(change))[:10]])
    values = read_weights((tmp_path / "a.html").read_text())
    np.testing.assert_allclose(np.unique(values[np.abs(values) > 0]), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--participant-label", "99"), "one session of sub-99"),
        (("--participant-label", "03", "--what", "predicted"), "one predicted connectome"),
        ((), "the mean of FCcorr_fs86_hpf"),
    ],
)
def test_what_is_not_there_is_named(
    output_dir: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    """Exit code 3, and no file."""
    result = write(output_dir, tmp_path / "x.html", *words)
    assert result.exit_code == 3
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--what", "changed"),
        ("--what", "predicted", "--source", "fusionSC"),
        ("--source", "fusion"),
    ],
)
def test_the_mean_is_not_shown_for_something_else(
    output_dir: Path,
    tmp_path: Path,
    cohort_edges: dict[Flavor, np.ndarray],
    words: tuple[str, ...],
) -> None:
    """The group has the mean of measured connectomes and nothing else."""
    rows = next(rows for flavor, rows in cohort_edges.items() if flavor.name == FLAVOR)
    place = group_path(output_dir, "mean_connectomes.h5")
    place.parent.mkdir()
    with write_hdf5(place) as file:
        file[f"{FLAVOR}/measured"] = rows.mean(axis=0)
    result = write(output_dir, tmp_path / "x.html", *words)
    assert result.exit_code == 2
    assert "Add --participant-label" in " ".join(result.output.split())
    assert not (tmp_path / "x.html").exists()
    assert write(output_dir, tmp_path / "x.html").exit_code == 0


def test_only_tags_are_taken_out() -> None:
    """The scripts of the page have such words in regular expressions."""
    script = "Ne=/<script|<link/i,Ae=/x>/"
    tag = '<link rel="icon"\n type="x" href="https://x.example/a.ico" />'
    assert LINK.sub("", f"{script}{tag}{script}") == script + script
