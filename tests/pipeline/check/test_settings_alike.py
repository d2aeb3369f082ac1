"""Cohorts that were measured with one choice of settings, and with several."""

import logging
from pathlib import Path

import pytest

from kraken_bids.cohort.members import Member
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.writing import write_json
from kraken_bids.pipeline.check.cohort_doubts import SETTINGS, warn_of_unlike

FC, PC = map(parse_flavor, ("FCcorr_fs86_hpf", "FCpcorr_fs86_hpf"))


def make_members(folder: Path, *sidecars: dict[str, object] | None) -> list[Member]:
    """Make people with two flavors each, whose sidecars hold these fields (None: no sidecar)."""
    members = []
    for k, fields in enumerate(sidecars, start=1):
        files: dict[Flavor, Path] = {f: folder / f"sub-{k}_{f}.dense.tsv" for f in (FC, PC)}
        for path in files.values():
            if fields is not None:
                write_json(path.with_name(path.name.replace(".dense.tsv", ".json")), fields)
        members.append(Member(f"{k}", None, files))
    return members


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("Denoising", "fmriclean", "24p"),
        ("HighPass", 0.01, 0.0),
        ("FDThreshold", None, 0.5),
        ("Units", "krakencoder", "mrtrix"),
        ("SearchRadius", 4.0, 2.0),
        ("Lambda", 0.1, 0.2),
        ("SoftwareVersion", "1.0", "1.1"),
    ],
)
def test_each_setting_that_differs_is_said_once(
    tmp_path: Path, name: str, one: object, other: object, caplog: pytest.LogCaptureFixture
) -> None:
    """With the values, who has them, and the option; not once per flavor or person."""
    members = make_members(tmp_path, *[{name: one}] * 4, {name: other})

    with caplog.at_level(logging.WARNING):
        (sentence,) = warn_of_unlike(members).everyone

    assert sentence.startswith("the connectomes were not measured alike")
    assert f"{name} of {FC} (and 1 more flavors)" in sentence
    assert "in 4 session(s) (sub-1, sub-2, sub-3 and 1 more)" in sentence
    assert "in 1 session(s) (sub-5)" in sentence
    assert SETTINGS[name] in sentence
    assert [record.getMessage() for record in caplog.records] == [sentence]


def test_what_was_measured_alike_or_elsewhere_is_not_warned_of(tmp_path: Path) -> None:
    """Scans differ in length, motion and repetition time; other tools write no such fields."""
    same = dict.fromkeys(SETTINGS, "x")
    members = make_members(
        tmp_path,
        same | {"RepetitionTime": 2.0, "MeanFD": 0.1},
        same | {"RepetitionTime": 0.8, "MeanFD": 0.3},
        None,
        {"Flavor": "x"},
    )

    assert warn_of_unlike(members).everyone == ()
    assert warn_of_unlike([]).everyone == ()
