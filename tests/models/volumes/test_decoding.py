"""Decoding and relevance of volumes: in full precision, on a GPU as on a CPU."""

import numpy as np
import pytest
import torch

from kraken_bids.models.volumes.architecture import VolumeArchitecture
from kraken_bids.models.volumes.decoding import decode_volumes
from kraken_bids.models.volumes.network import VolumeNetwork, build_network
from kraken_bids.models.volumes.padding import convolve_same
from kraken_bids.models.volumes.relevance import explain_volume

GRID = (14, 16, 12)
VOLUMES = np.random.default_rng(0).standard_normal((3, *GRID)).astype(np.float32)


@pytest.fixture(params=["2d", "3d"])
def network(request: pytest.FixtureRequest) -> VolumeNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shape = VolumeArchitecture(request.param, ("one", "two", "three"), GRID, (8, 16), (2, 2))
        return build_network(shape).eval()


def decode(network: VolumeNetwork, device: str = "cpu") -> np.ndarray:
    return np.array(list(decode_volumes(network, VOLUMES.__getitem__, 3, device=device)))


def explain(network: VolumeNetwork, device: str = "cpu") -> np.ndarray:
    return explain_volume(network, torch.from_numpy(VOLUMES[0]).to(device), 1).relevance.cpu()


@pytest.mark.parametrize("act", [decode, explain])
def test_convolutions_may_not_round_more_than_float32_does(
    act, network: VolumeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU would do by itself; a CPU has no such rounding, but is told as well."""
    seen = []

    def convolve(*values: torch.Tensor) -> torch.Tensor:
        seen.append(torch.backends.cudnn.allow_tf32)
        return convolve_same(*values)

    for name in ("network", "slice_relevance", "relevance"):
        monkeypatch.setattr(f"kraken_bids.models.volumes.{name}.convolve_same", convolve)
    before = torch.backends.cudnn.allow_tf32
    act(network)
    assert seen
    assert not any(seen)
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("act", [decode, explain])
def test_a_gpu_gives_the_numbers_of_a_cpu(act, network: VolumeNetwork) -> None:
    expected = np.asarray(act(network))
    found = np.asarray(act(network.to("cuda"), "cuda"))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
