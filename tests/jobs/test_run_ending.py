"""What a finished run leaves to be seen and heard."""

import json
import shutil
import struct

import matplotlib.image
import pytest
from tensorboardX.proto import event_pb2

from fedjax_asr import run_files
from fedjax_asr.figures import gallery
from fedjax_asr.jobs import run_examples


@pytest.fixture(autouse=True)
def few_figures():
  """All of them here."""


def events(path):
  """Events are records: length, its checksum, the message, its checksum."""
  data = path.read_bytes()
  while data:
    (size,) = struct.unpack('<Q', data[:8])
    yield event_pb2.Event.FromString(data[12 : 12 + size])
    data = data[16 + size :]


def tags(path):
  """As TensorBoard shows them, which reads files in order of their names and
  forgets what they have from the step on at which a later one starts."""
  found = []
  for file in sorted(path.iterdir()):
    for event in events(file):
      if event.session_log.status == event_pb2.SessionLog.START:
        found = [each for each in found if each[1] < event.step]
      found += [(value.tag, event.step) for value in event.summary.value]
  assert len(found) == len(set(found))
  return {tag for tag, _ in found}


def test_every_figure_and_the_examples_are_there_in_the_end(finished):
  path, done = finished
  files = run_files.RunFiles(path)
  for name in gallery.FIGURES:
    image = matplotlib.image.imread(files.figure(name, 'png'))
    assert image[0, 0, 3] == 0
  records = json.loads(files.example_records.read_text())
  heard = json.loads(files.transcripts.read_text())['transcripts']
  main = [each for each in records if each['group'] == 'heldout_speakers']
  assert {each['utterance'] for each in main} == {
    each['utterance'] for each in heard
  }
  # Their features were computed elsewhere.
  assert {each['audio'] for each in records} == {None}
  assert 'no examples' not in done.stdout
  assert 'no figure' not in done.stdout


def test_tensorboard_has_figures_and_texts_beside_the_scalars(finished):
  path, _ = finished
  found = tags(path / 'tensorboard')
  assert {f'figures/{name}' for name in gallery.FIGURES} < found
  assert 'examples/worst/text_summary' in found
  assert 'eval/wer' in found


def without_figures(path):
  found = tags(path / 'tensorboard')
  return {tag for tag in found if not tag.startswith('figures/')}


def test_a_resumed_run_has_nothing_twice(main, stopped, finished, monkeypatch):
  monkeypatch.setattr(gallery, 'FIGURES', {})
  # As if it had been killed while it wrote them.
  (stopped / 'examples' / 'examples.json').write_text('[]')
  (stopped / 'examples' / 'left.mp3').write_text('cut off')
  status, output, _ = main(stopped)
  assert status == 0
  assert 'no examples' not in output
  assert without_figures(stopped) == without_figures(finished[0])
  records = 'examples/examples.json'
  want = (finished[0] / records).read_text()
  assert (stopped / records).read_text() == want
  assert not (stopped / 'examples' / 'left.mp3').exists()


def test_a_run_killed_before_its_ending_catches_up(
  main, copied, finished, monkeypatch
):
  monkeypatch.setattr(gallery, 'FIGURES', {})
  shutil.rmtree(copied / 'examples')
  (copied / 'tensorboard' / 'events.out.tfevents.examples').unlink()
  status, output, _ = main(copied)
  assert status == 0
  assert 'made the figures and examples that it lacked' in output
  records = 'examples/examples.json'
  want = (finished[0] / records).read_text()
  assert (copied / records).read_text() == want
  _, output, _ = main(copied)
  assert output.endswith('nothing to do.\n')


def test_what_fails_is_told_and_fails_nothing(main, stopped, monkeypatch):
  def broken(*_):
    raise ZeroDivisionError('no\nsuch luck')

  monkeypatch.setattr(run_examples, 'choose', broken)
  monkeypatch.setattr(gallery, 'FIGURES', {'data_flow': broken})
  before = (stopped / 'examples' / 'examples.json').read_bytes()
  status, output, errors = main(stopped)
  assert (status, errors) == (0, [])
  assert 'no examples: ZeroDivisionError: no; ' in output
  assert 'no figure data_flow: ZeroDivisionError: no' in output
  assert (stopped / 'examples' / 'examples.json').read_bytes() == before


@pytest.mark.parametrize(
  'flags',
  [
    ('--config.evaluation.num_kept_examples=0',),
    (
      '--config.data.num_heldout_speakers=0',
      '--config.data.heldout_utterance_fraction=0',
    ),
  ],
)
def test_none_asked_for_or_nothing_held_out_is_no_folder(
  main, tmp_path, flags, monkeypatch
):
  monkeypatch.setattr(gallery, 'FIGURES', {})
  status, output, _ = main(tmp_path, '--config.federated.num_rounds=1', *flags)
  assert status == 0
  assert 'no examples' not in output
  assert not (tmp_path / 'examples').exists()


def test_the_number_of_examples_has_a_range(main, tmp_path):
  status, _, errors = main(tmp_path, '--config.evaluation.num_kept_examples=-1')
  assert status == 2
  assert 'config.evaluation.num_kept_examples=-1' in errors[0]
