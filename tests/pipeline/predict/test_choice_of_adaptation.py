"""Which adaptation a run uses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.from_dataset import MeasuredCohort, list_members, read_cohort
from kraken_bids.cohort.members import Member
from kraken_bids.exceptions import CheckpointError, ConnectomeError, InputError, SettingsError
from kraken_bids.models.krakencoder.adaptation import Adaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.saved_adaptation import read_adaptation, write_adaptation
from kraken_bids.pipeline.participant import plan_predictions
from kraken_bids.pipeline.predict.choice_of_adaptation import (
    choose_adaptation,
    fit_cohort_adaptation,
)
from kraken_bids.pipeline.predict.fitted_subjects import fit_on_whom
from kraken_bids.settings import DataSettings, PredictionSettings, Settings


@pytest.fixture
def cohort(output_dir: Path, model: Model) -> MeasuredCohort:
    """Twelve people."""
    return read_cohort(model, list_members(output_dir), fit_on=lambda _member: True)


def settings_for(output_dir: Path, **prediction: object) -> Settings:
    """Make settings of a run that writes there."""
    return Settings(
        DataSettings(output_dir / "bids", output_dir),
        prediction=PredictionSettings(**prediction),  # type: ignore[arg-type]
    )


def narrow(cohort: MeasuredCohort) -> MeasuredCohort:
    """Leave the first two of a cohort."""
    return replace(
        cohort,
        members=cohort.members[:2],
        found={f: replace(one, rows=one.rows[:2]) for f, one in cohort.found.items()},
        fitted_on=frozenset({0, 1}),
    )


def test_auto_fits_where_there_are_enough(
    output_dir: Path, model: Model, cohort: MeasuredCohort
) -> None:
    """Twelve people are enough by default."""
    adaptation, notice = choose_adaptation(settings_for(output_dir), model, cohort)

    assert adaptation is not None
    assert adaptation.flavors[model.flavors[0]].n_subjects == 12
    assert notice == ""


def test_sessions_of_a_subject_count_as_one_in_what_is_fitted(
    output_dir: Path, model: Model, cohort: MeasuredCohort
) -> None:
    """In the number that is compared with the fewest that it takes, in the mean and its size."""
    own = [replace(one, subject="01", session=f"{k}") for k, one in enumerate(cohort.members[:3])]
    members = [*own, *cohort.members[3:]]
    repeated = read_cohort(model, members, fit_on=lambda _member: True)
    flavor, rows = model.flavors[0], cohort.cohort.rows[model.flavors[0]].read(0, 12)
    people = [rows[:3].mean(axis=0), *rows[3:]]

    adaptation, _ = choose_adaptation(settings_for(output_dir), model, repeated)

    assert adaptation is not None
    assert adaptation.flavors[flavor].n_subjects == 10
    wanted = np.mean(people, axis=0, dtype=np.float64)
    np.testing.assert_allclose(adaptation.flavors[flavor].mean_new, wanted, rtol=1e-6)
    eleven = settings_for(output_dir, adaptation_min_subjects=11)
    assert choose_adaptation(eleven, model, repeated)[0] is None


def test_nothing_is_fitted_on_the_sessions_of_one_subject(
    output_dir: Path, model: Model, cohort: MeasuredCohort
) -> None:
    """Their mean would become the training mean, whoever it is."""
    members = [replace(one, subject="01", session=f"{k}") for k, one in enumerate(cohort.members)]
    alone = read_cohort(model, members, fit_on=lambda _member: True)
    with pytest.raises(ConnectomeError, match="expected several subjects"):
        fit_cohort_adaptation(model, alone, "meanshift")


def test_no_adaptation_that_was_asked_for_is_no_notice(
    output_dir: Path, model: Model, cohort: MeasuredCohort
) -> None:
    """At both levels alike, so that it does not matter which of them wrote last."""
    settings = settings_for(output_dir, adaptation="none")

    for is_group in (False, True):
        assert choose_adaptation(settings, model, cohort, fits_first=is_group) == (None, "")


def test_auto_says_loudly_where_there_are_too_few(
    output_dir: Path, model: Model, cohort: MeasuredCohort
) -> None:
    """No adaptation, and the way out."""
    settings = settings_for(output_dir, adaptation_min_subjects=13)

    adaptation, notice = choose_adaptation(settings, model, cohort)

    assert adaptation is None
    assert "NOT adapted" in notice
    assert "group" in notice


def test_auto_prefers_the_one_that_the_group_saved(
    output_dir: Path, model: Model, cohort: MeasuredCohort
) -> None:
    """Even with a single participant in the run; but not if it is of another model."""
    fitted = fit_cohort_adaptation(model, cohort, "meanshift")
    cohort = narrow(cohort)
    settings = settings_for(output_dir)
    write_adaptation(fitted, group_path(output_dir, "adaptation.h5"))
    assert choose_adaptation(settings, model, cohort)[0].mode == "meanshift"

    write_adaptation(
        replace(fitted, model_sha256="f" * 64), group_path(output_dir, "adaptation.h5")
    )
    assert choose_adaptation(settings, model, cohort)[0] is None


def test_a_mode_that_was_asked_for_is_that_of_the_predictions(
    output_dir: Path, model: Model, cohort: MeasuredCohort, caplog: pytest.LogCaptureFixture
) -> None:
    """What the group saved in another mode is passed over, a file in another one refused."""
    path = group_path(output_dir, "adaptation.h5")
    write_adaptation(fit_cohort_adaptation(model, cohort, "meanfit+meanshift"), path)
    asked = settings_for(output_dir, adaptation_mode="meanshift")
    assert choose_adaptation(asked, model, cohort)[0].mode == "meanshift"
    assert "was fitted with meanfit+meanshift, not meanshift, and is not used" in caplog.text

    given = settings_for(output_dir, adaptation_mode="meanshift", adaptation=str(path))
    with pytest.raises(SettingsError, match=r"--adaptation-mode meanshift.*meanfit\+meanshift"):
        choose_adaptation(given, model, cohort)


def test_what_a_small_group_saved_is_not_used_unless_asked_for(
    output_dir: Path, model: Model, cohort: MeasuredCohort, caplog: pytest.LogCaptureFixture
) -> None:
    """An early group run on two people must not serve everyone after; the number decides."""
    two = read_cohort(model, cohort.members[:2], fit_on=lambda _member: True)
    path = group_path(output_dir, "adaptation.h5")
    write_adaptation(fit_cohort_adaptation(model, two, "meanshift"), path)

    adaptation, notice = choose_adaptation(settings_for(output_dir), model, narrow(cohort))
    assert adaptation is None
    assert "no saved adaptation that can be used" in notice
    assert "fitted on 2 subject(s)" in caplog.text
    assert f"--adaptation {path}" in caplog.text

    for words in ({"adaptation_min_subjects": 2}, {"adaptation": str(path)}):
        settings = settings_for(output_dir, **words)
        assert choose_adaptation(settings, model, narrow(cohort))[0] is not None


def test_the_group_fits_first_and_refuses_few(
    output_dir: Path, model: Model, cohort: MeasuredCohort
) -> None:
    """Few people leave no adaptation behind; enough are saved, whatever was there before."""
    path = group_path(output_dir, "adaptation.h5")
    few = settings_for(output_dir, adaptation_min_subjects=13)
    adaptation, notice = choose_adaptation(few, model, cohort, fits_first=True)
    assert adaptation is None
    assert "--adaptation-min-subjects" in notice
    assert not path.exists()

    write_adaptation(fit_cohort_adaptation(model, cohort, "meanshift"), path)
    adaptation, _ = choose_adaptation(settings_for(output_dir), model, cohort, fits_first=True)
    assert adaptation is not None
    assert adaptation.mode == read_adaptation(path).mode == "meanfit+meanshift"


def test_a_flavor_that_few_have_is_no_input_beside_adapted_ones(
    output_dir: Path, model: Model
) -> None:
    """It is neither adapted to three people nor fused unadapted, and that is said."""
    flavor = model.flavors[1]
    for member in list_members(output_dir)[3:]:
        member.connectomes[flavor].unlink()
    members = list_members(output_dir)

    plan, _ = plan_predictions(settings_for(output_dir), model, members)

    assert plan.adaptation is not None
    assert flavor not in plan.adaptation.flavors
    assert f"{flavor}: measured, and NOT used as an input" in plan.notice
    assert all(flavor not in source.flavors for source in plan.sources)
    path = write_adaptation(plan.adaptation, output_dir / "site.h5")
    with pytest.raises(CheckpointError, match=f"--adaptation {path}.*none of {flavor}"):
        plan_predictions(settings_for(output_dir, adaptation=str(path)), model, members)


def test_a_given_file_must_be_of_this_model(
    output_dir: Path, model: Model, cohort: MeasuredCohort
) -> None:
    """It is read and used, or refused."""
    fitted = fit_cohort_adaptation(model, cohort, "meanfit")
    path = write_adaptation(fitted, output_dir / "site.h5")
    chosen, _ = choose_adaptation(settings_for(output_dir, adaptation=str(path)), model, cohort)
    assert isinstance(chosen, Adaptation)
    assert chosen.mode == "meanfit"

    foreign = write_adaptation(replace(fitted, model_sha256="f" * 64), output_dir / "other.h5")
    with pytest.raises(CheckpointError, match="another"):
        choose_adaptation(settings_for(output_dir, adaptation=str(foreign)), model, cohort)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {"01", "02", "03"}),
        (("sub-01", "03"), {"01", "03"}),
        (("group==control",), {"01", "02"}),
        (("group != control",), {"03"}),
        (("age >= 30",), {"02", "03"}),
    ],
)
def test_who_is_fitted_on(tmp_path: Path, words: tuple[str, ...], expected: set[str]) -> None:
    """Everyone, labels, or a condition on participants.tsv."""
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tage\tgroup\nsub-01\t25\tcontrol\nsub-02\t30\tcontrol\nsub-03\t41\tpatient\n"
    )
    chooses = fit_on_whom(settings_for(tmp_path, adaptation_subjects=words))

    assert {s for s in ("01", "02", "03") if chooses(Member(s, None, {}))} == expected


@pytest.mark.parametrize(
    ("table", "query", "error"),
    [
        (None, "group==control", InputError),
        ("participant_id\tage\nsub-01\t3\n", "group==control", SettingsError),
        ("participant_id\tage\nsub-01\t3\n", "age>5", SettingsError),
    ],
)
def test_a_query_that_finds_nobody_is_refused(
    tmp_path: Path, table: str | None, query: str, error: type[Exception]
) -> None:
    """No table, no such column, or nobody who fits."""
    if table:
        (tmp_path / "participants.tsv").write_text(table)

    with pytest.raises(error, match="--adaptation-subjects"):
        fit_on_whom(settings_for(tmp_path, adaptation_subjects=(query,)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("01", "3"), r"found 3\. Did you mean"),
        (("control",), "condition such as group==control; found control"),
        (("group==patient",), "found none of them"),
    ],
)
def test_who_is_named_must_be_in_the_run(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    """A typing error must not leave an adaptation to fewer people, or to nobody."""
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tgroup\nsub-01\tcontrol\nsub-09\tpatient\n"
    )
    members = [Member(label, None, {}) for label in ("01", "02", "03")]

    with pytest.raises(SettingsError, match=message):
        fit_on_whom(settings_for(tmp_path, adaptation_subjects=words), members)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("has_members", [True, False])
def test_tables_that_people_padded_or_spelled_otherwise_find_the_same_people(
    tmp_path: Path, encoding: str, has_members: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Blanks around ids and groups, ids without zeros, umlauts in Latin-1: nobody is dropped."""
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tgroup\tsite\n 1 \tcontrol  \tMünchen\n"
        "sub-02\tcontrol\tx\n3\tpatient\tx\n",
        encoding=encoding,
    )
    members = [Member(label, None, {}) for label in ("001", "02", "003")]
    settings = settings_for(tmp_path, adaptation_subjects=("group==control",))

    counts = fit_on_whom(settings, members if has_members else None)

    assert [member.subject for member in members if counts(member)] == ["001", "02"]
    assert "1 = 001" in caplog.text


