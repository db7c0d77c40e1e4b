#!/usr/bin/env bash
# All that CI checks, in the current Python environment (`pip install -e
# '.[dev]'`). Stops at the first step that fails and says which.
set -uo pipefail
cd "$(dirname "$0")"

# Environments are often used without being activated: `PYTHON=.venv/bin/python
# ./check.sh` finds the tools beside that interpreter.
python=$(command -v "${PYTHON:-python}") || {
  echo "check.sh: no ${PYTHON:-python}; install Python >= 3.11 or set PYTHON" >&2
  exit 1
}
PATH="$(dirname "$python"):$PATH"

step() {
  echo "== $*"
  local start=$SECONDS
  "$@" || {
    echo "check.sh: FAILED: $*" >&2
    exit 1
  }
  echo "   $((SECONDS - start)) s"
}

step ruff format --check
step ruff check
step lint-imports
step pyright --pythonpath "$python"
step "$python" -m pytest -n 2 --durations=5
echo "check.sh: all passed"
