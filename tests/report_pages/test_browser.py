"""The page as a person has it: in a real browser, without a network."""

import shutil

import generated_run
import matplotlib.figure
import pytest

from fedjax_asr.figures import drawn_run, style
from fedjax_asr.report_pages import blocks, pages, sections

sync_api = pytest.importorskip(
  'playwright.sync_api', reason='playwright is not installed'
)
_NAMES = (
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
)
_CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
pytestmark = pytest.mark.skipif(
  _CHROMIUM is None, reason='no Chromium is installed'
)
_LONG = 's' * 100


@pytest.fixture(scope='module')
def report(tmp_path_factory):
  """The page of a run with names that are hard to lay out."""
  path = tmp_path_factory.mktemp('runs') / 'run'
  generated_run.write(path, num_rounds=60, num_utterances=120, num_clips=9)
  for name in ('speakers.json', 'transcripts.json'):
    text = (path / name).read_text().replace('s0001', _LONG)
    (path / name).write_text(text.replace('s0002', '<b>דובר</b>'))
  run = drawn_run.DrawnRun(path)
  figure = matplotlib.figure.Figure(figsize=(10, 4))
  figure.subplots().plot([1, 3, 2])
  picture = style.save(figure, path / 'report' / 'figures' / 'curve.png')
  drawn = [blocks.Picture('curve', 'A curve', picture)]
  report = sections.built(sections.Material(run, drawn))
  page = path / 'report' / 'report.html'
  # So little room that some sound is beside the page.
  text = pages.html_page.text(report, page, budget=330_000)
  assert 'src="../examples/' in text
  assert 'src="data:audio/ogg' in text
  page.write_text(text, encoding='utf-8')
  return page


@pytest.fixture(scope='module')
def browser():
  with sync_api.sync_playwright() as playwright:
    started = playwright.chromium.launch(
      executable_path=_CHROMIUM, args=['--no-sandbox']
    )
    yield started
    started.close()


@pytest.fixture
def opened(browser, report):
  """Opens the page; at the end nothing was complained of or asked for."""
  said, asked, contexts = [], [], []

  def opens(width=1280, scheme='light'):
    context = browser.new_context(
      viewport={'width': width, 'height': 900}, color_scheme=scheme
    )
    contexts.append(context)
    page = context.new_page()
    page.on('console', lambda message: said.append(message.text))
    page.on('pageerror', lambda error: said.append(str(error)))
    page.on('request', lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_selector('.u-legend')
    return page

  yield opens
  for context in contexts:
    context.close()
  assert said == []
  folder = report.parents[1].as_uri()
  assert asked
  for url in asked:
    assert url.startswith(('data:', f'{folder}/'))


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [1280, 390])
def test_nothing_is_wider_than_the_page(width, scheme, opened):
  page = opened(width, scheme)
  for button in page.get_by_role('button', name='Show all').all():
    if button.is_visible():
      button.click()
  for folded in page.locator('summary').all():
    folded.click()
  assert page.evaluate('document.documentElement.scrollWidth') == width
  ground = page.evaluate('getComputedStyle(document.body).backgroundColor')
  bright = sum(map(int, ground.strip('rgb()').split(',')))
  assert (bright > 600) == (scheme == 'light')


@pytest.mark.parametrize('kind', ['data:', '../'])
def test_a_clip_plays_embedded_or_beside_the_page(kind, opened):
  page = opened()
  page.get_by_role('button', name='Show all').last.click()
  clip = page.locator(f'audio[src^="{kind}"]').first
  clip.evaluate('clip => { clip.muted = true; return clip.play(); }')
  page.wait_for_function(
    'clip => clip.currentTime > 0.1', arg=clip.element_handle(), timeout=5000
  )
  assert clip.evaluate('clip => clip.duration') == pytest.approx(1, abs=0.1)


def shown(page, table, column):
  """Texts of a column of the rows that are seen."""
  cells = page.locator(f'table.{table} tbody tr:visible td:nth-child({column})')
  return cells.all_inner_texts()


