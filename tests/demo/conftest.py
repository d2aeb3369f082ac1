"""One subject of the synthetic data set, written once for all tests of this folder."""

from pathlib import Path

import pytest

from kraken_bids.demo.dataset import write_demo_dataset
from kraken_bids.demo.population import Subject


@pytest.fixture(scope="session")
def demo_dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Subject]:
    """Folder of a data set with one subject, and the subject behind it."""
    folder = tmp_path_factory.mktemp("demo") / "bids"
    return folder, write_demo_dataset(folder, 1, seed=5)[0]
