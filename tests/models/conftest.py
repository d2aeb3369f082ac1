"""Small models in the published format, written by plain torch and numpy as their authors do."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.models.devices import CPU, Device
from kraken_bids.models.krakencoder.architecture import Architecture
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.network import Network
from kraken_bids.models.krakencoder.reduction import REQUIRED_ARRAYS, fit_pca

NAMES = ["FCcorr_mini_hpf", "SCifod2act_mini_volnorm", "FCpcorr_other_hpf"]
EDGES = [28, 28, 45]
N_COMPONENTS = 6
N_LATENT = 5
SMALL_GPU = 2_000_000
"""Bytes of memory: a few subjects at a time."""


class Scale(nn.Module):
    """Unit rows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Divide each row by its length."""
        return x / x.norm(dim=1, keepdim=True)


class PublishedNetwork(nn.Module):
    """The network as the published checkpoints lay out its weights; an oracle for ours."""

    def __init__(self, keys: dict[str, Any]) -> None:
        super().__init__()
        self.encoder_list = nn.ModuleList()
        self.decoder_list = nn.ModuleList()
        hidden = list(keys.get("hiddenlayers", []))
        latent = keys["latentsize"]
        bias, outer = (
            keys.get("linear_include_bias", True),
            not keys.get("no_bias_for_outer_layers", False),
        )
        for size in keys["input_size_list"]:
            widths = [size, *hidden, latent]
            self.encoder_list.append(self._branch(widths, keys, bias, outer, encoder=True))
            self.decoder_list.append(self._branch(widths[::-1], keys, bias, outer, encoder=False))
        if keys.get("intergroup"):
            self.intergroup_transform_list = nn.ModuleList()
            for _ in keys["intergroup_transform_index_dict"]:
                layers: list[nn.Module] = []
                widths = [latent, *keys["intergroup_layers"], latent]
                for a, b in pairwise(widths):
                    layers += [nn.Linear(a, b, bias=bias), nn.Dropout(0.5)]
                    layers += [nn.ReLU()] if keys["intergroup_relu"] else []
                layers += [Scale()] if keys.get("latent_normalize") else []
                self.intergroup_transform_list.append(nn.Sequential(*layers))

    @staticmethod
    def _branch(
        widths: list[int], keys: dict[str, Any], bias: bool, outer: bool, *, encoder: bool
    ) -> nn.Sequential:
        layers: list[nn.Module] = []
        last = len(widths) - 2
        slope = keys.get("leakyrelu_negative_slope", 0)
        for i, (a, b) in enumerate(pairwise(widths)):
            is_outer = i == 0 if encoder else i == last
            layers += [nn.Linear(a, b, bias=bias and (outer or not is_outer)), nn.Dropout(0.5)]
            if i < last and not keys.get("skip_relu"):
                relu = nn.LeakyReLU(slope) if slope > 0 else nn.ReLU()
                layers += [nn.Tanh() if keys.get("relu_tanh_alternate") and i % 2 else relu]
            if encoder and keys.get("latent_activation") in {"tanh", "sigmoid"}:
                layers += [nn.Tanh() if keys["latent_activation"] == "tanh" else nn.Sigmoid()]
        layers += [Scale()] if encoder and keys.get("latent_normalize") else []
        return nn.Sequential(*layers)


def make_keys(**changes: Any) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "input_name_list": NAMES,
        "input_size_list": [N_COMPONENTS] * len(NAMES),
        "orig_input_size_list": EDGES,
        "latentsize": N_LATENT,
        "latent_normalize": True,
        "input_transformation_info": "pc6",
        "dropout": 0.5,
        "intergroup_dropout": np.float64(0.5),
        "training_params": {"subjects": np.array(["a", "b"]), "subjidx_train": np.arange(2)},
        "epoch": 3,
    }
    return {**keys, **changes}


def make_statistics(rng: np.random.Generator, kind: str, n_edges: int) -> dict[str, Any]:
    """Statistics of one type as published: per edge [1, n_edges], the others [1], float32."""
    per_edge = {"input_mean", "input_stdev"} if "feat" in kind else set()
    values: dict[str, Any] = {
        name: rng.uniform(0.5, 2, size=(1, n_edges) if name in per_edge else 1).astype(np.float32)
        for name in REQUIRED_ARRAYS[kind]
    }
    for name in set(values) & {"pca_components", "tsvd_components"}:
        basis = np.linalg.qr(rng.normal(size=(n_edges, N_COMPONENTS)))[0].T
        values[name] = basis.astype(np.float32)
        values["reduce_dimension"] = N_COMPONENTS
    if kind == "pca":
        values["pca_input_mean"] = rng.normal(size=n_edges).astype(np.float32)
    n_outputs = N_COMPONENTS if kind in {"pca", "tsvd"} else n_edges
    return {**values, "type": kind, "input_dimension": n_edges, "output_dimension": n_outputs}


def make_transforms(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    transforms = {}
    for name, n_edges in zip(NAMES, EDGES, strict=True):
        reduction = fit_pca(rng.normal(size=(20, n_edges)) * 3 + 1, N_COMPONENTS)
        transforms[name] = {
            **reduction.arrays,
            "type": "pca",
            "reduce_dimension": N_COMPONENTS,
            "input_dimension": n_edges,
            "output_dimension": N_COMPONENTS,
            "train_subjects": np.array(["100", "200"]),
        }
    return transforms


class Published:
    """A folder with a checkpoint and transforms as published."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint = folder / "kraken_chkpt_tiny.pt"
        self.transforms = folder / "kraken_ioxfm_tiny_pc6_20train.npy"

    def write(self, legacy: bool = False, kind: str = "", **changes: Any) -> PublishedNetwork:
        """Write both files; returns the network whose weights they hold."""
        torch.manual_seed(1)
        rng = np.random.default_rng(0)
        self.content = make_transforms(rng)
        if kind:
            self.content = {
                name: make_statistics(rng, kind, n_edges)
                for name, n_edges in zip(NAMES, EDGES, strict=True)
            }
            changes["input_size_list"] = [p["output_dimension"] for p in self.content.values()]
        keys = make_keys(**changes)
        network = PublishedNetwork(keys).eval()
        torch.save(
            {"state_dict": network.state_dict(), **keys},
            self.checkpoint,
            _use_new_zipfile_serialization=not legacy,
        )
        np.save(self.transforms, np.array(self.content, dtype=object), allow_pickle=True)
        return network


