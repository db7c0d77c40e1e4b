"""What the attacks say of themselves: annotations, and what they assume."""

import ast
import pathlib

import pytest

import fedjax_asr

ROOT = pathlib.Path(fedjax_asr.__file__).parent
FILES = [
  *sorted((ROOT / 'attacks').rglob('*.py')),
  *sorted((ROOT / 'jobs').glob('attack*.py')),
]


def _missing(source: str) -> list[str]:
  """`function: what is not annotated`, nested functions and methods too."""
  found = []
  for node in ast.walk(ast.parse(source)):
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
      continue
    given = node.args
    taken = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    taken += [each for each in (given.vararg, given.kwarg) if each]
    bare = [
      each.arg
      for each in taken
      if each.annotation is None and each.arg not in ('self', 'cls')
    ]
    if node.returns is None:
      bare.append('return')
    found += [f'{node.name}: {name}' for name in bare]
  return found


def test_what_is_not_annotated_is_found():
  source = """
class A:
  def of(self, x: int, *rest, key=None) -> int:
    def inner(y: int):
      return y
    return inner(x)
"""
  assert _missing(source) == ['of: key', 'of: rest', 'inner: return']


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_every_parameter_and_return_is_annotated(file):
  assert not _missing(file.read_text(encoding='utf8'))


@pytest.mark.parametrize(
  'name',
  [
    'ds1/span',
    'ds1/seed_and_grow',
    'ds1/adam_inverse',
    'ds1/client_rounds',
    'ds2/demixing',
    'ds2/span_descent',
    'likelihood/adaptive',
    'matching/gradient_matching',
    'matching/hessian_free',
    'measure/labels',
    'measure/alignment',
    'measure/speaker_id',
    'sums/imprint_attack',
    'sums/rounds_of_sums',
  ],
)
def test_an_attack_says_what_it_assumes(name):
  source = (ROOT / 'attacks' / f'{name}.py').read_text(encoding='utf8')
  text = ast.get_docstring(ast.parse(source)) or ''
  _, _, assumed = text.partition('Assumes:\n')
  said = [
    line.partition(':')[0].strip()
    for line in assumed.splitlines()
    if line.startswith('  ') and not line.startswith('   ')
  ]
  assert said == ['observed', 'told', 'model', 'training', 'noise', 'refused']
