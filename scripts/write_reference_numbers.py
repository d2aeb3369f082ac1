"""Write ``tests/reference_numbers/VERSION.json``: numbers of the tests' synthetic dataset.

Run it from the repository after a change of numbers that is meant: ``python
scripts/write_reference_numbers.py``, and say in CHANGELOG.md what has changed, and why. A test
compares every later run with the file.
"""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEST = ROOT / "tests" / "app" / "test_reference_numbers.py"

if __name__ == "__main__":
    os.environ["KRAKEN_BIDS_WRITE_REFERENCE_NUMBERS"] = "1"
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-n0", str(TEST)]))
