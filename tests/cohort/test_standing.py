"""Which measured connectomes the model reads after the last run, and which are left over."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kraken_bids.bids.outputs import registration_path, relmat_path, sidecar_path
from kraken_bids.cohort.failures import Failure
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.cohort.sidecars import forget_digest, read_digest, redo_digest
from kraken_bids.cohort.standing import note_standing, record_path, tell_notices
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.report.leftovers import Leftovers
from kraken_bids.report.sections.registration import find_registration_pictures
from kraken_bids.report.written import Written

FC = parse_flavor("FCcorr_fs86_hpf")
PARTIAL = parse_flavor("FCpcorr_fs86_hpf")
SC = parse_flavor("SCifod2act_fs86_volnorm")


def put(
    output: Path, flavor: Flavor, digest: str | None, *, cleaned_by: str = "", **entities: str
) -> Path:
    """Write a measured connectome of sub-01 whose sidecar has a digest, or none."""
    path = relmat_path(output, {"sub": "01", **entities}, flavor, source=None)
    write_relmat(path, np.eye(86))
    if digest is not None:
        runs = [{"File": f"sub-01_task-{entities.get('task', 'rest')}_bold.nii.gz"}]
        cleaned = {"CleanedBy": cleaned_by} if cleaned_by else {}
        write_json(sidecar_path(path), {"RunDigest": digest, "Runs": runs, **cleaned})
    return path


def run(
    output: Path, planned: dict[Path, str], *, cleaned: str | None = None, **asked: object
) -> dict[str, Any]:
    """Note what a run measures, as each session's task does before it begins."""
    data = {"output_dir": output, "tasks": (), "bids_filter_file": None, "exclude_runs": ()}
    task: Any = SimpleNamespace(
        settings=SimpleNamespace(data=SimpleNamespace(**(data | asked))),
        session=SimpleNamespace(
            subject="01", session=None, bold_runs=(SimpleNamespace(cleaned=cleaned),)
        ),
    )
    noted = note_standing(task.settings.data, task.session, planned)
    write_json(record_path(output, "01", None), {"Notices": [], **noted})
    return noted


def save_ridge(output: Path, ridge: float) -> None:
    """Save λ as a group run does."""
    write_json(output / "group" / "pcorr.json", {"Atlases": {"fs86": {"Lambda": ridge}}})


