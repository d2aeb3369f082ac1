"""Pictures of where labels and streamlines lie, drawn while the images are at hand."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.anatomy import find_bold_reference, find_t1w
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.outputs import labels_path, registration_path
from kraken_bids.bids.tractographies import Tractography
from kraken_bids.connectome.labels.slices import Plane, choose_planes, count_points, find_corners
from kraken_bids.connectome.resample import Step, resample_image, resample_labels
from kraken_bids.exceptions import KrakenBidsError
from kraken_bids.io.endpoints import holds_ends_only
from kraken_bids.io.files import atomic_path
from kraken_bids.io.images import read_image, read_labels
from kraken_bids.io.png import is_whole_png
from kraken_bids.io.tractograms import open_tractogram
from kraken_bids.parcellations import Parcellation
from kraken_bids.pipeline.measure.bold_session import group_runs, list_group_flavors
from kraken_bids.pipeline.measure.functional_connectomes import RunGroup
from kraken_bids.pipeline.measure.label_grids import Affine, Labels, read_regions, read_steps
from kraken_bids.pipeline.measure.tasks import SessionTask
from kraken_bids.pipeline.measure.tractogram_session import list_tractogram_flavors
from kraken_bids.report.sections.registration import Look, count_columns, draw_registration

logger = logging.getLogger(__name__)

MAX_RUNS = 4
"""Runs whose reference is shown with the first atlas of a space; with the others one is."""
N_STREAMLINES = 20_000
"""The first ones of a file show where all lie: trackers write them in no order."""

Image = tuple[NDArray[np.floating], NDArray[np.float64]]
Slices = Sequence[NDArray[np.floating] | None]
Row = tuple[str, Slices, Sequence[NDArray[np.integer]], Sequence[NDArray[np.floating]]]
"""Name, image, labels and density of one row of a picture, plane by plane."""
Picture = tuple[Path, bytes]
"""Where a picture goes, and the PNG itself."""


def draw_registration_pictures(task: SessionTask) -> list[KrakenBidsError]:
    """Draw how labels lie on the images that connectomes are measured from.

    Pictures newer than the labels stay.

    One that cannot be drawn is said in the log and left out: measuring does not need it.

    Returns
    -------
    list of KrakenBidsError
        Of pictures that could not be written.
    """
    known: dict[Path, Image] = {}
    problems: list[KrakenBidsError] = []
    for draw in (_draw_functional, _draw_structural):
        try:
            for path, png in draw(task, known):
                problems += _write(path, png)
        except (KrakenBidsError, OSError, ValueError) as error:
            logger.warning("%s: no picture of the registration: %s", task.label, error)
    return problems


def _draw_functional(task: SessionTask, known: dict[Path, Image]) -> Iterator[Picture]:
    output = task.settings.data.output_dir
    for group in group_runs(task.session):
        wanted = {flavor.parcellation for flavor in list_group_flavors(task, group)}
        for k, parcellation in enumerate(name for name in group.labels if name in wanted):
            source = labels_path(output, group.entities, parcellation)
            target = registration_path(output, group.entities, parcellation)
            if not source.exists() or _is_drawn(task, target, source):
                continue
            labels, affine = read_labels(source)
            n_runs = 1 if k else MAX_RUNS
            planes = choose_planes(*find_corners(labels, affine), n_pixels=count_columns())
            cut = _cut_labels(labels, affine, planes)
            rows: list[Row] = [
                (name, _cut_image(_read(path, known), planes), cut, ())
                for name, path in _list_backgrounds(task, group, n_runs)
            ]
            if rows:
                yield _draw(target, rows, planes, task.parcellation(parcellation))


def _list_backgrounds(
    task: SessionTask, group: RunGroup, n_runs: int
) -> Iterator[tuple[str, Path]]:
    """Name and path of every image that labels of a group can be seen on: the first runs, T1w."""
    for run in group.runs[:n_runs]:
        reference = find_bold_reference(run.bold)
        number = run.entities.get("run", "") if n_runs > 1 and len(group.runs) > 1 else ""
        if reference is not None:
            yield f"BOLD\nrun {number}" if number else "BOLD", reference
    anatomy = find_t1w(group.space, beside=group.runs[0].bold, datasets=task.datasets)
    if anatomy is not None:
        yield "T1w", anatomy


def _draw_structural(task: SessionTask, known: dict[Path, Image]) -> Iterator[Picture]:
    regions_of: dict[LabelImage, tuple[Labels, Affine, Sequence[Step]]] = {}
    for tracts in task.session.tractographies:
        wanted = {flavor.parcellation for flavor in list_tractogram_flavors(task, tracts)}
        parcellation = next((name for name in tracts.labels if name in wanted), None)
        if parcellation is None:
            continue
        entities = {**tracts.entities, "space": tracts.space}
        target = registration_path(
            task.settings.data.output_dir, entities, parcellation, algorithm=tracts.algorithm
        )
        image, regions = tracts.labels[parcellation], task.parcellation(parcellation)
        if _is_drawn(task, target, tracts.tracks, image.path):
            continue
        if image not in regions_of:
            regions_of[image] = *read_regions(image, regions, as_mrtrix=True), read_steps(image)
        labels, affine, steps = regions_of[image]
        points = _read_points(tracts)
        if not len(points):
            continue
        counts, grid = count_points(points)
        low, high = (np.percentile(points, q, axis=0) for q in (0.5, 99.5))
        planes = choose_planes(low, high, n_pixels=count_columns())
        cut = _cut_labels(labels, affine, planes, steps)
        background = _find_background(task, tracts, steps, planes, known)
        density = _cut_image((counts, grid), planes)
        name = "T1w" if background[0] is not None else "regions"
        rows: list[Row] = [
            (name, background, cut, ()),
            ("stream-\nlines", background, cut, density),
        ]
        yield _draw(target, rows, planes, regions)


def _find_background(  # noqa: PLR0917 - what a background is cut from
    task: SessionTask,
    tracts: Tractography,
    steps: Sequence[Step],
    planes: Sequence[Plane],
    known: dict[Path, Image],
) -> Slices:
    """Cut the T1w image of the tractogram's space, else that of the labels', carried with them."""
    own = find_t1w(tracts.space, beside=tracts.tracks, datasets=task.datasets)
    if own is not None:
        return _cut_image(_read(own, known), planes)
    image = next(iter(tracts.labels.values()))
    theirs = find_t1w(image.space, beside=image.path, datasets=task.datasets)
    if theirs is not None:
        return _cut_image(_read(theirs, known), planes, steps)
    return [None] * len(planes)


def _read_points(tracts: Tractography) -> NDArray[np.float32]:
    """Vertices of the first streamlines [n_points, 3]."""
    parts, n_read = [], 0
    tractogram = open_tractogram(tracts.tracks)
    if holds_ends_only(tracts.tracks):
        ends = next(tractogram.ends(), np.zeros((0, 2, 3), np.float32))
        points = ends[:N_STREAMLINES].reshape(-1, 3)
        return np.array(points[np.isfinite(points).all(axis=1)], np.float32)
    for block in tractogram.blocks():
        some = block.take(N_STREAMLINES - n_read)
        last = int(some.stops.max(initial=0))
        vertices = np.array(some.vertices[:last], np.float32)
        parts.append(vertices[np.isfinite(vertices).all(axis=1)])
        n_read += len(some)
        if n_read >= N_STREAMLINES:
            break
    return np.concatenate(parts) if parts else np.zeros((0, 3), np.float32)


def _cut_labels(
    labels: NDArray[np.int32],
    affine: NDArray[np.float64],
    planes: Sequence[Plane],
    steps: Sequence[Step] = (),
) -> list[NDArray[np.integer]]:
    return [
        resample_labels(
            labels, affine, target_shape=one.shape, target_affine=one.affine, steps=steps
        )[..., 0].T
        for one in planes
    ]


def _cut_image(
    image: Image, planes: Sequence[Plane], steps: Sequence[Step] = ()
) -> list[NDArray[np.float32]]:
    return [
        resample_image(
            image[0], image[1], target_shape=one.shape, target_affine=one.affine, steps=steps
        )[..., 0].T
        for one in planes
    ]


def _read(path: Path, known: dict[Path, Image]) -> Image:
    if path not in known:
        known[path] = read_image(path)
    return known[path]


def _draw(
    path: Path, rows: Sequence[Row], planes: Sequence[Plane], regions: Parcellation
) -> Picture:
    looks = [Look(*row) for row in rows]
    return path, draw_registration(looks, [one.name for one in planes], regions.hemispheres)


def _write(path: Path, png: bytes) -> list[KrakenBidsError]:
    """Write a picture; returns what went wrong."""
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(png)
    except KrakenBidsError as problem:
        return [problem]
    return []


def _is_drawn(task: SessionTask, path: Path, *sources: Path) -> bool:
    """Whether a picture is there, whole, and newer than what it is drawn from."""
    if task.settings.run.force or not is_whole_png(path):
        return False
    age = path.stat().st_mtime_ns
    return all(age >= source.stat().st_mtime_ns for source in sources)
