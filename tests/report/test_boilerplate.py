"""The methods section says what was done, in words for every way of doing it, and cites it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kraken_bids.bids.outputs import (
    group_path,
    intervals_path,
    latents_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.cohort.latent_tables import write_latent_table
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.parcellations import list_parcellations, read_table
from kraken_bids.report.boilerplate import (
    bold_text,
    community_text,
    prediction_text,
    text,
    tract_text,
)
from kraken_bids.report.boilerplate.bibliography import CITED, load_works
from kraken_bids.report.boilerplate.text import Boilerplate, compose_boilerplate
from kraken_bids.settings import ADAPTATION_MODES, DENOISE

STRATEGIES = tuple(name for name in DENOISE if name != "auto")
"""What a sidecar may name: ``auto`` becomes one of the others."""

FC, GSR = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("FCcorr_fs86_hpfgsr")
SC = parse_flavor("SCsdstream_fs86_sift2volnorm")
RUN = {"VolumesDropped": 4, "VolumesTotal": 200, "VolumesUsed": 190, "File": "a_bold.nii.gz"}
CLEANING: dict[str, Any] = {
    "Denoising": "fmriclean",
    "TissueRegressors": ["WM"],
    "HighPass": 0.01,
    "OutlierRule": "jump of the global signal",
    "FDThreshold": None,
    "CoverageMin": 0.5,
    "EffectiveDuration": 600.0,
    "MeanFD": 0.1,
    "Runs": [RUN, RUN],
    "SoftwareVersion": "0.1.0",
    "Sources": ["bids:fmriprep:sub-01/func/a_bold.nii.gz"],
}
COUNTING = {
    "TractographyAlgorithm": "sdstream",
    "SearchRadius": 2.5,
    "Units": "mrtrix",
    "Streamlines": {"n_streamlines": 4_000_000},
    "SoftwareVersion": "0.1.0",
}


def write_connectome(root: Path, subject: str, flavor: Flavor, facts: dict[str, Any]) -> None:
    path = relmat_path(root, {"sub": subject}, flavor, source=None)
    write_relmat(path, np.eye(86))
    write_json(sidecar_path(path), facts)


def compose(root: Path, *, everyone: bool = True) -> Boilerplate:
    return compose_boilerplate(root, list_members(root), is_of_everyone=everyone)


def paragraphs(found: Boilerplate, heading: str) -> list[str]:
    return [words for name, words in found.spelled if name == heading]


def test_every_option_has_its_words() -> None:
    """A strategy, metric, mode or atlas that is added needs a sentence here."""
    assert set(bold_text.REGRESSED) == set(STRATEGIES)
    rows = read_table("measures.tsv")
    assert {row["processing"] for row in rows if row["group"] == "SC"} <= set(tract_text.METRICS)
    assert {(row["measure"], row["processing"]) for row in rows if row["group"] == "FC"} == set(
        bold_text.MEASURES
    )
    assert set(prediction_text.ADAPTED) == set(ADAPTATION_MODES) - {"none"}
    assert set(text.ATLASES) == set(list_parcellations())


def test_citations_and_references_belong_together() -> None:
    """No key without a work, no work that nothing cites."""
    modules = (bold_text, community_text, prediction_text, text, tract_text)
    sources = " ".join(Path(str(module.__file__)).read_text() for module in modules)
    cited = set(re.findall(r"@(\w+\d{4}\w+)", sources))
    cited |= {"mehta2024xcpd", "salimi2014fix"}  # of the software that cleaned before
    assert cited == set(load_works())


def test_a_paragraph_says_what_the_sidecars_say(tmp_path: Path) -> None:
    """Numbers, strategy, volumes left out, metrics; authors and years instead of keys."""
    write_connectome(tmp_path, "01", FC, CLEANING)
    write_connectome(tmp_path, "01", GSR, CLEANING | {"GlobalSignalRegression": True})
    write_connectome(tmp_path, "01", SC, COUNTING)
    found = compose(tmp_path)
    (bold,) = paragraphs(found, "Functional connectomes")
    for words in (
        "first four principal components",
        "Behzadi et al., 2007",
        "high-pass filtered at 0.01 Hz",
        "the first 4 volumes",
        "moved by more than 0.9 mm",
        "runs were concatenated",
        "less than 50 %",
        "global signal regression (mean grey-matter signal and its derivative)",
        "amount to 10 min per session",
    ):
        assert words in bold
    assert "partial" not in bold
    (tract,) = paragraphs(found, "Structural connectomes")
    for words in (
        "SD_STREAM",
        "4,000,000 streamlines each",
        "within 2.5 mm",
        "SIFT2 weights",
        "label image",
    ):
        assert words in tract
    assert "iFOD2" not in tract
    keys = [work.key for work in found.works]
    assert keys == sorted(keys)
    assert "tournier2012mrtrix" in keys
    assert "tournier2010ifod2" not in keys
    assert not CITED.search(" ".join(words for _, words in found.spelled))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_is_described_as_itself(tmp_path: Path, strategy: str) -> None:
    """Its own sentence, and no filter where the confounds filter."""
    by_cosines = strategy in {"acompcor", "simple", "scrubbing", "compcor", "ica_aroma"}
    facts = CLEANING | {
        "Denoising": strategy,
        "HighPass": 0.0,
        "OutlierRule": "none",
        "FDThreshold": 0.4,
    }
    write_connectome(tmp_path, "01", FC, facts)
    (bold,) = paragraphs(compose(tmp_path), "Functional connectomes")
    assert ("No temporal filter" in bold) != by_cosines
    assert "framewise displacement above 0.4 mm" in bold
    assert ("24 motion parameters" in bold) == (
        strategy in {"fmriclean", "acompcor", "24p", "36p"}
    )


def test_sessions_cleaned_otherwise_have_their_own_paragraph(tmp_path: Path) -> None:
    """And those cleaned alike share one."""
    for subject, strategy in (("01", "24p"), ("02", "36p"), ("03", "24p")):
        facts = CLEANING | {"Denoising": strategy, "EffectiveDuration": 300.0 * int(subject)}
        write_connectome(tmp_path, subject, FC, facts)
    found = paragraphs(compose(tmp_path), "Functional connectomes")
    assert len(found) == 2
    assert "10 min on average (range 5 to 15) per session (3 sessions)" in found[-1]


def test_every_penalty_of_partial_correlations_is_said(tmp_path: Path) -> None:
    """One for all, one per atlas, several of one atlas."""
    fs86, shen = (parse_flavor(f"FCpcorr_{name}_hpf") for name in ("fs86", "shen268"))
    for subject, flavor, penalty, words in (
        ("01", fs86, 0.02, "(λ = 0.02)"),
        ("01", shen, 0.02, "(λ = 0.02)"),
        ("02", fs86, 0.02, "(λ = 0.02)"),
        ("02", shen, 0.5, "λ = 0.02 for fs86 and λ = 0.02 or 0.5 depending on the session for"),
    ):
        write_connectome(tmp_path, subject, flavor, CLEANING | {"Lambda": penalty})
        assert words in paragraphs(compose(tmp_path), "Functional connectomes")[0]


def test_what_came_cleaned_is_said_to_have_been(tmp_path: Path) -> None:
    """With the software, and no regression of ours."""
    facts = CLEANING | {"Denoising": "none", "CleanedBy": "XCP-D 0.10.7", "HighPass": 0.0}
    write_connectome(tmp_path, "01", FC, facts)
    (bold,) = paragraphs(compose(tmp_path), "Functional connectomes")
    assert "cleaned by XCP-D 0.10.7 (Mehta et al., 2024) and were taken as they were" in bold
    assert "regression" not in bold
    assert "No temporal filter" not in bold


def test_lesions_are_told_where_there_were_masks(tmp_path: Path) -> None:
    """Of one participant; of others nothing."""
    write_connectome(tmp_path, "01", FC, CLEANING)
    words = "Voxels inside lesion masks were part of no region and of no tissue mask"
    assert words not in paragraphs(compose(tmp_path), "Functional connectomes")[0]
    write_connectome(tmp_path, "01", FC, CLEANING | {"LesionedRegions": {"a": 0.5}})
    assert words in paragraphs(compose(tmp_path), "Functional connectomes")[0]


def test_predictions_calibration_and_communities_follow_their_files(tmp_path: Path) -> None:
    """Model, adaptation, people and settings; communities belong to everyone's text alone."""
    write_connectome(tmp_path, "01", FC, CLEANING)
    latents = latents_path(tmp_path, "01", None)
    write_latent_table(latents, {"fusionFC": np.ones(4, np.float32)})
    fit = {"b0": 0.5, "CohortSize": 31}
    source = {"Model": "kraken-x", "ModelFlavors": 15, "ModelSHA256": "ab" * 32}
    source |= {"AdaptationMode": "meanshift", "Adaptation": {FC.name: fit}}
    write_json(sidecar_path(latents), {"InputSources": {"fusionFC": source}})
    pair = {"NFitted": 28, "IntervalCoverage": 0.9}
    intervals = sidecar_path(intervals_path(tmp_path, "01", None))
    write_json(intervals, {"Calibrated": {"fusionFC/x": pair}})
    settings = {"n_communities": 7, "gamma": 1.5, "sign": "signed", "n_seeds": 5}
    place = group_path(tmp_path, "atlas-fs86_desc-communities_history.json")
    write_json(place, {"Settings": settings})
    found = compose(tmp_path)
    (predicted,) = paragraphs(found, "Predicted connectomes")
    assert "model kraken-x (15 flavors of connectomes; SHA-256 abababababab…)" in predicted
    assert "of the 31 people that this was fitted on" in predicted
    (calibrated,) = paragraphs(found, "Calibration")
    assert "28 sessions of other people" in calibrated
    assert "hold 90 % of edges" in calibrated
    (communities,) = paragraphs(found, "Dynamic communities")
    assert "At most 7 communities were allowed (resolution γ = 1.5" in communities
    assert not paragraphs(compose(tmp_path, everyone=False), "Dynamic communities")


