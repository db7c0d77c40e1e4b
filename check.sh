#!/usr/bin/env bash
# All that CI checks, in the current Python environment (`pip install -e
# '.[dev]'`). Stops at the first step that fails and says which. Types are
# checked beside the tests; what was found is said after them.
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

# Of pyright, which runs already.
types_are_right() {
  wait "$types"
  local status=$?
  cat "$findings"
  return "$status"
}

step ruff format --check
step ruff check
step lint-imports
# Of one thread: alone, it would leave a core idle.
findings=$(mktemp)
pyright --pythonpath "$python" >"$findings" 2>&1 &
types=$!
trap 'kill "$types" 2>/dev/null; rm -f "$findings"' EXIT
# A worker's tests are neighbours, as what they share is compiled on each, until
# it has none left and takes half of the other's.
step "$python" -m pytest -n 2 --dist worksteal --durations=5
step types_are_right
echo "check.sh: all passed"
