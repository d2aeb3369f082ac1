"""A small finished OUTPUT_DIR: three people, two flavors, an atlas of six regions."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from fuzz.arrays import (
    AFFINE,
    N_REGIONS,
    edges,
    format_rows,
    format_table,
    latents,
    pack_gzip,
    pack_h5,
    rng,
    squares,
)

PEOPLE = ("sub-01", "sub-02", "sub-03")
FC, SC = "FCcorr_mini_hpf", "SCifod2act_mini_volnorm"
SOURCES = ("fusion", "fusionSC", "fusionFC")
N_FRAMES = 20
BOLD = "sub-01_task-rest_run-1_space-T1w_desc-preproc_bold.nii.gz"
Files = dict[str, bytes]


def _write_json(**content: Any) -> bytes:
    return json.dumps(content).encode()


@cache
def build_output_dir() -> Mapping[str, bytes]:
    """Make the files of a small finished OUTPUT_DIR, by path."""
    indices = range(1, N_REGIONS + 1)
    regions = {
        "index": list(indices),
        "name": [f"region {k}" for k in indices],
        "hemisphere": ["L", "R"] * (N_REGIONS // 2),
        "group": ["a"] * 3 + ["b"] * 3,
    }
    files: Files = {
        "atlas-mini_dseg.tsv": format_table(regions),
        "dataset_description.json": _write_json(
            Name="kraken_bids", BIDSVersion="1.10.0", DatasetType="derivative",
            GeneratedBy=[{"Name": "kraken_bids", "Version": "1"}],
            SourceDatasets=[{"URL": "file:///data"}], DatasetLinks={"raw": "file:///data"},
        ),
    }  # fmt: skip
    for number, person in enumerate(PEOPLE):
        files |= _build_person(person, number)
    return files | _build_group() | _build_logs()


def build_archive() -> bytes:
    """Pack the predictions of a session as HDF5."""
    values = squares()[0].astype(np.float32)
    return pack_h5({f"{source}/{flavor}": values for source in SOURCES for flavor in (FC, SC)})


def _build_person(person: str, number: int) -> Files:
    func, dwi = f"{person}/func/{person}", f"{person}/dwi/{person}"
    fc, sc = f"{func}_task-rest_space-T1w_atlas-mini", f"{dwi}_space-ACPC_atlas-mini"
    square = squares()[number]
    digest = f"digest{number}"
    files = {
        f"{fc}_meas-FCcorrHPF_relmat.dense.tsv": format_rows(square),
        f"{fc}_meas-FCcorrHPF_relmat.json": _describe_fc(digest),
        f"{sc}_meas-SCifod2actVN_relmat.dense.tsv": format_rows(square),
        f"{sc}_meas-SCifod2actVN_relmat.json": _describe_sc(digest),
        f"{person}/{person}_desc-kraken_latents.json": _describe_latents(person, digest),
        f"{person}/{person}_desc-kraken_latents.tsv": format_table(
            {"source": SOURCES, "n_inputs": [2, 1, 1]}
            | {f"z00{k}": [f"{v:.6g}" for v in latents()[:3, k]] for k in range(3)}
        ),
        f"{func}_task-rest_space-T1w_atlas-mini_coverage.tsv": format_table(
            {"index": range(1, 7), "name": "abcdef", "n_voxels": [9] * 6,
             "coverage": [1, 0.9, 1, 0.4, 1, 1], "tsnr": [50.5] * 6}
        ),
        f"{func}_task-rest_space-T1w_atlas-mini_coverage.json": _write_json(
            CoverageMin=0.5, coverage={"Description": "share"}
        ),
    }  # fmt: skip
    for source in SOURCES[:2]:
        for folder, meas, flavor in ((func, "FCcorrHPF", FC), (dwi, "SCifod2actVN", SC)):
            stem = f"{folder}_atlas-mini_meas-{meas}_desc-{source}kraken_relmat"
            files[f"{stem}.dense.tsv"] = format_rows(square)
            files[f"{stem}.json"] = _describe_prediction(flavor, source, digest)
    return files | (_build_run(func) if number == 0 else {})


def _build_run(func: str) -> Files:
    """Series and frames of a run, and the regions on its grid."""
    import nibabel as nib

    random = rng()
    run = f"{func}_task-rest_run-1_space-T1w"
    series = {f"region {k}": [f"{v:.5g}" for v in random.random(N_FRAMES)] for k in range(6)}
    frames = {
        "framewise_displacement": ["n/a", *["0.1"] * (N_FRAMES - 1)],
        "std_dvars": ["n/a", *["1.1"] * (N_FRAMES - 1)],
        "global_signal": ["1200.5"] * N_FRAMES,
        "kept": ["0", *["1"] * (N_FRAMES - 1)],
    }
    labels = np.repeat(np.arange(N_REGIONS + 1), 4).reshape(4, 7, 1).astype(np.int16)
    image = pack_gzip(bytes(nib.Nifti1Image(labels, AFFINE).to_bytes()))
    facts = _write_json(RepetitionTime=2.0, FDThreshold=None, DVARSSource="std_dvars")
    return {
        f"{run}_atlas-mini_timeseries.tsv": format_table(series),
        f"{run}_atlas-mini_desc-hpf_timeseries.tsv": format_table(series),
        f"{run}_desc-quality_timeseries.tsv": format_table(frames),
        f"{run}_desc-quality_timeseries.json": facts,
        f"{func}_task-rest_space-T1w_atlas-mini_dseg.nii.gz": image,
    }


def _describe_fc(digest: str) -> bytes:
    run = {
        "File": BOLD, "VolumesTotal": 200, "VolumesDropped": 2, "VolumesUsed": 197,
        "MinutesTotal": 6.667, "MinutesUsed": 6.567, "MeanFD": 0.14, "MeanDVARS": 1.02,
    }  # fmt: skip
    return _write_json(
        Flavor=FC, Atlas="mini", Sources=[f"bids:fmriprep:sub-01/func/{BOLD}"], Space="T1w",
        Denoising="fmriclean", HighPass=0.01, RepetitionTime=2.0, Runs=[run], MeanFD=0.14,
        EffectiveDuration=788.0, MinutesMinimum=5.0, MeanDVARS=1.02, CoverageMin=0.5, Frames=394,
        CorrelationNoise=0.05, MedianTSNR=59.5, Warnings=["short"], Notes=["no ICA-FIX"],
        MissingRegions=["region 1"], ImputedRegions=[], UsableAsInput=True, RunDigest=digest,
        SoftwareVersion="1",
    )  # fmt: skip


def _describe_sc(digest: str) -> bytes:
    counts = {
        "n_streamlines": 20000, "n_both": 19009, "n_one": 991, "n_none": 0, "n_self": 3291,
        "sum_of_weights": 21624.6, "density": 0.57,
    }  # fmt: skip
    lengths = {"BinWidth": 5.0, "Counts": [0, 0, 2, 215], "Longer": 0, "Mean": 46.8}
    return _write_json(
        Flavor=SC, Atlas="mini", Sources=["bids:qsirecon:sub-01/dwi/a_streamlines.tck.gz"],
        TractographyAlgorithm="ifod2", SearchRadius=4.0, Units="krakencoder", SIFT2=False,
        UnitsDescription="counts scaled", SIFT2Weights="bids:qsirecon:sub-01/dwi/w.csv",
        Streamlines=counts, LengthHistogram=lengths, MissingRegions=[], UsableAsInput=True,
        RunDigest=digest, Warnings=[], SoftwareVersion="1",
    )  # fmt: skip


def _describe_source(source: str) -> dict[str, Any]:
    fits = {flavor: {"b0": 1.0, "b1": 0.02, "R2": 0.97, "CohortSize": 12} for flavor in (FC, SC)}
    return {
        "Predicted": True, "Source": source, "SourceFlavors": [FC, SC], "Sources": ["bids::x"],
        "Model": "mini", "ModelSHA256": "0" * 64, "ModelFlavors": 2,
        "AdaptationMode": "meanfit+meanshift", "Adaptation": fits,
    }  # fmt: skip


def _describe_latents(person: str, digest: str) -> bytes:
    trust = {
        "Verdict": "ok", "Note": "", "OutsideShare": 0.25, "OutsideRatio": 1.7, "LatentFit": 38.5,
        "InputDistance": 0.6, "LatentRank": 1, "LatentRankOf": 12,
    }  # fmt: skip
    verdicts = {
        source: {
            flavor: {"Verdict": "not judged", "Reason": "too few people"} for flavor in (FC, SC)
        }
        for source in SOURCES
    }
    return _write_json(
        Description=person, InputSources={source: _describe_source(source) for source in SOURCES},
        RunDigest=digest, TrustSessions=3, Trust={FC: trust, SC: trust}, Verdicts=verdicts,
        Warnings=["a warning"], AdaptationNotice="not adapted",
    )  # fmt: skip


def _describe_prediction(flavor: str, source: str, digest: str) -> bytes:
    return _write_json(
        Flavor=flavor, Trust={"Verdict": "ok"}, RunDigest=digest, **_describe_source(source)
    )


def _build_group() -> Files:
    people: dict[str, Any] = {"participant_id": PEOPLE, "session_id": ["n/a"] * 3}
    each = {"source": ["fusion"] * 3}
    metrics = (
        "avgrank", "top1acc", "avgcorr", "avgcorr_resid", "explainedvar", "gain", "r2",
        "baseline_avgcorr", "ceiling_avgcorr_resid", "n",
    )  # fmt: skip
    mean = edges().mean(axis=0).astype(np.float32)
    fits = {
        flavor: {"Mode": "meanfit", "b0": 1.0, "b1": 0.1, "R2": 0.9, "NumberOfSubjects": 3}
        for flavor in (FC, SC)
    }
    quality = {
        "used_as_input": [1] * 3, "n_missing_regions": [0] * 3, "minutes": [13.1] * 3,
        "mean_fd": [0.14, 0.7, 0.2], "mean_dvars": [1.02] * 3, "median_tsnr": [55.9] * 3,
        "n_streamlines": ["n/a"] * 3, "both_ends": ["n/a"] * 3,
    }  # fmt: skip
    motion = {
        "flavor": [FC], "n_sessions": [12], "n_people": [12], "n_edges": [15],
        "median_abs_r": [0.16], "chance_abs_r": [0.21], "share_p05": [0.01],
        "share_fdr05": [0], "distance_rho": [-0.03],
    }  # fmt: skip
    values = {f"z00{k}": [f"{v:.6g}" for v in latents()[:3, k]] for k in range(3)}
    verdicts = {"target": [FC] * 3, "verdict": ["not judged"] * 3, "reason": ["too few"] * 3}
    return {
        "group/latents.tsv": format_table(people | each | {"n_inputs": [2] * 3} | values),
        "group/outliers.tsv": format_table(
            people | each | {"distance": [0.8, 0.9, 9], "z": [0.5, 0.1, 5], "outlier": [0, 0, 1]}
        ),
        "group/metrics.tsv": format_table(
            {
                "source": ["fusion"] * 10,
                "target": [FC] * 10,
                "metric": metrics,
                "value": [0.5] * 10,
                "p": [0.01] * 10,
                "low": [0.4] * 10,
                "high": ["n/a"] * 10,
                "n": [3] * 10,
                "basis": [*["n/a"] * 8, "sessions", "n/a"],
            }
        ),
        "group/qc.tsv": format_table(people | {"flavor": [FC] * 3} | quality),
        "group/qcfc.tsv": format_table(motion),
        "group/qcfc.h5": pack_h5({f"{FC}/r": mean, f"{FC}/distance": mean}),
        "group/participants.tsv": format_table(
            people | {"verdict": ["good"] * 3, "reasons": ["n/a", "short | moved", "n/a"]}
        ),
        "group/predictions.tsv": format_table(people | each | verdicts),
        "group/adaptation.json": _write_json(Format="kraken_bids adaptation", Flavors=fits),
        "group/mean_connectomes.h5": pack_h5(
            {f"{f}/{what}": mean for f in (FC, SC) for what in ("measured", "training")}
        ),
        "group/pcorr.json": _write_json(
            Atlases={"mini": {"Lambda": 0.06, "LambdaSource": "search"}}
        ),
        "group/warnings.json": _write_json(Warnings=["the cohort is mixed"]),
    }


def _build_logs() -> Files:
    failures = {
        "participant_id": ["sub-01", "sub-09"], "session_id": ["n/a", "ses-1"],
        "stage": ["connectomes", "report"], "error": ["InputError", "KeyError"],
        "message": ["expected x; found y", "unexpected"], "run": ["a", "b"],
    }  # fmt: skip
    measured = {
        "sub-01/func/sub-01_task-rest_space-T1w_atlas-mini_meas-FCcorrHPF_relmat.dense.tsv":
        "digest0",
        "sub-01/dwi/sub-01_space-ACPC_atlas-mini_meas-SCifod2actVN_relmat.dense.tsv": "digest0",
    }  # fmt: skip
    notes = _write_json(Notices=["two images"], Measured=measured, LeftAside=[])
    table = {"participant_id": [*PEOPLE, "sub-04"], "age": [20, 30, 40, "n/a"], "site": "ABAB"}
    return {
        "logs/failures.tsv": format_table(failures),
        "logs/sub-01_inputs.json": notes,
        "participants.tsv": format_table(table),
    }