def test_sites_that_were_adapted_by_themselves_are_said(tmp_path: Path) -> None:
    """With the covariates that were kept; of each site people were fitted on."""
    write_connectome(tmp_path, "01", FC, CLEANING)
    latents = latents_path(tmp_path, "01", None)
    write_latent_table(latents, {"fusionFC": np.ones(4, np.float32)})
    source: dict[str, object] = {"Model": "x", "AdaptationMode": "meanshift"}
    source |= {"Adaptation": {FC.name: {"b0": 1.0, "CohortSize": 12}}, "AdaptationBy": "scanner"}
    write_json(sidecar_path(latents), {"InputSources": {"fusionFC": source}})
    (predicted,) = paragraphs(compose(tmp_path), "Predicted connectomes")
    assert "of the 12 people that this was fitted on" in predicted
    assert "for each site (column scanner) by itself." in predicted
    source["AdaptationCovariates"] = ["age", "sex"]
    write_json(sidecar_path(latents), {"InputSources": {"fusionFC": source}})
    (predicted,) = paragraphs(compose(tmp_path), "Predicted connectomes")
    assert "for people of average age and sex, by regression of every edge" in predicted


def test_predictions_are_from_what_was_written(tmp_path: Path) -> None:
    """Latents of every flavor are there whatever was predicted; none of them is a prediction."""
    write_connectome(tmp_path, "01", FC, CLEANING)
    latents = latents_path(tmp_path, "01", None)
    write_latent_table(latents, dict.fromkeys(("fusionFC", FC.name), np.ones(4, np.float32)))
    sources = {"Model": "kraken-x", "Predicted": True, "AdaptationMode": "none"}
    facts = {"InputSources": dict.fromkeys(("fusionFC", FC.name), sources), "RunDigest": "now"}
    write_json(sidecar_path(latents), facts)
    (predicted,) = paragraphs(compose(tmp_path), "Predicted connectomes")
    assert "were predicted from" not in predicted
    for source, digest in (("fusionFC", "now"), ("fusion", "of an earlier run")):
        path = relmat_path(tmp_path, {"sub": "01"}, SC, source=source)
        write_relmat(path, np.eye(86))
        write_json(sidecar_path(path), {"RunDigest": digest})
    (predicted,) = paragraphs(compose(tmp_path), "Predicted connectomes")
    assert predicted.endswith(
        "the mean of the latent vectors of a session's functional connectomes alone."
    )
    assert "not adapted" in predicted


