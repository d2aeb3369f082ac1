"""Peers of ``bench_predict.py``: plain numpy and torch, in the shape of the reference's work.

``predict CHECKPOINT TRANSFORMS INPUT OUTPUT``: everything in memory, all subjects in one batch:
load the published files and the connectomes, fit and apply meanfit+meanshift on edges, transform,
encode, fuse, decode, invert, and write one ``.mat``. Float32, every step on whole arrays.
``first CHECKPOINT TRANSFORMS``: load the same files, encode one subject.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

FUSIONS = {"fusion": ("FC", "SC"), "fusionSC": ("SC",), "fusionFC": ("FC",)}
Transform = dict[str, Any]


def load(checkpoint: str, transforms: str) -> tuple[dict[str, Any], dict[str, Transform]]:
    return torch.load(checkpoint, weights_only=False), np.load(
        transforms, allow_pickle=True
    ).item()


def adapt(x: np.ndarray, fitted: Transform) -> np.ndarray:
    """Meanfit+meanshift of edges ``[n_subjects, n_edges]``."""
    mean, training_mean = x.mean(axis=0), fitted["pca_input_mean"].reshape(-1)
    design = np.stack([mean, np.ones_like(mean)], axis=1)
    slope = np.linalg.lstsq(design, training_mean, rcond=None)[0][0]
    return slope * x - slope * mean + training_mean


def encode(x: np.ndarray, fitted: Transform, weights: dict[str, Any], k: int) -> torch.Tensor:
    reduced = (x - fitted["pca_input_mean"]) @ fitted["pca_components"].T
    reduced = fitted["output_normscale"] * reduced / fitted["input_normscale"]
    layer = [weights[f"encoder_list.{k}.0.{part}"] for part in ("weight", "bias")]
    return functional.normalize(functional.linear(torch.from_numpy(reduced), *layer))


def decode(z: torch.Tensor, fitted: Transform, weights: dict[str, Any], k: int) -> np.ndarray:
    layer = [weights[f"decoder_list.{k}.0.{part}"] for part in ("weight", "bias")]
    y = functional.linear(z, *layer).numpy() / fitted["output_normscale"]
    return y * fitted["input_normscale"] @ fitted["pca_components"] + fitted["pca_input_mean"]


def predict(files: Sequence[str], inputs: str, output: str) -> None:
    from scipy.io import savemat

    content, transforms = load(*files)
    names, weights = content["input_name_list"], content["state_dict"]
    with np.load(inputs) as file:
        connectomes = {name: file[name] for name in names}
        subjects = file["subjects"]
    latents = {
        name: encode(adapt(connectomes[name], transforms[name]), transforms[name], weights, k)
        for k, name in enumerate(names)
    }
    predicted: dict[str, dict[str, np.ndarray]] = {
        n: {"encoded": latents[n].numpy()} for n in names
    }
    for fusion, groups in FUSIONS.items():
        z = torch.stack([latents[n] for n in names if n.startswith(groups)]).mean(dim=0)
        predicted[fusion] = {"encoded": z.numpy()} | {
            name: decode(z, transforms[name], weights, k) for k, name in enumerate(names)
        }
    savemat(output, {"predicted_alltypes": predicted, "subjects": subjects}, long_field_names=True)


def first_latent(files: Sequence[str]) -> None:
    content, transforms = load(*files)
    fitted = transforms[content["input_name_list"][0]]
    x = np.ones((1, fitted["pca_components"].shape[1]), np.float32)
    encode(x, fitted, content["state_dict"], 0)
    os._exit(0)


if __name__ == "__main__":
    task, *words = sys.argv[1:]
    with torch.inference_mode():
        if task == "predict":
            predict(words[:2], *words[2:])
        else:
            first_latent(words)
