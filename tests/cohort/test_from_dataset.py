"""Reading a cohort once, and what becomes of missing regions."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.bids.outputs import relmat_path
from kraken_bids.cohort import projections
from kraken_bids.cohort.encoding import encode_cohort
from kraken_bids.cohort.from_dataset import Member, list_members, read_cohort
from kraken_bids.cohort.projections import fill_missing
from kraken_bids.connectome.matrices import square_to_edges
from kraken_bids.flavors import Flavor
from kraken_bids.io.tables import read_relmat
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.models.krakencoder.adaptation import apply_adaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.predict.choice_of_adaptation import fit_cohort_adaptation

Edges = dict[Flavor, NDArray[np.float64]]


def anyone(_member: Member) -> bool:
    """Fit on everyone."""
    return True


def stored(output_dir: Path, flavor: Flavor) -> NDArray[np.float64]:
    """Edges as the files hold them (six digits)."""
    return np.stack(
        [
            square_to_edges(read_relmat(member.connectomes[flavor]))
            for member in list_members(output_dir)
        ]
    )


@pytest.mark.parametrize("block", [1, 5, 64])
def test_latents_equal_those_of_adapted_edges(
    output_dir: Path, model: Model, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Adapting after projection, in blocks of any size, is adapting edges and encoding them."""
    monkeypatch.setattr(projections, "BLOCK", block)
    cohort = read_cohort(model, list_members(output_dir), fit_on=anyone)
    adaptation = fit_cohort_adaptation(model, cohort, "meanfit+meanshift")

    latents = encode_cohort(model, cohort, adaptation)

    for flavor in model.flavors:
        edges = stored(output_dir, flavor)
        expected = model.encode(flavor, apply_adaptation(edges, adaptation.flavors[flavor]))
        np.testing.assert_allclose(latents[flavor], expected, atol=2e-5)


def test_the_mean_is_that_of_those_who_are_fitted_on(output_dir: Path, model: Model) -> None:
    """A subset changes the mean and its count; everyone is encoded all the same."""
    controls = {"01", "02", "05"}
    cohort = read_cohort(
        model, list_members(output_dir), fit_on=lambda member: member.subject in controls
    )

    flavor = model.flavors[0]
    mean, n_members = cohort.take_means(model)[flavor]
    np.testing.assert_allclose(mean, stored(output_dir, flavor)[[0, 1, 4]].mean(axis=0))
    assert n_members == 3
    assert np.isfinite(cohort.projections[flavor]).all()


def test_missing_regions_enter_as_the_training_mean(output_dir: Path, model: Model) -> None:
    """After adaptation, the edges of a region without data are the training mean's."""
    flavor = model.flavors[0]
    member = list_members(output_dir)[3]
    square = read_relmat(member.connectomes[flavor])
    square[7, :] = square[:, 7] = np.nan
    write_relmat(member.connectomes[flavor], square)
    cohort = read_cohort(model, list_members(output_dir), fit_on=anyone)
    adaptation = fit_cohort_adaptation(model, cohort, "meanfit+meanshift")

    latent = encode_cohort(model, cohort, adaptation)[flavor][3]

    edges = square_to_edges(square)
    adapted = apply_adaptation(edges[None], adaptation.flavors[flavor])[0]
    adapted = np.where(np.isnan(edges), model.training_means()[flavor], adapted)
    np.testing.assert_allclose(latent, model.encode(flavor, adapted[None])[0], atol=2e-5)


@pytest.mark.parametrize(("n_missing", "is_used"), [(4, True), (5, False)])
def test_a_connectome_with_too_many_holes_is_no_input(
    output_dir: Path, model: Model, n_missing: int, is_used: bool
) -> None:
    """Four of 86 regions are below 5 %, five are above."""
    flavor = model.flavors[0]
    member = list_members(output_dir)[0]
    square = read_relmat(member.connectomes[flavor])
    square[:n_missing, :] = square[:, :n_missing] = np.nan
    write_relmat(member.connectomes[flavor], square)

    cohort = read_cohort(model, list_members(output_dir), fit_on=anyone)

    assert bool(np.isfinite(cohort.projections[flavor][0]).all()) == is_used
    assert not cohort.failures


def test_a_broken_file_fails_its_participant_alone(output_dir: Path, model: Model) -> None:
    """The others are read; the failure names the file."""
    flavor = model.flavors[1]
    member = list_members(output_dir)[2]
    member.connectomes[flavor].write_text("1\t2\n3\n")

    cohort = read_cohort(model, list_members(output_dir), fit_on=anyone)

    assert [failure.subject for failure in cohort.failures] == ["03"]
    assert str(member.connectomes[flavor]) in cohort.failures[0].message
    assert np.isfinite(cohort.projections[flavor]).all(axis=1).sum() == len(cohort.members) - 1


def test_of_several_tasks_rest_is_the_input(output_dir: Path, model: Model) -> None:
    """Then the one with the most data."""
    flavor = model.flavors[0]
    member = list_members(output_dir)[0]
    square = read_relmat(member.connectomes[flavor])
    member.connectomes[flavor].unlink()
    for task, seconds in (("nback", 900.0), ("movie", 300.0)):
        path = relmat_path(output_dir, {"sub": "01", "task": task}, flavor, source=None)
        write_relmat(path, square)
        write_json(
            path.with_name(path.name.partition(".")[0] + ".json"), {"EffectiveDuration": seconds}
        )
    assert "task-nback" in list_members(output_dir)[0].connectomes[flavor].name

    rest = relmat_path(output_dir, {"sub": "01", "task": "rest"}, flavor, source=None)
    write_relmat(rest, square)
    assert list_members(output_dir)[0].connectomes[flavor] == rest


def test_filling_is_undone_by_the_adaptation(cohort_edges: Edges, model: Model) -> None:
    """With any slope and shift, what is filled in comes out as the training mean."""
    flavor = model.flavors[0]
    from kraken_bids.models.krakencoder.adaptation import fit_adaptation

    mean = cohort_edges[flavor].mean(axis=0)
    training = model.training_means()
    for mode in ("none", "meanshift", "meanfit", "meanfit+meanshift"):
        fit = fit_adaptation({flavor: (mean, 12)}, training, mode).flavors[flavor]
        edges = cohort_edges[flavor][0].copy()
        edges[:50] = np.nan
        adapted = apply_adaptation(fill_missing(edges, training[flavor], fit)[None], fit)[0]
        np.testing.assert_allclose(adapted[:50], training[flavor][:50], atol=1e-6)
