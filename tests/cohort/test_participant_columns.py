"""Columns of participants.tsv find the sessions that they are about."""

from pathlib import Path

import pytest

from kraken_bids.cohort.members import Member
from kraken_bids.cohort.participant_columns import choose_subjects, read_participant_table
from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.settings import DataSettings


def data_in(folder: Path, table: str) -> DataSettings:
    (folder / "bids").mkdir()
    (folder / "bids" / "participants.tsv").write_text(table)
    return DataSettings(folder / "bids", folder / "out")


def test_values_are_those_of_each_session_also_where_labels_are_spelled_otherwise(tmp_path):
    data = data_in(
        tmp_path,
        "participant_id\tsession_id\tage\tfamily\n"
        "sub-01\tses-a\t30\tF1\nsub-01\tses-b\t31\tF1\n2\tn/a\t40\tn/a\n",
    )
    members = [
        Member("01", "a", {}),
        Member("01", "b", {}),
        Member("002", "a", {}),
        Member("09", None, {}),
    ]
    found = read_participant_table(data, "--covariates").read_columns(members, ["age", "family"])
    assert found == {"age": ["30", "31", "40", ""], "family": ["F1", "F1", "", ""]}


def test_rows_of_one_person_that_differ_are_refused(tmp_path):
    """The first of them would stand for the person, right or wrong; agreeing ones do no harm."""
    data = data_in(
        tmp_path,
        "participant_id\tsession_id\tage\tsex\n"
        "sub-01\tn/a\t30\tF\nsub-01\tn/a\t50\tF\n"
        "sub-02\tses-a\t41\tn/a\nsub-02\tses-a\t42\tM\n",
    )
    table = read_participant_table(data, "--covariates")
    members = [Member("01", "a", {}), Member("02", "a", {})]
    assert table.read_columns(members, ["sex"]) == {"sex": ["F", "M"]}
    for member, ages in zip(members, ("30, 50", "41, 42"), strict=True):
        with pytest.raises(InputError, match=rf"sub-{member.subject}.*different age \({ages}\)"):
            table.read_columns([member], ["age"])


def test_sessions_that_a_spreadsheet_took_for_numbers_are_found(tmp_path):
    """It writes 1 for 01; the age of another session is not that of this one."""
    data = data_in(tmp_path, "participant_id\tsession_id\tage\n1\t1\t30\n1\t2\t33\n1\t10\t39\n")
    table = read_participant_table(data, "--covariates")
    members = [Member("01", label, {}) for label in ("02", "01", "10")]
    assert table.read_columns(members, ["age"]) == {"age": ["33", "30", "39"]}


def test_a_session_without_a_row_has_what_all_rows_of_its_person_say(tmp_path, caplog):
    """Of another session's age nothing follows for this one; of its sex it does."""
    data = data_in(
        tmp_path,
        "participant_id\tsession_id\tage\tsex\nsub-01\tses-a\t30\tF\nsub-01\tses-b\t33\tF\n",
    )
    table = read_participant_table(data, "--covariates")
    members = [Member("01", "b", {}), Member("01", "c", {})]
    assert table.read_columns(members, ["age", "sex"]) == {"age": ["33", ""], "sex": ["F", "F"]}
    assert "sub-01 has no row of ses-c" in caplog.text
    assert "age (30, 33)" in caplog.text


def test_the_table_of_output_dir_is_read_where_bids_dir_has_none(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "participants.tsv").write_text("participant_id\tage\nsub-01\t5\n")
    data = DataSettings(tmp_path / "bids", tmp_path / "out")
    table = read_participant_table(data, "--families")
    assert table.read_columns([Member("01", None, {})], ["age"]) == {"age": ["5"]}


def test_no_table_and_no_column_name_the_option_and_what_is_there(tmp_path):
    with pytest.raises(InputError, match=r"--families: expected participants\.tsv"):
        read_participant_table(DataSettings(tmp_path / "bids", tmp_path / "out"), "--families")
    table = read_participant_table(
        data_in(tmp_path, "participant_id\tfamily\nsub-01\tF\n"), "--families"
    )
    with pytest.raises(SettingsError, match="Did you mean family"):
        table.read_columns([Member("01", None, {})], ["famly"])


def test_controls_are_chosen_by_label_or_condition(tmp_path):
    data = data_in(tmp_path, "participant_id\tgroup\nsub-1\tcontrol\nsub-02\tpatient\n")
    present = {"01", "02"}
    assert choose_subjects(data, ["sub-02"], present, option="--controls") == {"02"}
    assert choose_subjects(data, ["group==control"], present, option="--controls") == {"01"}
    with pytest.raises(SettingsError, match="--controls: expected participants of this run"):
        choose_subjects(data, ["03"], present, option="--controls")


def test_nobody_of_an_unknown_group_is_chosen(tmp_path, caplog):
    """Who is not known to be a patient is not thereby a control."""
    data = data_in(
        tmp_path,
        "participant_id\tgroup\nsub-01\tcontrol\nsub-02\tpatient\nsub-03\tn/a\nsub-04\t\n",
    )
    present = {"01", "02", "03", "04"}
    assert choose_subjects(data, ["group!=patient"], present, option="--controls") == {"01"}
    assert "group of 2 row(s) of participants.tsv is not known" in caplog.text
    assert choose_subjects(data, ["group==n/a"], present, option="--controls") == {"03"}
