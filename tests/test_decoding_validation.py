import pytest

from fedjax_asr import config, validation

_BEAM = config.Decoder.BEAM


def message(**fields):
  cfg = config.Config(decode=config.DecodeConfig(**fields))
  with pytest.raises(config.ConfigError) as caught:
    validation.validate(cfg)
  return str(caught.value)


@pytest.mark.parametrize(
  ('name', 'value', 'default'),
  [
    ('beam_size', 8, '64'),
    ('beam_size_token', 8, '10'),
    ('beam_threshold', 8.0, '15.0'),
    ('language_model', 'lm.arpa', "''"),
    ('lexicon', 'words.txt', "''"),
    ('language_model_weight', 0.5, '0.75'),
    ('word_score', 1.0, '0.0'),
  ],
)
def test_greedy_decoding_refuses_what_it_would_not_read(name, value, default):
  assert message(**{name: value}) == (
    f'config.decode.{name}={value!r}; want {default} for decode.method=greedy.'
  )


def test_weights_of_what_is_not_there_are_refused():
  assert message(method=_BEAM, word_score=1.0) == (
    'config.decode.word_score=1.0; want 0.0 without a decode.lexicon.'
  )
  assert message(
    method=_BEAM, language_model_weight=2.0, lexicon='words.txt'
  ) == (
    'config.decode.language_model_weight=2.0; want 0.75 without a '
    'decode.language_model.'
  )


def test_a_beam_with_all_it_can_have_is_valid():
  decode = config.DecodeConfig(
    method=_BEAM,
    beam_size=8,
    language_model='lm.arpa',
    lexicon='words.txt',
    language_model_weight=2.0,
    word_score=-1.0,
  )
  validation.validate(config.Config(decode=decode))


def test_a_language_model_is_of_a_run_or_of_a_text():
  cfg = config.Config(
    job=config.Job.LANGUAGE_MODEL,
    language_model=config.LanguageModelConfig(run='run', text='text'),
  )
  with pytest.raises(config.ConfigError, match="text='text'; want ''"):
    validation.validate(cfg)
