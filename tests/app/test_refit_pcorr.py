"""group --refit-pcorr: one ridge for everyone before the group predicts, kept by later runs."""

import shutil
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("without_pictures")

FLAVORS = ("FCcorr_fs86_hpf", "FCpcorr_fs86_hpf")
PARTIAL = "meas-FCpcorrHPF_relmat"


def test_refit_then_participant(app: Any) -> None:
    """The group changes λ everywhere; reruns leave it; who comes later is measured with it."""
    assert app.participant(flavors=FLAVORS).exit_code == 0
    assert app.sidecar("01", PARTIAL)["Lambda"] == 0.06
    shutil.rmtree(app.out / "sub-03")

    outcome = app.group("--refit-pcorr")

    assert outcome.exit_code == 0, outcome.output
    refitted = app.sidecar("01", PARTIAL)
    ridge = refitted["Lambda"]
    assert ridge != 0.06
    assert refitted["LambdaSessions"] == 2
    assert outcome.says(f"λ of FCpcorr_fs86_hpf: {ridge:g}", "2 computed again")
    assert (app.out / "group" / "pcorr.tsv").is_file()
    assert "pcorr.tsv" in (app.out / "group.html").read_text()

    outcome = app.participant(flavors=FLAVORS)

    assert outcome.exit_code == 0
    assert outcome.says("up to date, skipped")
    assert app.sidecar("01", PARTIAL) == refitted
    late = app.sidecar("03", PARTIAL)
    assert late["Lambda"] == ridge
    assert "group search" in str(late["LambdaSource"])


def test_whom_the_search_left_out(app: Any) -> None:
    """Measured before the search and not in it: measured again with the λ that it saved."""
    assert app.participant(flavors=FLAVORS).exit_code == 0
    assert app.group("--refit-pcorr", "--participant-label", "01", "02").exit_code == 0
    ridge = app.sidecar("01", PARTIAL)["Lambda"]
    assert app.sidecar("03", PARTIAL)["Lambda"] == 0.06 != ridge

    assert app.participant(flavors=FLAVORS).exit_code == 0

    assert app.sidecar("03", PARTIAL)["Lambda"] == ridge


def test_what_the_refit_makes_whole_is_no_failure(app: Any) -> None:
    """A partial correlation of another size than it was written with is computed again."""
    assert app.participant(flavors=FLAVORS).exit_code == 0
    (damaged,) = app.out.glob(f"sub-01/**/*{PARTIAL}.dense.tsv")
    damaged.write_bytes(damaged.read_bytes().replace(b"0", b"00", 1))

    outcome = app.group("--refit-pcorr", "--pcorr-lambda", "fs86=0.06")

    assert outcome.exit_code == 0, outcome.output
    assert app.sidecar("01", PARTIAL)["FileSize"] == damaged.stat().st_size


def test_participant_level_is_refused(app: Any) -> None:
    """A participant alone has no cohort to search over."""
    outcome = app.participant("--refit-pcorr")
    assert outcome.exit_code == 2
    assert outcome.says("--refit-pcorr", "group")


def test_a_ridge_without_a_search(app: Any) -> None:
    """A λ given to the group level changes nothing by itself, which is said."""
    app.copy_done()
    outcome = app.group("--pcorr-lambda", "fs86=0.2")
    assert outcome.exit_code == 0
    assert outcome.says("--pcorr-lambda changes nothing", "without --refit-pcorr")
