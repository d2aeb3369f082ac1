#!/usr/bin/env bash
# dipy's gaussian_weights, the weights of tract profiles: do they depend on how the head lies in the scanner?
#
# One would guess: no. A streamline's weight at a node is the inverse of its Mahalanobis distance from the core of
# the bundle, which is the same in every system of axes; turning the bundle and the map together changes nothing.
#
# What happens: the covariance of the node's coordinates is cut to its upper triangle before it is inverted. The
# distance is right only where the coordinates are uncorrelated, that is where the bundle's spread lies along the
# axes of the image. Of a flat bundle turned by 45 degrees, streamlines far from the core come a third as far
# as they are and count more than twice as much as they should; the profile of the very same tissue is another one.
# Weights are positive and add up to 1, and nothing warns. afq_profile takes these weights in
# dipy's own examples of tract profiles. (pyAFQ, where the code came from, has mended its copy.)
#
# Seen with dipy 1.12.1. Source: dipy/stats/analysis.py, gaussian_weights ("Reorganize as an upper diagonal matrix
# for expected Mahalanobis input"; scipy's mahalanobis expects the inverse of the whole matrix).
# Bears on us: no number of ours is weighted by it; tract profiles are not computed.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dipy==1.12.1
cat > "$folder/turned.py" <<'PY'
import sys

import numpy as np
from dipy.stats.analysis import afq_profile, gaussian_weights
from nibabel.streamlines import ArraySequence

rng = np.random.default_rng(0)
n_streamlines, n_points = 40, 20
# Along z, spread by 8 mm to one side and by 1 mm to the other.
offsets = rng.standard_normal((n_streamlines, 3)) * [8, 1, 1]
axis = np.c_[np.zeros((n_points, 2)), np.linspace(0, 50, n_points)]
affine = np.diag([1.0, 1, 1, 1])
affine[:3, 3] = [-40, -40, -10]
x, y, _ = np.indices((81, 81, 71)) - 40
tissue = np.exp(-np.hypot(x, y) / 10)  # a map that turning about z does not change
weights, profiles, truth = {}, {}, {}
for angle in (0, 45, 90):
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    bundle = ArraySequence([(axis + offset) @ turn.T for offset in offsets])
    weights[angle] = gaussian_weights(bundle, n_points=n_points)
    profiles[angle] = afq_profile(tissue, bundle, affine, n_points=n_points, weights=weights[angle])
    points = np.stack([line[10] for line in bundle])
    away = points - points.mean(0)
    squares = np.einsum("ij,jk,ik->i", away, np.linalg.inv(np.cov(points.T, ddof=0)), away)
    truth[angle] = 1 / np.sqrt(squares) / (1 / np.sqrt(squares)).sum()
    ratio = weights[angle][:, 10] / truth[angle]
    print(
        f"turned by {angle} degrees: weights {ratio.min():.2f} to {ratio.max():.2f} of those by the definition, "
        f"profile at the middle {profiles[angle][10]:.3f}"
    )
is_so = (
    np.allclose(truth[0], truth[45])
    and np.allclose(weights[0].sum(0), 1)
    and (weights[45][:, 10] / truth[45]).max() > 2
    and abs(profiles[45][10] - profiles[0][10]) > 0.02
    and abs(profiles[90][10] - profiles[0][10]) < 0.005
)
print("as described" if is_so else "behaves otherwise now")
sys.exit(not is_so)
PY
"$folder/venv/bin/python" -W ignore "$folder/turned.py"
