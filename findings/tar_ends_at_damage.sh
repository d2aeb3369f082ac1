#!/usr/bin/env bash
# tarfile and webdataset: what is read of a tar that was cut, or of which a header is damaged?
#
# One would guess: an error, or at least a warning. A header has a checksum, and every tar ends with
# blocks of zeros, so both can be seen.
#
# What happens: a header whose checksum is wrong, half a header, and the end of the file where a header
# should be are all taken for the end of the tar, as soon as one member was read before. A copy that
# broke off between two members, or one flipped bit, leaves a shorter data set: no error, no warning.
# webdataset reads through tarfile, so a training on such shards has fewer samples, and does not say so.
#
# Seen with Python 3.11.7 (TarFile.next: InvalidHeaderError, TruncatedHeaderError and
# EmptyHeaderError end the loop unless offset is 0) and webdataset 1.0.2.
# Bears on us: io/sample_tars.py refuses a tar unless the block of zeros follows its last member.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check webdataset==1.0.2
cat > "$folder/cut.py" <<'PY'
import tarfile

import webdataset

with webdataset.TarWriter("whole.tar") as sink:
    for k in range(4):
        sink.write({"__key__": f"run{k}", "txt": f"run {k}"})
content = bytearray(open("whole.tar", "rb").read())
with tarfile.open("whole.tar") as archive:
    starts = [member.offset for member in archive]
damaged = content.copy()
damaged[starts[1] + 150] ^= 1  # a bit of the checksum of the second header
for name, data in {
    "whole": content,
    "cut between two members": content[: starts[2]],
    "cut inside a header": content[: starts[2] + 300],
    "one bit of the second header": damaged,
}.items():
    open("case.tar", "wb").write(data)
    with tarfile.open("case.tar") as archive:
        n_members = len(archive.getmembers())
    n_samples = sum(1 for _ in webdataset.WebDataset("case.tar", shardshuffle=False))
    print(f"{name}: tarfile {n_members} members, webdataset {n_samples} samples")
PY
cd "$folder"
venv/bin/python cut.py
