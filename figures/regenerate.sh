#!/usr/bin/env bash
# Draws the gallery again, from the runs that the README documents.
set -euo pipefail
cd "$(dirname "$0")/.."
main="python -m fedjax_asr.main"
runs=runs/gallery
smaller="python -m fedjax_asr.figures.page_image figures"

$main --config=configs/ds2_fedavg.py:tiny --workdir="$runs/ds2_tiny"
$smaller "$runs/ds2_tiny/figures/training_progress.png"

$main --config=configs/ds2_fedavg.py --workdir="$runs/ds2_fedavg"
$main --config=configs/report.py --config.report.run="$runs/ds2_fedavg"
of_run="$runs/ds2_fedavg/report/figures"
$smaller "$of_run"/model_architecture.png \
  "$of_run"/data_flow.png "$of_run"/performance_dashboard.png \
  "$of_run"/spectrogram_analysis.png
python benchmarks/report_pictures.py \
  "$runs/ds2_fedavg/report/report.html" figures
$main --config=configs/attack.py --config.attack.run="$runs/ds2_fedavg" \
  --config.attack.num_victims=1
cp "$runs"/ds2_fedavg/attack/figures/reconstruction_*_demixing.png \
  figures/reconstruction_default_run.png

$main --config=configs/ds2_central.py --workdir="$runs/ds2_central"
python -m fedjax_asr.figures.comparison figures/federated_and_central.png \
  "$runs/ds2_tiny" "$runs/ds2_central"

# A private run, and what updates of the default one tell of speakers.
$main --config=configs/privacy.py --workdir="$runs/privacy"
$smaller "$runs/privacy/figures/privacy_spent.png"
# Other parts of an audit train many times, which wants a GPU.
$main --config=configs/audit.py --config.audit.run="$runs/ds2_fedavg" \
  --config.audit.parts="('speakers',)"
for name in speakers attributes; do
  cp "$runs/ds2_fedavg/audit/figures/$name.png" "figures/audit_$name.png"
done

# The folder of LibriSpeech to take batches from is given as $1.
$main --config=configs/ds2_converge.py:librispeech \
  --config.data.path="${1:?a folder of LibriSpeech}" \
  --workdir="$runs/ds2_converge"
cp "$runs/ds2_converge/figures/batch_convergence.png" figures/

# The same folder under attack; the Hessian-free search wants a GPU.
speech="--config.data.corpus=librispeech --config.data.path=$1"
speech="$speech --config.data.num_heldout_speakers=0"
$main --config=configs/ds2_attack.py:base --workdir="$runs/ds2_attack" \
  $speech --config.attack.num_victims=1
cp "$runs"/ds2_attack/figures/reconstruction_*_demixing.png \
  figures/reconstruction_deepspeech2.png
$main --config=configs/ds1_attack.py:long --workdir="$runs/ds1_long" \
  $speech --config.attack.num_victims=1 --config.attack.stretch_seconds=15
cp "$runs"/ds1_long/figures/reconstruction_*_seed_and_grow.png \
  figures/reconstruction_deepspeech1_15s.png
$main --config=configs/ds1_attack.py:matching --workdir="$runs/hessian_free" \
  $speech --config.attack.num_victims=1 \
  --config.attack.methods="('hessian_free',)" \
  --config.attack.hessian_free.max_iterations=3000
cp "$runs"/hessian_free/figures/reconstruction_*_hessian_free.png \
  figures/reconstruction_hessian_free.png

# Of records, in seconds.
results=benchmarks/results
python -m fedjax_asr.figures.palette figures/palette.png
python -m fedjax_asr.figures.leakage figures/leakage.png \
  "$results/defences.json"
python -m fedjax_asr.figures.privacy_utility figures/privacy_utility.png \
  "$results/defences.json"
python benchmarks/privacy_figure.py "$results/privacy.json" \
  figures/wer_by_epsilon.png
python benchmarks/decision_figure.py "$results/decision.json" \
  figures/decision.png
python benchmarks/audited_rounds_figure.py "$results/audited_rounds.json" \
  figures/audited_rounds.png
python benchmarks/algorithms_figure.py figures/algorithms.png \
  "clients are speakers=$results/algorithms_speaker.json" \
  "clients of few kinds of sentences=$results/algorithms_transcript.json"
