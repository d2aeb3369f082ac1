"""A run of kraken-bids says in log, sidecars and pages what is unlikely about its inputs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.bids.outputs import latents_path, relmat_path, sidecar_path
from kraken_bids.cohort.from_dataset import list_members, read_cohort
from kraken_bids.cohort.sources import PredictionPlan
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.flavors import Flavor
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.writing import write_relmat
from kraken_bids.models.krakencoder.adaptation import fit_adaptation
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.pipeline.check.cohort_doubts import warn_of_inputs
from kraken_bids.pipeline.group import run_group
from kraken_bids.pipeline.participant import plan_predictions
from kraken_bids.region_orders import list_edge_orders
from kraken_bids.run_settings import RunSettings
from kraken_bids.settings import DataSettings, PredictionSettings, Settings

Edges = dict[Flavor, np.ndarray]
ORDER = next(order for order in list_edge_orders("fs86", 3655) if order.name == "alphabetical")


def write_people(folder: Path, edges: Edges) -> Path:
    """Write measured files of an OUTPUT_DIR."""
    for flavor, rows in edges.items():
        for k, row in enumerate(rows):
            path = relmat_path(folder, {"sub": f"{k + 1:02d}"}, flavor, source=None)
            write_relmat(path, edges_to_square(row, diagonal=flavor.diagonal))
    return folder


def settings_for(folder: Path, model: Path, **prediction: object) -> Settings:
    return Settings(
        DataSettings(folder / "bids", folder),
        prediction=PredictionSettings(model=str(model), device="cpu", **prediction),
        run=RunSettings(n_procs=1),
    )


def plan(folder: Path, model: Path, **prediction: object) -> PredictionPlan:
    settings = settings_for(folder, model, **prediction)
    return plan_predictions(settings, load_model(model, device="cpu"), list_members(folder))[0]


def reorder(edges: Edges) -> Edges:
    return {flavor: rows[:, ORDER.edges] for flavor, rows in edges.items()}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("mode", ["none", "meanfit+meanshift"])
def test_a_cohort_in_another_order_is_said_once_and_beside_everyones_predictions(
    tmp_path: Path, brains: Edges, brain_model: Path, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    """In every mode; in one line for all flavors."""
    write_people(tmp_path, reorder(brains))
    warned = plan(tmp_path, brain_model, adaptation_mode=mode).warned
    said = [text for text in warnings(caplog) if "another order" in text]
    assert warned.everyone == tuple(said)
    assert len(said) == 1
    assert ORDER.words in said[0]
    assert all(flavor.name in said[0] for flavor in brains)
    assert warned.list_of("sub-05") == said


def test_one_participant_alone_is_judged_too(
    tmp_path: Path, brains: Edges, brain_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Most runs on a cluster are of one."""
    first = {flavor: rows[:1] for flavor, rows in brains.items()}
    write_people(tmp_path / "right", first)
    write_people(tmp_path / "wrong", reorder(first))
    assert plan(tmp_path / "right", brain_model).warned.everyone == ()
    (text,) = plan(tmp_path / "wrong", brain_model).warned.everyone
    assert ORDER.words in text


def test_one_of_many_is_named_and_warned_of(
    tmp_path: Path, brains: Edges, brain_model: Path
) -> None:
    """The others' files say nothing."""
    given = {flavor: rows.copy() for flavor, rows in brains.items()}
    for rows in given.values():
        rows[4] = rows[4][ORDER.edges]
    warned = plan(write_people(tmp_path, given), brain_model).warned
    assert warned.everyone == ()
    assert list(warned.own) == ["sub-05"]
    assert {label for label, _ in warned.doubts} == {"sub-05"}
    assert all("of sub-05: seems to be in another order" in text for text in warned.own["sub-05"])


