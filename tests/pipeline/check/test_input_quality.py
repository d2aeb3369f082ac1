"""Two swapped files and a damaged one are named: in the log, the table and the sidecars."""

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import loadmat

from kraken_bids.bids.outputs import group_path, latents_path, relmat_path, sidecar_path
from kraken_bids.cohort.encoding import encode_cohort
from kraken_bids.cohort.from_dataset import MeasuredCohort, list_members, read_cohort
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sources import PredictionPlan
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.demo.cohort import simulate_cohort
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.tables import read_columns
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.training import TrainingSettings, train_model
from kraken_bids.pipeline.check.group_tables import write_quality
from kraken_bids.pipeline.check.input_quality import Encoded, describe_common, judge_inputs
from kraken_bids.pipeline.check.quality_sidecars import Judgement, write_judgement
from kraken_bids.pipeline.predict.choice_of_adaptation import fit_cohort_adaptation
from kraken_bids.scores.latent_consistency import LatentFit
from kraken_bids.scores.quality_control import InputQuality
from kraken_bids.settings import DataSettings, PredictionSettings, Settings

Edges = dict[Flavor, NDArray[np.float64]]
Inputs = dict[tuple[int, Flavor], InputQuality]

CONFORMANCE = Path(__file__).resolve().parents[3].parent / "shared" / "conformance"
N_TRAIN, N = 100, 14
RECIPE = TrainingSettings(
    transform="pca32",
    latent_size=16,
    dropout=0.1,
    learning_rate=1e-3,
    n_epochs=60,
    device="cpu",
    schedule="paths",
)
CORR, PCORR = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("FCpcorr_fs86_hpf")
GSR, IFOD2 = parse_flavor("FCcorr_fs86_hpfgsr"), parse_flavor("SCifod2act_fs86_volnorm")


@pytest.fixture(scope="module")
def synthetic() -> tuple[Model, Edges]:
    """Train a small model on synthetic people; the rest of them are the cohort."""
    edges = simulate_cohort(N_TRAIN + N, 7, parcellations=("fs86",))
    model = train_model({f: rows[:N_TRAIN] for f, rows in edges.items()}, settings=RECIPE)
    return model, {f: rows[N_TRAIN:].astype(np.float64) for f, rows in edges.items()}


@pytest.fixture
def cohort(synthetic: tuple[Model, Edges]) -> tuple[Model, Edges]:
    """Copy the cohort, for a test to damage."""
    model, edges = synthetic
    return model, {flavor: rows.copy() for flavor, rows in edges.items()}


def write_cohort(edges: Edges, folder: Path, labels: list[str] | None = None) -> None:
    for flavor, rows in edges.items():
        for k, row in enumerate(rows):
            label = labels[k] if labels else f"{k + 1:02d}"
            path = relmat_path(folder, {"sub": label}, flavor, source=None)
            write_relmat(path, edges_to_square(row, diagonal=flavor.diagonal))


def judge(model: Model, folder: Path, *, adapts: bool = True) -> tuple[Inputs, MeasuredCohort]:
    members = list_members(folder)
    cohort = read_cohort(model, members, fit_on=lambda _member: True)
    adaptation = fit_cohort_adaptation(model, cohort, "meanfit+meanshift") if adapts else None
    latents = encode_cohort(model, cohort, adaptation)
    encoded = Encoded(model, members, adaptation, latents)
    return judge_inputs(encoded, correlates=True), cohort


def plan_of(folder: Path) -> PredictionPlan:
    """Plan that predicts nothing."""
    settings = Settings(
        DataSettings(folder / "bids", folder), prediction=PredictionSettings(targets=(CORR,))
    )
    return PredictionPlan(Mock(flavors=()), None, (), settings)


def swap(rows: NDArray[np.float64], a: int, b: int) -> None:
    rows[[a, b]] = rows[[b, a]]


def damage(rows: NDArray[np.float64], k: int) -> None:
    rows[k] = np.random.default_rng(4).permutation(rows[k])


def list_named(found: Inputs) -> set[tuple[int, str]]:
    return {(k, flavor.name) for (k, flavor), file in found.items() if file.verdict == "check"}


def test_an_orderly_cohort_has_nothing_to_check(
    cohort: tuple[Model, Edges], tmp_path: Path
) -> None:
    """Files rank first among everyone's nearly always, and nobody is accused."""
    model, edges = cohort
    write_cohort(edges, tmp_path)

    trust, _ = judge(model, tmp_path)

    assert list_named(trust) == set()
    assert np.mean([file.latent_rank == 1 for file in trust.values()]) > 0.8
    assert {file.latent_rank_n for file in trust.values()} == {N}
    assert {file.verdict for file in trust.values()} == {"ok"}