def test_a_participant_run_too_fits_on_those_who_are_named(output_dir: Path, model: Model) -> None:
    """Their mean alone, and their number against the least number."""
    words = tuple(f"{k:02d}" for k in range(1, 12))
    settings = settings_for(output_dir, adaptation_subjects=words)
    plan, _ = plan_predictions(settings, model, list_members(output_dir))
    assert plan.adaptation is not None
    assert {fit.n_subjects for fit in plan.adaptation.flavors.values()} == {11}

    settings = settings_for(output_dir, adaptation_subjects=words[:9])
    plan, _ = plan_predictions(settings, model, list_members(output_dir))
    assert plan.adaptation is None
    assert "9 subject(s)" in plan.notice


def test_one_session_is_not_adapted_to_itself(
    output_dir: Path, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    """It would become the training mean, even where one were enough by number; that is said."""
    members = list_members(output_dir)[:1]
    cohort = read_cohort(model, members, fit_on=lambda _member: True)
    settings = settings_for(output_dir, adaptation_min_subjects=1)

    with pytest.raises(ConnectomeError, match="training mean itself"):
        fit_cohort_adaptation(model, cohort, "meanshift")
    assert choose_adaptation(settings, model, cohort)[0] is None
    assert "NOT adapted" in caplog.text
    assert "fewer than the 2 that it takes" in caplog.text
