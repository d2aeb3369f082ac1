"""Projections are recalled where no file has changed, and are those of reading them."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort import measured_matrices
from kraken_bids.cohort.failures import Failure
from kraken_bids.cohort.from_dataset import MeasuredCohort, list_members, read_cohort
from kraken_bids.io.packed_values import pack
from kraken_bids.io.tables import read_relmat
from kraken_bids.io.writing import write_relmat
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check.kept_results import Kept, KeptProjections


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Matrices that are read."""
    paths: list[Path] = []
    recall = measured_matrices.recall_relmat

    def note(path: Path) -> np.ndarray:
        paths.append(path)
        return recall(path)

    monkeypatch.setattr(measured_matrices, "recall_relmat", note)
    return paths


def read_kept(
    folder: Path, model: Model, *, failures: list[Failure] | None = None, **options: object
) -> MeasuredCohort:
    """Read a cohort as the group level does."""
    kept = KeptProjections(Kept(group_path(folder, ""), anew=bool(options.get("anew"))))
    fitted = options.get("fit_on", list_members(folder))
    return read_cohort(
        model,
        list_members(folder),
        fit_on=lambda member: member in fitted,
        failures=failures,
        project=kept.project,
    )


def describe(cohort: MeasuredCohort, model: Model) -> str:
    """All that is kept of a cohort, to the last bit, and what is said of it."""
    means = model.training_means()
    return repr([
        (
            flavor,
            pack({"rows": one.rows, "mean": vars(one.mean), "reread": sorted(one.reread)}),
            pack(one.check.tell_state()),
            one.check.list_doubts(means),
            one.check.list_duplicate_doubts(),
            one.check.list_scale_doubts(means[flavor] * 9, "there") if flavor in means else None,
            sorted(cohort.digests[flavor].items()),
        )
        for flavor, one in cohort.found.items()
    ])  # fmt: skip


def change_values(folder: Path, change: Callable[[np.ndarray], np.ndarray], *people: int) -> None:
    members = list_members(folder)
    for k in people:
        path = next(iter(members[k].connectomes.values()))
        write_relmat(path, change(read_relmat(path)))


def leave_as_it_is(folder: Path) -> None:
    pass


def make_odd(folder: Path) -> None:
    """Give people of each kind of whom something is to be said."""
    change_values(folder, np.zeros_like, 0)
    change_values(folder, lambda square: 40 * square, 1)
    change_values(folder, np.triu, 2)
    change_values(folder, np.square, 3)
    change_values(folder, lambda square: square[::-1, ::-1], 4)
    change_values(folder, lambda square: np.where(np.arange(len(square)) == 3, np.nan, square)
                  + np.where(np.arange(len(square)) == 3, np.nan, 0)[:, None], 5)  # fmt: skip
    members = list_members(folder)
    one, other = (next(iter(members[k].connectomes.values())) for k in (6, 7))
    other.write_bytes(one.read_bytes())


@pytest.mark.parametrize("prepare", [leave_as_it_is, make_odd])
def test_what_is_recalled_is_what_was_read(
    output_dir: Path, model: Model, read: list[Path], prepare: Callable[[Path], None]
) -> None:
    """Projections, means, digests and doubts, without a file being parsed."""
    prepare(output_dir)
    plain = read_cohort(model, list_members(output_dir), fit_on=lambda _member: True)
    read_kept(output_dir, model)
    read.clear()

    recalled = read_kept(output_dir, model)

    assert read == []
    assert describe(recalled, model) == describe(plain, model)


def test_flavors_of_which_a_file_changed_are_read_and_no_others(
    output_dir: Path, model: Model, read: list[Path]
) -> None:
    """By its contents, whatever its size and time."""
    read_kept(output_dir, model)
    members = list_members(output_dir)
    flavor, path = next(iter(members[2].connectomes.items()))
    status, text = path.stat(), path.read_bytes()
    place = text.rindex(b"0.") + 3
    path.write_bytes(text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    read.clear()

    read_kept(output_dir, model)

    assert set(read) == {member.connectomes[flavor] for member in members}


def test_other_people_in_the_mean_are_other_projections(
    output_dir: Path, model: Model, read: list[Path]
) -> None:
    """So is --force."""
    read_kept(output_dir, model)
    read.clear()

    few = read_kept(output_dir, model, fit_on=list_members(output_dir)[:3])
    n_read = len(read)
    read_kept(output_dir, model, anew=True)

    assert {one.mean.n_subjects for one in few.found.values()} == {3}
    assert len(read) == 2 * n_read > 0


def test_a_file_that_cannot_be_read_is_told_every_time(
    output_dir: Path, model: Model, read: list[Path]
) -> None:
    """Nothing is kept of its flavor, so that nobody is forgotten."""
    members = list_members(output_dir)
    flavor, path = next(iter(members[1].connectomes.items()))
    path.write_text("no matrix")

    for _ in range(2):
        failures: list[Failure] = []
        read.clear()
        read_kept(output_dir, model, failures=failures)
        assert [one.participant_id for one in failures] == [members[1].label]
        assert path in read
    assert not group_path(output_dir, f".projections_{flavor.name}.json").exists()


def test_who_lacks_too_many_regions_is_told_every_time(
    output_dir: Path, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    """Though the projections of the others are recalled."""

    def take_half(square: np.ndarray) -> np.ndarray:
        square[: len(square) // 2] = square[:, : len(square) // 2] = np.nan
        return square

    change_values(output_dir, take_half, 1)
    caplog.set_level(logging.WARNING)

    for _ in range(2):
        caplog.clear()
        cohort = read_kept(output_dir, model)
        assert caplog.text.count("is not used as an input") == 1
    assert any(1 not in own for own in cohort.digests.values())


def test_what_was_replaced_while_it_was_read_is_not_kept(
    output_dir: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A digest must not stand for other contents than those that were projected."""
    path = next(iter(list_members(output_dir)[4].connectomes.values()))
    own, recall = path.read_bytes(), measured_matrices.recall_relmat

    def replace(asked: Path) -> np.ndarray:
        if asked == path:
            path.write_bytes(own.replace(b"0.1", b"0.2"))
        return recall(asked)

    with monkeypatch.context() as patch:
        patch.setattr(measured_matrices, "recall_relmat", replace)
        read_kept(output_dir, model)
    path.write_bytes(own)

    plain = read_cohort(model, list_members(output_dir), fit_on=lambda _member: True)
    assert describe(read_kept(output_dir, model), model) == describe(plain, model)
