#!/usr/bin/env bash
# Draws the gallery again, from the runs that the README documents.
set -euo pipefail
cd "$(dirname "$0")/.."
run=runs/gallery/ds2_fedavg
python -m fedjax_asr.main --config=configs/ds2_fedavg.py --workdir="$run"
cp "$run/figures/training_progress.png" figures/training_progress.png
