#!/usr/bin/env bash
# WebDataset(shards, shardshuffle=100): is the order of the shards another in each epoch?
#
# One would guess: yes, as every loader that shuffles does it, and as the .shuffle() of samples does it in
# the same library; detshuffle=True, "deterministic shuffling", would be the one that repeats itself.
#
# What happens: the shards are shuffled once. Every pass over the data set has the same order, with
# a seed and without, also under .repeat(). With detshuffle=True each epoch has an order of its own.
# Where the buffer of .shuffle() is smaller than the data set, which is why there are shards at all,
# the same people so stand at the beginning, and at the end, of every epoch.
#
# Seen with webdataset 1.0.2 (compat.py: filters.shuffle(args.shardshuffle, seed=self.seed), which makes
# a new random.Random of the one seed in each pass).
# Bears on us: training draws sequences of all runs (kraken_bids/models/series/objectives.py); tars are
# listed by kraken_bids/io/sample_tars.py, and not read through this library.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check webdataset==1.0.2
cat > "$folder/orders.py" <<'PY'
import webdataset

for shard in range(8):
    with webdataset.TarWriter(f"{shard}.tar") as sink:
        sink.write({"__key__": f"sub-{shard}", "txt": str(shard)})
for words in ({}, {"seed": 1}, {"detshuffle": True}, {"detshuffle": True, "seed": 1}):
    samples = webdataset.WebDataset("{0..7}.tar", shardshuffle=100, **words)
    orders = {"".join(one["txt"].decode() for one in samples) for _ in range(5)}
    print(f"shardshuffle=100, {words}: {len(orders)} orders in 5 epochs")
samples = webdataset.WebDataset("{0..7}.tar", shardshuffle=False).shuffle(100)
orders = {"".join(one["txt"].decode() for one in samples) for _ in range(5)}
print(f".shuffle(100): {len(orders)} orders in 5 epochs")
PY
cd "$folder"
venv/bin/python orders.py | tee seen
grep -qF "shardshuffle=100, {}: 1 orders" seen
grep -qF "shardshuffle=100, {'seed': 1}: 1 orders" seen
[ "$(grep -c "detshuffle.*: [345] orders\|^.shuffle(100): [345] orders" seen)" = 3 ]
