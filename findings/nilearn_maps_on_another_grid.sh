#!/usr/bin/env bash
# nilearn's NiftiMapsMasker: do probabilistic maps on another grid than the data give the same series in
# every version of nilearn 0.12?
#
# One would guess: yes. The masker regrids the maps onto the data (resampling_target="data", the default)
# and fits them to every volume; a patch release does not change how.
#
# What happens: up to 0.12.0 the maps are regridded with interpolation="continuous" (splines), from 0.12.1 on
# linearly, without an option to choose. Where maps are a few voxels wide, as DiFuMo's or an ICA's in a
# coarse space are, the series change by a tenth of their value: 2346 against 2596 here, from data of
# about 2300. No warning speaks of it; maps on the grid of the data are not concerned. Correlations within
# one version are comparable, series of two versions are not.
#
# Seen with nilearn 0.12.0, 0.12.1 and 0.14.1. Source: nilearn/maskers/nifti_maps_masker.py, `interpolation`
# in fit and transform_single_imgs.
# Bears on us: `kraken-tools fc --maps` regrids linearly by itself, whatever nilearn is installed; it is
# compared with nilearn from 0.12.1 on (tests/cli/test_fc_maps.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/maps.py" <<'PY'
import warnings

import nibabel
import nilearn
import numpy as np
from nilearn.image import resample_to_img
from nilearn.maskers import NiftiMapsMasker

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
values = 1000 + rng.standard_normal((14, 15, 12, 6)).cumsum(axis=0)
bold = nibabel.Nifti1Image(values.astype(np.float32), np.diag([2.0, 2, 2, 1]))
points = np.moveaxis(np.indices((10, 11, 9)), 0, -1) * 3.0
blobs = [np.exp(-((points - centre) ** 2).sum(-1) / 30) for centre in ([10, 12, 10], [18, 18, 14])]
weights = np.where(np.stack(blobs, -1) < 0.05, 0, np.stack(blobs, -1)).astype(np.float32)
maps = nibabel.Nifti1Image(weights, np.diag([3.0, 3, 3, 1]))
series = NiftiMapsMasker(maps).fit_transform(bold)[0]
moved = np.asarray(resample_to_img(maps, bold, interpolation="linear").dataobj).reshape(-1, 2)
fitted = np.linalg.lstsq(moved.astype(float), values[..., 0].ravel(), rcond=None)[0]
own, linear = (one.round().astype(int).tolist() for one in (series, fitted))
print(f"nilearn {nilearn.__version__}: masker {own}; by hand, linear: {linear}")
PY
for version in 0.12.0 0.12.1 0.14.1; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "nilearn==$version" \
    numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 nibabel==5.4.2
  "$folder/$version/bin/python" "$folder/maps.py" | tee -a "$folder/seen"
done
grep -q "^nilearn 0.12.0: masker \[2346, 2287\]" "$folder/seen"
[ "$(grep -cE "^nilearn 0.1(2.1|4.1): masker \[2596, 2527\]; by hand, linear: \[2596, 2527\]" "$folder/seen")" = 2 ]
# printed on the day it was written:
#   nilearn 0.12.0: masker [2346, 2287]; by hand, linear: [2596, 2527]
#   nilearn 0.12.1: masker [2596, 2527]; by hand, linear: [2596, 2527]
#   nilearn 0.14.1: masker [2596, 2527]; by hand, linear: [2596, 2527]
