"""kraken-bids --matrix-header names the regions above every matrix, and reads what it wrote."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kraken_bids
from kraken_bids.io.tables import read_header, read_relmat

pytestmark = pytest.mark.usefixtures("without_pictures")


def list_matrices(app: Any) -> dict[str, Path]:
    return {path.name: path for path in app.out.glob("sub-01/**/*_relmat.dense.tsv")}


def test_a_run_with_headers_gives_the_same_numbers_under_names(app: Any) -> None:
    """Measured and predicted, at both levels; a run without them takes them away again."""
    names = kraken_bids.region_names("FCcorr_fs86_hpf")
    assert app.participant("--participant-label", "01").exit_code == 0
    plain = {name: read_relmat(path) for name, path in list_matrices(app).items()}
    assert any("kraken_" in name for name in plain)
    assert not any(read_header(path) for path in list_matrices(app).values())

    outcome = app.participant("--participant-label", "01", "--matrix-header")

    assert outcome.exit_code == 0
    named = list_matrices(app)
    assert set(named) == set(plain)
    for name, path in named.items():
        assert read_header(path) == names
        np.testing.assert_array_equal(read_relmat(path), plain[name])

    assert app.participant("--participant-label", "01").exit_code == 0
    assert not any(read_header(path) for path in list_matrices(app).values())
