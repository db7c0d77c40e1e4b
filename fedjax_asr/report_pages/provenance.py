"""By which config and in which environments a run came about."""

import json

from fedjax_asr.figures import drawn_run
from fedjax_asr.report_pages import blocks


def folded(run: drawn_run.DrawnRun) -> list[blocks.Block]:
  """Both files as they are, whatever version wrote them."""
  made: list[blocks.Block] = []
  for title, file in (
    ('Config', run.files.config_json),
    ('Versions', run.files.versions_json),
  ):
    made.append(
      blocks.Group(
        f'{title} ({file.name})',
        [_content(file)],
        is_folded=True,
        is_printed=False,
      )
    )
  return made


def _content(file) -> blocks.Block:
  try:
    text = file.read_text(encoding='utf-8', errors='replace')
  except OSError as error:
    return blocks.Absent(f'{file.name}: {error.strerror}.')
  try:
    text = json.dumps(json.loads(text), indent=1, ensure_ascii=False)
  except ValueError:
    # Shown as it is, damaged.
    return blocks.Verbatim(text)
  return blocks.Verbatim(text)
