"""What is reconstructed from which update, and how."""

import dataclasses
import enum

from fedjax_asr.config.fields import bounded
from fedjax_asr.config.jobs import Subset


class AttackMethod(enum.StrEnum):
  """Each is a module in a room of `fedjax_asr.attacks`."""

  SPAN = 'span'
  SEED_AND_GROW = 'seed_and_grow'
  CLIENT_ROUNDS = 'client_rounds'
  ADAM_INVERSE = 'adam_inverse'
  DEMIXING = 'demixing'
  SPAN_DESCENT = 'span_descent'
  GRADIENT_MATCHING = 'gradient_matching'
  HESSIAN_FREE = 'hessian_free'
  ADAPTIVE = 'adaptive'
  IMPRINT = 'imprint'


class Observed(enum.StrEnum):
  """What the client sends: one gradient, or server minus local parameters."""

  GRADIENT = 'gradient'
  DELTA = 'delta'


class Precision(enum.StrEnum):
  """Of the products of a client's training."""

  FLOAT32 = 'float32'
  TF32 = 'tf32'
  BFLOAT16 = 'bfloat16'


class FrameSource(enum.StrEnum):
  """How DeepSpeech 2's frames are told from their span.

  chain: each from the state before, then, for those that are missing, search;
  search: by their zeros, all together; dictionary: also by their zeros, one at
  a time, as SPEAR++ does (arXiv 2510.24200), to compare.
  """

  CHAIN = 'chain'
  SEARCH = 'search'
  DICTIONARY = 'dictionary'


class Server(enum.StrEnum):
  """honest: it follows the protocol, and is curious; active: it sends
  parameters of its own choice in place of those that training gave."""

  HONEST = 'honest'
  ACTIVE = 'active'


class Distance(enum.StrEnum):
  COSINE = 'cosine'
  L2 = 'l2'
  L1 = 'l1'
  COSINE_L2 = 'cosine_l2'


class MatchingOptimizer(enum.StrEnum):
  ADAM = 'adam'
  SGD = 'sgd'
  SIGNED_ADAM = 'signed_adam'
  LBFGS = 'lbfgs'
  RANDOM_SEARCH = 'random_search'


@dataclasses.dataclass(slots=True, kw_only=True)
class SpanConfig:
  """Closed-form inversion of DeepSpeech 1's first layer."""

  # A reconstruction is believed from this cosine on between the bias's update
  # and what the reconstruction makes of it,
  min_bias_cosine: float = bounded(0.99, above=0.0, below=1.0)
  # and where the next best utterance fits the span this much worse (ratio of
  # eigenvalues),
  min_eigenvalue_gap: float = bounded(100.0, above=1.0)
  # and where no more than this part of what is backpropagated reaches units
  # that the reconstruction does not activate, noise and rounding apart; of
  # several steps so much more, as part of what reaches units that are active
  # at their start or in their end and not at both;
  max_inactive_energy: float = bounded(1e-3, above=0.0, high=1.0)
  max_inactive_of_moved: float = bounded(0.25, low=0.0)
  # if at least this share would reach them, were it sent to all units alike,
  min_watched: float = bounded(0.03, low=0.0, high=1.0)
  # and where no more than this share of the kernel's update is outside of its
  # windows, and of several so many times more without any one of them. It is
  # believed to be whole where that is at most so many times the
  # noise, or this share: what adds less than -110 dB is not noticed.
  max_unexplained: float = bounded(1e-3, above=0.0, high=1.0)
  min_part: float = bounded(10.0, low=1.0)
  max_above_noise: float = bounded(100.0, low=1.0)
  max_beside: float = bounded(1e-11, low=0.0, high=1.0)
  # Utterances that are looked for in one update.
  max_utterances: int = bounded(8, low=1)


