#!/usr/bin/env bash
# How much the neighbours of two regions overlap, by bctpy: matching index and topological overlap.
#
# One would guess: matching_ind_und of an undirected network is symmetric and equals matching_ind (which
# is for directed networks) of the same matrix; gtom(…, 2) looks at neighbours two steps away and so
# differs from gtom(…, 1), which is the topological overlap that its documentation names.
#
# What happens: matching_ind_und divides by the neighbours of one node and the shared ones, instead of
# the neighbours of both. It is not symmetric, too large, and neither triangle is that of matching_ind,
# which agrees with the definition. gtom takes one step fewer than asked (1 and 2 steps are the same) and
# divides by the larger of the two degrees, where the topological overlap has the smaller one.
# No warning; the values are plausible numbers between 0 and 1. The matching index is a usual term of
# generative models of connectomes.
#
# Seen with bctpy 0.6.1 and numpy 2.4.6. Source: bct/algorithms/similarity.py, matching_ind_und ("ncon2 =
# c1 * CIJ") and gtom ("range(2, nr_steps)", "bms_r > bms_r.T"). Definitions: Hilgetag et al. 2000,
# doi:10.1098/rstb.2000.0551; Ravasz et al. 2002, doi:10.1126/science.1073374.
# Bears on us: no number of ours is computed by bctpy.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    bctpy==0.6.1 numpy==2.4.6 scipy==1.17.1
cat > "$folder/overlap.py" <<'PY'
import contextlib
import io

import bct
import numpy as np

rng = np.random.default_rng(0)
n = 12
network = np.triu(rng.random((n, n)) < 0.5, 1).astype(float)
network += network.T
pairs = [(i, j) for i in range(n) for j in range(n) if i != j]


def match(i, j):
    """Shared neighbours, twice, of all neighbours of either, without the two themselves."""
    others = [k for k in range(n) if k not in (i, j)]
    a, b = network[i, others], network[j, others]
    return 2 * (a * b).sum() / (a.sum() + b.sum())


def overlap(i, j):
    degree, linked = network.sum(axis=0), network[i, j]
    shared = network[i] @ network[j]
    return (shared + linked) / (min(degree[i], degree[j]) + 1 - linked)


def share_of_equal(square, of):
    return f"{np.mean([np.isclose(square[i, j], of(i, j)) for i, j in pairs]):.2f}"


with contextlib.redirect_stdout(io.StringIO()):  # it prints its sums
    undirected = bct.matching_ind_und(network.copy())
directed = bct.matching_ind(network.copy())[0]
print("matching_ind: symmetric", np.allclose(directed, directed.T), end=", ")
print("pairs as defined", share_of_equal(directed, match))
print("matching_ind_und: symmetric", np.allclose(undirected, undirected.T), end=", ")
print("pairs as defined", share_of_equal(undirected, match))
print("regions 0 and 1:", *(f"{x[0, 1]:.3f} {x[1, 0]:.3f}" for x in (directed, undirected)))
steps = [bct.gtom(network.copy(), k) for k in (1, 2, 3)]
print("gtom: 1 and 2 steps equal", np.allclose(steps[0], steps[1]), end=", ")
print("2 and 3 equal", np.allclose(steps[1], steps[2]), end=", ")
print("pairs as defined", share_of_equal(steps[0], overlap))
PY
"$folder/venv/bin/python" "$folder/overlap.py" | tee "$folder/seen"
grep -q '^matching_ind: symmetric True, pairs as defined 1.00' "$folder/seen"
grep -q '^matching_ind_und: symmetric False, pairs as defined 0.07' "$folder/seen"
grep -q '^gtom: 1 and 2 steps equal True, 2 and 3 equal False, pairs as defined 0.21' "$folder/seen"
# printed on the day it was written:
#   matching_ind: symmetric True, pairs as defined 1.00
#   matching_ind_und: symmetric False, pairs as defined 0.07
#   regions 0 and 1: 0.250 0.250 0.333 0.500
#   gtom: 1 and 2 steps equal True, 2 and 3 equal False, pairs as defined 0.21
