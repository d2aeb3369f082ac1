"""What users of fMRIPrep and XCP-D have: filter files and databases of pybids."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bids import BIDSLayout
from bids.layout import BIDSLayoutIndexer

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # pybids leaves files open


def read_lines(outcome: Any) -> list[str]:
    """Subjects and files that would be read."""
    return re.findall(r"would read (\S+ \S+)", outcome.output)


def test_a_database_and_a_filter_file_choose_the_inputs(app: Any, tmp_path: Path) -> None:
    """The same inputs from a database as from folders; fewer with a regular expression."""
    root = app.world.bids / "derivatives" / "fmriprep"
    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False)
    BIDSLayout(root, validate=False, indexer=indexer, database_path=tmp_path / "db")
    path = tmp_path / "filter.json"
    walked = app.participant("--dry-run")
    stored = app.participant("--dry-run", "--bids-database-dir", str(tmp_path / "db"))
    assert stored.exit_code == walked.exit_code == 0, stored.output
    assert read_lines(stored) == read_lines(walked) != []

    chosen = {"task": "^REST$", "acquisition": "Query.NONE", "run": 1, "regex_search": True}
    path.write_text(json.dumps({"bold": chosen}))
    fewer = app.participant("--dry-run", "--bids-filter-file", str(path))
    kept = [one for one in read_lines(walked) if "bold" not in one or "run-01" in one]
    assert read_lines(fewer) == kept != read_lines(walked)

    path.write_text('{"bold": {"task": "Query.SOME"}}')
    refused = app.participant("--dry-run", "--bids-filter-file", str(path))
    assert refused.exit_code == 3
    assert refused.says("Query.OPTIONAL for task", "Query.SOME")
