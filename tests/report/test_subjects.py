"""One verdict per person at the top of the group's page; who failed is among them."""

from pathlib import Path

import pytest

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.failures import FAILURE_COLUMNS
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.cohort.members import Member
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.tables import read_columns
from kraken_bids.io.writing import write_table, write_text
from kraken_bids.pipeline.check.prediction_quality import find_mismatched, withdraw_verdicts
from kraken_bids.pipeline.reports import list_neighbours
from kraken_bids.report.sections.error_list import list_errors
from kraken_bids.report.sections.subject_table import read_subject_table
from kraken_bids.report.subjects import (
    FAILED,
    LOOK,
    SubjectRow,
    judge_subjects,
    read_verdict,
    write_subjects,
)
from kraken_bids.report.written import Written
from kraken_bids.report.written_group import WrittenGroup, name_pages
from kraken_bids.scores.doubt_words import ABOUT, MEAN, NOT_JUDGED
from kraken_bids.scores.individuality import Evidence
from kraken_bids.scores.quality_control import Verdict

CORR, GSR = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("FCcorr_fs86_hpfgsr")


def write_failed(output_dir: Path, *rows: tuple[str, str, str]) -> None:
    """Write ``logs/failures.tsv``: participant, session, stage."""
    table = [(p, s, stage, "InputError", f"expected data of {p}", "x") for p, s, stage in rows]
    columns = dict(zip(FAILURE_COLUMNS, map(list, zip(*table, strict=True)), strict=True))
    write_table(output_dir / "logs" / "failures.tsv", columns)


def test_who_failed_is_there_and_first(output_dir: Path) -> None:
    """With results or without; a page that could not be drawn is no failed participant."""
    write_failed(
        output_dir,
        ("sub-13", "n/a", "inputs"),
        ("sub-02", "n/a", "connectomes"),
        ("sub-03", "n/a", "report"),
    )
    group = WrittenGroup(output_dir, list_members(output_dir))

    people = judge_subjects(group)

    assert len(people) == 13
    failed = {row.label: row for row in people[:2]}
    assert set(failed) == {"sub-02", "sub-13"}
    assert all(row.verdict == FAILED for row in failed.values())
    assert failed["sub-02"].href == "sub-02.html"
    assert failed["sub-13"].href == ""
    assert [row.label for row in list_errors(group)] == [
        "sub-02", "sub-03", "sub-13",
    ]  # fmt: skip


def test_one_failed_session_leaves_the_others_alone(tmp_path: Path) -> None:
    """What failed of a whole participant counts for each session."""
    members = [Member("01", "1", {}), Member("01", "2", {}), Member("02", "1", {})]
    write_failed(tmp_path, ("sub-01", "ses-2", "connectomes"), ("sub-02", "n/a", "predictions"))

    people = judge_subjects(WrittenGroup(tmp_path, members))
    verdicts = {row.label: row.verdict for row in people}

    assert verdicts == {
        "sub-01_ses-1": "not judged", "sub-01_ses-2": FAILED, "sub-02_ses-1": FAILED,
    }  # fmt: skip


def test_the_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """Several reasons stay apart; who is not in it has no verdict."""
    people = [
        SubjectRow("sub-01_ses-2", LOOK, ("mean FD 0.70 mm", "too short: 3.0 of 5 minutes")),
        SubjectRow("sub-02", "good"),
    ]
    write_subjects(tmp_path, people)

    def written(subject: str, session: str | None) -> Written:
        return Written(tmp_path, Member(subject, session, {}))

    assert read_verdict(written("01", "2")) == people[0]
    assert read_verdict(written("02", None)) == people[1]
    assert read_verdict(written("03", None)) is None
    columns = read_columns(group_path(tmp_path, "participants.tsv"))
    assert list(columns["session_id"]) == ["ses-2", "n/a"]


def test_columns_that_say_something_are_shown(tmp_path: Path) -> None:
    """Numbers and groups, not names or what is the same for all; and who is missing."""
    rows = ["participant_id\tage\tgroup\tscanner\tinitials"]
    rows += [f"sub-{k:02d}\t{20 + k}\t{'ab'[k % 2]}\tone\tX{k}Y" for k in range(1, 14)]
    write_text(tmp_path / "participants.tsv", "\n".join(rows) + "\n")
    members = [Member(f"{k:02d}", None, {}) for k in range(1, 12)]

    group = WrittenGroup(tmp_path, members, tmp_path / "nowhere")
    columns, facts, absent = read_subject_table(group)

    assert columns == ("age", "group")
    assert facts["sub-04"]["age"] == "24"
    assert absent == ["sub-12", "sub-13"]
    (tmp_path / "participants.tsv").unlink()
    assert read_subject_table(group)[0] == ()


