"""A participant's page shows the strongest connections: measured, predicted, changed."""

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from kraken_bids.bids.outputs import (
    group_path,
    latents_path,
    prediction_archive_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.cohort.latent_tables import write_latent_table
from kraken_bids.connectome.matrices import edges_to_square, square_to_edges
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.parcellations import load_parcellation
from kraken_bids.report import theme
from kraken_bids.report import written as written_module
from kraken_bids.report.page import build_subject_page, draw_figures, render_page
from kraken_bids.report.regions import choose_colours
from kraken_bids.report.sections.brain import find_strongest
from kraken_bids.report.sections.connections import MAX_SHOWN, draw, gather
from kraken_bids.report.written import Written, read_means

FC, COUNT, SC = map(
    parse_flavor, ("FCcorr_fs86_hpf", "SCifod2act_fs86_count", "SCifod2act_fs86_volnorm")
)
RNG = np.random.default_rng(4)
MEASURED = {f: np.round(RNG.uniform(0.01, 1, 3655), 6) for f in (FC, COUNT, SC)}
PREDICTED = {f: np.round(RNG.uniform(0.01, 1, 3655), 6) for f in (FC, SC)}
MEAN = RNG.uniform(0, 1, 3655)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """One session; the model predicts volnorm and not the count."""
    for flavor, edges in MEASURED.items():
        square = edges_to_square(edges, diagonal=0)
        write_relmat(relmat_path(tmp_path, {"sub": "01"}, flavor, source=None), square)
    latents = latents_path(tmp_path, "01", None)
    write_latent_table(latents, {"fusionSC": np.ones(4, np.float32)}, [1])
    write_json(sidecar_path(latents), {"InputSources": {"fusionSC": {}, "fusionFC": {}}})
    for flavor, source in ((FC, "fusionSC"), (SC, "fusionFC")):
        path = relmat_path(tmp_path, {"sub": "01"}, flavor, source=source)
        write_relmat(path, edges_to_square(PREDICTED[flavor], diagonal=0))
        write_json(sidecar_path(path), {})
    place = group_path(tmp_path, "mean_connectomes.h5")
    place.parent.mkdir()
    with write_hdf5(place) as file:
        for kind in ("measured", "training"):
            file[f"{FC.name}/{kind}"] = MEAN
    return Written(tmp_path, list_members(tmp_path)[0])


def strongest(edges: np.ndarray) -> np.ndarray:
    """Edges that numpy sorts first; 0 elsewhere."""
    order = np.argsort(-np.abs(edges))[:MAX_SHOWN]
    kept = np.zeros(edges.size)
    kept[order] = edges[order]
    return kept


def test_rows_are_what_they_are_called(written: Written) -> None:
    """Each holds the edges that are largest in it; no mean, no change."""
    found = gather(written)
    assert found is not None
    measured, predicted, changed = found["FC"].values()
    np.testing.assert_array_equal(square_to_edges(measured.square), strongest(MEASURED[FC]))
    np.testing.assert_array_equal(square_to_edges(predicted.square), strongest(PREDICTED[FC]))
    wanted = strongest(MEASURED[FC] - MEAN)
    np.testing.assert_allclose(square_to_edges(changed.square), wanted, atol=1e-12)
    assert [title.partition(":")[0] for title in found["SC"]] == [
        "strongest connections, as measured",
        "strongest connections, as predicted from function alone",
    ]
    # the flavor that was predicted too, not the first by name
    assert {brain.flavor for brain in found["SC"].values()} == {SC.name}
    assert measured.names == load_parcellation("fs86").region_names
    assert measured.networks == load_parcellation("fs86").groups


def test_predictions_of_an_earlier_run_are_not_shown(written: Written) -> None:
    """Neither matrices nor an archive, whichever of the two the last run did not write."""
    root, fresh = written.output_dir, written.read_prediction(FC, "fusionSC", 86)
    assert fresh is not None
    latents = sidecar_path(written.latents)
    write_json(latents, read_json(latents) | {"RunDigest": "now"})
    archive = prediction_archive_path(root, "01", None)
    with write_hdf5(archive) as file:
        file[f"fusionSC/{FC.name}"] = fresh / 2
    path = sidecar_path(relmat_path(root, {"sub": "01"}, FC, source="fusionSC"))

    def read(of_matrix: str, of_archive: str) -> np.ndarray | None:
        write_json(path, {"RunDigest": of_matrix})
        write_json(sidecar_path(archive), {"RunDigest": of_archive})
        return Written(root, written.member).read_prediction(FC, "fusionSC", 86)

    np.testing.assert_array_equal(read("now", "before"), fresh)
    np.testing.assert_allclose(read("before", "now"), fresh / 2, rtol=1e-6)
    assert read("before", "before") is None


def test_a_network_has_one_colour_and_pixels_of_it(written: Written) -> None:
    """Different networks have different ones, which the figure shows."""
    groups = load_parcellation("fs86").groups
    colours = choose_colours(groups)
    assert len(set(colours.values())) == len(colours)
    found = gather(written)
    assert found is not None
    png = draw(found)["connections_FC"]
    pixels = imread(BytesIO(png))[..., :3].reshape(-1, 3)
    for colour in colours.values():
        distance = np.abs(pixels - theme.colors.to_rgb(colour)).max(axis=1)
        assert (distance < 0.06).sum() > 20


def test_colours_are_of_the_parcellation_not_of_who_was_measured() -> None:
    """A network without a measured region takes no other's colour with it."""
    flavor = parse_flavor("FCcorr_coco439_hpf")
    groups = np.array(load_parcellation("coco439").groups)
    n = len(groups)
    square = np.random.default_rng(0).uniform(0.1, 1, (n, n))
    square += square.T
    whole = find_strongest(flavor, (square_to_edges(square), None))
    square[groups == "Brainstem"] = square[:, groups == "Brainstem"] = np.nan
    part = find_strongest(flavor, (square_to_edges(square), None))
    assert whole is not None
    assert part is not None
    assert "Brainstem" not in part.networks
    assert part.colours == whole.colours
    assert part.colours == choose_colours(groups.tolist())


def test_the_page_shows_them(written: Written) -> None:
    """With how many of how many."""
    page = build_subject_page(written)
    text = render_page(page, draw_figures(page))
    assert "Connections in the brain" in text
    assert "The 60 connections with the largest values" in text
    assert re.search(r"of 3\D?655", text)


def test_means_of_the_cohort_are_read_once_until_their_file_changes(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every page of a run shows them; a run after it may have others."""
    read, paths = written_module.read_hdf5, []
    monkeypatch.setattr(
        written_module, "read_hdf5", lambda kind, path: paths.append(path) or read(kind, path)
    )
    place = group_path(written.output_dir, "mean_connectomes.h5")
    for factor in (1, 1, 2):
        if factor > 1:
            with write_hdf5(place) as file:
                file[f"{FC.name}/measured"] = factor * MEAN
        own, _ = read_means(Written(written.output_dir, written.member))[FC.name]
        np.testing.assert_array_equal(own, factor * MEAN)
    assert paths == [place, place]
    place.unlink()
    assert not read_means(written)
