"""Scores and trust are read back where nothing changed, and computed where anything did."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.encoding import encode_cohort
from kraken_bids.cohort.from_dataset import list_members, read_cohort
from kraken_bids.cohort.measured_matrices import Measured, read_measured
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sources import build_sources
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.tables import read_relmat
from kraken_bids.io.writing import write_relmat
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check import cohort_scores as scores
from kraken_bids.pipeline.check import input_quality
from kraken_bids.pipeline.check.cohort_scores import Scores, score_members
from kraken_bids.pipeline.check.group_tables import write_metrics
from kraken_bids.pipeline.check.input_quality import Encoded, judge_inputs
from kraken_bids.pipeline.check.kept_results import Kept, digest_array, keep_results
from kraken_bids.pipeline.predict.choice_of_adaptation import fit_cohort_adaptation
from kraken_bids.scores.quality_control import InputQuality

KEPT = (".scores.json", ".inputs.json")


@dataclass(frozen=True)
class Asked:
    """What a run of the group level is asked for."""

    adaptation: str = "meanfit+meanshift"
    sources: tuple[str, ...] = ("fusion", "fusionSC", "fusionFC", "each")
    judged: tuple[str, ...] = ()
    anew: bool = False
    factor: float = 1.0
    """Times the b0 that is fitted."""


@pytest.fixture
def n_read(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count the connectomes that scores and trust read."""
    counts = {"scores": 0, "trust": 0}

    def counting(name: str, read: Callable[..., Any]) -> Callable[..., Any]:
        def read_one(*args: object) -> object:
            counts[name] += 1
            return read(*args)

        return read_one

    for name, module in (("scores", scores), ("trust", input_quality)):
        monkeypatch.setattr(module, "read_measured", counting(name, module.read_measured))
    return counts


def judge(
    folder: Path, model: Model, asked: Asked | None = None, members: tuple[Member, ...] = ()
) -> tuple[Scores, dict[tuple[int, Flavor], InputQuality], bytes]:
    """Score and judge a cohort as the group level does."""
    asked = asked or Asked()
    members = members or list_members(folder)
    cohort = read_cohort(model, members, fit_on=lambda _member: True)
    adaptation = None
    if asked.adaptation != "none":
        adaptation = fit_cohort_adaptation(model, cohort, asked.adaptation)
        flavors = {
            f: replace(fit, b0=asked.factor * fit.b0) for f, fit in adaptation.flavors.items()
        }
        adaptation = replace(adaptation, flavors=flavors)
    latents = encode_cohort(model, cohort, adaptation)
    kept = keep_results(folder, cohort, anew=asked.anew)
    found = score_members(
        model,
        members,
        build_sources(latents, asked.sources),
        adaptation=adaptation,
        judged=asked.judged,
        kept=kept,
    )
    write_metrics(folder, found)
    trust = judge_inputs(Encoded(model, members, adaptation, latents), correlates=True, kept=kept)
    return found, trust, group_path(folder, "metrics.tsv").read_bytes()


def test_unchanged_cohorts_are_not_read_again(
    output_dir: Path, model: Model, n_read: dict[str, int]
) -> None:
    """What is read back is what was computed, to the last bit."""
    computed = judge(output_dir, model)
    assert min(n_read.values()) == sum(len(m.connectomes) for m in list_members(output_dir))
    n_read.update(scores=0, trust=0)

    read_back = judge(output_dir, model)

    assert n_read == {"scores": 0, "trust": 0}
    assert repr(read_back) == repr(computed)  # of NaN too


def change_a_matrix(folder: Path) -> Asked:
    path = next(iter(list_members(folder)[3].connectomes.values()))
    square = read_relmat(path)
    square[4, 5] = square[5, 4] = np.nextafter(np.float32(square[4, 5]), 1) + 1e-5
    write_relmat(path, square)
    return Asked()


def exchange_two_people(folder: Path) -> Asked:
    one, other = ((folder / f"sub-{k}") for k in ("01", "02"))
    path = next(iter(list_members(folder)[0].connectomes.values()))
    twin = other / path.relative_to(one).with_name(path.name.replace("sub-01", "sub-02"))
    mine, theirs = path.read_bytes(), twin.read_bytes()
    path.write_bytes(theirs)
    twin.write_bytes(mine)
    return Asked()


def take_a_flavor_away(folder: Path) -> Asked:
    next(iter(list_members(folder)[5].connectomes.values())).unlink()
    return Asked()


