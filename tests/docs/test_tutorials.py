"""The tutorials run from top to bottom; each checks its own results by assertions."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def list_outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_runs(path: Path, tmp_path: Path) -> None:
    """In a fresh kernel, in an empty folder where nothing is left, without a warning."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:  # fewer shuffles: as many as let p be 0.04
        cell.source = cell.source.replace("range(100)", "range(24)")

    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, resources=resources).execute()

    assert [output for output in list_outputs(notebook) if output.get("name") == "stderr"] == []
    assert not list(tmp_path.glob("[!.]*"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_is_committed_with_its_pictures(path: Path) -> None:
    """Whoever reads it on the web sees what comes out, without errors or warnings, in 0.5 MB."""
    notebook = nbformat.read(path, as_version=4)
    outputs = list_outputs(notebook)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]

    assert counts == list(range(1, len(counts) + 1))
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert path.stat().st_size < 500_000
