"""What each job needs of its config, and what it would not read."""

from fedjax_asr import config
from fedjax_asr.validation import requirement


def check(cfg: config.Config) -> None:
  """Raises `ConfigError` unless the job and its sections can work."""
  jobs = config.Job
  if cfg.job in (
    jobs.EVALUATE,
    jobs.PERSONALISE,
    jobs.TRANSCRIBE,
    jobs.EXPORT,
    jobs.REPORT,
  ) or (cfg.job is jobs.AUDIT and cfg.audit.run):
    _check_run(cfg)
    _check_unread(cfg)
  if cfg.job is jobs.TRANSCRIBE:
    _check_transcribe(cfg)
  if cfg.job is jobs.ATTACK:
    _check_attack(cfg)
  if cfg.job is jobs.AUDIT:
    _check_audit(cfg)
  if cfg.job is jobs.CONVERGE:
    requirement.require(
      cfg,
      'converge.warmup_iterations',
      cfg.converge.warmup_iterations < cfg.converge.num_iterations,
      f'fewer than converge.num_iterations={cfg.converge.num_iterations}',
    )
  if cfg.job is jobs.LANGUAGE_MODEL and cfg.language_model.run:
    requirement.require(
      cfg,
      'language_model.text',
      not cfg.language_model.text,
      "'' with a language_model.run",
    )
  _check_decode(cfg)


def _check_run(cfg: config.Config) -> None:
  runs = cfg.report.runs if cfg.job is config.Job.REPORT else ()
  if runs:
    requirement.require(
      cfg,
      'report.run',
      not cfg.report.run,
      "'' with report.runs, as in configs/report.py:several",
    )
    requirement.require(
      cfg,
      'report.runs',
      all(runs) and 1 < len(runs) == len(set(runs)),
      'two directories or more, each once',
    )
    return
  requirement.require(
    cfg,
    f'{cfg.job}.run',
    bool(getattr(cfg, cfg.job).run),
    'the directory of a run',
  )


def goes_by_a_run(cfg: config.Config) -> bool:
  """Whether the speech is that of a run, not that of `config.data`."""
  if cfg.job in _OF_A_SUBSET:
    own = getattr(cfg, cfg.job)
    return bool(own.run) and own.subset is not config.Subset.CORPUS
  if cfg.job is config.Job.AUDIT:
    return bool(cfg.audit.run)
  return cfg.job is config.Job.LANGUAGE_MODEL and bool(cfg.language_model.run)


# Jobs on a run that name a subset of its speech, or other speech.
_OF_A_SUBSET = (
  config.Job.EVALUATE,
  config.Job.PERSONALISE,
  config.Job.ATTACK,
)

# Where the speech of a run lies now may differ from where it lay.
_PLACES = (
  'config.data.path',
  'config.data.heldout_path',
  'config.data.cache_dir',
  'config.data.num_workers',
)

# What a job on a finished run reads; the rest is the run's own.
_READ = {
  config.Job.EVALUATE: {'evaluate', 'evaluation', 'decode'},
  config.Job.PERSONALISE: {'personalise', 'decode'},
  config.Job.TRANSCRIBE: {'transcribe', 'decode'},
  config.Job.EXPORT: {'export'},
  config.Job.REPORT: {'report'},
  config.Job.ATTACK: {'attack'},
  config.Job.AUDIT: {'audit'},
}


def _check_unread(cfg: config.Config) -> None:
  """A field that the job would not read is refused, not passed over."""
  read = {'job', 'name', 'seed'} | _READ[cfg.job]
  reason = f'the job {cfg.job} goes by that of the run'
  # Compiled programs are cached there, too.
  places: tuple[str, ...] = ('config.data.cache_dir',)
  if cfg.job is config.Job.AUDIT:
    places = _PLACES
  if cfg.job in _OF_A_SUBSET:
    if getattr(cfg, cfg.job).subset is config.Subset.CORPUS:
      read.add('data')
    else:
      reason += f' (config.data is for {cfg.job}.subset=corpus)'
      places = _PLACES
  leaves = zip(config.walk(cfg), config.walk(config.Config()), strict=True)
  for (path, _, _, value), (_, _, _, default) in leaves:
    _, section, *_ = path.split('.')
    requirement.require(
      cfg,
      path.removeprefix('config.'),
      section in read or path in places or value == default,
      f'{config.plain(default)!r}: {reason}',
    )


def _check_audit(cfg: config.Config) -> None:
  names = [part.value for part in config.AuditPart]
  requirement.require(
    cfg,
    'audit.parts',
    all(name in names for name in cfg.audit.parts),
    f'() or some of {", ".join(names)}',
  )
  for name in ('num_shadows', 'num_speaker_shadows'):
    # Of half as many comes a mean and a deviation.
    requirement.require(
      cfg,
      f'audit.membership.{name}',
      getattr(cfg.audit.membership, name) not in (1, 2, 3),
      '0, or 4 or more',
    )
  requirement.require(
    cfg,
    'audit.exposure.repeats',
    bool(cfg.audit.exposure.repeats),
    'one number or more',
  )


