"""Pictures of a report's page, as a screen and a telephone show it.

  python benchmarks/report_pictures.py RUN/report/report.html FOLDER

Writes FOLDER/report_1280.png, on a light ground, and report_390.png, on a dark
one. Needs playwright and a Chromium.
"""

import pathlib
import shutil
import sys

_LOOKS = ((1280, 1500, 'light'), (390, 1500, 'dark'))
_NAMES = ('chromium', 'chromium-browser', 'google-chrome')


def main(argv: list[str]) -> int:
  if len(argv) != 3:
    print(__doc__, file=sys.stderr)
    return 2
  take(pathlib.Path(argv[1]).absolute(), pathlib.Path(argv[2]))
  return 0


def take(page: pathlib.Path, folder: pathlib.Path) -> None:
  from playwright import sync_api

  found = next(filter(None, map(shutil.which, _NAMES)), None)
  if found is None:
    raise SystemExit(f'error: want one of {", ".join(_NAMES)} on the PATH.')
  with sync_api.sync_playwright() as playwright:
    browser = playwright.chromium.launch(
      executable_path=found, args=['--no-sandbox']
    )
    for width, height, scheme in _LOOKS:
      shown = browser.new_page(
        viewport={'width': width, 'height': height}, color_scheme=scheme
      )
      shown.goto(page.as_uri())
      shown.wait_for_selector('.u-legend')
      shown.screenshot(path=folder / f'report_{width}.png')
      shown.close()
    browser.close()


if __name__ == '__main__':
  sys.exit(main(sys.argv))
