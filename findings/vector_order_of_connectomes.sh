#!/usr/bin/env bash
# One connectome as a vector: do nilearn and scipy list its edges in the same order?
#
# One would guess: nilearn's ConnectivityMeasure(vectorize=True, discard_diagonal=True) and scipy's
# squareform, both of which make n(n-1)/2 numbers of a symmetric matrix, list the upper triangle row by
# row, so that one's vector can be unfolded by the other, or by numpy.triu_indices(n, 1).
#
# What happens: nilearn lists the lower triangle row by row (which is the upper one column by column, as
# MATLAB's A(triu(true(n),1)) does), scipy the upper one row by row. Sizes fit, the matrix that comes
# back is symmetric and finite, and nearly every edge is another one; correlations between people, and
# hence identification and ICC, are not changed by it, so that such checks pass. And with
# discard_diagonal=False nilearn divides the diagonal by the square root of 2.
#
# Seen with nilearn 0.14.1 (nilearn/connectome/connectivity_matrices.py, sym_matrix_to_vec) and scipy
# 1.17.0 (scipy/spatial/distance.py, squareform).
# Bears on us: docs/decisions/0020, kraken_bids/region_orders.py.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nilearn==0.14.1 scipy==1.17.0
cat > "$folder/orders.py" <<'PY'
import numpy as np
from nilearn.connectome import ConnectivityMeasure, sym_matrix_to_vec
from scipy.spatial.distance import squareform

n, people = 86, 4
rng = np.random.default_rng(0)
series = [rng.standard_normal((200, n)) + rng.standard_normal((200, 1)) for _ in range(people)]
squares = ConnectivityMeasure(kind="correlation", standardize="zscore_sample").fit_transform(series)
vectors = ConnectivityMeasure(
    kind="correlation", standardize="zscore_sample", vectorize=True, discard_diagonal=True
).fit_transform(series)
upper = np.stack([squareform(square, checks=False) for square in squares])
back = squareform(vectors[0])
same = int(np.isclose(vectors[0], upper[0]).sum())
print(f"edges at the same place: {same} of {vectors.shape[1]}")
print("the lower triangle row by row:", np.allclose(vectors[0], squares[0][np.tril_indices(n, -1)]))
print("symmetric when unfolded by scipy:", np.allclose(back, back.T))
print("people correlate as before:", np.allclose(np.corrcoef(vectors), np.corrcoef(upper)))
first = sym_matrix_to_vec(np.eye(2))[0]
print(f"a diagonal of 1 becomes {first:.4f}")
PY
"$folder/venv/bin/python" -W ignore "$folder/orders.py" | tee "$folder/seen"
grep -q '^edges at the same place: 6 of 3655' "$folder/seen"
grep -q '^the lower triangle row by row: True' "$folder/seen"
grep -q '^symmetric when unfolded by scipy: True' "$folder/seen"
grep -q '^people correlate as before: True' "$folder/seen"
grep -q '^a diagonal of 1 becomes 0.7071' "$folder/seen"
# printed on the day it was written:
#   edges at the same place: 6 of 3655
#   the lower triangle row by row: True
#   symmetric when unfolded by scipy: True
#   people correlate as before: True
#   a diagonal of 1 becomes 0.7071
