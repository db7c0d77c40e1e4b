"""Evaluation of a recogniser whose features are its logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedjax_asr import config
from fedjax_asr.corpora import dataset, store, utterance
from fedjax_asr.decoding import evaluation, greedy, scores
from fedjax_asr.models import ctc, model
from fedjax_asr.speech import alphabets

NUM_FRAMES = (24, 34, 44, 54, 70)
FEATURES = config.FeaturesConfig(
  num_features=alphabets.ENGLISH.size,
  num_mels=alphabets.ENGLISH.size,
  normalization=config.Normalization.NONE,
)
# (speaker, said, recognised)
SPOKEN = [
  ('ann', 'the cat sat', 'the cat sat'),
  ('ann', 'on the mat', 'on a mat'),
  ('bob', 'go', 'go home now'),
  ('bob', 'stop here', ''),
  ('cid', 'left turn', 'left turn'),
]


def heard(words, num_frames, seed):
  """Logits whose likeliest path reads `words`, and how sure they are."""
  path = np.zeros(num_frames, int)
  path[1 : 2 * len(words) + 1 : 2] = alphabets.ENGLISH.encode(words)
  noise = np.random.default_rng(seed).uniform(0, 1, (num_frames, 29))
  return (noise + 3 * np.eye(29)[path]).astype(np.float32)


@pytest.fixture
def examples(tmp_path):
  """The dataset, through the feature store as in a run."""
  utterances = []
  for index, (speaker, said, recognised) in enumerate(SPOKEN):
    path = tmp_path / f'{index}.npy'
    np.save(path, heard(recognised, NUM_FRAMES[index], index))
    source = utterance.FeatureFile(str(path))
    utterances.append(
      utterance.Utterance(f'u{index}', speaker, said, 0.0, source)
    )
  data = config.DataConfig(cache_dir=str(tmp_path / 'cache'), num_workers=1)
  features = store.open_or_build(utterances, data, FEATURES, lambda *_: None)
  return dataset.Dataset(
    utterances,
    features,
    range(len(utterances)),
    alphabets.ENGLISH,
    config.Normalization.NONE,
  )


def as_logits(params, norm_state, features, num_frames, *, train):
  assert not train
  return features * params['scale'], num_frames, norm_state


LISTENER = model.Model(lambda key: ({}, {}), as_logits, lambda n: n)
PARAMS = {'scale': jnp.ones(())}


def evaluated(examples, **changes):
  cfg = config.EvaluationConfig(**changes)
  return evaluation.Evaluator(
    evaluation.decoded_greedily(LISTENER), examples, cfg
  )(PARAMS, {})


def edits(reference, hypothesis):
  """Levenshtein distance, by the textbook's table."""
  row = list(range(len(hypothesis) + 1))
  for i, a in enumerate(reference, 1):
    previous, row = row, [i]
    for j, b in enumerate(hypothesis, 1):
      row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (a != b)))
  return row[-1]


def error_rate(pairs, split):
  errors = sum(edits(split(a), split(b)) for a, b in pairs)
  return errors / sum(len(split(a)) for a, _ in pairs)


def test_rates_are_errors_over_all_words_together(examples):
  result = evaluated(examples)
  # 1 substitution, 2 insertions, 2 deletions; 3 + 3 + 1 + 2 + 2 words.
  assert result.total.wer == pytest.approx(5 / 11)
  pairs = [(said, recognised) for _, said, recognised in SPOKEN]
  assert result.total.wer == pytest.approx(error_rate(pairs, str.split))
  assert result.total.cer == pytest.approx(error_rate(pairs, list))
  assert result.total.num_utterances == 5


def test_each_speaker_has_a_score_of_its_own(examples):
  result = evaluated(examples)
  assert list(result.by_speaker) == ['ann', 'bob', 'cid']
  assert result.by_speaker['ann'].wer == pytest.approx(1 / 6)
  # More errors than words.
  assert result.by_speaker['bob'].wer == pytest.approx(4 / 3)
  assert result.by_speaker['cid'] == scores.Score(0.0, 0.0, 2, 1)
  assert [s.num_utterances for s in result.by_speaker.values()] == [2, 2, 1]


