"""One verdict per prediction, from what was measured of this person or of the others."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from kraken_bids.bids.outputs import group_path, latents_path, relmat_path, sidecar_path
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sources import Source
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.tables import read_columns
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_relmat
from kraken_bids.pipeline.check.prediction_quality import Judge
from kraken_bids.pipeline.group import run_group
from kraken_bids.run_settings import RunSettings
from kraken_bids.scores.doubt_words import ABOUT, MEAN, NOT_JUDGED
from kraken_bids.scores.individuality import Evidence
from kraken_bids.scores.quality_control import InputQuality, Verdict
from kraken_bids.settings import DataSettings, PredictionSettings, Settings

CONFORMANCE = Path(__file__).resolve().parents[3].parent / "shared" / "conformance"
CORR, GSR = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("FCcorr_fs86_hpfgsr")
SC = parse_flavor("SCifod2act_fs86_volnorm")
N = 8
GOOD, BAD = (0.2, 0.98), (-0.02, 0.98)


def source_of(name: str, *flavors: Flavor) -> Source:
    """Make a source whose inputs everyone has."""
    has = np.ones(N, bool)
    latents = np.zeros((N, 2), np.float32)
    return Source(name, flavors, latents, np.full(N, len(flavors)), dict.fromkeys(flavors, has))


def judge(
    source: Source,
    target: Flavor,
    evidence: Mapping[tuple[str, Flavor], tuple[float, float]],
    *,
    measured: range = range(N),
    inputs: Mapping[tuple[int, Flavor], InputQuality] | None = None,
    own: tuple[float, int] = (0.15, 1),
) -> Verdict:
    """Judge the prediction of the first of eight people."""
    found = {
        key: Evidence(explained, rank, {k: own if k == 0 else (0.2, 1) for k in measured})
        for key, (explained, rank) in evidence.items()
    }
    members = [Member(f"{k:02d}", None, {}) for k in range(N)]
    return Judge(members, found, inputs or {}).judge(0, source, target)


FROM_SC = source_of("fusionSC", SC)
FROM_ALL = source_of("fusion", CORR, GSR, SC)


@pytest.mark.parametrize(
    ("pair", "own", "word"),
    [
        (GOOD, (0.15, 1), ABOUT),
        (GOOD, (-0.02, 1), MEAN),
        (GOOD, (0.15, 5), MEAN),
        (BAD, (0.01, 1), MEAN),
    ],
)
def test_what_was_measured_of_this_person_decides(
    pair: tuple[float, float], own: tuple[float, int], word: str
) -> None:
    """Explained variance below zero is never about a person, whatever the rank."""
    verdict = judge(FROM_SC, CORR, {("fusionSC", CORR): pair}, own=own)

    assert verdict.verdict == word
    assert f"{own[0]:.1%}" in verdict.reason
    assert f"rank {own[1]} of 8" in verdict.reason


def test_a_comparison_with_an_input_says_that_it_is_one() -> None:
    """It is evidence that the matrix is about the person, not of how well the model predicts."""
    verdict = judge(FROM_ALL, CORR, {("fusion", CORR): GOOD})

    assert verdict.verdict == ABOUT
    assert "which was among the inputs" in verdict.reason


@pytest.mark.parametrize(("pair", "word"), [(GOOD, ABOUT), (BAD, MEAN)])
def test_without_a_measurement_the_others_decide(pair: tuple[float, float], word: str) -> None:
    """What a patient with one modality gets is judged by those who have both."""
    others = range(1, N)
    evidence = {("fusionSC", CORR): pair}

    verdict = judge(FROM_SC, CORR, evidence, measured=others)
    of_fusion = judge(source_of("fusion", SC), CORR, evidence, measured=others)

    assert verdict.verdict == of_fusion.verdict == word
    assert "not measured here; in the 7 subjects" in verdict.reason
    assert verdict.explained is None


def test_what_one_flavor_adds_to_another_of_the_same_scan_is_not_guessed() -> None:
    """From structure alone it would be the mean; with function it may be more."""
    verdict = judge(
        source_of("fusion", GSR, SC), CORR, {("fusionSC", CORR): BAD}, measured=range(1, N)
    )

    assert verdict.verdict == NOT_JUDGED


def test_too_few_people_say_nothing() -> None:
    """Alone, or among four."""
    assert judge(FROM_SC, CORR, {}).verdict == NOT_JUDGED
    few = judge(FROM_SC, CORR, {("fusionSC", CORR): GOOD}, measured=range(4))
    assert few.verdict == NOT_JUDGED
    assert "run the group level" in few.reason


@pytest.mark.parametrize("flavor", [CORR, SC])
def test_an_unusual_file_comes_first(flavor: Flavor) -> None:
    """Whether it is an input, or what the prediction would be compared with."""
    swapped = InputQuality(
        is_judged=True, swapped_with="sub-05", latent_fit=-9.0, latent_rank=8, latent_rank_n=8
    )
    verdict = judge(FROM_SC, CORR, {("fusionSC", CORR): GOOD}, inputs={(0, flavor): swapped})

    assert verdict.verdict == NOT_JUDGED
    assert flavor.name in verdict.reason


def test_what_is_true_of_a_whole_flavor_is_no_doubt_about_one_file() -> None:
    """A flavor that the model encodes badly is judged by its numbers."""
    common = "3 of 8 files of this flavor misfit"
    file = InputQuality(
        is_judged=True, latent_fit=-9.0, latent_rank=8, latent_rank_n=8, flavor_note=common
    )
    verdict = judge(FROM_SC, CORR, {("fusionSC", CORR): GOOD}, inputs={(0, SC): file})

    assert verdict.verdict == ABOUT


def test_an_input_that_the_model_hardly_sees_is_not_ok() -> None:
    """Not even where everyone's is like that, or nobody else is there."""
    assert InputQuality(outside_share=0.998, is_judged=True).verdict == "not seen"
    assert InputQuality(outside_share=0.998).verdict == "not seen"
    assert InputQuality(outside_share=0.94, is_judged=True).verdict == "ok"
    assert InputQuality(outside_share=0.94).verdict == "n/a"