def _check_attack(cfg: config.Config) -> None:
  attack = cfg.attack
  names = [method.value for method in config.AttackMethod]
  requirement.require(
    cfg,
    'attack.methods',
    all(name in names for name in attack.methods),
    f'() or some of {", ".join(names)}',
  )
  is_active = attack.server is config.Server.ACTIVE
  imprint = config.AttackMethod.IMPRINT.value
  requirement.require(
    cfg,
    'attack.methods',
    set(attack.methods) <= {imprint}
    if is_active
    else imprint not in attack.methods,
    f"() or ('{imprint}',) with attack.server=active"
    if is_active
    else f'attack.server=active, which {imprint} reads the parameters of',
  )
  requirement.read(cfg, 'attack.imprint', is_active, 'attack.server=active')
  requirement.require(
    cfg,
    'attack.server',
    not is_active
    or bool(attack.run)
    or cfg.model.architecture is config.Architecture.DS1,
    'honest with model.architecture=ds2, which has no first dense layer',
  )
  requirement.require(
    cfg,
    'attack.round',
    bool(attack.run) or attack.round < 0,
    '-1 without an attack.run: a fresh model has no rounds',
  )
  requirement.require(
    cfg,
    'attack.min_seconds',
    attack.min_seconds <= attack.max_seconds,
    f'at most attack.max_seconds={attack.max_seconds}',
  )
  requirement.require(
    cfg,
    'attack.stretch_seconds',
    bool(attack.batch_size) or not attack.stretch_seconds,
    '0 for attack.batch_size=0: the run trains on whole utterances',
  )
  is_gradient = attack.observed is config.Observed.GRADIENT
  requirement.require(
    cfg,
    'attack.local_steps',
    not is_gradient or attack.local_steps == 1,
    '1 for attack.observed=gradient',
  )
  matching = attack.gradient_matching
  requirement.require(
    cfg,
    'attack.gradient_matching.grid_overlap',
    matching.grid_overlap < max(matching.grid_frames, 1),
    f'less than grid_frames={matching.grid_frames}',
  )
  requirement.require(
    cfg,
    'attack.adaptive.gate_widths',
    bool(attack.adaptive.gate_widths),
    'one width or more, from wide to narrow',
  )
  requirement.require(
    cfg,
    'attack.hessian_free.min_radius',
    attack.hessian_free.min_radius <= attack.hessian_free.radius,
    f'at most radius={attack.hessian_free.radius}',
  )
  if attack.run:
    _check_unread(cfg)


def _check_transcribe(cfg: config.Config) -> None:
  transcribe = cfg.transcribe
  requirement.require(
    cfg,
    'transcribe.input',
    bool(transcribe.input),
    'an audio file or a folder of them',
  )
  requirement.require(
    cfg,
    'transcribe.overlap_seconds',
    transcribe.overlap_seconds < transcribe.window_seconds / 2,
    f'less than half of transcribe.window_seconds={transcribe.window_seconds}',
  )
  requirement.read(
    cfg,
    'transcribe.pause_seconds',
    transcribe.cuts is not config.Cuts.WINDOWS,
    'transcribe.cuts=energy or webrtc',
  )
  _check_stream(cfg)


def _check_stream(cfg: config.Config) -> None:
  stream, source = cfg.transcribe.stream, cfg.transcribe.input
  for name in ('window_seconds', 'overlap_seconds'):
    requirement.read(
      cfg, f'transcribe.{name}', not stream, 'transcribe.stream=false'
    )
  requirement.read(
    cfg, 'transcribe.chunk_seconds', stream, 'transcribe.stream=true'
  )
  requirement.read(
    cfg, 'transcribe.raw_rate', stream and source == '-', 'transcribe.input=-'
  )
  requirement.require(
    cfg,
    'transcribe.raw_rate',
    not cfg.transcribe.raw_rate or cfg.transcribe.raw_rate >= 1000,
    '0, or 1000 Hz or more',
  )
  requirement.require(
    cfg,
    'transcribe.input',
    stream or source != '-',
    'a file or a folder without transcribe.stream=true',
  )
  requirement.require(
    cfg,
    'decode.method',
    not stream or cfg.decode.method is config.Decoder.GREEDY,
    'greedy with transcribe.stream=true, which keeps one reading of the past',
  )


def _check_decode(cfg: config.Config) -> None:
  """A field that the decoder would not read is refused, not passed over."""
  decode, default = cfg.decode, config.DecodeConfig()
  is_greedy = decode.method is config.Decoder.GREEDY
  for path, field, _, value in config.walk(decode, 'decode'):
    requirement.require(
      cfg,
      path,
      not is_greedy or field.name == 'method' or value == field.default,
      f'{field.default!r} for decode.method=greedy',
    )
  for name, needed in (
    ('language_model_weight', 'language_model'),
    ('word_score', 'lexicon'),
  ):
    value, unread = getattr(decode, name), getattr(default, name)
    requirement.require(
      cfg,
      f'decode.{name}',
      value == unread or bool(getattr(decode, needed)),
      f'{unread!r} without a decode.{needed}',
    )
