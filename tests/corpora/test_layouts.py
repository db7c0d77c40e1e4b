"""The same speech in every layout becomes the same data sets."""

import layouts
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.corpora import corpus, datasets

FEATURES = config.FeaturesConfig(num_features=20, num_mels=20)


@pytest.mark.parametrize('kind', layouts.WRITERS)
def test_a_layout_gives_the_speech_that_was_put_into_it(kind, tmp_path):
  pytest.importorskip('espeakng_loader')
  data = config.DataConfig(
    corpus=kind,
    path=str(layouts.WRITERS[kind](tmp_path / 'corpus')),
    num_workers=1,
    cache_dir=str(tmp_path / 'cache'),
  )
  found = datasets.prepare(
    data, FEATURES, lambda frames: frames // 2, 0, lambda *_: None
  )
  assert found.problems == []
  sets = (found.train, found.heldout_speakers, found.heldout_utterances)
  got = sorted(
    (speaker, text, frames)
    for each in sets
    for speaker, text, frames in zip(
      each.speakers, each.texts, each.num_frames.tolist(), strict=True
    )
  )
  spoken = layouts.speech()
  assert [row[:2] for row in got] == sorted(
    (item.speaker, item.text) for item, _ in spoken
  )
  hop = FEATURES.hop_ms / 1000 * FEATURES.sample_rate
  frames = sum(len(waveform) for _, waveform in spoken) / hop
  # A frame for each that is begun, and what MP3 pads its ends with.
  assert sum(row[2] for row in got) == pytest.approx(frames, abs=7 * len(got))
  assert len(set(found.heldout_speakers.speakers)) == 1


@pytest.mark.parametrize('kind', layouts.WRITERS)
def test_waveforms_of_a_layout_are_those_that_were_written(kind, tmp_path):
  pytest.importorskip('espeakng_loader')
  path = str(layouts.WRITERS[kind](tmp_path))
  found = corpus.load(config.DataConfig(corpus=kind, path=path)).utterances
  # Ids end alike, whatever folder or prefix is before them.
  found = sorted(found, key=lambda item: item.id[-len('s0000-u0000') :])
  for item, (spoken, waveform) in zip(found, layouts.speech(), strict=True):
    assert item.speaker == spoken.speaker
    got = item.source.waveform(16_000)
    size = min(len(got), len(waveform))
    assert abs(len(got) - len(waveform)) < 1200
    assert np.corrcoef(got[:size], waveform[:size])[0, 1] > 0.98
