"""An n-gram language model of the training transcripts, for the beam search.

  python -m fedjax_asr.main --config=configs/language_model.py[:variant]

The transcripts are those that configs/ds2_fedavg.py trains on; with
--config.language_model.run=<run directory>, those of any run; with
--config.language_model.text=<file>, the lines of a text file.

Variants, with the perplexity on the transcripts of held-out speakers:
  (none)  6-grams of characters: any word can be spelled. 1.51.
            python -m fedjax_asr.main --config=configs/language_model.py
  words   trigrams of words, and the lexicon of their words. 4.90.
            python -m fedjax_asr.main --config=configs/language_model.py:words
2 CPU cores, 5 seconds where a run has computed the features before.

Used by the jobs `evaluate` and `transcribe`:
  --config.decode.method=beam
  --config.decode.language_model=runs/language_model/language_model.arpa
or
  --config.decode.method=beam
  --config.decode.language_model=runs/language_model-words/language_model.arpa
  --config.decode.lexicon=runs/language_model-words/lexicon.txt
"""

from fedjax_asr import config, config_file
from fedjax_asr.presets import corpora, models


def get_config(variant: str = '') -> config.Config:
  """The config of a variant, for flags to override."""
  order = config_file.chosen(variant, {'': 6, 'words': 3})
  units = config.LanguageUnit
  return config.Config(
    job=config.Job.LANGUAGE_MODEL,
    name='language_model',
    # As in configs/ds2_fedavg.py: the held-out transcripts are the same.
    data=corpora.commands(),
    features=config.FeaturesConfig(hop_ms=20.0),
    model=models.ds2('small'),
    language_model=config.LanguageModelConfig(
      unit=units.WORDS if variant == 'words' else units.CHARACTERS,
      order=order,
    ),
  )