def test_pages_are_named_and_linked_session_by_session(tmp_path: Path) -> None:
    """A participant with several sessions has a page for each."""
    members = [Member("01", None, {}), Member("02", "1", {}), Member("02", "2", {})]
    pages = name_pages(members)
    assert pages == {
        "sub-01": "sub-01.html",
        "sub-02_ses-1": "sub-02_ses-1.html",
        "sub-02_ses-2": "sub-02_ses-2.html",
    }
    write_text(tmp_path / "sub-03.html", "")

    around = list_neighbours(tmp_path, pages.values())

    before, after = around["sub-02_ses-2.html"]
    assert before is not None
    assert after is not None
    assert (before.href, after.href) == ("sub-02_ses-1.html", "sub-03.html")
    assert around["sub-01.html"][0] is None


def verdicts_of(
    shares: list[float],
    *,
    over_people: float = 0.2,
    own: float = -0.1,
    nearest: dict[int, int] | None = None,
) -> dict[tuple[int, str, Flavor], Verdict]:
    """Verdicts on predictions of six flavors, of which such shares are about each person."""
    people = dict.fromkeys(range(len(shares)), (0.1, 1))
    whose = {k: k for k in people} | (nearest or {})
    evidence = Evidence(over_people, 0.95, people, whose)
    targets = [
        parse_flavor(f"FCcorr_{name}_{kind}")
        for name in ("fs86", "shen268", "coco439")
        for kind in ("hpf", "hpfgsr")
    ]
    found = {}
    for index, share in enumerate(shares):
        for k, target in enumerate(targets):
            word = ABOUT if k < share * len(targets) else MEAN
            explained = 0.1 if word == ABOUT else own
            found[index, "fusionSC", target] = Verdict(word, "", evidence, explained, 1)
            found[index, "fusion", target] = Verdict(ABOUT, "", evidence, 0.1, 1)
    return found


ORDERLY = [1.0] * 10
TWO = [1, 1, 0, 1, 1, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("verdicts", "named"),
    [
        (verdicts_of(ORDERLY), set()),
        (verdicts_of(TWO), {2, 5}),
        (verdicts_of(TWO, own=-0.01), set()),
        (verdicts_of(TWO, own=-0.01, nearest={2: 5, 5: 2}), {2, 5}),
        (verdicts_of(TWO, own=-0.01, nearest={2: 5, 5: 3}), set()),
        (verdicts_of(ORDERLY, nearest={2: 5, 5: 2}), set()),
        (verdicts_of([1, 1, 0.5, 1, 1, 0.5, 1, 1, 1, 1]), set()),
        (verdicts_of([1, 1, 0, 1, 1, 0, 1, 0, 1, 1]), set()),
        (verdicts_of([0.6, 0.6, 0, 0.6, 0.6, 0, 0.6, 0.6, 0.6, 0.6]), set()),
        (verdicts_of(TWO, over_people=-0.01), set()),
    ],
)
def test_people_whose_structure_does_not_fit_their_function(
    verdicts: dict[tuple[int, str, Flavor], Verdict], named: set[int]
) -> None:
    """Few of many, where predictions work for the others; nothing they have is trusted then."""
    members = [Member(f"{k:02d}", None, {}) for k in range(10)]

    mismatched = find_mismatched(members, verdicts)
    doubted = withdraw_verdicts(verdicts, mismatched)

    assert set(mismatched) == named
    assert {key[0] for key, one in doubted.items() if one.verdict == NOT_JUDGED} == named


def test_two_who_fit_each_other_are_told_so() -> None:
    """The warning names the partner."""
    members = [Member(f"{k:02d}", None, {}) for k in range(10)]
    mismatched = find_mismatched(members, verdicts_of(TWO, nearest={2: 5, 5: 2}))

    assert "they fit sub-05's, and sub-05's fit these" in mismatched[2]
    assert "they fit sub-02's" in mismatched[5]
