"""kraken-tools predict refuses or names files that are not what they are called, at every door."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kraken_bids.cli.commands.predict import predict
from kraken_bids.connectome.matrices import edges_to_square, square_to_edges
from kraken_bids.estimator import KrakenEncoder
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import fit_adaptation
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.saved_adaptation import write_adaptation
from kraken_bids.region_orders import EdgeOrder, list_edge_orders

Edges = dict[Flavor, np.ndarray]
MODES = ("auto", "none", "meanshift", "meanfit", "meanfit+meanshift")
SUBJECTS = [f"{number:02d}" for number in range(1, 13)]


def order_named(name: str) -> EdgeOrder:
    return next(order for order in list_edge_orders("fs86", 3655) if order.name == name)


@pytest.fixture
def run(brain_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Any:
    """Run the command on edges, with options; the log is that of this run."""

    def invoke(edges: Edges, *options: object, subjects: Any = SUBJECTS) -> Result:
        caplog.clear()
        path = tmp_path / "given.npz"
        np.savez(path, subjects=subjects, **{f.name: rows for f, rows in edges.items()})
        words = ["--model", brain_model, "--input", path, "--device", "cpu", *options]
        if "--output" not in options:
            words += ["--output", tmp_path / "out.npz"]
        return CliRunner().invoke(predict, [str(word) for word in words])

    return invoke


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("mode", MODES)
def test_right_people_are_predicted_without_a_warning(
    run: Any, brains: Edges, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    """In every mode."""
    assert run(brains, "--adaptation-mode", mode).exit_code == 0
    assert warnings(caplog) == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["cortex-first", "alphabetical", "mrtrix", "lower-triangle"])
def test_another_order_is_refused_in_every_mode(
    run: Any, brains: Edges, tmp_path: Path, mode: str, name: str
) -> None:
    """Nothing is written, and the message says how to put it right."""
    order = order_named(name)
    given = {flavor: rows[:, order.edges] for flavor, rows in brains.items()}
    saved = tmp_path / "saved.h5"
    result = run(given, "--adaptation-mode", mode, "--save-adaptation", saved)
    assert result.exit_code == 4
    text = " ".join(result.output.split())
    assert "--input: expected connectomes of the flavors that they are given as" in text
    assert f"{', '.join(flavor.name for flavor in brains)}: seems to be in another order" in text
    assert order.words in text
    assert ("kraken_bids.to_edges" if name == "lower-triangle" else f"given='{name}'") in text
    assert not saved.exists()
    assert not (tmp_path / "out.npz").exists()


def test_one_person_in_another_order_is_refused(run: Any, brains: Edges) -> None:
    """Alone, and among others, by the label."""
    order = order_named("alphabetical")
    alone = {flavor: rows[:1][:, order.edges] for flavor, rows in brains.items()}
    assert run(alone, subjects=["07"]).exit_code == 4
    among = {flavor: rows.copy() for flavor, rows in brains.items()}
    for rows in among.values():
        rows[6] = rows[6][order.edges]
    result = run(among)
    assert result.exit_code == 4
    assert " of 07: seems to be in another order" in " ".join(result.output.split())


def test_an_unknown_order_is_predicted_with_a_warning(
    run: Any, brains: Edges, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Which stands beside the predictions too, where they have a sidecar."""
    shuffled = np.random.default_rng(2).permutation(3655)
    given = {flavor: rows[:, shuffled] for flavor, rows in brains.items()}
    result = run(given, "--adaptation-mode", "none", "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    (text,) = warnings(caplog)
    assert "does not resemble the connectomes that the model was trained on" in text
    sidecars = list((tmp_path / "out").glob("*relmat.json"))
    assert sidecars
    assert all(json.loads(path.read_text())["Warnings"] == [text] for path in sidecars)


def test_the_cohort_of_an_adaptation_is_refused_in_another_order(
    run: Any, brains: Edges, tmp_path: Path
) -> None:
    """By the name of its option."""
    order = order_named("cortex-first")
    wrong = {flavor: rows[:, order.edges] for flavor, rows in brains.items()}
    source = tmp_path / "source.npz"
    np.savez(source, **{flavor.name: rows for flavor, rows in wrong.items()})
    result = run(brains, "--adaptation-source", source)
    assert result.exit_code == 4
    assert "--adaptation-source: expected connectomes" in " ".join(result.output.split())


def test_a_saved_adaptation_of_another_order_is_warned_of(
    run: Any, brains: Edges, brain_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As an earlier version would have saved it."""
    model = load_model(brain_model, device="cpu")
    order = order_named("cortex-first")
    means = {flavor: (rows.mean(axis=0)[order.edges], 12) for flavor, rows in brains.items()}
    adaptation = fit_adaptation(
        means, model.training_means(), "meanshift", model_sha256=model.sha256, judges=False
    )
    path = write_adaptation(adaptation, tmp_path / "old.h5")
    assert run(brains, "--adaptation", path).exit_code == 0
    (text,) = warnings(caplog)
    assert "its adaptation was fitted on a cohort that seems to be in another order" in text
    assert order.words in text


@pytest.mark.parametrize("mode", ["none", "meanshift", "meanfit+meanshift"])
def test_other_units_are_said_where_the_mode_does_not_absorb_them(
    run: Any, brains: Edges, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    """Counts per 1000 mm³ in place of per mm³."""
    function, structure = brains
    given = {function: brains[function], structure: 1000 * brains[structure]}
    assert run(given, "--adaptation-mode", mode).exit_code == 0
    said = [text for text in warnings(caplog) if "another scale than" in text]
    assert len(said) == (mode != "meanfit+meanshift")
    assert all(structure.name in text and "the model's training data" in text for text in said)


def test_other_units_than_those_of_a_saved_adaptation_are_said(
    run: Any, brains: Edges, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The adaptation absorbs the units of its own cohort only."""
    saved = tmp_path / "saved.h5"
    assert run(brains, "--save-adaptation", saved).exit_code == 0
    assert run(brains, "--adaptation", saved).exit_code == 0
    assert warnings(caplog) == []
    given = {flavor: 1000 * rows for flavor, rows in brains.items() if flavor.group == "SC"}
    assert run(given, "--adaptation", saved).exit_code == 0
    (text,) = warnings(caplog)
    assert "another scale than the cohort of its adaptation" in text


def test_function_and_structure_exchanged_are_refused(run: Any, brains: Edges) -> None:
    """With what each one looks like."""
    function, structure = brains
    result = run({function: brains[structure], structure: brains[function]})
    assert result.exit_code == 4
    text = " ".join(result.output.split())
    assert f"{function}: looks like {structure}" in text
    assert f"{structure}: looks like {function}" in text


def test_someone_of_zeros_is_named_and_left_out(
    run: Any, brains: Edges, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are predicted as if he were not there."""
    function, structure = brains
    zeros = brains[structure].copy()
    zeros[3] = 0
    assert run({function: brains[function], structure: zeros}).exit_code == 0
    (text,) = warnings(caplog)
    assert f"{structure} of 04: all edges are the same" in text
    found = dict(np.load(tmp_path / "out.npz"))
    assert np.isnan(found[f"{structure}->encoded"][3]).all()
    assert np.isfinite(found["fusion->encoded"]).all()
    others = {flavor: np.delete(rows, 3, axis=0) for flavor, rows in brains.items()}
    assert run(others, subjects=np.delete(SUBJECTS, 3)).exit_code == 0
    alone = dict(np.load(tmp_path / "out.npz"))
    key = f"{structure}->encoded"
    np.testing.assert_allclose(np.delete(found[key], 3, axis=0), alone[key], atol=1e-6)


@pytest.mark.parametrize("keep", [np.triu, np.tril])
def test_a_triangle_beside_larger_numbers_is_taken_for_both(
    run: Any,
    brains: Edges,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    keep: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Each matrix is judged by its own values; nobody is dropped."""
    _, structure = brains
    squares = edges_to_square(brains[structure], diagonal=0.0)
    squares[8] *= 2  # as far apart as people may be
    whole = run({structure: squares})
    assert whole.exit_code == 0
    expected = dict(np.load(tmp_path / "out.npz"))
    squares[3] = keep(squares[3])
    assert run({structure: squares}).exit_code == 0
    assert warnings(caplog) == [
        f"{structure} of 04: one triangle of the matrix is empty: the other is taken for both. "
        "Nothing need be done if that is what it means (tck2connectome without -symmetric)."
    ]
    found = dict(np.load(tmp_path / "out.npz"))
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values)


@pytest.mark.parametrize("diagonal", [0.0, np.nan, np.inf])
def test_an_asymmetric_matrix_is_refused_by_its_number(
    run: Any, brains: Edges, diagonal: float
) -> None:
    """Whatever its diagonal, and however large the others' values."""
    function, _ = brains
    squares = edges_to_square(brains[function], diagonal=diagonal)
    squares[3, 5, 9] += 0.5
    squares[8] *= 1e6
    result = run({function: squares})
    assert result.exit_code == 4
    assert "connectome 4 of 12: expected a symmetric matrix" in " ".join(result.output.split())


def test_an_infinite_edge_is_refused_by_its_number(run: Any, brains: Edges) -> None:
    """Of a square, of a row of edges."""
    _, structure = brains
    edges = brains[structure].copy()
    edges[7, 100] = np.inf
    for given in (edges, edges_to_square(edges, diagonal=0.0)):
        result = run({structure: given})
        assert result.exit_code == 4
        assert "connectome 8 of 12: expected finite" in " ".join(result.output.split())


def test_one_person_in_other_units_is_named(
    run: Any, brains: Edges, caplog: pytest.LogCaptureFixture
) -> None:
    """Whose values would make everyone's mean."""
    _, structure = brains
    edges = brains[structure].copy()
    edges[8] *= 1e6
    assert run({structure: edges}).exit_code == 0
    assert any("of 09: on another scale than the other subjects'" in t for t in warnings(caplog))


def test_a_square_in_another_order_is_put_right_as_the_message_says(
    run: Any, brains: Edges, tmp_path: Path
) -> None:
    """The call in the message gives the connectomes of the right order."""
    from kraken_bids import reorder_regions, to_square

    order = order_named("mrtrix")
    for flavor, rows in brains.items():
        square = to_square(rows[:, order.edges], flavor)
        back = square_to_edges(reorder_regions(square, "fs86", given="mrtrix"))
        np.testing.assert_array_equal(back, rows)


def test_calls_from_python_say_it(
    brains: Edges, brain_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of arrays in memory: encode, predict, and the step of scikit-learn; no adaptation needed."""
    model = load_model(brain_model, device="cpu")
    order = order_named("alphabetical")
    function = next(iter(brains))
    wrong = brains[function][:, order.edges]
    encoder = KrakenEncoder(model, flavors=function)
    calls: list[Callable[[np.ndarray], object]] = [
        lambda edges: model.encode(function, edges),
        lambda edges: model.encode(function, edges[:1]),
        lambda edges: model.predict({function: edges}, targets=function),
        encoder.fit,
        encoder.transform,
    ]
    for call in calls:
        caplog.clear()
        call(brains[function])
        assert warnings(caplog) == []
        call(wrong)
        (text,) = warnings(caplog)
        assert order.words in text


def test_a_saved_adaptation_of_few_people_is_warned_of(
    tmp_path: Path, brains: Edges, brain_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each time that it is used, with their number; one of ten people is not."""
    for n_people in (2, 10):
        own = {flavor.name: rows[:n_people] for flavor, rows in brains.items()}
        np.savez(tmp_path / "few.npz", **own)
        words = ["--model", brain_model, "--input", tmp_path / "few.npz"]
        words += ["--output", tmp_path / "o.npz"]
        saved = tmp_path / f"{n_people}.h5"
        fit = [*words, "--adaptation-mode", "meanshift", "--save-adaptation", saved]
        assert CliRunner().invoke(predict, list(map(str, fit))).exit_code == 0
        caplog.clear()
        use = [*words, "--adaptation", saved]
        assert CliRunner().invoke(predict, list(map(str, use))).exit_code == 0
        said = [text for text in caplog.messages if "saved adaptation was fitted on" in text]
        assert len(said) == (n_people == 2)
        assert all("fitted on 2 subject(s)" in text for text in said)