def test_communities_are_said_as_each_atlas_was_searched(tmp_path: Path) -> None:
    """Its own settings, how these were chosen, and the comparisons that were made."""
    settings = {"n_communities": 7, "gamma": 1.5, "sign": "signed", "n_seeds": 5}
    auto = {"n_communities": 3, "gamma": 0.75, "sign": "signed", "n_seeds": 5}
    methods = {"Methods": ["dynamic communities", "Leiden, mean correlation"], "Surrogates": 19}
    for atlas, facts in {
        "fs86": {"Settings": settings, "Surrogates": 0, "StartsInConsensus": [1, 2, 4]},
        "shen268": {"Settings": auto, "ChosenByHalves": True} | methods,
    }.items():
        write_json(group_path(tmp_path, f"atlas-{atlas}_desc-communities_history.json"), facts)
    write_connectome(tmp_path, "01", FC, CLEANING)
    one, other = paragraphs(compose(tmp_path), "Dynamic communities")
    assert "series of fs86 by" in one
    assert "At most 7 communities were allowed (resolution γ = 1.5;" in one
    assert "consensus of 3 of 5 start(s)" in one
    assert "Leiden" not in one
    assert "randomised" not in one
    assert "series of shen268 by" in other
    assert "At most 3 communities were allowed (resolution γ = 0.75, at which halves" in other
    assert "Leiden algorithm (Traag et al., 2019)" in other
    assert "19 series with randomised phases" in other


