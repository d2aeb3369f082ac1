#!/usr/bin/env bash
# nilearn's ConnectivityMeasure with discard_diagonal=True: inverse_transform with the diagonals given back.
#
# One would guess: "diagonal : shape (n_subjects, n_features), the diagonals of the connectivity matrices", says its
# documentation; so the vectors and these diagonals give the matrices again.
#
# What happens: the diagonals are multiplied by the square root of 2. Covariances come back with variances 41 % too
# large, so that correlations computed of them are 0.71 of what they were; precision matrices likewise; and
# for kind="tangent", where the matrix is exponentiated, the covariances are wrong in every element. No
# warning; the matrices are symmetric and positive definite. Vectors that hold the diagonal (discard_diagonal=False)
# come back right, and so do correlations, whose diagonal nilearn puts there itself. The factor is told on
# the page of vec_to_sym_matrix, which inverse_transform calls, not on that of inverse_transform. What goes in
# must be the diagonals divided by the square root of 2.
#
# Seen with nilearn 0.14.1. Source: nilearn/connectome/connectivity_matrices.py, inverse_transform ("vec_to_sym_matrix(
# connectivities, diagonal=diagonal)").
# Bears on us: kraken_bids unfolds vectors itself (kraken_bids/labelled.py), by no function of nilearn.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nilearn==0.14.1
cat > "$folder/diagonal.py" <<'PY'
import sys
import warnings

import numpy as np
from nilearn.connectome import ConnectivityMeasure, cov_to_corr
from sklearn.covariance import EmpiricalCovariance

warnings.simplefilter("error")
rng = np.random.default_rng(0)
n_regions = 20
common = rng.standard_normal((n_regions, n_regions)) / 3 + np.eye(n_regions)
series = [rng.standard_normal((300, n_regions)) @ common for _ in range(5)]
covariances = np.array([EmpiricalCovariance().fit(one).covariance_ for one in series])


def fit(kind, **words):
    measure = ConnectivityMeasure(kind=kind, cov_estimator=EmpiricalCovariance(), standardize=None, **words)
    return measure, measure.fit_transform(series)


found = {}
for kind in ("covariance", "precision", "tangent"):
    wanted = covariances if kind == "tangent" else fit(kind)[1]
    diagonals = np.array([np.diag(one) for one in fit(kind)[1]])
    whole, vectors = fit(kind, vectorize=True)
    found[kind, "in the vector"] = whole.inverse_transform(vectors)
    cut, vectors = fit(kind, vectorize=True, discard_diagonal=True)
    found[kind, "given back"] = cut.inverse_transform(vectors, diagonal=diagonals)
    found[kind, "given back over the root of 2"] = cut.inverse_transform(vectors, diagonal=diagonals / np.sqrt(2))
    for name in ("in the vector", "given back", "given back over the root of 2"):
        is_right = np.allclose(found[kind, name], wanted)
        found[kind, name] = found[kind, name], is_right
        print(f"{kind}, diagonal {name}: the matrices again {is_right}")
edges = np.tril_indices(n_regions, -1)
before, after = (np.array([cov_to_corr(one)[edges] for one in many]) for many in (covariances, found["covariance", "given back"][0]))
print(f"correlations of the covariances given back: {np.median(after / before):.3f} of those before")
rights = {name: {found[kind, name][1] for kind in ("covariance", "precision", "tangent")} for _, name in found}
is_so = (
    rights == {"in the vector": {True}, "given back": {False}, "given back over the root of 2": {True}}
    and np.allclose(after * np.sqrt(2), before)
)
print("as described" if is_so else "behaves otherwise now")
sys.exit(not is_so)
PY
"$folder/venv/bin/python" "$folder/diagonal.py"