def test_people_who_are_not_fitted_on_are_judged(
    tmp_path: Path, brains: Edges, brain_model: Path
) -> None:
    """As patients beside the controls whose mean is taken."""
    members = list_members(write_people(tmp_path, reorder(brains)))
    model = load_model(brain_model, device="cpu")
    cohort = read_cohort(model, members, fit_on=lambda member: member.subject == "01")
    assert {check.n_subjects for check in cohort.checks.values()} == {12}


def test_someone_of_zeros_has_no_share_in_the_mean(
    tmp_path: Path, brains: Edges, brain_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """He is named, and has no input of that flavor."""
    _, structure = brains
    given = {flavor: rows.copy() for flavor, rows in brains.items()}
    given[structure][2] = 0
    members = list_members(write_people(tmp_path, given))
    model = load_model(brain_model, device="cpu")
    cohort = read_cohort(model, members, fit_on=lambda _: True)
    mean, n_people = cohort.take_means(model)[structure]
    assert n_people == 11
    np.testing.assert_allclose(mean, np.delete(brains[structure], 2, 0).mean(0), atol=1e-5)
    assert np.isnan(cohort.projections[structure][2]).all()
    labels = [member.label for member in members]
    warned = warn_of_inputs(cohort.checks, labels, model=model, adaptation=None)
    assert list(warned.own) == ["sub-03"]
    assert "all edges are the same" in warned.own["sub-03"][0]


def test_an_adaptation_of_another_order_is_said(
    tmp_path: Path, brains: Edges, brain_model: Path
) -> None:
    """The saved one of an earlier run."""
    model = load_model(brain_model, device="cpu")
    means = {flavor: (rows.mean(axis=0), 12) for flavor, rows in reorder(brains).items()}
    saved = fit_adaptation(means, model.training_means(), judges=False)
    members = list_members(write_people(tmp_path, brains))
    cohort = read_cohort(model, members, fit_on=lambda _: True)
    labels = [member.label for member in members]
    (text,) = warn_of_inputs(cohort.checks, labels, model=model, adaptation=saved).everyone
    assert "its adaptation was fitted on a cohort that seems to be in another order" in text


def test_the_mean_of_an_adaptation_fitted_in_the_run_is_judged_once(
    tmp_path: Path, brains: Edges, brain_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the inputs, whose mean it is; that of a part of them is another one."""
    judged: list[Flavor] = []

    def judge(flavor: Flavor, *_: object, **__: object) -> list[object]:
        judged.append(flavor)
        return []

    monkeypatch.setattr("kraken_bids.pipeline.check.cohort_doubts.judge_mean", judge)
    folder = write_people(tmp_path, brains)
    assert plan(folder, brain_model).adaptation is not None
    assert judged == []
    some = tuple(f"{k:02d}" for k in range(1, 11))
    assert plan(folder, brain_model, adaptation_subjects=some).adaptation is not None
    assert sorted(judged) == sorted(brains)


@pytest.mark.parametrize("keep", [np.triu, np.tril])
def test_matrices_of_one_triangle_are_used_and_said_in_one_line(
    tmp_path: Path,
    brains: Edges,
    brain_model: Path,
    caplog: pytest.LogCaptureFixture,
    keep: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Of everyone, as tck2connectome writes them; the same latents as of whole ones."""
    _, structure = brains
    people = {structure: brains[structure][:3]}
    whole = plan(write_people(tmp_path / "whole", people), brain_model)
    folder = write_people(tmp_path / "triangles", people)
    for member in list_members(folder):
        path = member.connectomes[structure]
        write_relmat(path, keep(read_relmat(path)))
    caplog.clear()
    found = plan(folder, brain_model)
    np.testing.assert_array_equal(found.sources[0].latents, whole.sources[0].latents)
    (text,) = found.warned.everyone
    assert "one triangle of the matrix is empty" in text
    assert warnings(caplog).count(text) == 1
    assert found.warned.doubts == {}  # they are as good as whole ones


@pytest.mark.parametrize(("value", "words"), [(0.5, "symmetric"), (np.inf, "infinite")])
def test_a_matrix_that_cannot_be_one_costs_its_own_person_only(
    tmp_path: Path, brains: Edges, brain_model: Path, value: float, words: str
) -> None:
    """Two triangles that differ, or an infinite edge."""
    _, structure = brains
    folder = write_people(tmp_path, {structure: brains[structure]})
    path = list_members(folder)[5].connectomes[structure]
    square = read_relmat(path)
    square[7, 40] += value
    if np.isinf(value):
        square[40, 7] = value
    write_relmat(path, square)
    model = load_model(brain_model, device="cpu")
    cohort = read_cohort(model, list_members(folder), fit_on=lambda _: True)
    (failure,) = cohort.failures
    assert failure.subject == "06"
    assert words in failure.message
    assert path.name in failure.message
    assert cohort.take_means(model)[structure][1] == 11


def test_matrices_of_mrtrix_with_84_regions_are_explained(
    tmp_path: Path, brains: Edges, brain_model: Path
) -> None:
    """In an OUTPUT_DIR as in files of one's own."""
    _, structure = brains
    folder = write_people(tmp_path, {structure: brains[structure][:1]})
    path = list_members(folder)[0].connectomes[structure]
    write_relmat(path, read_relmat(path)[:84, :84])
    model = load_model(brain_model, device="cpu")
    cohort = read_cohort(model, list_members(folder), fit_on=lambda _: True)
    assert "84 regions are what MRtrix's labelconvert makes" in cohort.failures[0].message


def test_the_group_says_it_on_its_page_and_beside_every_prediction(
    tmp_path: Path, brains: Edges, brain_model: Path, no_figures: None
) -> None:
    """And takes it back once the files are right."""
    structure = {f: rows for f, rows in reorder(brains).items() if f.group == "SC"}
    write_people(tmp_path, structure)
    assert run_group(settings_for(tmp_path, brain_model)) == 0
    (text,) = json.loads((tmp_path / "group" / "warnings.json").read_text())["Warnings"]
    assert ORDER.words in text
    for number in ("01", "12"):
        sidecar = json.loads(sidecar_path(latents_path(tmp_path, number, None)).read_text())
        assert text in sidecar["Warnings"]
    assert "seems to be in another order" in (tmp_path / "group.html").read_text()
    columns = read_columns(tmp_path / "group" / "qc.tsv")
    assert set(columns["trust"]) == {"check"}
    assert all("seems to be in another order" in note for note in columns["note"])

    write_people(tmp_path, {f: rows for f, rows in brains.items() if f.group == "SC"})
    assert run_group(settings_for(tmp_path, brain_model)) == 0
    assert not (tmp_path / "group" / "warnings.json").exists()
    sidecar = json.loads(sidecar_path(latents_path(tmp_path, "01", None)).read_text())
    assert "Warnings" not in sidecar
    columns = read_columns(tmp_path / "group" / "qc.tsv")
    assert not any("another order" in str(note) for note in columns["note"])


def test_the_nipype_interface_says_it_beside_its_predictions(
    tmp_path: Path, brains: Edges, brain_model: Path
) -> None:
    """As the app does."""
    pytest.importorskip("nipype")
    from kraken_bids.workflows.prediction_interfaces import PredictConnectomes

    first = {flavor: rows[:1] for flavor, rows in reorder(brains).items()}
    (member,) = list_members(write_people(tmp_path / "given", first))
    interface = PredictConnectomes(
        connectomes=[str(path) for path in member.connectomes.values()],
        settings=PredictionSettings(model=str(brain_model), device="cpu"),
    )
    (tmp_path / "run").mkdir()
    outputs = interface.run(cwd=tmp_path / "run").outputs
    sidecars = [outputs.sidecars] if isinstance(outputs.sidecars, str) else outputs.sidecars
    assert sidecars
    for path in sidecars:
        (text,) = json.loads(Path(path).read_text())["Warnings"]
        assert ORDER.words in text