def read(output: Path) -> dict[Flavor, Path]:
    """Connectomes of sub-01 that the model reads."""
    members = list_members(output)
    return dict(members[0].connectomes) if members else {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"task": "rest"}, {"task": "rest", "run": "1"}),
        ({"task": "rest"}, {"task": "movie"}),
        ({"task": "rest", "space": "MNI152NLin2009cAsym"}, {"task": "rest", "space": "T1w"}),
        ({"task": "rest", "run": "1"}, {"task": "rest"}),
    ],
    ids=["a run is left out", "another task", "a better space", "a run is added"],
)
def test_a_rerun_predicts_from_what_it_measured(
    tmp_path: Path, old: dict[str, str], new: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """The matrix of the earlier run stays on the disk, is named, and is read by nobody."""
    before, after = put(tmp_path, FC, "a", **old), put(tmp_path, FC, "b", **new)
    run(tmp_path, {before: "a"})
    assert read(tmp_path) == {FC: before}

    noted = run(tmp_path, {after: "b"})

    assert read(tmp_path) == {FC: after}
    assert f"are left aside: {before.name}" in caplog.text
    assert before.name in tell_notices(noted)[0]
    leftovers = Leftovers(tmp_path, "01", None)
    assert (leftovers.holds(before), leftovers.holds(after)) == (True, False)
    run(tmp_path, {before: "a"})
    assert read(tmp_path) == {FC: before}


def picture(output: Path, atlas: str, algorithm: str = "", **entities: str) -> Path:
    """Leave a picture of the registration of sub-01."""
    named = {"sub": "01", **entities}
    path = registration_path(output, named, atlas, algorithm=algorithm)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_pictures_are_those_of_what_was_measured(tmp_path: Path) -> None:
    """Another task, run, space, cohort, atlas or tractogram is not shown; before a run all are."""
    rest = {"task": "rest", "space": "T1w"}
    bold = put(tmp_path, FC, "a", **rest)
    tracks = put(tmp_path, SC, "s", space="ACPC")
    shown = [
        picture(tmp_path, "fs86", **rest),
        picture(tmp_path, "fs86", "ifod2", space="ACPC"),
    ]
    other = [
        picture(tmp_path, "fs86", **rest | {"task": "movie"}),
        picture(tmp_path, "fs86", run="1", **rest),
        picture(tmp_path, "fs86", **rest | {"space": "MNI152NLin6Asym"}),
        picture(tmp_path, "fs86", cohort="2", **rest),
        picture(tmp_path, "shen268", **rest),
        picture(tmp_path, "fs86", "sdstream", space="ACPC"),
        picture(tmp_path, "fs86", "ifod2", space="T1w"),
        picture(tmp_path, "fs86", "ifod2", space="ACPC", acq="hires"),
        picture(tmp_path, "shen268", "ifod2", space="ACPC"),
    ]

    def find() -> set[Path]:
        (member,) = list_members(tmp_path)
        return set(find_registration_pictures(Written(tmp_path, member)))

    assert find() == {*shown, *other}
    run(tmp_path, {bold: "a", tracks: "s"})
    assert find() == set(shown)
    run(tmp_path, {bold: "new settings, which failed", tracks: "s"})
    assert find() == {shown[1]}


def test_tracks_whose_name_says_no_space(tmp_path: Path) -> None:
    """Their picture says it all the same, and is shown."""
    run(tmp_path, {put(tmp_path, SC, "s"): "s"})
    path = picture(tmp_path, "fs86", "ifod2", space="T1w")
    (member,) = list_members(tmp_path)
    assert find_registration_pictures(Written(tmp_path, member)) == [path]


def test_a_rerun_that_fails_leaves_nothing_in_play(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """New settings, and the old matrix still there; or the new one beside no valid sidecar."""
    path, other = put(tmp_path, FC, "old", task="rest"), put(tmp_path, SC, "s")
    run(tmp_path, {path: "new", other: "s"})

    assert read(tmp_path) == {SC: other}
    assert f"failed or was stopped, and are left aside: {path.name}" in caplog.text
    forget_digest(path)
    assert read_digest(path) is None
    assert read(tmp_path) == {SC: other}


def test_a_connectome_that_has_vanished_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last run has measured it, and the group level would go on without it."""
    gone, kept = put(tmp_path, FC, "a"), put(tmp_path, SC, "b")
    run(tmp_path, {gone: "a", kept: "b"})
    assert set(read(tmp_path)) == {FC, SC}
    assert not caplog.text
    gone.unlink()

    assert read(tmp_path) == {SC: kept}

    assert f"not in OUTPUT_DIR: {gone.name}" in caplog.text


@pytest.mark.parametrize("is_recorded", [True, False], ids=["of a run", "without a record"])
def test_a_connectome_of_another_size_than_its_sidecar_says_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_recorded: bool
) -> None:
    """As the participant level measures it again; one whose sidecar says no size is taken."""
    cut, kept = put(tmp_path, FC, "a"), put(tmp_path, SC, "b")
    sidecar = sidecar_path(cut)
    write_json(sidecar, json.loads(sidecar.read_text()) | {"FileSize": cut.stat().st_size})
    if is_recorded:
        run(tmp_path, {cut: "a", kept: "b"})
    assert set(read(tmp_path)) == {FC, SC}
    cut.write_bytes(cut.read_bytes().replace(b"0", b"00", 1))  # readable, and not what was written
    failures: list[Failure] = []

    (member,) = list_members(tmp_path, failures=failures)

    assert member.connectomes == {SC: kept}
    assert [(one.subject, one.stage) for one in failures] == [("01", "predictions")]
    assert cut.name in failures[0].message
    assert cut.name in caplog.text


@pytest.mark.parametrize("is_link", [True, False], ids=["a link to nowhere", "a note"])
def test_a_connectome_whose_content_was_not_fetched_is_no_damaged_one(
    tmp_path: Path, *, is_link: bool
) -> None:
    """In a DataLad dataset: what helps is to get the content, and not to measure it again."""
    path = put(tmp_path, FC, "a")
    sidecar = sidecar_path(path)
    write_json(sidecar, json.loads(sidecar.read_text()) | {"FileSize": path.stat().st_size})
    path.unlink()
    if is_link:
        path.symlink_to("../../.git/annex/objects/MD5E-s7--1")
    else:
        path.write_text("/annex/objects/MD5E-s7--1\n")
    failures: list[Failure] = []

    assert list_members(tmp_path, failures=failures) == ()

    assert f"datalad get {path.name}" in failures[0].message
    assert "changed by hand" not in failures[0].message


def test_a_digest_is_withdrawn_also_of_what_another_run_changes(tmp_path: Path) -> None:
    """Half-replaced by a run at the same time, the file has another size than its sidecar says."""
    path = put(tmp_path, FC, "old", task="rest")
    sidecar = path.with_name(path.name.replace(".dense.tsv", ".json"))
    facts = json.loads(sidecar.read_text()) | {"FileSize": path.stat().st_size + 1}
    sidecar.write_text(json.dumps(facts))

    forget_digest(path)
    path.write_bytes(path.read_bytes() + b"x")
    assert read_digest(path) is None
    forget_digest(path)  # again, by the other run
    sidecar.unlink()
    forget_digest(path)


def test_what_a_run_does_not_measure_stays_and_is_named(tmp_path: Path) -> None:
    """Function measured yesterday and structure today make one person."""
    function, structure = put(tmp_path, FC, "f", task="rest"), put(tmp_path, SC, "s")
    run(tmp_path, {function: "f"})

    noted = run(tmp_path, {structure: "s"})

    assert read(tmp_path) == {FC: function, SC: structure}
    assert noted["Measured"] == {
        path.relative_to(tmp_path).as_posix(): digest
        for path, digest in ((function, "f"), (structure, "s"))
    }
    assert function.name in tell_notices(noted)[0]


@pytest.mark.parametrize("first", ["", "xcp_d 0.10.6"])
def test_bold_that_came_cleaned_and_bold_cleaned_here_are_not_mixed(
    tmp_path: Path, first: str
) -> None:
    """XCP-D's gives fewer flavors than fMRIPrep's: a model would take the rest from the other."""
    second = "" if first else "xcp_d 0.10.6"
    plain = put(tmp_path, FC, "a", cleaned_by=first, task="rest")
    structure = put(tmp_path, SC, "s")
    run(tmp_path, {plain: "a", structure: "s"}, cleaned=first or None)
    partial = put(tmp_path, PARTIAL, "b", cleaned_by=second, task="rest")

    noted = run(tmp_path, {partial: "b", structure: "s"}, cleaned=second or None)

    assert read(tmp_path) == {PARTIAL: partial, SC: structure}
    assert plain.name in tell_notices(noted)[0]
    # structure alone says nothing of how function was cleaned
    run(tmp_path, {structure: "s"}, cleaned=first or None)
    assert read(tmp_path) == {PARTIAL: partial, SC: structure}


def test_what_was_left_aside_stays_so_in_the_runs_after_it(tmp_path: Path) -> None:
    """One that a failed run did not measure again is not back in play after the next one."""
    old = put(tmp_path, FC, "old", task="rest")
    run(tmp_path, {old: "new"})  # fails
    other = put(tmp_path, PARTIAL, "b", task="rest")

    for _ in range(2):
        noted = run(tmp_path, {other: "b"})

        assert read(tmp_path) == {PARTIAL: other}
        assert old.name in tell_notices(noted)[0]


def test_a_part_of_the_bold_that_nobody_has_is_not_replaced_by_another(tmp_path: Path) -> None:
    """Asked for another task, a person without it has no function, not that of rest."""
    rest, structure = put(tmp_path, FC, "f", task="rest"), put(tmp_path, SC, "s")
    run(tmp_path, {rest: "f", structure: "s"})

    run(tmp_path, {structure: "s"}, tasks=("movie",))

    assert read(tmp_path) == {SC: structure}


def test_files_of_other_tools_and_later_ridges_are_read(tmp_path: Path) -> None:
    """No record: nothing is left over. A ridge of the group is no other measurement."""
    foreign = put(tmp_path, SC, None)
    assert read(tmp_path) == {SC: foreign}
    path = put(tmp_path, PARTIAL, redo_digest("a", 0.1), task="rest")
    save_ridge(tmp_path, 0.1)
    run(tmp_path, {path: "a"})

    assert read(tmp_path) == {PARTIAL: path, SC: foreign}
    assert not Leftovers(tmp_path, "02", None).holds(path)


@pytest.mark.parametrize(
    ("found", "planned", "saved", "stands"),
    [
        ("a", "a", None, True),
        ("a+lambda=0.1", "a+lambda=0.1", 0.1, True),
        ("a+lambda=0.2", "a+lambda=0.1", 0.2, True),  # the group searched again
        ("a+lambda=0.1", "a", 0.2, False),  # that search left this file out
        ("a", "a+lambda=0.1", 0.1, False),  # was to be measured with the saved λ, which failed
        ("b+lambda=0.1", "a+lambda=0.1", 0.1, False),
        ("+lambda=0.1", "a", 0.1, False),
    ],
)
def test_which_ridge_stands(
    tmp_path: Path, found: str, planned: str, saved: float | None, *, stands: bool
) -> None:
    """A partial correlation is read with the λ that was planned, or the one saved since."""
    path = put(tmp_path, PARTIAL, found, task="rest")
    other = put(tmp_path, SC, None)
    if saved is not None:
        save_ridge(tmp_path, saved)
    run(tmp_path, {path: planned})
    assert read(tmp_path) == ({PARTIAL: path, SC: other} if stands else {SC: other})


def test_a_measured_file_is_preferred_to_one_without_sidecar(tmp_path: Path) -> None:
    """A matrix of the same flavor that lay there is not this run's."""
    put(tmp_path, FC, None)
    path = put(tmp_path, FC, "a", task="rest")
    run(tmp_path, {path: "a"})

    assert read(tmp_path) == {FC: path}