def test_what_was_left_out_is_counted(tmp_path: Path) -> None:
    """Regions, and participants that failed."""
    write_connectome(tmp_path, "01", FC, CLEANING | {"MissingRegions": ["a", "b"]})
    write_connectome(tmp_path, "02", FC, CLEANING)
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "failures.tsv").write_text(
        "participant_id\tsession_id\tstage\terror\tmessage\trun\nsub-09\tn/a\tinputs\tX\ty\tz\n"
    )
    (left_out,) = paragraphs(compose(tmp_path), "What was left out")
    assert "2 region(s) were missing in 1 of 2 sessions" in left_out
    assert "1 participant(s) could not be processed (stage: inputs)" in left_out


def test_versions_of_the_inputs_are_those_of_their_datasets(tmp_path: Path) -> None:
    """As long as the datasets can be found; else their names stand alone."""
    out, prep = tmp_path / "out", tmp_path / "prep"
    write_connectome(out, "01", FC, CLEANING)
    links = {"DatasetLinks": {"fmriprep": prep.as_uri()}}
    write_json(out / "dataset_description.json", links)
    assert "outputs of fmriprep (Esteban" in paragraphs(compose(out), "Software")[0]
    origin = {"GeneratedBy": [{"Name": "fMRIPrep", "Version": "25.2.5"}]}
    write_json(prep / "dataset_description.json", origin)
    assert "outputs of fMRIPrep 25.2.5 (Esteban" in paragraphs(compose(out), "Software")[0]


def test_bibtex_has_an_entry_per_work() -> None:
    """Family names first, ``others`` for et al., pages with a dash of two."""
    entry = load_works()["behzadi2007compcor"].bibtex
    assert "author = {Behzadi, Y and Restom, K and Liau, J and Liu, TT}" in entry
    assert "pages = {90--101}" in entry
    assert "Tournier, J-D and Smith, R" in load_works()["tournier2019mrtrix3"].bibtex
    assert "and others}" in load_works()["esteban2019fmriprep"].bibtex
    for work in load_works().values():
        assert work.bibtex.startswith(f"@article{{{work.key},\n")
        assert work.bibtex.count("{") == work.bibtex.count("}")
