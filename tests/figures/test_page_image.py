"""Smaller copies of figures."""

import PIL.Image
import pytest

from fedjax_asr.figures import page_image


def written(path, size):
  PIL.Image.new('RGBA', size, (255, 0, 0, 0)).save(path)
  return path


def test_copies_are_smaller_and_see_through(tmp_path, capsys):
  (tmp_path / 'out').mkdir()
  figure = written(tmp_path / 'a.png', (1500, 600))
  assert page_image.main(['', str(tmp_path / 'out'), str(figure)]) == 0
  copy = tmp_path / 'out' / 'a.png'
  assert capsys.readouterr().out.split() == [str(copy)]
  with PIL.Image.open(copy) as image:
    # 165 of 300 dots an inch.
    assert image.size == (825, 330)
    assert image.convert('RGBA').getpixel((0, 0))[3] == 0


@pytest.mark.parametrize('content', [None, b'', b'no image'])
def test_what_is_no_figure_is_one_line(tmp_path, content, capsys):
  file = tmp_path / 'a.png'
  if content is not None:
    file.write_bytes(content)
  assert page_image.main(['', str(tmp_path), str(file)]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f'error: {file}')


def test_without_figures_it_says_how_to_use_it(capsys):
  assert page_image.main(['', 'out']) == 2
  assert 'figures.page_image FOLDER' in capsys.readouterr().err
