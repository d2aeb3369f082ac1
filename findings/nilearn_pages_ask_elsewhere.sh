#!/usr/bin/env bash
# nilearn 0.14.1: a page of view_connectome loads an icon from raw.githubusercontent.com whenever it is
# opened, although its scripts are inside it. A saved page of a patient's connectome so tells a third
# party when, and from where, it is looked at. The same template serves view_img and view_markers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'nilearn[plotting]==0.14.1'
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import re

import numpy as np
from nilearn.plotting import view_connectome

square = np.array([[0, 1.0], [1.0, 0]])
page = view_connectome(square, np.array([[-30.0, 0, 0], [30, 0, 0]])).html
for tag in re.findall(r"<link\s[^<>]*>", page):
    print(" ".join(tag.split()))
PYTHON
grep -q 'rel="icon".*raw.githubusercontent.com' "$folder/seen"
