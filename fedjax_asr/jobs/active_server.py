"""A server that sends parameters of its own choice in place of the run's."""

from collections.abc import Sequence

from fedjax_asr import config, streams
from fedjax_asr.attacks import context_windows
from fedjax_asr.attacks.sums import imprint
from fedjax_asr.corpora import utterance
from fedjax_asr.federated import imprint_alarm
from fedjax_asr.jobs import attack_victims, attacked_run


def imprinted(
  attacked: attacked_run.AttackedRun,
  attack: config.AttackConfig,
  victims: Sequence[attack_victims.Victim],
) -> tuple[attacked_run.AttackedRun, str]:
  """The run as an active server sends it, and what a client would say of it.

  Public speech is that of everybody who is no victim.

  Raises:
    ConfigError: of a run of DeepSpeech 2, which has no first dense layer.
    CorpusError: there is nobody else.
  """
  saved = attacked.saved
  if saved.config.model.architecture is not config.Architecture.DS1:
    raise config.ConfigError(
      f'config.attack.server={attack.server.value} of a run of '
      f'{saved.config.model.architecture.value}; want honest, or a run of ds1.'
    )
  speakers = {item.speaker for each in victims for item in each.spoken}
  public = [
    each.features for each in attacked_run.public_utterances(attacked, speakers)
  ]
  if not public:
    raise utterance.CorpusError(
      'config.attack.server=active: all speakers are victims; want others, '
      'whose speech tells the server which thresholds to choose.'
    )
  ds1 = saved.config.model.ds1
  shape = context_windows.Shape(
    ds1.context_frames, ds1.time_stride, saved.config.features.num_features
  )
  params, _ = imprint.made(
    saved.params,
    public,
    shape,
    streams.rng(saved.config.seed, streams.Stream.IMPRINT),
    fraction=attack.imprint.fraction,
    noise=attack.imprint.noise,
  )
  alarm = imprint_alarm.of_params(params)
  told = (
    f'a client that looks at what it is sent: {imprint_alarm.described(alarm)}'
  )
  return attacked._replace(saved=saved._replace(params=params)), told
