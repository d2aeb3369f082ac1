"""Adaptation over runs: said where it is missing, fitted by the group, used afterwards."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("without_pictures")

LATENTS = "desc-kraken_latents"
SC_FROM_FC = "meas-SCifod2actVN_desc-fusionFCkraken_relmat.dense.tsv"
PREDICTED = "meas-SCifod2actVN_desc-fusionFCkraken_relmat"


def test_notice_of_few_participants(app: Any) -> None:
    """Fewer than ten participants: said in the log, the sidecars and the report."""
    outcome = app.participant("--participant-label", "01")
    assert outcome.exit_code == 0
    assert outcome.says("NOT adapted", "fewer than the 10", "OUTPUT_DIR group")
    for ending in (LATENTS, PREDICTED):
        assert "NOT adapted" in str(app.sidecar("01", ending)["AdaptationNotice"])
    assert app.sidecar("01", PREDICTED)["AdaptationMode"] == "none"
    assert "NOT adapted" in (app.out / "sub-01.html").read_text()
    (log,) = (app.out / "logs").glob("*.log")
    assert "NOT adapted" in log.read_text()


def test_enough_participants(app: Any) -> None:
    """With enough participants the run fits an adaptation of its own, and no notice is given."""
    outcome = app.participant("--adaptation-min-subjects", "3")
    assert outcome.exit_code == 0
    assert "NOT adapted" not in outcome.output
    sidecar = app.sidecar("01", PREDICTED)
    assert sidecar["AdaptationMode"] == "meanfit+meanshift"
    assert sidecar["Adaptation"]["FCcorr_fs86_hpf"]["CohortSize"] == 3
    assert "AdaptationNotice" not in sidecar


def test_group_then_participant(app: Any) -> None:
    """The group predicts again, adapted; later participant runs use what it saved."""
    app.copy_done()
    shutil.rmtree(app.out / "sub-03")
    (app.out / "sub-03.html").unlink()
    assert app.sidecar("01", PREDICTED)["AdaptationMode"] == "none"
    assert app.group().exit_code == 0
    group = app.out / "group"
    names = ("adaptation.json", "adaptation.h5", "latents.tsv", "metrics.tsv", "qc.tsv")
    assert all((group / name).is_file() for name in (*names, "mean_connectomes.h5"))
    assert (app.out / "group.html").is_file()
    adapted = app.sidecar("01", PREDICTED)
    assert adapted["AdaptationMode"] == "meanfit+meanshift"
    assert "NOT adapted" not in (app.out / "sub-01.html").read_text()
    outcome = app.participant("--adaptation-min-subjects", "2")
    assert outcome.exit_code == 0
    assert outcome.says("the one saved by the group level", "adaptation.h5")
    late = app.sidecar("03", PREDICTED)
    assert late["AdaptationMode"] == "meanfit+meanshift"
    assert late["Adaptation"]["FCcorr_fs86_hpf"]["CohortSize"] == 2
    assert app.sidecar("01", PREDICTED) == adapted
    assert app.check_whole_files() == []


def test_few_people_are_adapted_to_only_where_that_is_asked_for(app: Any) -> None:
    """Neither by the group, nor by participants from what a group was once asked to fit."""
    app.copy_done()
    outcome = app.group("--adaptation-min-subjects", "10")
    assert outcome.exit_code == 0
    assert outcome.says("NOT adapted", "the 3 subject(s) of this run", "fewer than the 10")
    assert not (app.out / "group" / "adaptation.h5").exists()
    assert app.sidecar("01", PREDICTED)["AdaptationMode"] == "none"
    assert "NOT adapted" in (app.out / "group.html").read_text()

    assert app.group().exit_code == 0
    assert app.sidecar("01", PREDICTED)["AdaptationMode"] == "meanfit+meanshift"
    outcome = app.participant()
    assert outcome.exit_code == 0
    assert outcome.says("adaptation.h5 is not used", "fitted on 3 subject(s)", "NOT adapted")
    assert app.sidecar("01", PREDICTED)["AdaptationMode"] == "none"
    outcome = app.participant("--adaptation", app.out / "group" / "adaptation.h5")
    assert outcome.exit_code == 0
    assert app.sidecar("01", PREDICTED)["AdaptationMode"] == "meanfit+meanshift"


def test_group_twice(app: Any) -> None:
    """The group level rerun skips predictions that are up to date, and writes the same tables."""
    app.copy_done()
    assert app.group().exit_code == 0
    tables = {path: path.read_bytes() for path in (app.out / "group").glob("*.tsv")}
    relmats = {p: p.stat().st_mtime_ns for p in app.out.glob("sub-*/*/*_relmat.dense.tsv")}
    outcome = app.group()
    assert outcome.exit_code == 0
    assert outcome.says("up to date")
    assert {path: path.read_bytes() for path in tables} == tables
    assert {path: path.stat().st_mtime_ns for path in relmats} == relmats


def test_a_connectome_that_was_replaced_is_predicted_from_anew(app: Any) -> None:
    """Also where nothing else changes: its sidecar is as before, and no adaptation was fitted."""
    app.copy_done()
    words = ("--adaptation", "none", "--calibrate", "none")
    assert app.group(*words).exit_code == 0
    predicted = {s: next((app.out / f"sub-{s}").glob(f"dwi/*{SC_FROM_FC}")) for s in ("01", "02")}
    before = {subject: path.read_bytes() for subject, path in predicted.items()}
    path = next((app.out / "sub-01").glob("func/*_meas-FCcorrHPF_relmat.dense.tsv"))
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    size = path.stat().st_size
    path.write_text("".join("\t".join(row[::-1]) + "\n" for row in rows[::-1]))
    assert path.stat().st_size == size

    assert app.group(*words).exit_code == 0

    assert predicted["01"].read_bytes() != before["01"]
    assert predicted["02"].read_bytes() == before["02"]


def test_adaptation_of_another_model(app: Any, tmp_path: Path) -> None:
    """An adaptation of another model is refused if asked for, and passed over if merely there."""
    app.copy_done()
    model = ("--model", app.world.other_model)
    assert app.group(*model).exit_code == 0
    saved = tmp_path / "theirs.h5"
    shutil.copy(app.out / "group" / "adaptation.h5", saved)
    outcome = app.participant("--adaptation", saved, "--force")
    assert outcome.exit_code == 5
    assert outcome.says(saved, "found one fitted for another", "the model it belongs to")
    assert not [p for p in app.out.glob("sub-*/**/*") if p.stat().st_mtime > saved.stat().st_mtime]
    outcome = app.participant()
    assert outcome.exit_code == 0
    assert outcome.says("was fitted for another model and is not used", "NOT adapted")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[:5000], "bytes"),
        (lambda text: text.replace("\t", "\n", 1), "expected a square matrix"),
    ],
    ids=["cut", "of the same size"],
)
def test_group_meets_a_broken_file(app: Any, damage: Callable[[str], str], words: str) -> None:
    """A damaged table is named; the others are adapted, predicted and reported."""
    app.copy_done()
    path = next((app.out / "sub-02" / "func").glob("*_meas-FCcorrHPF_relmat.dense.tsv"))
    path.write_text(damage(path.read_text()))
    outcome = app.group()
    assert outcome.exit_code == 1
    assert outcome.says(words, path)
    assert set(app.failures()) == {"sub-02"}
    assert words in app.failures()["sub-02"]
    assert (app.out / "group.html").read_text().rstrip().endswith("</html>")
    fits = json.loads((app.out / "group" / "adaptation.json").read_text())
    assert "FCcorr_fs86_hpf" in json.dumps(fits)
    for subject in ("01", "03"):
        assert app.sidecar(subject, PREDICTED)["AdaptationMode"] == "meanfit+meanshift"
    assert app.is_finished("02", "fusionSC")
    outcome = app.participant()
    assert outcome.exit_code in {0, 1}


def test_report_without_a_broken_file(app: Any) -> None:
    """The report of a participant with a broken measured file is drawn from the rest."""
    app.copy_done()
    path = next((app.out / "sub-02" / "func").glob("*_meas-FCcorrHPF_relmat.dense.tsv"))
    path.write_text("not\ta\nmatrix\n")
    (app.out / "sub-02.html").unlink()
    assert app.group().exit_code == 1
    page = app.out / "sub-02.html"
    assert page.is_file()
    assert path.name in page.read_text()


def test_sites_are_adapted_by_themselves(app: Any) -> None:
    """Sidecars name the site; somebody alone at a site is not predicted, and it is said why."""
    app.copy_done()
    rows = ("participant_id\tsite", "sub-01\tA", "sub-02\tA", "sub-03\tB")
    (app.out / "participants.tsv").write_text("\n".join(rows) + "\n")
    outcome = app.group("--adaptation-by", "site")
    assert outcome.exit_code == 1
    assert outcome.says("the site B (site) has no adaptation of it")
    assert set(app.failures()) == {"sub-03"}
    assert "--adaptation-mean FLAVOR=FILE" in app.failures()["sub-03"]
    adapted = app.sidecar("01", PREDICTED)
    assert (adapted["AdaptationBy"], adapted["AdaptationSite"]) == ("site", "A")
    assert adapted["Adaptation"]["FCcorr_fs86_hpf"]["CohortSize"] == 2
    outcome = app.participant("--participant-label", "02", "--adaptation-min-subjects", "2")
    assert outcome.exit_code == 0
    assert outcome.says("up to date")


def test_a_column_of_sites_that_is_not_there_is_said_at_once(app: Any) -> None:
    """By both levels, before anything is done."""
    app.copy_done()
    before = sorted(app.out.rglob("*"))
    for run in (app.group, app.participant):
        outcome = run("--adaptation-by", "scanner")
        assert outcome.exit_code == 2
        assert outcome.says("found none with scanner", "participants.tsv has")
    assert sorted(app.out.rglob("*")) == before
