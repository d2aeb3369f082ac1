#!/usr/bin/env bash
# Communities of several layers in leidenalg: what does the weight of a layer weigh?
#
# One would guess: ModularityVertexPartition and RBConfigurationVertexPartition at a resolution of 1 look
# for the same communities. On one layer they do: their qualities differ by a constant factor, twice the
# sum of the weights. And multiplying all weights of a layer by ten (another number of streamlines of the
# same brain) changes nothing, since modularity has no unit.
#
# What happens: where layers are optimised together, the quality of RBConfigurationVertexPartition is not
# divided by the layer's own sum of weights, so that layer_weights come on top of it. Here layer_weights
# say that the second layer counts three times as much as the first; with the first in another unit its
# communities are found all the same, and the second's are not. With ModularityVertexPartition, which has
# no resolution to choose, the unit does not matter. For positive and negative correlations as two layers
# with the weights 1 and -1 this decides which signed modularity is optimised.
#
# Seen with leidenalg 0.12.0 and igraph 1.0.0. Source: the documentation of both classes gives the two
# formulas; Optimiser.optimise_partition_multiplex adds layer_weights * quality().
# Bears on us: kraken_bids/models/communities/leiden.py divides each layer's weight by the sums itself;
# tests/models/communities/test_leiden.py compares with all partitions of seven regions.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    leidenalg==0.12.0 igraph==1.0.0 numpy==2.4.6
cat > "$folder/layers.py" <<'PY'
import igraph
import leidenalg
import numpy as np

rng = np.random.default_rng(0)
n = 40
halves, parity = np.arange(n) // 20, np.arange(n) % 2
KINDS = (leidenalg.ModularityVertexPartition, leidenalg.RBConfigurationVertexPartition)


def make_layer(groups):
    square = 0.2 * rng.random((n, n)) + 0.8 * (groups[:, None] == groups)
    return np.triu(square, 1)


def find(kind, squares, layer_weights):
    rows, columns = np.triu_indices(n, 1)
    partitions = []
    for square in squares:
        graph = igraph.Graph(n=n, edges=list(zip(rows.tolist(), columns.tolist())))
        graph.es["weight"] = square[rows, columns].tolist()
        partitions.append(kind(graph, weights="weight"))
    optimiser = leidenalg.Optimiser()
    optimiser.set_rng_seed(1)
    optimiser.optimise_partition_multiplex(partitions, layer_weights=layer_weights, n_iterations=-1)
    return partitions


def name(partition):
    for groups, word in ((halves, "first"), (parity, "second")):
        same = igraph.compare_communities(partition.membership, groups.tolist(), "nmi")
        if abs(same - 1) < 1e-9:
            return f"those of the {word} layer"
    return "others"


first, second = make_layer(halves), make_layer(parity)
for kind in KINDS:
    alone = find(kind, [first], [1])[0]
    ratio = alone.quality() / alone.graph.modularity(alone.membership, weights="weight")
    print(f"{kind.__name__}, first layer alone: {name(alone)};", end=" ")
    print(f"quality / modularity is {ratio:.1f}, weights add up to {first.sum():.1f}")
for unit in (1, 10):
    for kind in KINDS:
        both = find(kind, [unit * first, second], [1, 3])
        print(f"{kind.__name__}, weights 1 and 3, first layer times {unit}: {name(both[0])}")
PY
"$folder/venv/bin/python" "$folder/layers.py" | tee "$folder/seen"
both="ModularityVertexPartition RBConfigurationVertexPartition"
for kind in $both; do
    grep -q "^$kind, first layer alone: those of the first layer" "$folder/seen"
    grep -q "^$kind, weights 1 and 3, first layer times 1: those of the second layer" "$folder/seen"
done
grep -q "^ModularityVertexPartition.*times 10: those of the second layer" "$folder/seen"
grep -q "^RBConfigurationVertexPartition.*times 10: those of the first layer" "$folder/seen"
# printed on the day it was written:
#   ModularityVertexPartition, first layer alone: … quality / modularity is 1.0, …
#   RBConfigurationVertexPartition, first layer alone: … quality / modularity is 769.1, …
#   both, weights 1 and 3, first layer times 1: those of the second layer
#   ModularityVertexPartition, weights 1 and 3, first layer times 10: those of the second layer
#   RBConfigurationVertexPartition, weights 1 and 3, first layer times 10: those of the first layer
