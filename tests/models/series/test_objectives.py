"""Objectives by enumeration: what is shown, asked for and compared; bodies against dense ones."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear

from kraken_bids.models.series.architecture import FRAMEWORKS, SeriesArchitecture
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.objectives import Objective, Runs, compute_loss
from kraken_bids.models.series.parity import trace_network
from kraken_bids.models.series.recipe import choose_recipe
from kraken_bids.models.series.sequences import Sequences, join_sequences
from kraken_bids.models.series.tokens import mask_causally, mask_regions, mask_volumes

N_REGIONS = 5


def draw_pairs(*lengths: int) -> Sequences:
    rng = np.random.default_rng(0)
    return join_sequences(
        [rng.standard_normal((n, N_REGIONS)) for n in lengths], [2.0] * len(lengths)
    )


def make_network(framework: str) -> SeriesNetwork:
    torch.manual_seed(0)
    arch = SeriesArchitecture(framework, N_REGIONS, embedding=8, n_heads=2, dropout=0.0)
    return SeriesNetwork(arch).double().eval()


def test_pairs_stand_between_their_special_tokens() -> None:
    pairs = draw_pairs(2, 3, 1, 1)
    masked = np.array([False, True, False, False, True, False, False])
    tokens = mask_volumes(pairs, masked, np.array([1, 0], np.float32))
    mask, cls, sep = 7, 8, 9
    assert tokens.sources.tolist() == [cls, 0, mask, sep, 2, 3, mask, sep, cls, 5, sep, 6, sep]
    assert tokens.types is not None
    assert tokens.types.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1]
    assert tokens.time_ids.tolist() == [
        1500, 0, 10, 1500, 0, 10, 20, 1500, 1500, 0, 1500, 0, 1500
    ]  # fmt: skip
    assert tokens.scored_rows is not None
    assert tokens.scored_rows.tolist() == [1, 4]
    assert tokens.lengths.tolist() == [8, 5]


def test_regions_are_hidden_for_all_volumes_of_a_pair() -> None:
    pairs = draw_pairs(2, 1, 1, 2)
    regions = np.zeros((2, N_REGIONS), bool)
    regions[0, 3] = True
    tokens = mask_regions(pairs, regions, np.ones(2, np.float32))
    network = make_network("netbert")
    values = torch.from_numpy(tokens.values).double()
    shown = network.embedder.show(tokens, values)
    rows = tokens.sources < len(values)
    wanted = values.clone()
    wanted[:3, 3] = network.embedder.msk_embed[0, :3, 0]
    assert torch.equal(shown[torch.from_numpy(rows)], wanted)
    assert tokens.scored_rows is not None
    assert tokens.scored_rows.tolist() == [0, 1, 2]


def attend(x: Tensor, weights: list[Tensor], biases: list[Tensor], *, causal: bool) -> Tensor:
    q, k, v = (
        linear(x, w, b).reshape(len(x), 2, -1).transpose(0, 1)
        for w, b in zip(weights, biases, strict=True)
    )
    scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[2])
    if causal:
        later = torch.triu(torch.ones(len(x), len(x)), 1).bool()
        scores = scores.masked_fill(later, -torch.inf)
    return (scores.softmax(-1) @ v).transpose(0, 1).reshape(len(x), -1)


def run_bert(state: dict[str, Tensor], x: Tensor, types: Tensor) -> Tensor:
    """Compute the bidirectional transformer of one sequence from its equations."""

    def norm(y: Tensor, name: str) -> Tensor:
        return layer_norm(y, y.shape[1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-12)

    e = "embeddings."
    x = x + state[e + "position_embeddings.weight"][: len(x)]
    x = norm(x + state[e + "token_type_embeddings.weight"][types], e + "LayerNorm")
    for k in range(2):
        at = f"encoder.layer.{k}."
        names = [f"{at}attention.self.{one}" for one in ("query", "key", "value")]
        mixed = attend(
            x, [state[n + ".weight"] for n in names], [state[n + ".bias"] for n in names],
            causal=False,
        )  # fmt: skip

        def dense(y: Tensor, name: str) -> Tensor:
            return linear(y, state[f"{name}.dense.weight"], state[f"{name}.dense.bias"])

        x = norm(x + dense(mixed, at + "attention.output"), at + "attention.output.LayerNorm")
        wide = gelu(dense(x, at + "intermediate"), approximate="tanh")
        x = norm(x + dense(wide, at + "output"), at + "output.LayerNorm")
    return x


def test_masked_volumes_and_their_loss_are_those_of_a_dense_transformer() -> None:
    pairs, labels = draw_pairs(4, 4, 2, 3), np.array([1, 0], np.float32)
    masked = np.random.default_rng(1).random(13) < 0.5
    tokens, network = mask_volumes(pairs, masked, labels), make_network("bert")
    values = torch.from_numpy(tokens.values).double()
    embedded = network.embedder(tokens, values)
    prefix = "decoder.transformer."
    state = {
        name.removeprefix(prefix): w
        for name, w in network.state_dict().items()
        if name.startswith(prefix)
    }
    errors, logits = [], []
    rows = iter(np.flatnonzero(masked))
    for start, length in zip(tokens.starts, tokens.lengths, strict=True):
        part = slice(start, start + length)
        assert tokens.types is not None
        hidden = run_bert(state, embedded[part], torch.from_numpy(tokens.types[part]))
        volumes = network.unembed(hidden)
        for place in np.flatnonzero(tokens.sources[part] == len(values)):
            errors.append((volumes[place] - values[next(rows)]).abs())
        logits.append(network.decoder.is_next_head(network.decoder.pooler_layer(hidden[0])))
    odds = torch.cat(logits).sigmoid()
    order = -(odds[0].log() + (1 - odds[1]).log()) / 2
    wanted = torch.stack(errors).mean() + order
    torch.testing.assert_close(compute_loss(network, tokens), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_gradients_are_those_of_differences(framework: str) -> None:
    rng = np.random.default_rng(2)
    values = [rng.standard_normal((14, N_REGIONS)).astype(np.float32) for _ in range(3)]
    runs = Runs(np.full(3, 14), [2.0] * 3, values.__getitem__)
    recipe = replace(choose_recipe("small", framework), batch_size=3, shortest=6, longest=12)
    tokens, network = Objective(runs, recipe).draw(rng), make_network(framework)
    compute_loss(network, tokens).backward()
    for name, weights in network.named_parameters():
        if weights.grad is None or "wt_re" in name or "position" in name or "wpe" in name:
            continue
        place = int(weights.grad.abs().argmax())
        losses = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                weights.view(-1)[place] += step
                losses.append(float(compute_loss(network, tokens)))
                weights.view(-1)[place] -= step
        slope = (losses[0] - losses[1]) / 2e-6
        assert slope == pytest.approx(float(weights.grad.view(-1)[place]), rel=1e-4, abs=1e-8), (
            name
        )


@pytest.mark.parametrize("counted", [np.arange(40) % 3 > 0, np.arange(40) < 9])
def test_volumes_that_do_not_count_are_never_asked_for(counted: NDArray[np.bool_]) -> None:
    """Nor where a sequence has no other one."""
    rng = np.random.default_rng(3)
    values = [rng.standard_normal((40, N_REGIONS)).astype(np.float32) for _ in range(2)]
    for one in values:
        one[~counted] = 0
    runs = Runs(np.full(2, 40), [2.0] * 2, values.__getitem__, lambda _: counted)
    for framework in FRAMEWORKS:
        tokens = Objective(runs, choose_recipe("small", framework)).draw(rng)
        assert tokens.values[tokens.scored_rows].any(axis=1).all()


def draw_unlike_pairs(runs: Runs, *, n_batches: int) -> set[tuple[int, int]]:
    """Draw batches of pairs; gives the runs of those whose halves do not follow each other."""
    objective, rng = Objective(runs, choose_recipe("small", "bert")), np.random.default_rng(4)
    found = set()
    for _ in range(n_batches):
        tokens = objective.draw(rng)
        assert tokens.is_next is not None
        assert tokens.sequences.runs is not None
        pairs = tokens.sequences.runs.reshape(-1, 2)[tokens.is_next == 0]
        found |= {(int(one), int(two)) for one, two in pairs}
    return found


def test_a_second_half_that_does_not_follow_is_of_any_other_run_of_the_same_time() -> None:
    """Each such run comes; where there is none, halves always follow each other."""
    times = [3.0, 2.0, 3.0, 1.0, 2.0, 3.0]
    values = [np.full((40, N_REGIONS), k, np.float32) for k in range(6)]
    runs = Runs(np.full(6, 40), times, values.__getitem__)
    assert draw_unlike_pairs(runs, n_batches=30) == {
        (one, two)
        for one in range(6)
        for two in range(6)
        if one != two and times[one] == times[two]
    }


def test_repetition_times_that_sidecars_round_apart_are_one() -> None:
    """Runs are paired, and no half tells by its times that it is of another run."""
    times = [0.72, 0.7200001, 2.0, 2.2]
    values = [np.full((40, N_REGIONS), k, np.float32) for k in range(4)]
    runs = Runs(np.full(4, 40), times, values.__getitem__)
    assert draw_unlike_pairs(runs, n_batches=20) == {(0, 1), (1, 0)}


def test_halves_of_a_pair_have_the_times_of_the_first_one() -> None:
    """Odd multiples of 0.7 s lie between two times of the grid, those of 0.702 s beside them."""
    values = [np.full((40, N_REGIONS), k, np.float32) for k in range(2)]
    runs = Runs(np.full(2, 40), [0.7, 0.702], values.__getitem__)
    recipe = replace(choose_recipe("small", "bert"), gaps=(0, 0))
    tokens = Objective(runs, recipe).draw(np.random.default_rng(4))
    pairs = tokens.sequences
    assert tokens.is_next is not None
    assert not tokens.is_next.all()
    ids = np.split(pairs.time_ids, pairs.starts[1:])
    for one, two in zip(ids[::2], ids[1::2], strict=True):
        n = min(len(one), len(two))
        assert one[:n].tolist() == two[:n].tolist()


def test_traced_intermediates_are_those_of_the_reconstruction() -> None:
    tokens, network = (
        mask_causally(draw_pairs(6, 4), np.array([3, 1])),
        make_network("csm").float(),
    )
    traced = trace_network(network, tokens)
    assert traced["csm_attention_mask"].tolist() == [[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]
    hidden = traced["csm_outputs"][[0, 1], [3, 1]]
    np.testing.assert_allclose(hidden, network.reconstruct(tokens)[0].detach(), atol=1e-6)