@dataclasses.dataclass(slots=True, kw_only=True)
class SeedAndGrowConfig:
  """DeepSpeech 1 through its second layer, a frame at a time."""

  # Random beginnings that may be tried, and how many of them at once.
  num_starts: int = bounded(32, low=1)
  num_parallel: int = bounded(4, low=1)
  num_iterations: int = bounded(50, low=1)
  # Random next frames where that like the last one does not close.
  num_growth_starts: int = bounded(8, low=1)
  # Gauss-Newton steps on the last windows together, and conjugate gradients in
  # each; without them errors double every 20 frames or so.
  num_polish: int = bounded(2, low=0)
  num_polish_inner: int = bounded(100, low=1)
  # Fraction of a window's energy under which it counts as exact.
  max_residual: float = bounded(1e-8, above=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class DemixingConfig:
  """DeepSpeech 2 through the frames that span its recurrent input."""

  frames_by: FrameSource = FrameSource.CHAIN
  # Joint descents that look for frames, and the iterations of each.
  num_searches: int = bounded(12, low=1)
  num_search_iterations: int = bounded(1500, low=3)
  # Descent through the convolutions, from so many starts at once.
  num_starts: int = bounded(2, low=1)
  num_iterations: int = bounded(500, low=1)
  learning_rate: float = bounded(0.1, above=0.0)
  # Levenberg-Marquardt steps that follow, with conjugate gradients inside.
  num_polish: int = bounded(30, low=0)
  num_conjugate_gradients: int = bounded(200, low=1)
  # Mean squared residual of the frames under which a result is believed.
  max_residual: float = bounded(1e-8, above=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class SpanDescentConfig:
  """DeepSpeech 2 by descent on the span residual.

  Rates fall along a cosine. Priors are weights of the mean square of the
  features, annealed to zero; the refinement is without.
  """

  num_starts: int = bounded(48, low=1)
  num_iterations: int = bounded(3000, low=1)
  learning_rate: float = bounded(0.1, above=0.0)
  amplitude_prior: float = bounded(0.3, low=0.0)
  # The best starts are tried again at every shift by whole output frames, up to
  # this many frames and a third of the utterance.
  max_shift: int = bounded(30, low=0)
  num_shifted: int = bounded(2, low=1)
  num_shift_iterations: int = bounded(2000, low=1)
  shift_learning_rate: float = bounded(0.05, above=0.0)
  shift_amplitude_prior: float = bounded(0.02, low=0.0)
  # The best of those go on.
  num_refined: int = bounded(6, low=1)
  num_refinement_iterations: int = bounded(12000, low=1)
  refinement_learning_rate: float = bounded(0.02, above=0.0)
  # Iterations of gradient matching where transcript and length are known and
  # the residual does not close; 0: none.
  num_polish: int = bounded(2400, low=0)
  polish_learning_rate: float = bounded(0.01, above=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class MatchingConfig:
  """Second-order gradient matching: `jax.grad` through the gradient."""

  # Top-level modules of the model whose gradients are matched; (): all.
  layers: tuple[str, ...] = ()
  distance: Distance = Distance.COSINE
  # Each parameter's distance by itself, then their mean.
  per_layer: bool = False
  # Fraction of the target, largest first, that is matched.
  top_fraction: float = bounded(1.0, above=0.0, high=1.0)
  # Weights of means over the features, in the model's input units: of
  # magnitudes, squares, magnitudes of differences and their squares in time.
  l1: float = bounded(0.0, low=0.0)
  l2: float = bounded(0.0, low=0.0)
  total_variation_time: float = bounded(0.0, low=0.0)
  total_variation_frequency: float = bounded(0.0, low=0.0)
  first_difference: float = bounded(0.0, low=0.0)
  # Weight of a Gaussian of public speech.
  speech_prior: float = bounded(0.0, low=0.0)
  optimizer: MatchingOptimizer = MatchingOptimizer.ADAM
  # Of all optimizers but lbfgs, which searches along its direction.
  learning_rate: float = bounded(0.1, above=0.0)
  # The rate is halved every so many iterations; 0: never.
  halve_every: int = bounded(0, low=0)
  # Of each grid, or of all frames where there is none.
  num_iterations: int = bounded(1000, low=1)
  num_restarts: int = bounded(4, low=1)
  # Temporal grids of so many frames, optimised one after another; 0: none.
  grid_frames: int = bounded(0, low=0)
  # Frames over which neighbouring grids are blended.
  grid_overlap: int = bounded(0, low=0)
  # Width of the smoothed clipped ReLU at the start; 0: exact throughout.
  smoothing: float = bounded(0.0, low=0.0)
  # Widths, each half of the last, before the exact one; the iterations are
  # shared out evenly.
  smoothing_stages: int = bounded(3, low=1)


@dataclasses.dataclass(slots=True, kw_only=True)
class HessianFreeConfig:
  """Zeroth-order matching of the last layer (Dang et al. 2021)."""

  layers: tuple[str, ...] = ('output',)
  num_directions: int = bounded(127, low=1)
  radius: float = bounded(1.0, above=0.0)
  min_radius: float = bounded(0.25, above=0.0)
  # The radius is halved where so many iterations gain less than `min_gain`.
  patience: int = bounded(2500, low=1)
  min_gain: float = bounded(0.05, above=0.0, below=1.0)
  max_iterations: int = bounded(50000, low=1)


@dataclasses.dataclass(slots=True, kw_only=True)
class AdaptiveConfig:
  """DeepSpeech 1 by the likelihood of a noisy update."""

  # Public utterances that tell of speech and of what is sent back.
  num_public: int = bounded(40, low=2)
  # Dense layers, from the first on, whose updates are used once gates count.
  num_layers: int = bounded(1, low=1)
  # Iterations at most from each start, where all units may be active, and at
  # each width of the gates but the first, in units of the pre-activation.
  num_iterations: int = bounded(100, low=1)
  # Lengths that are compared again at narrower gates.
  num_kept: int = bounded(3, low=1)
  gate_widths: tuple[float, ...] = bounded((0.5, 0.2, 0.1, 0.05), above=0.0)
  num_gate_iterations: int = bounded(40, low=1)
  # Draws about the maximum, of which the mean is returned.
  num_samples: int = bounded(4, low=2)


@dataclasses.dataclass(slots=True, kw_only=True)
class SpeakerIdConfig:
  """Identification of the speaker from what was reconstructed."""

  enabled: bool = False
  num_iterations: int = bounded(600, low=1)
  batch_size: int = bounded(32, low=1)
  learning_rate: float = bounded(1e-3, above=0.0)
  embedding_size: int = bounded(128, low=1)
  # Utterances of each victim's speaker that the attacker has for enrolment.
  num_enrolment: int = bounded(5, low=1)


@dataclasses.dataclass(slots=True, kw_only=True)
class ClientRoundsConfig(SeedAndGrowConfig):
  """Utterances of a client's real rounds, one by one, from every beginning."""

  # Starts from each side, and how many of them at once.
  num_starts: int = bounded(256, low=1)
  num_parallel: int = bounded(64, low=1)
  num_iterations: int = bounded(40, low=1)
  # Layers whose updates are used, from the second on: each adds as many
  # equations as it has units beyond the windows.
  num_layers: int = bounded(3, low=1)
  # Equations for each unknown of a next frame without which none is looked for.
  min_equations: float = bounded(2.0, above=1.0)
  # As `max_residual`, of utterances of a later local step, whose parameters
  # are known roughly.
  max_drift: float = bounded(1e-6, above=0.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class AdamInverseConfig(SpanConfig):
  """`span` on the gradient that a first step of Adam tells."""

  # The errors of float32 leave less of a gap than a gradient does.
  min_eigenvalue_gap: float = bounded(10.0, above=1.0)
  # What is left of the kernel's gradient, in squared deviations of its errors.
  max_chi_square: float = bounded(1.1, above=1.0)


@dataclasses.dataclass(slots=True, kw_only=True)
class ImprintConfig:
  """Parameters that an active server sends, and what is read by them."""

  # Of the first layer's units, those that are changed; the noise on them, as a
  # share of their columns' norms. Less of either hides the imprint better.
  fraction: float = bounded(1.0, above=0.0, high=1.0)
  noise: float = bounded(0.0, low=0.0)
  # Root mean square, in deviations of the features, by which windows that
  # share frames may differ for their utterance to be believed.
  max_disagreement: float = bounded(0.003, above=0.0)
  # Windows of an utterance that agree for it to be believed.
  min_windows: int = bounded(3, low=2)


@dataclasses.dataclass(slots=True, kw_only=True)
class AttackConfig:
  """Whose update is observed, what is known, which methods are tried."""

  # '': a freshly initialised model of this config.
  run: str = ''
  round: int = bounded(-1, low=-1)
  # Where victims' speech comes from; corpus: all of config.data.
  subset: Subset = Subset.TRAIN
  # A client's name; '': the first clients of the round's cohort.
  victim: str = ''
  num_victims: int = bounded(2, low=1)
  # Utterances longer or shorter than this are passed over.
  min_seconds: float = bounded(0.0, low=0.0)
  max_seconds: float = bounded(20.0, above=0.0)
  # Stretches of this length, from each utterance's middle; 0: whole utterances.
  stretch_seconds: float = bounded(0.0, low=0.0)
  observed: Observed = Observed.GRADIENT
  # Whether the server follows the protocol. One that does not can be seen by
  # its clients, and what it finds is reported apart.
  server: Server = Server.HONEST
  # Utterances of a victim, and steps on them; 0: as in the run.
  batch_size: int = bounded(1, low=0)
  local_steps: int = bounded(1, low=0)
  # Clients in a secure aggregate, of which the weighted mean is observed.
  num_aggregated: int = bounded(1, low=1)
  # Parameters whose updates the client does not send, such as 'dense_0/bias'.
  withheld: tuple[str, ...] = ()
  # What the attacker is told.
  knows_transcript: bool = False
  knows_length: bool = False
  # A run, whose model transcribes what was reconstructed; '': the victim's own
  # does, where it was trained. Both must have been trained on like features.
  transcriber: str = ''
  # Tried in this order until one is certified, or all of them; (): those of the
  # model's architecture, `span` and `seed_and_grow` or `demixing`. One of
  # another architecture is refused before anything is attacked.
  methods: tuple[str, ...] = ()
  tries_all: bool = False
  # Whether what was found is drawn and made audible; seconds an utterance.
  illustrated: bool = True
  # Victims attacked at once, in threads; demixing and matching compute those of
  # one length in one program (`attacks.together`). Results of demixing change
  # by no more than the order of sums does; descent may come to another end.
  num_parallel: int = bounded(1, low=1)
  span: SpanConfig = dataclasses.field(default_factory=SpanConfig)
  seed_and_grow: SeedAndGrowConfig = dataclasses.field(
    default_factory=SeedAndGrowConfig
  )
  demixing: DemixingConfig = dataclasses.field(default_factory=DemixingConfig)
  span_descent: SpanDescentConfig = dataclasses.field(
    default_factory=SpanDescentConfig
  )
  gradient_matching: MatchingConfig = dataclasses.field(
    default_factory=MatchingConfig
  )
  hessian_free: HessianFreeConfig = dataclasses.field(
    default_factory=HessianFreeConfig
  )
  adaptive: AdaptiveConfig = dataclasses.field(default_factory=AdaptiveConfig)
  client_rounds: ClientRoundsConfig = dataclasses.field(
    default_factory=ClientRoundsConfig
  )
  adam_inverse: AdamInverseConfig = dataclasses.field(
    default_factory=AdamInverseConfig
  )
  imprint: ImprintConfig = dataclasses.field(default_factory=ImprintConfig)
  speaker_id: SpeakerIdConfig = dataclasses.field(
    default_factory=SpeakerIdConfig
  )
