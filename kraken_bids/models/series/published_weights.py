"""Weights of the released models: a state dict whose names say which network it is of."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError, SettingsError, name_few
from kraken_bids.io.pickles import read_torch_file
from kraken_bids.io.tensors import read_arrays
from kraken_bids.models.network_folders import fill_network
from kraken_bids.models.series.architecture import SeriesArchitecture
from kraken_bids.models.series.network import SeriesNetwork

Arrays = Mapping[str, NDArray[np.float32]]
UNUSED = re.compile(
    r"decoder\.transformer\.(wte\.weight|embeddings\.(word_embeddings\.weight|position_ids)"
    r"|h\.\d+\.attn\.(masked_)?bias)"
)
"""Weights of words, of which there are none, and constants that older libraries stored."""
HEADS = ("decoder.pooler_layer.", "decoder.is_next_head.", "embedder.cls_embed")
"""What some frameworks never train; filled at random where it is missing."""
SAFETENSORS = ".safetensors"


def read_published_network(path: Path, n_heads: int = 0) -> SeriesNetwork:
    """Network of a released state dict; no code inside the file is run.

    Parameters
    ----------
    path : Path
        ``pytorch_model.bin``, ``.pt`` or ``.safetensors``.
    n_heads : int
        Attention heads, which no weight tells; 0: one for each 64 numbers of the embedding.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or is of another network.
    """
    if not path.is_file():
        raise CheckpointError(f"expected a file of weights; found no {path}. Check the path.")
    content = read_arrays(path) if path.suffix == SAFETENSORS else read_torch_file(path)
    arrays = {
        str(name).removeprefix("module."): values
        for name, values in (content.items() if isinstance(content, Mapping) else ())
        if isinstance(values, np.ndarray)
    }
    arrays = {
        name: np.asarray(values, np.float32)
        for name, values in arrays.items()
        if not UNUSED.fullmatch(name)
    }
    try:
        network = SeriesNetwork(find_architecture(arrays, n_heads))
    except (KeyError, IndexError, SettingsError) as error:
        raise CheckpointError(
            f"expected a state dict of a network for region series in {path} (names such as "
            f"embedder.embed_model.model.0.weight); found {name_few(list(arrays)) or 'none'} "
            f"({error}). Give the pytorch_model.bin of a released model."
        ) from error
    own = network.state_dict()
    random = {
        name: values.numpy()
        for name, values in own.items()
        if name not in arrays and name.startswith(HEADS)
    }
    fill_network(network, {**random, **arrays}, str(path))
    return network.eval()


def find_architecture(arrays: Arrays, n_heads: int = 0) -> SeriesArchitecture:
    """Find the network that weights are of.

    Raises
    ------
    KeyError, IndexError
        If they are of none.
    SettingsError
        If they are of one that cannot be.
    """
    embedding, n_regions = arrays["embedder.embed_model.model.0.weight"].shape
    if "decoder.encoder.lstms.0.weight_ih_l0" in arrays:
        framework, layers, n_positions = "autoencoder", r"decoder\.encoder\.lstms\.(\d+)\.", 512
    elif "decoder.transformer.wpe.weight" in arrays:
        framework, layers = "csm", r"decoder\.transformer\.h\.(\d+)\."
        n_positions = len(arrays["decoder.transformer.wpe.weight"])
    else:
        n_positions = len(arrays["decoder.transformer.embeddings.position_embeddings.weight"])
        layers = r"decoder\.transformer\.encoder\.layer\.(\d+)\."
        is_by_region = arrays["embedder.msk_embed"].shape[2] == 1
        framework = "netbert" if is_by_region else "bert"
    found = {int(match[1]) for name in arrays if (match := re.match(layers, name))}
    head = arrays.get("decoder.decoding_head.0.weight", np.empty((0, 0)))
    return SeriesArchitecture(
        framework=framework,
        n_regions=n_regions,
        embedding=embedding,
        n_layers=max(found) + 1 if found else 0,
        n_heads=n_heads,
        n_positions=n_positions,
        n_classes=len(head),
    )
