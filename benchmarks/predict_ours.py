"""What ``bench_predict.py`` measures of ours beside ``kraken-tools predict``.

``first MODEL``: from nothing to the first latent of one subject.
``encode DEVICE MODEL INPUT ...``: adaptation, latents and fusion of a cohort; nothing is decoded.
"""

import os
import sys
from pathlib import Path

import numpy as np

from kraken_bids.models.krakencoder.load import load_model


def first_latent(path: str) -> None:
    model = load_model(path, device="cpu")
    flavor = model.flavors[0]
    model.encode(flavor, np.ones((1, model.n_edges(flavor)), np.float32))
    os._exit(0)  # the latent is there; how long an interpreter takes to end is not asked


def encode_cohort(device: str, path: str, inputs: list[str]) -> None:
    from kraken_bids.pipeline.file_predictions import encode_files
    from kraken_bids.pipeline.predict.prediction_options import PredictionOptions

    model = load_model(Path(path), device=device)
    found = encode_files(inputs, model, PredictionOptions(targets=(model.flavors[0].name,)))
    assert np.isfinite(found.encoded["fusion"]).all()


if __name__ == "__main__":
    if sys.argv[1] == "first":
        first_latent(sys.argv[2])
    else:
        encode_cohort(*sys.argv[2:4], sys.argv[4:])
