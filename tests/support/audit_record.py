"""An `audit.json` as the job leaves it, of numbers that a test knows."""

import json
import pathlib
from typing import Any

import numpy as np

from fedjax_asr import config, run_files
from fedjax_asr.audits import roc

_SOURCES = ('update', 'inputs', 'speech')
VERSIONS = {'jax': '1', 'commit': 'a' * 40, 'devices': ['cpu']}


def write(path: pathlib.Path, **parts: Any) -> pathlib.Path:
  """The directory of an audit; `parts` instead of those of `record`."""
  files = run_files.RunFiles(path)
  path.mkdir(parents=True, exist_ok=True)
  cfg = config.Config(job=config.Job.AUDIT, name='audit')
  files.config_json.write_text(json.dumps(config.as_dict(cfg)))
  files.versions_json.write_text(json.dumps([VERSIONS]))
  files.audit.write_text(json.dumps(record() | parts))
  return path


def record() -> dict[str, Any]:
  return {
    'run': 'runs/it',
    'round': 6,
    'versions': VERSIONS,
    'run_versions': VERSIONS,
    'canaries': canaries(),
    'membership': membership(),
    'speakers': speakers(),
    'exposure': exposure(),
  }


def canaries(proven: float = 1.25) -> dict[str, Any]:
  score = {
    'num_in': 30,
    'num_out': 31,
    'clopper_pearson': proven,
    'one_run': 0.75,
    'gdp': 2.5,
    'auroc': 0.8,
    'tpr_at_1_percent': 0.1,
    'scores_in': [1.0, 2.0, 3.0],
    'scores_out': [0.0, 1.0],
  }
  gaussian = {'mu': 1.0, 'epsilon': 3.5, 'low': 3.0, 'high': 4.0}
  return {
    'num_rounds': 6,
    'planted_bug': 'none',
    'norm': 10.0,
    'accounted': {
      'delta': 1e-5,
      'epsilon_rdp': 9.5,
      'epsilon_pld': 8.5,
      'mu': 1.5,
      'tpr_at_1_percent': 0.2,
    },
    'scores': {
      'likelihood': score,
      'final_cosine': score | {'gaussian': gaussian},
    },
    'proven': proven,
  }


def membership() -> dict[str, Any]:
  rng = np.random.default_rng(0)
  score = roc.measured(rng.normal(1, 1, 200), rng.normal(0, 1, 150), 0.95)
  return {
    'confidence': 0.95,
    'num_rounds': 6,
    'num_shadows': 4,
    'num_speaker_shadows': 0,
    'shadows_missing': None,
    'num_never_trained_on': 0,
    'num_without_alignment': 0,
    'utterances': {'scores': {'loss': score, 'lira': score}},
    'speakers': {'missing': '1 speakers are non-members; want 2 or more'},
    'speakers_by_other_speech': {'missing': 'nobody'},
    'updates': {
      'round': 6,
      'clients': ['c'],
      'scores': {'same_speaker': {'missing': 'too few'}, 'others': score},
    },
  }


def speakers() -> dict[str, Any]:
  linked = {
    'num_genuine': 10,
    'num_impostor': 90,
    'eer': 0.25,
    'eer_interval': [0.125, 0.375],
    'eer_chance': 0.5,
    'top1': 0.5,
    'top1_interval': [0.25, 0.75],
    'top1_chance': 0.1,
    'num_candidates': [10, 10],
    'false_accepts': [1.0, 0.25, 0.0],
    'false_rejects': [0.0, 0.25, 1.0],
    'genuine_scores': [0.5, 1.0],
    'impostor_scores': [-1.0, 0.0, 0.6],
  }
  told = {
    'accuracy': 0.75,
    'accuracy_interval': [0.5, 0.9],
    'balanced_accuracy': 0.7,
    'balanced_interval': [0.5, 0.9],
    'r2': 0.3,
    'spearman': 0.4,
    'spearman_interval': [-0.1, 0.8],
  }
  return {
    'num_speakers': 10,
    'num_unseen': 0,
    'num_left_out': 1,
    'num_not_finite': 0,
    'num_utterances': 2,
    'num_folds': 2,
    'confidence': 0.95,
    'linkage': {
      source: {'cosine': linked, 'trained': linked} for source in _SOURCES
    },
    'unseen': {'missing': '0 speakers are held out of the run'},
    'attributes': {
      'sex': {'missing': 'the corpus does not say the sex of its speakers'},
      'rate': {
        'unit': 'words per minute',
        'num_speakers': 10,
        'accuracy_chance': 0.6,
        'balanced_chance': 0.5,
        'spearman_chance': 0.0,
        **{source: told for source in _SOURCES},
      },
    },
  }


def exposure() -> dict[str, Any]:
  def sentence(repeats: int, bits: float, trained: int) -> dict[str, Any]:
    found = {'loss': 1.0, 'rank': 1, 'bits': bits, 'extrapolated': None}
    return {
      'client': 'c',
      'utterance': 'u',
      'said': 'one',
      'planted': 'qxzv',
      'repeats': repeats,
      'times_trained': trained,
      'exposure': {'planted': found, 'without': found | {'bits': 1.0}},
      'greedy': 'qxzv' if bits > 5 else '',
      'is_read_greedily': bits > 5,
      'beam': None,
      'is_read_by_beam': None,
    }

  return {
    'num_rounds': 3,
    'num_candidates': 255,
    'most_bits': 8.0,
    'expected_bits_unplanted': 1.44,
    'beam_missing': 'no beam here',
    'by_repeats': [
      {
        'repeats': repeats,
        'num_sentences': 2,
        'num_trained': trained,
        'mean_bits': mean,
        'mean_bits_without': None if mean is None else 1.0,
        'num_read_greedily': read,
        'num_read_by_beam': None if trained else 0,
      }
      for repeats, trained, mean, read in ((1, 0, None, 0), (4, 2, 4.0, 1))
    ],
    'sentences': [
      sentence(1, 2.0, 0),
      sentence(1, 2.0, 0),
      sentence(4, 2.0, 3),
      sentence(4, 6.0, 3),
    ],
  }