@pytest.fixture
def published(tmp_path: Path) -> Published:
    folder = tmp_path / "published"
    folder.mkdir()
    return Published(folder)


@pytest.fixture
def make_model() -> Callable[..., Model]:
    """Make models of three flavors with random weights."""

    def make(**changes: Any) -> Model:
        torch.manual_seed(2)
        rng = np.random.default_rng(3)
        flavors: tuple[Flavor, ...] = tuple(parse_flavor(name) for name in NAMES)
        reductions = {
            flavor: fit_pca(rng.normal(size=(30, n)) + rng.normal(size=n), N_COMPONENTS)
            for flavor, n in zip(flavors, EDGES, strict=True)
        }
        architecture = Architecture(
            **{
                "flavors": tuple(NAMES),
                "input_sizes": (N_COMPONENTS,) * 3,
                "latent_size": N_LATENT,
                **changes,
            }
        )
        return Model(
            name="tiny",
            sha256="abc",
            flavors=flavors,
            latent_size=N_LATENT,
            network=Network(architecture).freeze(),
            reductions=reductions,
        )

    return make


@pytest.fixture(
    params=[
        "numpy",
        "torch",
        pytest.param(
            "cuda",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
            ],
        ),
    ]
)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Device:
    """Every place to compute; ``torch`` is what runs on a GPU, on a CPU that stands in for it."""
    if request.param == "torch":
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _name: (SMALL_GPU, SMALL_GPU))
        return Device("cpu", "torch")
    return CPU if request.param == "numpy" else Device("cuda", "torch")
