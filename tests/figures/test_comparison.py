import json

import matplotlib.image
import numpy as np
import pytest

from fedjax_asr import run_directory
from fedjax_asr.figures import comparison, style


def _run(path, name, wers, utterances):
  path.mkdir()
  (path / 'config.json').write_text(json.dumps({'name': name}))
  records = [
    {'round': i, 'train/num_utterances': utterances, 'eval/wer': wer}
    | ({} if wer is None else {'eval/cer': wer / 2})
    for i, wer in enumerate(wers, 1)
  ]
  text = ''.join(json.dumps(record) + '\n' for record in records)
  (path / 'metrics.jsonl').write_text(text)
  return path


def test_each_run_is_drawn_in_a_colour(tmp_path):
  runs = [
    _run(tmp_path / 'a', 'federated', [1.0, None, 0.5], 10),
    _run(tmp_path / 'b', 'central', [0.9, 0.0], 15),
  ]
  path = comparison.plot(runs, tmp_path / 'out' / 'both.png')
  image = matplotlib.image.imread(path)
  assert image.shape[1] == 7 * style.DPI
  assert image[0, 0, 3] == 0
  for color in (style.BLUE, style.ORANGE):
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    assert (np.abs(image[..., :3] * 255 - wanted).max(-1) < 1).sum() > 100


def test_the_axis_is_utterances_not_rounds(tmp_path):
  run = _run(tmp_path / 'a', 'federated', [1.0, None, 0.5], 10)
  assert comparison.series(run, 'eval/wer') == ([10.0, 30.0], [1.0, 0.5])


def test_a_run_without_an_evaluation_is_one_line(tmp_path, capsys):
  run = _run(tmp_path / 'a', 'federated', [None], 10)
  with pytest.raises(run_directory.RunError, match='no evaluation'):
    comparison.plot([run], tmp_path / 'x.png')
  status = comparison.main(['x', str(tmp_path / 'x.png'), str(tmp_path / 'no')])
  assert status == 2
  error = capsys.readouterr().err
  assert error.startswith('error: ')
  assert error.count('\n') == 1
