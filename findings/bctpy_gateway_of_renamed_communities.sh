#!/usr/bin/env bash
# bctpy's gateway_coef_sign: does a node's gateway coefficient depend on what communities are called?
#
# One would guess: no. It says how much a node links its community to others, and which community bears
# the number 1 is arbitrary (Louvain and Leiden number them as they find them), so that renumbering
# changes nothing, as with participation_coef_sign of the same matrix and communities.
#
# What happens: of the nodes of the community with number k, the k-th one has another coefficient than
# under the other numbers, and only that one. Six numberings of three communities of four nodes so give
# two values for each of nine nodes, and participation coefficients that are all equal. In a table of the
# connections between communities, those within one are counted from both ends, and its column is to be
# halved; bctpy halves the row of that number, which is a node. (It also adds up all communities, where
# the definition has a sum for each of them.)
#
# Seen with bctpy 0.6.1 and numpy 2.4.6. Source: gateway_coef_sign in bct/algorithms/centrality.py,
# "kj[i] /= 2" and the np.sum before it; the MATLAB toolbox halves the column. Definition: Vargas and
# Wahl 2014, doi:10.1140/epjb/e2014-40800-7.
# Bears on us: no number of ours is computed by bctpy.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    bctpy==0.6.1 numpy==2.4.6 scipy==1.17.1
cat > "$folder/gateway.py" <<'PY'
import itertools
import sys

import bct
import numpy as np

rng = np.random.default_rng(0)
square = np.triu(rng.integers(1, 4, (12, 12)), 1).astype(float)
square += square.T
community = np.repeat([0, 1, 2], 4)
gateway, participation = [], []
for numbers in itertools.permutations((1, 2, 3)):
    labels = np.array(numbers)[community]
    gateway.append(bct.gateway_coef_sign(square.copy(), labels)[0])
    participation.append(bct.participation_coef_sign(square.copy(), labels)[0])
    row = " ".join(f"{value:.3f}" for value in gateway[-1])
    print(f"communities numbered {numbers}: gateway {row}")
for word, values in (("gateway", gateway), ("participation", participation)):
    spread = np.ptp(values, axis=0)
    print(f"{word}: nodes that change {np.flatnonzero(spread > 1e-9).tolist()}, by {spread.max():.3f}")
    found = np.flatnonzero(spread > 1e-9).tolist()
    expected = [0, 1, 2, 4, 5, 6, 8, 9, 10] if word == "gateway" else []
    if found != expected:
        sys.exit("bctpy changed")
PY
"$folder/venv/bin/python" -W ignore "$folder/gateway.py"
# printed on the day it was written:
#   communities numbered (1, 2, 3): gateway 0.733 0.719 0.709 0.696 0.718 0.750 0.707 …
#   communities numbered (2, 1, 3): gateway 0.681 0.767 0.709 0.696 0.768 0.709 0.707 …
#   gateway: nodes that change [0, 1, 2, 4, 5, 6, 8, 9, 10], by 0.059
#   participation: nodes that change [], by 0.000
