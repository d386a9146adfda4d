#!/bin/sh
# A recurrent network of spoken digits on the command line:
#     sh examples/spoken_digits.sh [FOLDER]
# Needs neurocompile and its python on the PATH (. .venv/bin/activate).
set -eu
data=$(cd "$(dirname "$0")/../tests/data" && pwd)
mkdir -p "${1:-spoken-digits}"
cd "${1:-spoken-digits}"

# The recordings hold their spikes bit-packed: unpack them to x [sample, step, channel].
python - "$data/fsdd_rcubalif_snntorch.npz" <<'PYTHON'
import sys
import numpy as np
stored = np.load(sys.argv[1])
spikes = np.unpackbits(stored["x_spk"], axis=-1, count=40)
np.savez("data.npz", x=spikes, y=stored["y"], dt=stored["dt"])
PYTHON

model=$data/fsdd_rcubalif_snntorch.nir
how="--contract snntorch-zero --input-mode spikes"

neurocompile check "$model" --target loihi1 $how
neurocompile compile "$model" --target loihi1 -o build $how
neurocompile verify build --input data.npz --samples 20
neurocompile evaluate build --data data.npz
neurocompile simulate build --input data.npz --samples 20 --probe lif1.lif:v -o run.npz
