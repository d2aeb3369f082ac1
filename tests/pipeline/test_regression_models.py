"""Models of regressions go where trained ones go, though their latents have no unit length."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.io.tables import read_columns
from kraken_bids.models.krakencoder import pls_network
from kraken_bids.models.krakencoder.checkpoint import read_model, write_model
from kraken_bids.models.krakencoder.latent_space import LATENT_SPACE, OWN
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.pls import fit_pls
from kraken_bids.models.krakencoder.published_writer import write_upstream
from kraken_bids.models.krakencoder.reduction import fit_reduction
from kraken_bids.pipeline.group import run_group
from kraken_bids.settings import DataSettings, PredictionSettings, Settings

Edges = dict[Flavor, NDArray[np.float64]]


@pytest.fixture(params=[512, 0], ids=["one layer", "a layer before a long latent"])
def model(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, cohort_edges: Edges
) -> Model:
    """Fit regressions on the cohort's own people."""
    monkeypatch.setattr(pls_network, "NARROW", request.param)
    reductions = {f: fit_reduction(rows, "pca6") for f, rows in cohort_edges.items()}
    scores = {f.name: reductions[f].forward(rows) for f, rows in cohort_edges.items()}
    weights, _ = fit_pls(scores)
    size = weights.architecture.latent_size
    stated = {LATENT_SPACE: OWN, "Method": "pls"}
    return Model("peer", "", tuple(cohort_edges), size, weights, reductions, stated)


def test_a_group_is_predicted_judged_and_shown(
    output_dir: Path, model: Model, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The group level ends well, with pages, scores better than chance and latents in full."""
    folder = write_model(model, tmp_path_factory.mktemp("peer"))
    settings = Settings(
        DataSettings(output_dir / "raw", output_dir, atlases=("fs86",)),
        prediction=PredictionSettings(model=str(folder), adaptation_mode="meanshift"),
    )

    assert run_group(settings) == 0

    assert (output_dir / "group.html").is_file()
    scores = read_columns(output_dir / "group" / "metrics.tsv")
    ranks = scores["value"][(scores["metric"] == "avgrank") & (scores["source"] == "fusionSC")]
    assert len(ranks) == 3
    assert (ranks > 0.9).all()
    latents = read_columns(output_dir / "group" / "latents.tsv")
    assert sum(name.startswith("z") for name in latents) == model.latent_size == 18
    lengths = np.linalg.norm([latents[f"z{k:03d}"] for k in range(18)], axis=0)
    assert lengths.max() > 2


def test_the_published_format_predicts_the_same(
    model: Model, cohort_edges: Edges, tmp_path: Path
) -> None:
    """Written as a checkpoint and read back, fusion and single sources alike."""
    checkpoint, _ = write_upstream(model, tmp_path / "kraken_chkpt_peer.pt")

    back = load_model(checkpoint, device="cpu")

    assert back.network.architecture.latent_normalize is False
    for source in ("fusion", "fusionFC", model.flavors[2].name):
        wanted = model.predict(cohort_edges, source=source)
        for flavor, rows in back.predict(cohort_edges, source=source).items():
            np.testing.assert_allclose(rows, wanted[flavor], atol=1e-5)


def test_the_folder_predicts_the_same(model: Model, cohort_edges: Edges, tmp_path: Path) -> None:
    """Folded maps and all; the latent is what each flavor predicts."""
    back = read_model(write_model(model, tmp_path / "m"), "cpu")

    for flavor, rows in cohort_edges.items():
        np.testing.assert_allclose(
            back.encode(flavor, rows), model.encode(flavor, rows), rtol=1e-4, atol=1e-4
        )
        own = back.predict({flavor: rows}, source=flavor, targets=flavor)[flavor]
        scores = model.reductions[flavor].forward(rows)
        np.testing.assert_allclose(own, model.reductions[flavor].inverse(scores), atol=1e-4)
