"""README and docs: what they point to is there, and commands can be run."""

import pathlib
import re
import shlex

import pytest

from fedjax_asr import command_line

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_README = _ROOT / 'README.md'
_PAGES = [
  *sorted(_ROOT.glob('*.md')),
  *sorted((_ROOT / 'docs').glob('*.md')),
  _ROOT / 'figures' / 'README.md',
]
# What a block of commands may need, by the comment on the line before it.
_NEEDS = {'gpu', 'librispeech', 'manifest', 'network', 'recording'}
_BLOCK = re.compile(
  r'(?:<!-- needs: (\w+) -->\n)?^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL
)


def _blocks():
  """Needs, language and text of each fenced block of the README."""
  return _BLOCK.findall(_README.read_text(encoding='utf-8'))


def test_the_readme_is_short():
  assert len(_README.read_text(encoding='utf-8').splitlines()) < 200


def test_each_command_of_the_readme_is_in_a_block_that_says_what_it_needs():
  text = _README.read_text(encoding='utf-8')
  commands = [block for block in _blocks() if block[1] == 'sh']
  assert {needs for needs, _, _ in commands} <= {'', *_NEEDS}
  assert len(commands) >= 10
  # No other form of block, in which a script would not look.
  assert not re.search(r'^    ', text, re.MULTILINE)
  assert text.count('\n```') == 2 * len(_blocks())
  assert text.count('<!-- needs:') == sum(bool(block[0]) for block in _blocks())


@pytest.mark.parametrize('page', _PAGES, ids=lambda page: page.name)
def test_links_and_pictures_of_a_page_are_there(page):
  text = page.read_text(encoding='utf-8')
  targets = re.findall(r'\]\(([^)#]+?)(?:#[^)]*)?\)', text)
  targets += re.findall(r'<img src="([^"]+)"', text)
  missing = [
    target
    for target in targets
    if '://' not in target and not (page.parent / target).exists()
  ]
  assert not missing


def _flags():
  """Of each command of `main` on a page, but where a part is left out."""
  for page in _PAGES:
    text = page.read_text(encoding='utf-8').replace('\\\n', ' ')
    for line in text.splitlines():
      found = re.search(r'python -m fedjax_asr\.main (--config=[^`#]*)', line)
      if found and 'FILE' not in line and '...' not in line:
        yield pytest.param(found[1], id=f'{page.name}: {found[1][:60]}')


@pytest.mark.parametrize('flags', [*_flags()])
def test_flags_of_a_command_on_a_page_exist(flags, monkeypatch):
  monkeypatch.chdir(_ROOT)
  words = [word for word in shlex.split(flags) if word[:7] != '--help=']
  # Raises where there is no such config, variant or field, or no such value.
  command_line.parse(['main', *words])
