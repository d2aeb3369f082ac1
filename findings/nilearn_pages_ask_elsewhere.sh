#!/usr/bin/env bash
# A page that nilearn's view_connectome saves: does it stand alone?
#
# One would guess: yes. Its scripts and the mesh of the brain are inside it, and it opens without a network.
#
# What happens: it loads an icon from raw.githubusercontent.com whenever it is opened. A saved page of a
# patient's connectome so tells a third party when, and from where, it is looked at. The same template
# serves view_img and view_markers.
#
# Seen with nilearn 0.14.1.
# Bears on us: kraken_bids/pipeline/interactive_brain.py takes such links out, and writes no page that
# would ask for anything else; tests/pipeline/test_interactive_brain.py.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'nilearn[plotting]==0.14.1'
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
