"""The page is one file, and what it says is never run."""

import base64
import hashlib
import html.parser
import json
import re

import generated_run
import matplotlib.figure
import pytest

from fedjax_asr.figures import style
from fedjax_asr.report_pages import blocks, html_page

SCRIPT = '<script>alert(1)</script>'
SPEAKER = '"><img src=x onerror=alert(1)>'


class Parsed(html.parser.HTMLParser):
  """Tags with their attributes, and the text of scripts and styles."""

  def __init__(self, page):
    super().__init__()
    self.tags, self.inline = [], []
    self.feed(page)

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))

  def handle_data(self, data):
    if self.cdata_elem:
      tag, attributes = self.tags[-1]
      self.inline.append((tag, attributes.get('type'), data))

  def of(self, name):
    return [attributes for tag, attributes in self.tags if tag == name]


def page_of(report, path, **options):
  return html_page.text(report, path / 'report' / 'report.html', **options)


def rewrite(file, change):
  values = json.loads(file.read_text())
  change(values)
  file.write_text(json.dumps(values))


def test_what_people_said_and_are_called_is_only_shown(run, report_of):
  def hostile(values):
    values['transcripts'][0] |= {
      'utterance': SCRIPT,
      'speaker': SPEAKER,
      'reference': f'{SCRIPT} one',
      'hypothesis': f'two {SCRIPT}',
    }

  rewrite(run / 'transcripts.json', hostile)
  rewrite(
    run / 'speakers.json',
    lambda values: values['speakers'].update(
      {SPEAKER: next(iter(values['speakers'].values()))}
    ),
  )
  rewrite(
    run / 'examples' / 'examples.json',
    lambda rows: rows[1].update(speaker=SPEAKER, reference=SCRIPT),
  )
  rewrite(run / 'config.json', lambda values: values.update(name=SCRIPT))
  page = page_of(report_of(run), run)
  parsed = Parsed(page)
  assert '<script>alert' not in page
  assert not parsed.of('img')
  assert not [each for _, each in parsed.tags if 'onerror' in each]
  assert '&lt;script&gt;alert(1)&lt;/script&gt;' in page
  assert html.escape(SPEAKER).replace('&quot;', '&#34;') in page


def test_data_of_curves_cannot_end_their_script():
  line = blocks.Line('</script><script>alert(1)</script>', 'red', [1.0])
  charts = blocks.Charts([blocks.Chart('a', 'A', [1.0], [line])])
  report = blocks.Report('r', [blocks.Section('s', 'S', [charts])])
  page = html_page.text(report, generated_run.pathlib.Path('/r/report.html'))
  (data,) = [text for *_, kind, text in Parsed(page).inline if kind]
  assert json.loads(data)[0]['lines'][0]['label'] == line.label


def test_a_browser_may_run_and_load_what_is_inside_and_nothing_else(
  run, report_of
):
  page = page_of(report_of(run), run)
  parsed = Parsed(page)
  (policy,) = [
    each['content'] for each in parsed.of('meta') if 'http-equiv' in each
  ]
  rules = dict(rule.split(' ', 1) for rule in policy.split('; '))
  assert rules.pop('default-src') == "'none'"
  assert 'unsafe' not in policy
  for name in ('img-src', 'media-src'):
    assert rules[name] == "'self' data:"
  # By hash: each script and style, and no other.
  for tag, rule in (('script', 'script-src'), ('style', 'style-src')):
    texts = [
      text for name, kind, text in parsed.inline if (name, kind) == (tag, None)
    ]
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    wanted = {f"'sha256-{base64.b64encode(each).decode()}'" for each in digests}
    assert set(rules[rule].split()) == wanted
    assert len(texts) == 2
  for _, attributes in parsed.tags:
    assert 'style' not in attributes
    assert not [name for name in attributes if name.startswith('on')]
  addresses = [
    value
    for _, attributes in parsed.tags
    for name, value in attributes.items()
    if name in ('src', 'href', 'action', 'srcset')
  ]
  assert not [each for each in addresses if re.match(r'(\w+:)?//', each)]


def drawn(path):
  figure = matplotlib.figure.Figure(figsize=(5, 3))
  figure.subplots().plot([1, 2])
  style.save(figure, path)
  return blocks.Picture('curve', 'A curve', path)


def test_sound_and_pictures_are_inside_while_there_is_room(run, report_of):
  picture = drawn(run / 'report' / 'figures' / 'curve.png')
  report = report_of(run, [picture])

  def sources(budget):
    page = page_of(report, run, budget=budget)
    parsed = Parsed(page)
    found = [each['src'] for each in parsed.of('audio') + parsed.of('img')]
    return len(page.encode()), found

  size, found = sources(15_000_000)
  assert len(found) == 6
  assert all(each.startswith('data:') for each in found)
  # One that no longer fits is beside the page, and the page is not larger.
  less, found = sources(size - 1)
  assert less < size
  linked = [each for each in found if not each.startswith('data:')]
  assert len(linked) == 1
  assert (run / 'report' / linked[0]).is_file()
  _, found = sources(0)
  assert not [each for each in found if each.startswith('data:')]
  assert 'figures/curve.png' in found


def test_a_picture_keeps_the_size_of_its_figure(run, report_of):
  picture = drawn(run / 'figures' / 'curve.png')
  (image,) = Parsed(page_of(report_of(run, [picture]), run)).of('img')
  assert (image['width'], image['height']) == ('550', '330')
  assert image['alt'] == 'A curve'


def test_every_control_has_a_name_and_every_anchor_an_end(run, report_of):
  parsed = Parsed(page_of(report_of(run), run))
  ids = [each['id'] for _, each in parsed.tags if 'id' in each]
  assert len(ids) == len(set(ids))
  links = [each['href'] for each in parsed.of('a')]
  assert {each[1:] for each in links if each.startswith('#')} <= set(ids)
  assert all(each['aria-label'] for each in parsed.of('audio'))
  assert len(parsed.of('label')) == len(parsed.of('input'))


@pytest.mark.parametrize('name', ['a?b#c.ogg', 'ä 1.ogg'])
def test_a_link_to_a_file_spells_out_what_addresses_reserve(
  name, run, report_of
):
  (run / 'examples' / 'u00000.ogg').rename(run / 'examples' / name)
  rewrite(
    run / 'examples' / 'examples.json',
    lambda rows: rows[0].update(audio=name),
  )
  page = page_of(report_of(run), run, budget=0)
  quoted = {'a?b#c.ogg': 'a%3Fb%23c.ogg', 'ä 1.ogg': '%C3%A4%201.ogg'}[name]
  assert f'../examples/{quoted}' in page