@pytest.mark.parametrize("change", [change_a_matrix, exchange_two_people, take_a_flavor_away])
def test_changed_connectomes_are_scored_and_judged_anew(
    output_dir: Path, model: Model, n_read: dict[str, int], change: Callable[[Path], Asked]
) -> None:
    """As a folder is that nothing was kept of."""
    judge(output_dir, model)
    n_read.update(scores=0, trust=0)

    asked = change(output_dir)
    found = judge(output_dir, model, asked)

    assert min(n_read.values()) > 0
    assert repr(found) == repr(judge(output_dir, model, replace(asked, anew=True)))


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (Asked(adaptation="none"), ("scores", "trust")),
        (Asked(adaptation="meanshift"), ("scores", "trust")),
        (Asked(factor=1.001), ("scores", "trust")),
        (Asked(judged=("FCcorr_fs86_hpf",)), ("scores",)),
        (Asked(sources=("fusion", "fusionFC")), ("scores",)),
        (Asked(anew=True), ("scores", "trust")),
    ],
)
def test_other_settings_are_scored_and_judged_anew(
    output_dir: Path,
    model: Model,
    n_read: dict[str, int],
    asked: Asked,
    what: tuple[str, ...],
) -> None:
    """Each where its result hangs on the setting; ``--force`` computes all."""
    judge(output_dir, model)
    n_read.update(scores=0, trust=0)

    found = judge(output_dir, model, asked)

    assert all(n_read[name] > 0 for name in what)
    assert repr(found) == repr(judge(output_dir, model, replace(asked, anew=True)))


def test_fewer_people_are_scored_and_judged_anew(
    output_dir: Path, model: Model, n_read: dict[str, int]
) -> None:
    """Those that are left have the same files."""
    judge(output_dir, model)
    n_read.update(scores=0, trust=0)

    judge(output_dir, model, members=list_members(output_dir)[:-1])

    assert min(n_read.values()) > 0


def test_another_model_is_scored_and_judged_anew(
    output_dir: Path, model: Model, n_read: dict[str, int]
) -> None:
    """Though it may give the same numbers."""
    judge(output_dir, model, Asked(adaptation="none"))
    n_read.update(scores=0, trust=0)

    judge(output_dir, replace(model, sha256="of another"), Asked(adaptation="none"))

    assert min(n_read.values()) > 0


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def turn_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def put_bytes(path: Path) -> None:
    path.write_bytes(b"\xff\x00" * 40)


def put_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [cut, turn_a_bit, empty, put_bytes, put_a_folder])
def test_what_was_kept_and_is_damaged_is_computed_anew(
    output_dir: Path, model: Model, n_read: dict[str, int], damage: Callable[[Path], None]
) -> None:
    """Whatever happened to it, nothing ends."""
    computed = judge(output_dir, model)
    n_read.update(scores=0, trust=0)

    for name in KEPT:
        damage(group_path(output_dir, name))
    found = judge(output_dir, model)

    assert min(n_read.values()) > 0
    assert repr(found) == repr(computed)


def test_arrays_have_the_same_digest_only_where_they_are_the_same() -> None:
    """Type, shape and every number count, wherever they lie in memory."""
    values = np.arange(6.0)

    same = {digest_array(values), digest_array(np.arange(12.0)[::2] / 2)}
    other = {
        digest_array(values.reshape(2, 3)),
        digest_array(values.astype(np.float32)),
        digest_array(np.nextafter(values, 9)),
    }

    assert len(same) == 1
    assert len(same | other) == 4


def test_without_a_folder_nothing_is_kept() -> None:
    """The participant level judges few, and computes."""
    counts: list[int] = []

    for _ in range(2):
        assert Kept().recall("x", [], lambda: {"n": counts.append(1)}) == {"n": None}

    assert len(counts) == 2


def test_what_the_disk_does_not_take_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The result is there all the same; the next run computes it again."""
    (tmp_path / "group").write_text("a file in the folder's place")

    with caplog.at_level("WARNING", logger="kraken_bids"):
        assert Kept(tmp_path / "group").recall("x", [], lambda: {"n": 1}) == {"n": 1}

    (said,) = caplog.records
    assert "not kept for the next run" in said.message


def test_a_file_that_cannot_be_read_again_fails_its_participant_alone(
    output_dir: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are scored and judged; nothing is kept, so that the next run does it for all."""
    members = list_members(output_dir)
    cohort = read_cohort(model, members, fit_on=lambda _member: True)
    latents = encode_cohort(model, cohort, None)
    encoded = Encoded(model, members, None, latents)
    kept = keep_results(output_dir, cohort, anew=False)
    sources = build_sources(latents, ("fusion", "fusionSC", "fusionFC", "each"))
    lost = next(iter(members[2].connectomes.values()))

    def read(path: Path, flavor: Flavor, n_edges: int) -> Measured:
        if path == lost:
            raise InputError(f"expected a matrix in {path}; reading gave: Input/output error.")
        return read_measured(path, flavor, n_edges)

    for module in (scores, input_quality):
        with monkeypatch.context() as patch:
            patch.setattr(module, "read_measured", read)
            encoded.failures.clear()
            found = score_members(model, members, sources, kept=kept, failures=encoded.failures)
            trust = judge_inputs(encoded, correlates=True, kept=kept)
        failed = {(one.participant_id, one.stage) for one in encoded.failures}
        assert failed == {(members[2].label, "predictions")}
        assert str(lost) in encoded.failures[0].message
        assert found.metrics
        assert {index for index, _ in trust} == set(range(len(members)))
        own = ".scores.json" if module is scores else ".inputs.json"
        assert not (output_dir / "group" / own).exists()
