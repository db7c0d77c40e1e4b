#!/usr/bin/env bash
# Draws the gallery again, from the runs that the README documents.
set -euo pipefail
cd "$(dirname "$0")/.."
main="python -m fedjax_asr.main"
runs=runs/gallery

$main --config=configs/ds2_fedavg.py --workdir="$runs/ds2_fedavg"
cp "$runs/ds2_fedavg/figures/training_progress.png" figures/

$main --config=configs/ds2_central.py --workdir="$runs/ds2_central"
python -m fedjax_asr.figures.comparison figures/federated_and_central.png \
  "$runs/ds2_fedavg" "$runs/ds2_central"

# The folder of LibriSpeech to take batches from is given as $1.
$main --config=configs/ds2_converge.py:librispeech \
  --config.data.path="${1:?a folder of LibriSpeech}" \
  --workdir="$runs/ds2_converge"
cp "$runs/ds2_converge/figures/batch_convergence.png" figures/
