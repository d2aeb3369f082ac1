#!/usr/bin/env bash
# nilearn's NiftiLabelsMasker: whose name does a region get when the image lacks a region of the list?
#
# One would guess: `labels` names the regions 1, 2, 3 … of the label image, so that without a voxel of
# region 2 the name of region 2 is left over, and region 3 is still called by the third name.
#
# What happens: names are handed out to the labels that are present, in ascending order, and what is
# left over is dropped from the end of the list. Every region behind the absent one bears its
# neighbour's name in region_names_ (and in reports). One warning says "Too many names for the
# indices. Dropping excess names values."; nothing says which names moved. The same regions given as a
# table (`lut` with index and name) keep their names. A participant without one small region is enough:
# its columns are called otherwise than everyone else's.
#
# Seen with nilearn 0.14.1. Source: generate_atlas_look_up_table in nilearn/_utils/bids.py.
# Bears on us: bids/custom_atlases.py takes names by index, never by position (docs/decisions/0011).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nilearn==0.14.1
cat > "$folder/names.py" <<'PY'
import warnings

import nibabel
import numpy as np
import pandas
from nilearn.maskers import NiftiLabelsMasker

NAMES = ["one", "two", "three", "four"]
table = pandas.DataFrame({"index": [0, 1, 2, 3, 4], "name": ["Background", *NAMES]})
labels = np.repeat(np.arange(1, 5), 2)[:, None, None] * np.ones((8, 4, 4), np.int16)
labels[:, :, 0] = 0
# each voxel's signal is the number of its region
bold = nibabel.Nifti1Image(np.repeat(labels[..., None], 10, axis=3).astype(float), np.eye(4))
for absent in (None, 2):
    present = np.where(labels == absent, 0, labels).astype(np.int16)
    image = nibabel.Nifti1Image(present, np.eye(4))
    for how in ({"labels": ["Background", *NAMES]}, {"labels": NAMES}, {"lut": table}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            masker = NiftiLabelsMasker(image, standardize=None, **how).fit(bold)
            signals = masker.transform(bold).mean(axis=0).round().astype(int)
        found = dict(zip(signals.tolist(), masker.region_names_.values()))
        print(f"region {absent} absent, {'/'.join(how)} of {len(*how.values())}: {found}")
PY
"$folder/venv/bin/python" "$folder/names.py" | tee "$folder/seen"
right="{1: 'one', 2: 'two', 3: 'three', 4: 'four'}"
[ "$(grep -c "None absent.*$right" "$folder/seen")" = 3 ]
[ "$(grep -c "^region 2 absent, labels of [45]: {1: 'one', 3: 'two', 4: 'three'}" "$folder/seen")" = 2 ]
grep -q "^region 2 absent, lut of 5: {1: 'one', 3: 'three', 4: 'four'}" "$folder/seen"
# printed on the day it was written:
#   region None absent, labels of 5: {1: 'one', 2: 'two', 3: 'three', 4: 'four'}
#   region None absent, labels of 4: {1: 'one', 2: 'two', 3: 'three', 4: 'four'}
#   region None absent, lut of 5: {1: 'one', 2: 'two', 3: 'three', 4: 'four'}
#   region 2 absent, labels of 5: {1: 'one', 3: 'two', 4: 'three'}
#   region 2 absent, labels of 4: {1: 'one', 3: 'two', 4: 'three'}
#   region 2 absent, lut of 5: {1: 'one', 3: 'three', 4: 'four'}