@pytest.mark.parametrize("swapped", [PCORR, IFOD2])
def test_swapped_and_damaged_files_are_named_and_no_others(
    swapped: Flavor,
    cohort: tuple[Model, Edges],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log says whose file it is, what does not fit, and whose it fits."""
    model, edges = cohort
    swap(edges[swapped], 3, 8)
    damage(edges[CORR], 5)
    write_cohort(edges, tmp_path)

    trust, _ = judge(model, tmp_path)

    assert list_named(trust) == {(3, swapped.name), (8, swapped.name), (5, CORR.name)}
    assert trust[3, swapped].swapped_with == "sub-09"
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    rank = trust[3, swapped].latent_rank
    assert (
        f"sub-04 {swapped} does not fit sub-04's other files: rank {rank} of {N}; it fits "
        "sub-09's best, and theirs fits here: were the two swapped?"
    ) in said
    damaged = next(text for text in said if text.startswith(f"sub-06 {CORR} "))
    assert "lies outside what the model sees, more than in others" in damaged
    assert trust[5, CORR].outside_ratio > 2 * trust[6, CORR].outside_ratio


def test_swapped_scans_are_said_once_and_on_every_file_of_both(
    cohort: tuple[Model, Edges], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All structural files of two people are swapped: those agree, and fit the wrong function."""
    model, edges = cohort
    for flavor in edges:
        if flavor.group == "SC":
            swap(edges[flavor], 2, 9)
    write_cohort(edges, tmp_path)

    trust, _ = judge(model, tmp_path)

    assert {k for k, _ in list_named(trust)} == {2, 9}
    assert {file.scans_swapped_with for (k, _), file in trust.items() if k == 2} == {"sub-10"}
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    words = (
        "sub-03's structural files do not fit its functional ones; they fit those of sub-10, and "
        "theirs fit here: were scans of the two swapped?"
    )
    assert said.count(words) == 1
    assert all(words in file.note for (k, _), file in trust.items() if k == 2)


def test_a_flavor_that_is_encoded_badly_is_named_in_place_of_people(
    cohort: tuple[Model, Edges], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a quarter of its files misfit, the flavor is said once, and nobody is suspected."""
    model, edges = cohort
    edges[PCORR][:7] = np.roll(edges[PCORR][:7], 1, axis=0)
    damage(edges[CORR], 12)
    write_cohort(edges, tmp_path)

    trust, _ = judge(model, tmp_path)

    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    common = [text for text in said if text.startswith(f"{PCORR}: ")]
    n_files = sum(file.is_inconsistent for (_, flavor), file in trust.items() if flavor == PCORR)
    words = f"{n_files} of {N} files of this flavor misfit: the model encodes it badly here"
    assert n_files >= 5
    assert common == [f"{PCORR}: {words}"]
    assert {
        file.note for (_, f), file in trust.items() if f == PCORR and file.is_inconsistent
    } == {words}
    assert not [text for text in said if text.startswith("sub-") and str(PCORR) in text]
    assert any(text.startswith(f"sub-13 {CORR} ") for text in said)


@pytest.mark.parametrize(("n_files", "is_common"), [(2, False), (3, False), (4, True)])
def test_a_quarter_of_the_files_and_three_of_them_are_many(n_files: int, is_common: bool) -> None:
    """Of 14: three may be wrong, four are the flavor; swaps that are explained do not count."""
    odds = np.full(14, 2.0)
    odds[:n_files] = -9.0
    fit = LatentFit(
        log_odds=odds,
        rank=np.ones(14),
        n_ranked=np.full(14, 14),
        best=np.zeros(14, int),
        best_log_odds=odds,
        typical=2.0,
        swapped_with=np.full(14, -1),
        set_aside=odds < 0,
        scans_swapped_with=np.full(14, -1),
    )
    assert bool(describe_common(fit)) == is_common
    swapped = np.where(odds < 0, 0, -1)
    assert not describe_common(replace(fit, swapped_with=swapped))


def test_noise_on_one_file_is_named(cohort: tuple[Model, Edges], tmp_path: Path) -> None:
    """Edges with as much noise as they vary are outside the subspace."""
    model, edges = cohort
    row = edges[GSR][4]
    row += row.std() * np.random.default_rng(1).standard_normal(row.shape)
    write_cohort(edges, tmp_path)

    trust, _ = judge(model, tmp_path)

    assert list_named(trust) == {(4, GSR.name)}


def test_the_table_and_the_sidecars_say_the_same(
    cohort: tuple[Model, Edges], tmp_path: Path
) -> None:
    """qc.tsv has a row per file with its verdict; the latents' sidecar an entry per flavor."""
    model, edges = cohort
    swap(edges[PCORR], 2, 9)
    write_cohort(edges, tmp_path)
    trust, read = judge(model, tmp_path)
    members = read.members
    for member in members:
        write_json(sidecar_path(latents_path(tmp_path, member.subject, None)), {"RunDigest": "x"})

    write_judgement(plan_of(tmp_path), members, Judgement(trust))
    write_quality(tmp_path, members, read, {}, inputs=trust)

    columns = read_columns(group_path(tmp_path, "qc.tsv"))
    words = read_json(group_path(tmp_path, "qc.json"))
    assert set(columns) - {"participant_id", "session_id", "flavor"} <= set(words)
    row = next(
        k
        for k, who in enumerate(zip(columns["participant_id"], columns["flavor"], strict=True))
        if who == ("sub-03", PCORR.name)
    )
    assert columns["trust"][row] == "check"
    assert str(columns["note"][row]) == trust[2, PCORR].note
    sidecar = read_json(sidecar_path(latents_path(tmp_path, "03", None)))
    assert sidecar["RunDigest"] == "x"
    entry = sidecar["Trust"][PCORR.name]
    assert entry["Verdict"] == "check"
    assert entry["LatentRank"] == columns["latent_rank"][row] == trust[2, PCORR].latent_rank
    assert entry["OutsideRatio"] == pytest.approx(float(columns["outside_ratio"][row]), rel=1e-6)
    assert entry["LatentBestMatch"] == "sub-10"


def test_what_more_sessions_said_stays(tmp_path: Path) -> None:
    """A run on one participant does not overwrite the judgement of the cohort."""
    member = Member("01", None, {CORR: tmp_path / "x"})
    path = sidecar_path(latents_path(tmp_path, "01", None))
    write_json(path, {"Trust": {"a": 1}, "TrustSessions": 14})
    found = Judgement({(0, CORR): InputQuality(outside_share=0.5)})

    write_judgement(plan_of(tmp_path), [member], found)
    assert read_json(path)["Trust"] == {"a": 1}

    write_json(path, {"RunDigest": "y"})
    write_judgement(plan_of(tmp_path), [member], found)
    assert json.loads(path.read_text())["Trust"][CORR.name] == {
        "Verdict": "n/a",
        "OutsideShare": 0.5,
    }


def test_one_participant_alone_gets_what_needs_no_cohort(
    cohort: tuple[Model, Edges], tmp_path: Path
) -> None:
    """Share outside, distance in the training data's units, correlation with the prediction."""
    model, edges = cohort
    write_cohort({flavor: rows[:1] for flavor, rows in edges.items()}, tmp_path)

    trust, _ = judge(model, tmp_path, adapts=False)

    file = trust[0, CORR]
    other = {f: model.encode(f, edges[f][:1]) for f in edges if f.group == "SC"}
    guess = model.decode(CORR, np.mean(list(other.values()), axis=0))[0]
    mean = model.training_means()[CORR]
    measured = edges[CORR][0]
    assert file.cross_modal.cross_modal_r == pytest.approx(
        np.corrcoef(measured, guess)[0, 1], abs=1e-4
    )
    residual = np.corrcoef(measured - mean, guess - mean)[0, 1]
    assert file.cross_modal.cross_modal_r_resid == pytest.approx(residual, abs=1e-4)
    assert file.outside_ratio > 1
    assert 0.3 < file.input_distance < 3
    assert (file.latent_rank, file.latent_distance, file.verdict, file.note) == (
        None,
        None,
        "n/a",
        "",
    )


def test_a_connectome_with_missing_regions_is_judged_by_the_others(
    cohort: tuple[Model, Edges], tmp_path: Path
) -> None:
    """Missing edges count as the training mean, as in the model's input."""
    model, edges = cohort
    square = edges_to_square(edges[CORR][1], diagonal=1.0)
    square[:3], square[:, :3] = np.nan, np.nan
    write_cohort(edges, tmp_path)
    write_relmat(relmat_path(tmp_path, {"sub": "02"}, CORR, source=None), square)

    trust, _ = judge(model, tmp_path)

    assert trust[1, CORR].verdict == "ok"
    assert trust[1, CORR].outside_share == pytest.approx(trust[2, CORR].outside_share, abs=0.1)


@pytest.mark.skipif(
    not CONFORMANCE.is_dir(), reason="the conformance data (../shared/conformance) are not here"
)
def test_swapped_and_damaged_files_of_real_people_are_named(tmp_path: Path) -> None:
    """Among the reference's 20 people; of those that its example model has learnt, no others."""
    model = load_model(next(CONFORMANCE.glob("*.pt")), device="cpu")
    split = loadmat(next(CONFORMANCE.glob("*.mat")), simplify_cells=True)
    learnt = set(split["subjidx_train"].tolist())
    with np.load(CONFORMANCE / "connectomes_cohort20.npz") as file:
        upper = np.triu_indices(86, 1)
        edges = {f: file[f.name][:, *upper].astype(np.float64) for f in model.flavors}
        labels = [str(label) for label in file["subjects"]]
    first, second, third = sorted(learnt)[:3]
    swap(edges[GSR], first, second)
    damage(edges[IFOD2], third)
    write_cohort(edges, tmp_path, labels)

    trust, _ = judge(model, tmp_path)

    named = {(k, name) for k, name in list_named(trust) if k in learnt}
    assert named == {(first, GSR.name), (second, GSR.name), (third, IFOD2.name)}
    assert trust[first, GSR].latent_best_match == f"sub-{labels[second]}"
