"""Whatever a sidecar warns of stands at the top of the pages, once, with whom it concerns."""

from pathlib import Path

import pytest

from kraken_bids.bids.outputs import latents_path, relmat_path, sidecar_path
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sources import PredictionPlan
from kraken_bids.cohort.warned import Warned, write_group_warnings
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_json, write_text
from kraken_bids.pipeline.check.quality_sidecars import Judgement, write_judgement
from kraken_bids.pipeline.group import run_group
from kraken_bids.pipeline.participant import plan_predictions
from kraken_bids.pipeline.predict.session_predictions import predict_members
from kraken_bids.pipeline.workers import InlineExecutor
from kraken_bids.report.freshness import digest_cohort
from kraken_bids.report.notices import list_notices
from kraken_bids.report.panels import list_panels
from kraken_bids.report.session_warnings import list_cohort_warnings
from kraken_bids.report.written import Written
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.scores.quality_control import InputQuality
from kraken_bids.settings import DataSettings, PredictionSettings, Settings

CORR, IFOD2 = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")


def write_member(output_dir: Path, subject: str, *, measured: list[str], predicted: list[str]):
    """Write the sidecars of one person's measured and predicted connectomes."""
    paths = {f: relmat_path(output_dir, {"sub": subject}, f, source=None) for f in (CORR, IFOD2)}
    for path in paths.values():
        write_json(sidecar_path(path), {"Warnings": measured})
    latents = latents_path(output_dir, subject, None)
    write_text(latents, "")
    write_json(sidecar_path(latents), {"Warnings": predicted, "InputSources": {"fusion": {}}})
    return Member(subject, None, paths)


def list_texts(output_dir: Path, member: Member) -> list[str]:
    """Warnings at the top of a participant's page."""
    written = Written(output_dir, member)
    written._known[list_panels] = ()  # nothing was measured in truth
    notices = list_notices(written)
    return [notice.text for notice in notices if notice.level == "warning"]


def test_a_participants_page_warns_of_what_any_sidecar_says(tmp_path: Path) -> None:
    """Of measured and of predicted connectomes and of the cohort, each sentence once."""
    member = write_member(
        tmp_path, "01", measured=["Labels lie off."], predicted=["Order is odd."]
    )
    write_group_warnings(tmp_path, ["Settings differ."])

    assert list_texts(tmp_path, member) == ["Settings differ.", "Order is odd.", "Labels lie off."]


def test_what_concerns_everyone_is_one_line_of_the_groups_page(tmp_path: Path) -> None:
    """Without names where all are meant; with them where some are; numbers may differ."""
    people = [f"{k:02d}" for k in range(1, 9)]
    members = [
        write_member(
            tmp_path,
            subject,
            measured=[f"Only {subject} minutes."] if subject < "08" else [],
            predicted=["Order is odd.", *(["Left is right."] if subject in {"02", "05"} else [])],
        )
        for subject in people
    ]
    write_group_warnings(tmp_path, ["Settings differ."])

    assert list_cohort_warnings(WrittenGroup(tmp_path, members)) == [
        "Settings differ.",
        "Order is odd.",
        "sub-01: Only 01 minutes. Likewise sub-02, sub-03, sub-04, sub-05, sub-06 and 1 more.",
        "sub-02, sub-05: Left is right.",
    ]


def test_a_warning_of_the_cohort_goes_when_its_cause_is_gone(tmp_path: Path) -> None:
    """And pages that showed it are no longer up to date."""
    write_group_warnings(tmp_path, ["Settings differ."])
    before = digest_cohort(tmp_path)
    member = write_member(tmp_path, "01", measured=[], predicted=[])
    assert list_texts(tmp_path, member) == ["Settings differ."]

    write_group_warnings(tmp_path, [])

    assert list_texts(tmp_path, member) == []
    assert digest_cohort(tmp_path) != before


@pytest.fixture
def settings(output_dir: Path, model_folder: Path) -> Settings:
    """Ask for the predictions of the small cohort."""
    prediction = PredictionSettings(model=str(model_folder), adaptation="none")
    return Settings(
        DataSettings(output_dir / "raw", output_dir, atlases=("fs86",)), prediction=prediction
    )


def predict(settings: Settings, warned: Warned, subjects: list[str] | None = None) -> None:
    """Predict some people, with warnings, as the participant level does."""
    from kraken_bids.pipeline.participant import load_model_of

    members = list_members(settings.data.output_dir, subjects)
    plan, _ = plan_predictions(settings, load_model_of(settings), members)
    plan = PredictionPlan(plan.model, None, plan.sources, settings, warned=warned)
    assert all(error is None for _, error in predict_members(plan, members, InlineExecutor()))
    inputs = {(k, f): InputQuality() for k, m in enumerate(members) for f in m.connectomes}
    write_judgement(plan, members, Judgement(inputs))


def read_warnings(output_dir: Path, subject: str, target: Flavor = CORR) -> set[tuple[str, ...]]:
    """Warnings beside a person's latents and beside a prediction of theirs."""
    latents = latents_path(output_dir, subject, None)
    matrix = relmat_path(output_dir, {"sub": subject}, target, source="fusion")
    found = (read_json(sidecar_path(path)) for path in (latents, matrix))
    return {tuple(content.get("Warnings", ())) for content in found}


def test_warnings_of_a_run_stand_beside_every_prediction(settings: Settings) -> None:
    """Also where the predictions themselves are up to date; and they go when all is well."""
    output = settings.data.output_dir
    predict(settings, Warned())
    assert read_warnings(output, "03") == {()}

    predict(settings, Warned(("Order is odd.",), {"sub-03": ("Left is right.",)}))
    assert read_warnings(output, "03") == {("Order is odd.", "Left is right.")}
    assert read_warnings(output, "04") == {("Order is odd.",)}

    predict(settings, Warned())
    assert read_warnings(output, "03") == {()}


def test_a_run_of_one_person_keeps_what_more_people_have_shown(settings: Settings) -> None:
    """One person's run can warn of something new; it does not know better than the cohort's."""
    predict(settings, Warned(("Order is odd.",)))
    predict(settings, Warned(("Left is right.",)), ["03"])

    output = settings.data.output_dir
    assert read_warnings(output, "03") == {("Order is odd.", "Left is right.")}


def test_the_groups_page_shows_the_warning(
    output_dir: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the file to the page; figures say nothing of it."""
    monkeypatch.setattr("kraken_bids.report.page.draw_figures", lambda _page: {})
    path = relmat_path(output_dir, {"sub": "03"}, CORR, source=None)
    write_json(sidecar_path(path), {"Warnings": ["Labels lie off."]})
    prediction = PredictionSettings(model=str(model_folder), adaptation="none")

    assert (
        run_group(
            Settings(
                DataSettings(output_dir / "raw", output_dir, atlases=("fs86",)),
                prediction=prediction,
            )
        )
        == 0
    )

    text = (output_dir / "group.html").read_text()
    assert "sub-03: Labels lie off." in text.split("<section", 1)[0]
