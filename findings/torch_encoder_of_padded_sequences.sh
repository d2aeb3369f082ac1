#!/usr/bin/env bash
# torch.nn.TransformerEncoder with padded sequences: are its outputs the same in train() and in eval()?
#
# One would guess: without dropout, yes; the two modes differ in nothing else here.
#
# What happens: at padded positions train() gives what the layers make of the padding, eval() without
# gradients gives zeros: the encoder then runs on nested tensors, and fills up with 0. What is real
# is the same. But a mean or a maximum over positions, or the last one, as recipes for sequences of
# one length have it, is another number when the trained network is used than when it was trained, with
# no message that says so (the first call warns that nested tensors are a prototype). Under eval()
# with gradients, as for maps of relevance, it is that of train() again.
#
# Seen with torch 2.13.0 (torch/nn/modules/transformer.py, enable_nested_tensor=True by default).
# Bears on us: networks of kraken_bids/models/series pad inside attention only, and pool real volumes.
# Exits non-zero where that changes. Without a package for CPUs alone, pip takes some GB.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat > "$folder/padded.py" <<'PY'
import warnings

import torch

warnings.simplefilter("ignore")
torch.manual_seed(0)
layer = torch.nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
encoder = torch.nn.TransformerEncoder(layer, 2)
series = torch.randn(2, 10, 16)
is_padding = torch.zeros(2, 10, dtype=torch.bool)
is_padding[0, 5:] = True
found = {}
for mode in ("train", "eval"):
    for has_gradients in (True, False):
        encoder.train(mode == "train")
        with torch.set_grad_enabled(has_gradients):
            found[mode, has_gradients] = encoder(series, src_key_padding_mask=is_padding).detach()
trained = found["train", True]
for (mode, has_gradients), one in found.items():
    real = torch.allclose(one[~is_padding], trained[~is_padding], atol=1e-5)
    mean = torch.allclose(one.mean(1), trained.mean(1), atol=1e-2)
    words = f"real positions as in training {real}, zeros in padding {not one[is_padding].any()}"
    print(f"{mode}, gradients {has_gradients}: {words}, mean over positions as in training {mean}")
PY
"$folder/venv/bin/python" "$folder/padded.py" | tee "$folder/seen"
as_trained="real positions as in training True, zeros in padding False, mean over positions as in training True"
[ "$(grep -c ": $as_trained" "$folder/seen")" = 3 ]
zeros="real positions as in training True, zeros in padding True, mean over positions as in training False"
grep -q "^eval, gradients False: $zeros" "$folder/seen"
