import pytest

from fedjax_asr import config, validation


def _refusal(keep_last=2, **fields):
  cfg = config.Config()
  cfg.data.corpus = config.Corpus.SYNTHETIC
  cfg.checkpoint.keep_last = keep_last
  cfg.recovery = config.RecoveryConfig(**fields)
  try:
    validation.validate(cfg)
  except config.ConfigError as error:
    return str(error)
  return ''


def test_rollbacks_with_their_defaults_are_valid():
  assert _refusal(max_rollbacks=3) == ''
  assert _refusal(max_rollbacks=3, factor=0.1, loss_factor=5.0) == ''
  assert _refusal(keep_last=1) == ''


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'factor': 0.1}, 'config.recovery.factor=0.1; want 0.5 without'),
    ({'loss_factor': 5.0}, 'config.recovery.loss_factor=5.0; want 0.0 without'),
    (
      {'max_rollbacks': 1, 'loss_factor': 1.0},
      'config.recovery.loss_factor=1.0; want 0, or more than 1',
    ),
    (
      {'max_rollbacks': 1, 'keep_last': 1},
      'config.checkpoint.keep_last=1; want 2 or more with',
    ),
  ],
)
def test_what_cannot_work_is_refused(fields, message):
  assert _refusal(**fields).startswith(message)
