"""State dicts with the release's names: every framework loads, what is none is refused."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from kraken_bids.exceptions import CheckpointError
from kraken_bids.io.tensors import write_arrays
from kraken_bids.models.series.architecture import FRAMEWORKS, SeriesArchitecture
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.published_weights import read_published_network


def make_network(framework: str, **sizes: int) -> SeriesNetwork:
    return SeriesNetwork(
        SeriesArchitecture(framework, 6, embedding=8, n_layers=3, n_heads=2, **sizes)
    )


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("ending", [".bin", ".safetensors"])
def test_every_framework_is_known_by_its_names(
    framework: str, ending: str, tmp_path: Path
) -> None:
    network, path = make_network(framework, n_classes=4), tmp_path / f"weights{ending}"
    state = network.state_dict()
    if ending == ".bin":
        torch.save({f"module.{name}": values for name, values in state.items()}, path)
    else:
        write_arrays(path, {name: values.numpy() for name, values in state.items()})
    found = read_published_network(path, n_heads=2)
    assert found.architecture == network.architecture
    assert all(torch.equal(values, state[name]) for name, values in found.state_dict().items())


def test_half_precision_and_weights_of_words_are_taken(tmp_path: Path) -> None:
    network = make_network("csm").half()
    state = network.state_dict() | {
        "decoder.transformer.wte.weight": torch.zeros(1, 8),
        "decoder.transformer.h.0.attn.bias": torch.ones(1, 1, 512, 512, dtype=torch.bool),
        "decoder.transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
    }
    torch.save(state, tmp_path / "weights.pt")
    found = read_published_network(tmp_path / "weights.pt", n_heads=2)
    assert torch.equal(found.embedder.cls_embed, network.embedder.cls_embed.float())


class Hostile:
    """Writes a file when it is loaded."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("touched"),)


def test_what_is_no_such_state_dict_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    state = make_network("csm").state_dict()
    missing = {name: values for name, values in state.items() if "ln_f" not in name}
    wrong = state | {"decoder.transformer.h.1.ln_1.weight": torch.zeros(9)}
    strange = state | {"decoder.other": torch.zeros(1)}
    for content in (missing, wrong, strange, {}, {"a": torch.zeros(1)}, [torch.zeros(3)]):
        torch.save(content, tmp_path / "weights.pt")
        with pytest.raises(CheckpointError, match="expected"):
            read_published_network(tmp_path / "weights.pt", n_heads=2)
    (tmp_path / "weights.pt").write_bytes(pickle.dumps({"a": Hostile()}))
    with pytest.raises(CheckpointError):
        read_published_network(tmp_path / "weights.pt")
    assert not Path("touched").exists()
    with pytest.raises(CheckpointError, match="no "):
        read_published_network(tmp_path / "nothing.pt")
    np.save(tmp_path / "weights.bin", np.zeros(3))
    with pytest.raises(CheckpointError):
        read_published_network(tmp_path / "weights.bin.npy")