def test_a_table_sorts_by_mouse_and_by_keyboard(opened):
  page = opened()
  header = page.locator('table.speakers th', has_text='WER')
  header.get_by_role('button').click()
  rates = [float(each[:-1]) for each in shown(page, 'speakers', 2)]
  assert rates == sorted(rates, reverse=True)
  assert header.get_attribute('aria-sort') == 'descending'
  header.get_by_role('button').focus()
  page.keyboard.press('Enter')
  assert header.get_attribute('aria-sort') == 'ascending'
  assert [float(each[:-1]) for each in shown(page, 'speakers', 2)] == sorted(
    rates
  )
  page.locator('table.speakers th', has_text='speaker').get_by_role(
    'button'
  ).click()
  assert header.get_attribute('aria-sort') is None
  assert shown(page, 'speakers', 1)[0] == '<b>דובר</b>'


def test_a_table_filters_and_shows_the_rest_when_asked(opened):
  page = opened()
  assert len(shown(page, 'utterances', 1)) == 50
  search = page.get_by_label('Find utterance, speaker or word')
  search.fill('u0001')
  assert sorted(shown(page, 'utterances', 1)) == [
    f'u{index:05d}' for index in range(10, 20)
  ]
  search.fill('u0001 דובר')
  assert sorted(shown(page, 'utterances', 1)) == ['u00010', 'u00014', 'u00018']
  search.fill('')
  page.get_by_role('button', name='Show more').last.click()
  assert len(shown(page, 'utterances', 1)) == 100
  page.get_by_role('button', name='Show all').last.click()
  assert len(shown(page, 'utterances', 1)) == 120


def test_a_curve_tells_the_values_under_the_pointer(opened):
  page = opened()
  tip = page.locator('#plot-loss .tip')
  assert tip.is_hidden()
  plot = page.locator('#plot-loss .u-over')
  plot.scroll_into_view_if_needed()
  box = plot.bounding_box()
  page.mouse.move(box['x'] + box['width'] / 2, box['y'] + box['height'] / 2)
  text = tip.inner_text()
  assert 'round 3' in text
  assert 'training clients: ' in text
  # Of the nearest evaluation.
  assert 'held-out speakers: ' in text
  assert '(round 30)' in text or 'round 30' in text


def test_a_curve_is_read_by_keyboard(opened):
  page = opened()
  plot = page.locator('#plot-rates')
  plot.focus()
  page.keyboard.press('End')
  assert plot.get_attribute('aria-valuenow') == '60'
  page.keyboard.press('ArrowLeft')
  assert plot.get_attribute('aria-valuenow') == '59'
  page.keyboard.press('Home')
  assert 'round 1' in plot.get_attribute('aria-valuetext')


def test_the_first_key_leads_past_the_navigation(opened):
  page = opened()
  page.keyboard.press('Tab')
  skip = page.locator(':focus')
  assert skip.inner_text() == 'Skip to the report'
  assert skip.bounding_box()['x'] >= 0
  page.keyboard.press('Enter')
  assert page.evaluate('document.activeElement.id') == 'main'


def test_a_script_that_is_not_the_pages_own_does_not_run(browser, report):
  page = browser.new_page()
  refused = []
  page.on('console', lambda message: refused.append(message.text))
  text = report.read_text(encoding='utf-8')
  injected = report.with_name('injected.html')
  injected.write_text(
    text.replace('</main>', '<script>window.ran = 1</script></main>')
  )
  page.goto(injected.as_uri())
  assert page.evaluate('window.ran') is None
  assert any('Content Security Policy' in each for each in refused)
  page.close()


def test_without_scripts_tables_are_whole(browser, report):
  context = browser.new_context(java_script_enabled=False)
  page = context.new_page()
  page.goto(report.as_uri())
  assert page.locator('table.utterances tbody tr:visible').count() == 120
  context.close()
