"""Readers of text: tables and matrices."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fuzz.arrays import (
    AFFINE,
    N_REGIONS,
    edges,
    format_rows,
    format_table,
    pack_gzip,
    rng,
    squares,
)
from fuzz.cases import Reader, Seed, require

N_VOLUMES = 60
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


def list_readers() -> list[Reader]:
    """List the readers of tables and matrices."""
    return [
        Reader("confounds", _list_confounds, _read_confounds),
        Reader("participants", _list_subjects, _read_participants),
        Reader("region table", _list_region_tables, _read_region_table),
        Reader("custom atlas", _list_custom_atlases, _read_custom_atlas),
        Reader("relmat", _list_relmats, _read_relmat),
        Reader("text matrix", _list_matrices, _read_matrix),
        Reader("weights", _list_weights, _read_weights),
        Reader("region series", _list_series, _read_series),
    ]


def _list_confounds() -> Sequence[Seed]:
    random = rng()
    names = [*MOTION, *(f"{m}_derivative1" for m in MOTION)]
    names += ["framewise_displacement", "std_dvars", "dvars", "global_signal", "csf"]
    names += ["white_matter", "cosine00", "a_comp_cor_00", "w_comp_cor_00", "c_comp_cor_00"]
    columns = {name: [f"{v:.5g}" for v in random.standard_normal(N_VOLUMES)] for name in names}
    for name in names:
        if "derivative" in name or name in {"framewise_displacement", "std_dvars", "dvars"}:
            columns[name][0] = "n/a"
    for number in range(2):
        columns[f"non_steady_state_outlier0{number}"] = [
            str(int(k == number)) for k in range(N_VOLUMES)
        ]
    table, sidecar = format_table(columns), {n: {"Mask": "WM"} for n in ("a_comp_cor_00",)}
    notes = json.dumps(sidecar | {"global_signal": {"Method": "Mean"}}).encode()
    return [
        Seed("confounds.tsv", table, {"confounds.json": notes}),
        Seed("confounds.json", notes, {"confounds.tsv": table}),
    ]


def _read_confounds(path: Path) -> None:
    from kraken_bids.connectome.functional.timeseries import RegionSeries, compute_region_series
    from kraken_bids.pipeline.measure.bold_runs import clean_series, read_confounds
    from kraken_bids.settings import FunctionalSettings

    random = rng()
    labels = np.repeat(np.arange(1, N_REGIONS + 1), 4).reshape(2, 3, 4).astype(np.int32)
    volumes = (random.standard_normal(24).astype(np.float32) + 100 for _ in range(N_VOLUMES))
    series: RegionSeries = compute_region_series(
        volumes, shape=(2, 3, 4), slope=1.0, inter=0.0, labels={"mini": labels},
        brain_mask=None, tissue_masks={}, n_regions={"mini": N_REGIONS},
    )  # fmt: skip
    confounds = read_confounds(
        path.with_suffix(".tsv"), path.with_suffix(".json"), n_volumes=N_VOLUMES
    )
    denoise = ("24p", "36p", "acompcor")[len(path.read_bytes()) % 3]
    settings = FunctionalSettings(denoise=denoise)  # type: ignore[arg-type]
    plain, _, _ = clean_series(series, confounds, settings, tr=2.0, with_gsr=True)
    values = plain.cleaned["mini"]
    require(values.shape == (N_VOLUMES, N_REGIONS), "series of another shape")
    require(np.isfinite(values).all(), "series that are not finite")


def _list_subjects() -> Sequence[Seed]:
    columns = {
        "participant_id": ["sub-01", "sub-02", "03"],
        "age": ["21", "n/a", "35.5"],
        "site": ["A", '"B"', "Ä x"],
    }
    table = format_table(columns)
    return [
        Seed("participants.tsv", table),
        Seed("participants.tsv", table.decode().encode("utf-16")),
        Seed("participants.tsv", table.replace(b"\n", b"\r\n").decode().encode("cp1252")),
    ]


def _read_participants(path: Path) -> None:
    from kraken_bids.exceptions import SettingsError
    from kraken_bids.pipeline.predict.fitted_subjects import fit_on_whom
    from kraken_bids.settings import DataSettings, PredictionSettings, Settings

    for query in ("site==A", "age>20"):
        settings = Settings(
            data=DataSettings(path.parent, path.parent / "out"),
            prediction=PredictionSettings(adaptation_subjects=(query,)),
        )
        try:
            fit_on_whom(settings)
        except SettingsError:
            continue  # it names columns that are not there


def _list_region_tables() -> Sequence[Seed]:
    indices = range(1, N_REGIONS + 1)
    columns = {
        "index": [0, *indices],
        "name": ["background", *(f"region {k}" for k in indices)],
        "hemisphere": ["n/a", *("LR"[k % 2] for k in indices)],
        "network": ["n/a", *("Vis", "Vis", "Def", "Def", "Lim", "Sub")],
    }
    short = format_table({"index": list(indices), "label": [f"r{k}" for k in indices]})
    return [Seed("mini_dseg.tsv", format_table(columns)), Seed("mini_dseg.tsv", short)]


def _read_region_table(path: Path) -> None:
    from kraken_bids.bids.custom_atlases import read_region_table

    found = read_region_table("mini", path)
    n_regions = len(found.labels)
    require(1 < n_regions == len(set(found.labels)), "labels that are not different")
    words = (found.region_names, found.hemispheres, found.groups)
    require(all(len(one) == n_regions for one in words), "words of other regions")
    require(all(w.split("\t") == [w] for one in words for w in one), "words with tabs")


def _list_custom_atlases() -> Sequence[Seed]:
    import nibabel as nib

    labels = np.repeat(np.arange(N_REGIONS + 1), 4).reshape(4, 7, 1).astype(np.int16)
    image = pack_gzip(nib.Nifti1Image(labels, AFFINE).to_bytes())
    name = "tpl-MNI152NLin6Asym_atlas-mini_dseg"
    table = _list_region_tables()[0].content
    return [
        Seed(f"{name}.tsv", table, {f"{name}.nii.gz": image}),
        Seed(f"{name}.nii.gz", image, {f"{name}.tsv": table}),
        Seed(f"{name}.nii.gz", image),
    ]


def _read_custom_atlas(path: Path) -> None:
    from kraken_bids.bids.custom_atlases import read_custom_parcellation

    image = path.with_name("tpl-MNI152NLin6Asym_atlas-mini_dseg.nii.gz")
    found = read_custom_parcellation("mini", str(image))
    require(len(found.region_names) == len(found.labels) > 1, "regions without names")


def _list_relmats() -> Sequence[Seed]:
    square = squares()[0].copy()
    missing = square.copy()
    missing[2], missing[:, 2] = np.nan, np.nan
    names = [f"r{k}" for k in range(N_REGIONS)]
    return [
        Seed("sub-01_relmat.dense.tsv", content)
        for content in (
            format_rows(square),
            format_rows(missing).replace(b"nan", b"n/a"),
            format_rows(square, header=names),
            format_rows(square).replace(b"\n", b"\r\n"),
        )
    ]


def _read_relmat(path: Path) -> None:
    from kraken_bids.io.tables import read_relmat

    square = read_relmat(path)
    require(square.ndim == 2 and square.shape[0] == square.shape[1], "no square")
    require(square.dtype == np.float64, "another type")


def _list_matrices() -> Sequence[Seed]:
    square, names = squares()[0], [f"r{k}" for k in range(N_REGIONS)]
    commented = b"# a matrix\n" + format_rows(square, " ") + b"% its end\n"
    return [
        Seed("a.tsv", format_rows(square)),
        Seed("a.csv", format_rows(square, ",")),
        Seed("a.csv", format_rows(square, ", ", header=names)),
        Seed("a.csv", format_rows(square, ";")),
        Seed("a.txt", commented),
        Seed("a.txt", format_rows(edges(), "  ")),
    ]


def _read_matrix(path: Path) -> None:
    from kraken_bids.cohort.named_matrices import read_matrix
    from kraken_bids.exceptions import InputError
    from kraken_bids.io.text_matrices import read_text_matrix

    values = read_text_matrix(path)
    require(values.ndim == 2 and values.size, "no matrix")
    require(values.dtype == np.float64, "another type")
    try:
        frame = read_matrix(path)
    except InputError:
        return  # no square
    require(frame.shape == values.shape, "another matrix as a table")


def _list_weights() -> Sequence[Seed]:
    weights = rng().random(300)
    line = " ".join(f"{v:.6g}" for v in weights).encode()
    return [
        Seed("w.csv", b"# command_history: tcksift2\n" + line + b"\n"),
        Seed("w.txt", line.replace(b" ", b"\n")),
        Seed("w.csv", line.replace(b" ", b",")),
    ]


def _read_weights(path: Path) -> None:
    from kraken_bids.io.tractograms import read_weights

    weights = read_weights(path)
    require(weights.ndim == 1 and weights.size, "no weights")
    require(weights.dtype == np.float32 and np.isfinite(weights).all(), "weights not finite")


def _list_series() -> Sequence[Seed]:
    values = rng().standard_normal((N_VOLUMES, N_REGIONS))
    named = {f"r{k}": [f"{v:.5g}" for v in values[:, k]] for k in range(N_REGIONS)}
    numbered = {str(k): own for k, own in enumerate(named.values())}
    start = "sub-01_task-rest_atlas-mini"
    kept = json.dumps({"RepetitionTime": 2.0, "VolumesKept": [0, *[1] * (N_VOLUMES - 1)]}).encode()
    series, sidecar = f"{start}_desc-hpf_timeseries.tsv", f"{start}_desc-hpf_timeseries.json"
    frames = {"framewise_displacement": ["n/a"] * N_VOLUMES, "kept": ["1"] * N_VOLUMES}
    return [
        Seed("a.tsv", format_table(named)),
        Seed("a.tsv", format_table(numbered)),
        Seed("a.csv", format_rows(values, ",")),
        Seed("a.1D", b"# 3dROIstats\n" + format_rows(values, " ")),
        Seed(series, format_table(named), {sidecar: kept}),
        Seed(sidecar, kept, {series: format_table(named)}),
        Seed(
            "sub-01_task-rest_desc-quality_timeseries.tsv",
            format_table(frames),
            {series: format_table(named)},
        ),
    ]


def _read_series(path: Path) -> None:
    from kraken_bids.cohort.region_series import read_region_series
    from kraken_bids.models.communities.scans import prepare_scans

    beside = path.with_name("sub-01_task-rest_atlas-mini_desc-hpf_timeseries.tsv")
    (scan,) = read_region_series([beside if beside.exists() else path])
    n_volumes, n_regions = scan.values.shape
    require(len(scan.regions) in {0, n_regions}, "other names than regions")
    require(scan.counts is None or len(scan.counts) == n_volumes, "other volumes that count")
    prepared = prepare_scans([scan.values], [scan.counts])
    require(all(np.isfinite(one).all() for one in prepared.series), "series that are not finite")
