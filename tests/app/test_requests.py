"""What is asked for by name and cannot be had: an error that says what there is, and no run."""

from typing import Any

import pytest

from kraken_bids.exceptions import FlavorError, SettingsError
from kraken_bids.pipeline.requests import check_labels, check_sources
from kraken_bids.settings import DEFAULT_SOURCES


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--flavors", "FCcorr_fs68_hpf"), ("--flavors", "Did you mean FCcorr_fs86_hpf")),
        (("--flavors", "FCcorr_shen268_hpf"), ("--flavors", "(fs86: --atlases, --atlas)")),
        (("--flavors", "FCcorr_fs86_lowpass"), ("--flavors", "found FCcorr_fs86_lowpass")),
        (("--atlases", "fs68"), ("--atlases", "Did you mean fs86")),
        (("-t", "nback"), ("--task-id", "found nback", "there are rest")),
        (("-t", "rest", "res"), ("--task-id", "found res", "Did you mean rest")),
        (("--session-id", "2"), ("--session-id", "found 2")),
        (("--participant-label", "1"), ("--participant-label", "Did you mean 01")),
    ],
)
@pytest.mark.parametrize("is_dry", [True, False])
def test_what_nobody_has_is_refused(
    app: Any, words: tuple[str, ...], said: tuple[str, ...], *, is_dry: bool
) -> None:
    """Before anything is measured or written, in a dry run as in a real one."""
    options = ["--model", app.world.model, "--atlases", "fs86", *(["--dry-run"] * is_dry)]
    outcome = app.invoke(app.world.bids, app.out, "participant", *options, *words)

    assert outcome.exit_code in {2, 3}, outcome.output
    assert outcome.says(*said)
    assert not app.out.exists()


def test_what_some_have_is_warned_of_for_the_others(app: Any) -> None:
    """One participant without a flavor does not end the run of the others."""
    app.copy_bids("01", "02")
    for path in app.dwi("02", "streamlines.tck.gz").parent.glob("*ifod2*"):
        path.unlink()

    outcome = app.participant("--dry-run")

    assert outcome.exit_code == 0
    assert outcome.says(
        "--flavors SCifod2act_fs86_volnorm: 1 of 2 session(s) have no inputs for it: sub-02"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--participant-label", "1", "02"), ("--participant-label", "Did you mean 01")),
        (("--session-id", "1"), ("--session-id", "found 1")),
        (("--sources", "FCcorr_fs68_hpf"), ("Did you mean FCcorr_fs86_hpf",)),
        (("--targets", "FCcorr_fs68_hpf"), ("Did you mean FCcorr_fs86_hpf",)),
    ],
)
def test_the_group_refuses_what_is_not_there(
    app: Any, words: tuple[str, ...], said: tuple[str, ...]
) -> None:
    """Labels of OUTPUT_DIR, and flavors of the model."""
    app.copy_done()

    outcome = app.group(*words)

    assert outcome.exit_code in {2, 3}, outcome.output
    assert outcome.says(*said)


def test_sources_that_nobody_has_are_refused_unless_they_are_the_default() -> None:
    """Without structure there is no fusionSC, and by default none is missed."""
    check_sources(DEFAULT_SOURCES, ["fusion", "fusionFC"])
    check_sources(("fusion", "each"), ["fusion"])
    with pytest.raises(FlavorError, match=r"--sources.*found fusionSC"):
        check_sources(("fusion", "fusionSC"), ["fusion", "fusionFC"])


def test_many_labels_are_not_all_listed() -> None:
    """Ten of them, and how many more there are."""
    found = [f"{k:03d}" for k in range(300)]

    check_labels("--participant-label", ["007"], found, "somebody")
    with pytest.raises(SettingsError, match=r"and 290 more\. Did you mean"):
        check_labels("--participant-label", ["0077"], found, "somebody")
