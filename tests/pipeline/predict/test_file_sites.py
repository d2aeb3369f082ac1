"""kraken-tools predict, site by site."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from kraken_bids.cli.tools import main
from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import fit_adaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.file_predictions import open_adaptation
from kraken_bids.pipeline.predict.prediction_options import PredictionOptions

Edges = dict[Flavor, NDArray[np.float64]]
SITES = ["north"] * 6 + ["south"] * 6


@pytest.fixture
def files(tmp_path: Path, cohort_edges: Edges) -> Path:
    """Write connectomes of two sites with their subjects, and a table."""
    names = np.array([f"{k + 1:02d}" for k in range(12)])
    moved = {
        flavor.name: rows + 0.3 * np.array([s == "south" for s in SITES])[:, None]
        for flavor, rows in cohort_edges.items()
    }
    np.savez(tmp_path / "in.npz", subjects=names, **moved)
    lines = [f"sub-{name}\t{site}" for name, site in zip(names, SITES, strict=True)]
    (tmp_path / "people.tsv").write_text("\n".join(["participant_id\tsite", *lines]) + "\n")
    return tmp_path


def load(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read a file whole."""
    with np.load(path) as file:
        return {key: file[key] for key in file}


def predict(files: Path, model_folder: Path, *words: object) -> Result:
    """Predict from these files."""
    given = ["--model", model_folder, "--input", files / "in.npz", "--output", files / "out.npz"]
    given += ["--sources", "each", "--targets", "FCcorr_fs86_hpf", *words]
    return CliRunner().invoke(main, ["predict", *map(str, given)])


BY_SITE = ("--adaptation-by", "site", "--adaptation-mode", "meanshift")


def test_each_site_is_adapted_by_itself(files: Path, model_folder: Path, model: Model) -> None:
    """Latents are those of each site's people adapted to their own mean."""
    done = predict(files, model_folder, *BY_SITE, "--participants", files / "people.tsv")
    assert done.exit_code == 0, done.output
    found, given = load(files / "out.npz"), load(files / "in.npz")
    for flavor in model.flavors:
        for rows in (slice(0, 6), slice(6, 12)):
            own = given[flavor.name][rows]
            alone = fit_adaptation(
                {flavor: (own.mean(axis=0), 6)}, model.training_means(), "meanshift"
            )
            expected = model.encode(flavor, own, alone)
            latents = found[f"{flavor.name}->encoded"][rows]
            np.testing.assert_allclose(latents, expected, atol=2e-5)


def test_a_saved_file_serves_its_sites_again(files: Path, model_folder: Path) -> None:
    """With the same numbers; the table says who is from where."""
    table = ("--participants", files / "people.tsv")
    saved = files / "sites.h5"
    assert (
        predict(files, model_folder, *BY_SITE, *table, "--save-adaptation", saved).exit_code == 0
    )
    first = load(files / "out.npz")
    again = predict(files, model_folder, "--adaptation", saved, *table)
    assert again.exit_code == 0, again.output
    second = load(files / "out.npz")
    assert all(np.array_equal(first[key], second[key]) for key in first)
    lost = predict(files, model_folder, "--adaptation", saved)
    assert lost.exit_code == 3
    assert "give --participants FILE" in " ".join(lost.output.split())


def test_only_those_named_are_fitted_on(files: Path, model_folder: Path, model: Model) -> None:
    """Everyone of the site is adapted to their mean."""
    named = [f"{k:02d}" for k in (1, 2, 7, 8)]
    table = ("--participants", files / "people.tsv")
    done = predict(files, model_folder, *BY_SITE, *table, "--adaptation-subjects", *named)
    assert done.exit_code == 0, done.output
    flavor = model.flavors[0]
    given = load(files / "in.npz")[flavor.name]
    mean = given[:2].mean(axis=0)
    fitted = fit_adaptation({flavor: (mean, 2)}, model.training_means(), "meanshift")
    latents = load(files / "out.npz")[f"{flavor.name}->encoded"]
    np.testing.assert_allclose(latents[:6], model.encode(flavor, given[:6], fitted), atol=2e-5)


def test_sites_of_few_are_refused_unless_a_mode_is_asked_for(
    files: Path, model_folder: Path
) -> None:
    """Six people of a site are fewer than ten."""
    words = ("--adaptation-by", "site", "--participants", files / "people.tsv")
    done = predict(files, model_folder, *words)
    assert done.exit_code == 4
    assert "expected at least 10 people of a site" in " ".join(done.output.split())


def test_a_published_mean_is_enough(files: Path, model_folder: Path, model: Model) -> None:
    """One matrix of each flavor in place of a cohort."""
    given = load(files / "in.npz")
    means = {flavor.name: given[flavor.name][:6].mean(axis=0)[None] for flavor in model.flavors}
    np.savez(files / "means.npz", **means)
    done = predict(files, model_folder, "--adaptation-mean", files / "means.npz")
    assert done.exit_code == 0, done.output
    flavor = model.flavors[0]
    fitted = fit_adaptation({flavor: (means[flavor.name][0], 6)}, model.training_means())
    latents = load(files / "out.npz")[f"{flavor.name}->encoded"]
    expected = model.encode(flavor, given[flavor.name], fitted)
    np.testing.assert_allclose(latents, expected, atol=2e-5)


def test_who_cannot_say_the_site_is_refused_a_file_by_site(
    files: Path, model_folder: Path, model: Model
) -> None:
    """As ``kraken-tools explain``, which explains one person."""
    saved, table = files / "sites.h5", ("--participants", files / "people.tsv")
    done = predict(files, model_folder, *BY_SITE, *table, "--save-adaptation", saved)
    assert done.exit_code == 0, done.output
    options = PredictionOptions(adaptation=saved)
    with pytest.raises(CheckpointError, match="expected an adaptation of one site"):
        open_adaptation(options, model, model.flavors)
    assert open_adaptation(options, model, model.flavors, takes_sites=True) is not None
