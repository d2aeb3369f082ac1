#!/usr/bin/env bash
# numpy with OpenBLAS: does a row of a matrix product depend on where it stands?
#
# One would guess: row i of A @ W depends on row i of A alone, so that a person's latent has the same
# bits alone, first or last of a cohort. With one thread nothing else can come in between.
#
# What happens: with OpenBLAS's kernels for Haswell processors (which Zen processors take too), equal
# rows give results that differ in the last bits, by their place in the product, as soon as there are
# 12 rows or more and some two dozen products to add up. With 8 rows, or with the kernel for
# processors with AVX-512, they do not differ.
#
# Seen with numpy 2.4.6 (its wheel's OpenBLAS, scipy-openblas) on an x86 processor with AVX2.
# Source of the choice of kernel: OpenBLAS, environment variable OPENBLAS_CORETYPE.
# Bears on us: docs/decisions/0016, tests/model/engine/test_kernels.py.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
grep -qw avx2 /proc/cpuinfo 2>/dev/null || { echo "needs a processor with AVX2"; exit 2; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
cat > "$folder/rows.py" <<'PY'
import numpy as np

rng = np.random.default_rng(0)
row, matrix = rng.standard_normal(96, np.float32), rng.standard_normal((96, 64), np.float32)
for n in (8, 12, 32):
    product = np.tile(row, (n, 1)) @ matrix
    changes = [i for i in range(1, n) if not np.array_equal(product[i], product[i - 1])]
    print(f"{n} equal rows: results change at rows {changes}, by {np.ptp(product, axis=0).max():.1e}")
PY
export OPENBLAS_NUM_THREADS=1
OPENBLAS_CORETYPE=Haswell "$folder/venv/bin/python" "$folder/rows.py" | tee "$folder/seen"
grep -q '^8 equal rows: results change at rows \[\]' "$folder/seen"
grep -q '^12 equal rows: results change at rows \[6\]' "$folder/seen"
grep -q '^32 equal rows: results change at rows \[6, 12, 18, 24\]' "$folder/seen"
# printed on the day it was written:
#   8 equal rows: results change at rows [], by 0.0e+00
#   12 equal rows: results change at rows [6], by 2.4e-06
#   32 equal rows: results change at rows [6, 12, 18, 24], by 7.6e-06
