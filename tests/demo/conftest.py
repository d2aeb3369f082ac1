"""One participant of the synthetic data set, written once for all tests of this folder."""

from pathlib import Path

import pytest

from kraken_bids.demo.dataset import write_demo_dataset
from kraken_bids.demo.population import Person


@pytest.fixture(scope="session")
def demo_dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Person]:
    """Folder of a data set with one participant, and the person behind it."""
    folder = tmp_path_factory.mktemp("demo") / "bids"
    return folder, write_demo_dataset(folder, 1, seed=5)[0]
