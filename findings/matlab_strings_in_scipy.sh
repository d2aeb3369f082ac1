#!/bin/bash
# scipy.io.loadmat gives every MATLAB string array of a file under the one name "None", the last one
# only, as a reference without its text; scipy.io.whosmat fails on such a file with a TypeError.
#
# One would guess: a variable that cannot be decoded is missing, or raises, under its own name. So code
# that looks for "subjects" finds no such variable (a MATLAB user wrote subjects = ["s1"; "s2"]; since
# R2016b the usual way), takes the file for one without names, and joins rows by their place.
# Source: scipy 1.17.1 (the newest release on 2026-11-28), scipy/io/matlab/_mio5_utils.pyx,
# read_mi_matrix header: objects of class mxOPAQUE get no name. The file
# is written here by mat-io 1.0.2, which writes string arrays as MATLAB does (save -v7).
# Exit 0: scipy still behaves so. Exit 1: it changed.
set -eu
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
python3 -m venv "$DIR/venv"
"$DIR/venv/bin/pip" install -q scipy==1.17.1 numpy==2.4.6 mat-io==1.0.2
"$DIR/venv/bin/python" - "$DIR/strings.mat" <<'END'
import sys

import numpy as np
from matio import save_to_mat

words = {
    "string_scalar": [["Hello"]],
    "string_array": [["Apple", "Banana", "Cherry"], ["Date", "Fig", "Grapes"]],
    "string_empty": [[""]],
}
arrays = {name: np.array(value, np.dtypes.StringDType()) for name, value in words.items()}
save_to_mat(sys.argv[1], arrays, version="v7")
END
cd "$DIR" && venv/bin/python - <<'END'
import sys
import warnings

from scipy.io import loadmat, whosmat

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    content = loadmat("strings.mat")
names = [name for name in content if not name.startswith("__")]
print("MATLAB saved: string_scalar, string_array, string_empty")
print("loadmat gives:", names, "-", content["None"][0]["s0"] if names == ["None"] else "")
print("and warns:", {str(one.message)[:60] for one in said})
try:
    listed = whosmat("strings.mat")
except TypeError as error:
    listed = f"TypeError: {error}"
print("whosmat gives:", listed)
is_as_described = names == ["None"] and str(listed).startswith("TypeError")
print("as described" if is_as_described else "scipy changed")
sys.exit(not is_as_described)
END