def run(output_dir: Path, model: Path) -> None:
    data = DataSettings(output_dir / "raw", output_dir, atlases=("fs86",))
    prediction = PredictionSettings(model=str(model))
    assert run_group(Settings(data, prediction=prediction, run=RunSettings(n_procs=1))) == 0


def test_table_and_sidecars_say_the_same(
    output_dir: Path, model_folder: Path, no_pages: None
) -> None:
    """Every prediction that was written has one verdict, in three places."""
    run(output_dir, model_folder)

    columns = read_columns(group_path(output_dir, "predictions.tsv"))
    rows = list(zip(*(columns[k] for k in ("participant_id", "source", "target")), strict=True))
    assert len(rows) == 12 * 3 * 3
    for (person, source, target), verdict in zip(rows, columns["verdict"], strict=True):
        subject = str(person).removeprefix("sub-")
        path = relmat_path(
            output_dir, {"sub": subject}, parse_flavor(str(target)), source=str(source)
        )
        latents = read_json(sidecar_path(latents_path(output_dir, subject, None)))
        assert read_json(sidecar_path(path))["Trust"]["Verdict"] == verdict
        assert latents["Verdicts"][source][target]["Verdict"] == verdict
    levels = read_json(group_path(output_dir, "predictions.json"))["verdict"]["Levels"]
    assert set(columns["verdict"]) <= set(levels) == {ABOUT, MEAN, NOT_JUDGED}


@pytest.mark.skipif(
    not CONFORMANCE.is_dir(), reason="the conformance data (../shared/conformance) are not here"
)
def test_an_overfitted_model_is_about_the_people_that_it_has_learnt(
    tmp_path: Path, no_pages: None
) -> None:
    """Of the reference's 20 people, 12 were learnt; what is made from structure is about those."""
    with np.load(CONFORMANCE / "connectomes_cohort20.npz") as file:
        for name in set(file) - {"subjects"}:
            for k, square in enumerate(file[name]):
                path = relmat_path(tmp_path, {"sub": f"{k:02d}"}, parse_flavor(name), source=None)
                write_relmat(path, square)
    split = loadmat(next(CONFORMANCE.glob("*.mat")), simplify_cells=True)
    learnt = {f"sub-{k:02d}" for k in split["subjidx_train"].tolist()}

    run(tmp_path, next(CONFORMANCE.glob("*.pt")))

    columns = read_columns(group_path(tmp_path, "predictions.tsv"))
    across = (columns["source"] == "fusionSC") & np.char.startswith(columns["target"], "FC")
    words = {True: [], False: []}
    for person, word in zip(
        columns["participant_id"][across], columns["verdict"][across], strict=True
    ):
        words[str(person) in learnt].append(str(word))
    assert words[True].count(ABOUT) >= 0.9 * len(words[True])
    assert words[False].count(ABOUT) <= 0.25 * len(words[False])
