"""Causal sequence modelling against the release's own intermediates."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kraken_bids.models.series.attention import Layout
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.objectives import compute_error
from kraken_bids.models.series.published_weights import read_published_network
from kraken_bids.models.series.sequences import Sequences, find_time_ids, join_sequences
from kraken_bids.models.series.tokens import mask_causally, show_all

ORACLE = Path(__file__).parents[4] / "shared" / "oracles" / "series_tiny_csm_gpt.npz"
Oracle = dict[str, NDArray[np.generic]]


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    if not ORACLE.exists():
        pytest.skip(f"the release's intermediates are not here: {ORACLE.name}")
    with np.load(ORACLE) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def sequences(oracle: Oracle) -> Sequences:
    lengths = oracle["attention_mask_in"].sum(1)
    return join_sequences(
        [rows[:n] for rows, n in zip(oracle["inputs"], lengths, strict=True)], [2.0, 0.72, 1.4]
    )


@pytest.fixture(scope="module")
def network(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> SeriesNetwork:
    path = tmp_path_factory.mktemp("release") / "pytorch_model.bin"
    torch.save(
        {
            name.removeprefix("sd:"): torch.from_numpy(values)
            for name, values in oracle.items()
            if name.startswith(("sd:embedder", "sd:decoder", "sd:unembedder"))
        },
        path,
    )
    return read_published_network(path, n_heads=2)


def valid(oracle: Oracle, name: str, mask: str) -> NDArray[np.generic]:
    return oracle[name][oracle[mask].astype(bool)]


def test_time_ids_are_those_of_the_release(oracle: Oracle, sequences: Sequences) -> None:
    wanted = valid(oracle, "tr_position_ids_truncating", "attention_mask_in")
    np.testing.assert_array_equal(sequences.time_ids, wanted)


def test_masked_inputs_hidden_states_and_loss_are_those_of_the_release(
    oracle: Oracle, sequences: Sequences, network: SeriesNetwork
) -> None:
    targets = oracle["csm_modelling_mask"][:, :, 0].argmax(1)
    tokens = mask_causally(sequences, targets)
    np.testing.assert_array_equal(tokens.lengths, oracle["csm_attention_mask"].sum(1))
    values = torch.from_numpy(tokens.values)
    with torch.no_grad():
        shown = network.embedder.show(tokens, values)
        embedded = network.embedder(tokens, values)
        every = Layout(tokens.lengths, embedded.device)
        hidden = network.decoder(embedded, every, every, None)
        volumes, _ = network.reconstruct(tokens)
        loss = compute_error(volumes, tokens)
    mask = "csm_attention_mask"
    for found, name in (
        (shown, "csm_inputs_embeds"),
        (embedded, "csm_embedded"),
        (hidden, "csm_hidden"),
    ):
        np.testing.assert_allclose(found, valid(oracle, name, mask), atol=1e-5)
    wanted = oracle["csm_outputs"][oracle["csm_modelling_mask"][:, :, 0].astype(bool)]
    np.testing.assert_allclose(volumes, wanted, atol=1e-5)
    np.testing.assert_allclose(
        tokens.values[tokens.scored_rows].ravel(), oracle["csm_masked_inputs"]
    )
    assert abs(float(loss) - float(oracle["csm_loss_l1"])) < 1e-5


def test_inputs_of_decoding_are_those_of_the_release(
    oracle: Oracle, sequences: Sequences, network: SeriesNetwork
) -> None:
    tokens = show_all(sequences, cls="last")
    with torch.no_grad():
        shown = network.embedder.show(tokens, torch.from_numpy(tokens.values))
    np.testing.assert_array_equal(tokens.lengths, oracle["dec_attention_mask"].sum(1))
    np.testing.assert_allclose(shown, valid(oracle, "dec_inputs_embeds", "dec_attention_mask"))
    times = valid(oracle, "dec_t_rs", "dec_attention_mask")
    np.testing.assert_array_equal(tokens.time_ids == 1500, times < 0)


def test_time_ids_are_places_on_the_grid() -> None:
    for time in (0.72, 0.8, 1.4, 2.0, 2.2, 3.0):
        ids = find_time_ids(50, time)
        wanted = [round(np.float32(k * time) / np.float32(0.2)) for k in range(50)]
        np.testing.assert_array_equal(ids, wanted)


def test_the_other_body_of_the_release_loads_by_its_names(oracle: Oracle, tmp_path: Path) -> None:
    state = {
        name.replace("sd:bert", "decoder").removeprefix("sd:"): torch.from_numpy(values)
        for name, values in oracle.items()
        if name.startswith(("sd:embedder", "sd:bert", "sd:unembedder"))
    }
    state["embedder.sep_embed"] = torch.zeros(1, 16)
    torch.save(state, tmp_path / "weights.pt")
    network = read_published_network(tmp_path / "weights.pt", n_heads=2)
    assert (network.architecture.framework, network.architecture.n_layers) == ("bert", 2)
    own = network.state_dict()
    assert all(torch.equal(own[name], values) for name, values in state.items() if name in own)
