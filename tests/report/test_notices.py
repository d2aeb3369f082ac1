"""What a participant's page says first."""

from pathlib import Path

import pytest

from kraken_bids.bids.outputs import latents_path, relmat_path, sidecar_path
from kraken_bids.cohort.members import Member
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.writing import write_json, write_text
from kraken_bids.report.notices import list_notices
from kraken_bids.report.panels import list_panels
from kraken_bids.report.written import Written

NAMES = ("FCcorr_fs86_hpf", "FCpcorr_fs86_hpf", "SCifod2act_fs86_volnorm")


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({}, []),
        ({NAMES[1]: "lies far"}, [f"{NAMES[1]}: lies far."]),
        ({NAMES[0]: "far", NAMES[2]: "far"}, [f"{NAMES[0]}, {NAMES[2]}: far."]),
        (dict.fromkeys(NAMES, "were scans swapped?"), ["All files: were scans swapped?"]),
        ({NAMES[0]: "far", NAMES[2]: "near"}, [f"{NAMES[0]}: far.", f"{NAMES[2]}: near."]),
    ],
)
def test_what_is_unusual_is_said_once(
    tmp_path: Path, notes: dict[str, str], expected: list[str]
) -> None:
    """One warning per doubt, with the files that it is about."""
    flavors = [parse_flavor(name) for name in NAMES]
    paths = {f: relmat_path(tmp_path, {"sub": "01"}, f, source=None) for f in flavors}
    entries = {name: {"Verdict": "ok"} for name in NAMES}
    entries |= {name: {"Verdict": "check", "Note": note} for name, note in notes.items()}
    latents = latents_path(tmp_path, "01", None)
    write_text(latents, "")
    write_json(sidecar_path(latents), {"Trust": entries, "InputSources": {"fusion": {}}})

    written = Written(tmp_path, Member("01", None, paths))
    written._known[list_panels] = ()  # nothing was measured in truth

    notices = list_notices(written)

    assert [notice.text for notice in notices if notice.level == "warning"] == expected
