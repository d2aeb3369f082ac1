"""The whole synthetic data set: a raw BIDS root with the derivatives of fMRIPrep and QSIRecon."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from kraken_bids.demo.cohort import DATA_SET
from kraken_bids.demo.fmriprep import N_RUNS, TEMPLATE, write_fmriprep, write_fmriprep_root
from kraken_bids.demo.formats import write_image, write_json, write_table
from kraken_bids.demo.population import Subject, draw_subjects
from kraken_bids.demo.qsirecon import write_qsirecon, write_qsirecon_root
from kraken_bids.demo.signals import N_VOLUMES, TR
from kraken_bids.demo.template_brain import (
    COARSE_MM,
    coarse_shape,
    grid_affine,
    grid_points,
    load_brain,
    look_up,
)
from kraken_bids.demo.warps import draw_anatomy
from kraken_bids.parcellations import load_parcellation
from kraken_bids.pipeline.workers.local import Processes

logger = logging.getLogger(__name__)

RESTLESS, CUT = 4, 7
"""Numbers (from 0) of the subject who moves abruptly and of the one whose field of view is cut."""
_LABELLED_EVERY = 3
_RAW_MM = 15.0
_LICENSE = "CC0"


def write_demo_dataset(
    folder: Path,
    n_subjects: int = 12,
    *,
    seed: int = 1,
    n_procs: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Subject]:
    """Write a synthetic data set whose images carry planted connectomes.

    Parameters
    ----------
    folder : path
        Becomes the raw BIDS root; created if needed.
    n_subjects : int
        Subjects sub-01, sub-02 …
    seed : int
        Which subjects; the same number and seed give the same bytes, in any number of processes.
    n_procs : int
        Subjects written at once.
    on_progress : callable, optional
        Called with (subjects done, all subjects) after each.

    Returns
    -------
    list of Subject
        The planted truth, subject by subject.
    """
    folder = Path(folder)
    subjects = draw_subjects(n_subjects, [seed, DATA_SET])
    _write_root(folder, n_subjects, seed)
    with Processes(n_procs) as processes:
        written = processes.run(partial(_write_subject, folder, seed), enumerate(subjects))
        for done, (_, _, error) in enumerate(written, start=1):
            if error is not None:
                raise error
            if on_progress:
                on_progress(done, n_subjects)
    return subjects


def name_subject(number: int) -> str:
    """``sub-01`` for number 0."""
    return f"sub-{number + 1:02d}"


def _write_subject(folder: Path, seed: int, one: tuple[int, Subject]) -> None:
    number, subject = one
    sub = name_subject(number)
    rng = np.random.default_rng([seed, number, 3])
    anatomy = draw_anatomy(seed * 1000 + number)
    odd = [kind for kind, who in (("restless", RESTLESS), ("cut", CUT)) if who == number]
    write_fmriprep(folder / "derivatives" / "fmriprep", sub, subject, anatomy, rng=rng, odd=odd)
    with_labels = number % _LABELLED_EVERY == _LABELLED_EVERY - 1
    qsirecon = folder / "derivatives" / "qsirecon"
    write_qsirecon(qsirecon, sub, subject, anatomy, rng=rng, with_labels=with_labels)
    _write_raw(folder / sub, sub, rng)
    logger.debug("wrote the synthetic data of %s", sub)


def _write_root(folder: Path, n_subjects: int, seed: int) -> None:
    _write_atlases(folder / "derivatives" / "atlases")
    write_fmriprep_root(folder / "derivatives" / "fmriprep")
    write_qsirecon_root(folder / "derivatives" / "qsirecon")
    write_json(
        folder / "dataset_description.json",
        {
            "Name": "kraken_bids demo: synthetic people with related structure and function",
            "BIDSVersion": "1.10.0",
            "DatasetType": "raw",
            "License": _LICENSE,
            "Authors": ["kraken-tools demo"],
        },
    )
    (folder / "README.md").write_text(
        "# Synthetic data\n\nWritten by `kraken-tools demo`. Nobody was scanned: every number is "
        "simulated. The raw images are placeholders; the derivatives carry planted connectomes.\n",
        encoding="utf-8",
    )
    rng = np.random.default_rng([seed, 4])
    write_table(
        folder / "participants.tsv",
        {
            "participant_id": [name_subject(i) for i in range(n_subjects)],
            "age": rng.integers(22, 37, n_subjects),
            "sex": rng.choice(["F", "M"], n_subjects),
            "group": ["control" if i % 4 else "patient" for i in range(n_subjects)],
        },
    )
    write_json(
        folder / "participants.json",
        {
            "age": {"Description": "Age", "Units": "year"},
            "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
            "group": {
                "Description": "Made-up group",
                "Levels": {"control": "controls", "patient": "patients, who differ in nothing"},
            },
        },
    )


def _write_raw(folder: Path, sub: str, rng: np.random.Generator) -> None:
    """Write placeholders that make the root a valid data set: coarse images without any use."""
    shape = (10, 12, 10)
    affine = grid_affine(_RAW_MM, shape)
    tissue = look_up(load_brain().tissue, grid_points(affine, shape))
    anat = folder / "anat" / f"{sub}_T1w.nii.gz"
    write_image(anat, (tissue * 100).astype(np.int16), affine)
    write_json(
        anat.with_name(f"{sub}_T1w.json"),
        {"MagneticFieldStrength": 3, "Manufacturer": "Synthetic"},
    )
    for run in range(1, N_RUNS + 1):
        stem = f"{sub}_task-rest_run-{run:02d}_bold"
        noise = rng.integers(0, 20, (*shape, N_VOLUMES)).astype(np.int16)
        series = np.where(tissue[..., None] > 0, 1000 + noise, 0).astype(np.int16)
        write_image(folder / "func" / f"{stem}.nii.gz", series, affine, tr=TR)
        write_json(folder / "func" / f"{stem}.json", {"TaskName": "rest", "RepetitionTime": TR})


def _write_atlases(root: Path) -> None:
    """Label images of the template parcellations, in a BIDS atlas data set."""
    write_json(
        root / "dataset_description.json",
        {
            "Name": "Synthetic atlases in the shape of shen268 and coco439",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "License": _LICENSE,
            "GeneratedBy": [{"Name": "atlas", "Description": "kraken-tools demo"}],
        },
    )
    affine = grid_affine(COARSE_MM, coarse_shape())
    points = grid_points(affine, coarse_shape())
    folder = root / f"tpl-{TEMPLATE}" / "anat"
    for name in ("shen268", "coco439"):
        labels = look_up(load_brain().regions[name], points).astype(np.int16)
        stem = f"tpl-{TEMPLATE}_atlas-{name}"
        write_image(folder / f"{stem}_res-02_dseg.nii.gz", labels, affine)
        write_json(
            folder / f"{stem}_res-02_dseg.json", {"Resolution": "5 mm, the grid of the BOLD data"}
        )
        regions = load_parcellation(name)
        write_table(
            folder / f"{stem}_dseg.tsv",
            {
                "index": regions.labels,
                "name": regions.region_names,
                "hemisphere": regions.hemispheres,
                "group": regions.groups,
            },
        )