def test_transcripts_keep_what_belongs_together(examples):
  transcripts = evaluated(examples, batch_size=2).transcripts
  found = {
    item.utterance: (item.speaker, item.reference, item.hypothesis)
    for item in transcripts
  }
  assert found == {f'u{i}': spoken for i, spoken in enumerate(SPOKEN)}


@pytest.mark.parametrize('batch_size', [1, 3, 8])
def test_batching_and_padding_change_nothing(examples, batch_size):
  wanted = evaluated(examples, batch_size=5)
  result = evaluated(examples, batch_size=batch_size)
  assert result.total == wanted.total
  assert result.by_speaker == wanted.by_speaker
  assert result.transcripts == wanted.transcripts
  assert result.loss == pytest.approx(wanted.loss, rel=1e-6)


def test_loss_is_the_mean_of_the_utterances_alone(examples):
  losses = []
  for index, (_, said, recognised) in enumerate(SPOKEN):
    logits = np.full((1, 70, 29), np.nan, np.float32)
    logits[0, : NUM_FRAMES[index]] = heard(recognised, NUM_FRAMES[index], index)
    labels = alphabets.ENGLISH.encode(said)
    losses += jax.jit(ctc.loss)(
      logits,
      np.array([NUM_FRAMES[index]]),
      np.pad(labels, (0, 20 - len(labels)))[None],
      np.array([len(labels)]),
    ).tolist()
  assert evaluated(examples).loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_shapes_are_few(examples):
  """A multiple of 64 frames, and every batch full."""
  shapes = []

  def apply(params, norm_state, features, num_frames, *, train):
    shapes.append(features.shape)
    return as_logits(params, norm_state, features, num_frames, train=train)

  listener = LISTENER._replace(apply=apply)
  cfg = config.EvaluationConfig(batch_size=2)
  evaluator = evaluation.Evaluator(
    evaluation.decoded_greedily(listener), examples, cfg
  )
  evaluator(PARAMS, {})
  evaluator(PARAMS, {})
  # 24; 34 and 44; 54 and 70 frames, each shape traced once.
  assert shapes == [(2, 64, 29), (2, 128, 29)]


def test_a_limited_evaluation_is_spread_over_the_set(examples):
  for limit in (1, 4, 9):
    result = evaluated(examples, max_utterances=limit)
    assert result.total.num_utterances == min(limit, 5)
  names = [
    t.utterance for t in evaluated(examples, max_utterances=2).transcripts
  ]
  assert names == ['u0', 'u2']


def test_an_empty_set_has_no_score(examples):
  empty = dataset.Dataset(
    [], examples._store, [], alphabets.ENGLISH, config.Normalization.NONE
  )
  assert evaluated(empty) is None


def test_parameters_reach_the_model(examples):
  cfg = config.EvaluationConfig()
  evaluator = evaluation.Evaluator(
    evaluation.decoded_greedily(LISTENER), examples, cfg
  )
  sure = evaluator(PARAMS, {})
  unsure = evaluator({'scale': jnp.zeros(())}, {})
  assert sure.total.wer < 1
  assert unsure.total == scores.Score(1.0, 1.0, 11, 5)


@pytest.mark.parametrize('batch_size', [2, 5])
def test_decoding_on_the_host_equals_decoding_in_the_jitted_function(
  examples, batch_size
):
  def decoder(logits, num_frames):
    assert (num_frames > 0).all()  # No padding utterance is decoded.
    return greedy.transcripts(
      np.asarray(greedy.path(jnp.asarray(logits), jnp.asarray(num_frames))),
      alphabets.ENGLISH,
    )

  cfg = config.EvaluationConfig(batch_size=batch_size)
  recognizer = evaluation.decoded_by(decoder, LISTENER)
  result = evaluation.Evaluator(recognizer, examples, cfg)(PARAMS, {})
  assert result == evaluated(examples, batch_size=batch_size)


def test_progress_is_reported_to_the_end(examples):
  cfg, calls = config.EvaluationConfig(batch_size=2), []
  evaluator = evaluation.Evaluator(
    evaluation.decoded_greedily(LISTENER), examples, cfg
  )
  evaluator(PARAMS, {}, lambda *counts: calls.append(counts))
  assert calls == [(1, 3), (2, 3), (3, 3)]
