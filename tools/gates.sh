#!/usr/bin/env bash
# Run every gate on the tree and on a build of the library; all of them, then the verdict.
# Usage: tools/gates.sh [BUILD], build by default
set -u
cd "$(dirname "$0")/.."
export GATES_BUILD=${1:-build}
bad=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT
gate() { # name command...
    local name=$1 from=$SECONDS
    shift
    if "$@" > "$out" 2>&1; then
        echo "gate $name: ok, $((SECONDS - from)) s: $(tail -1 "$out")"
    else
        cat "$out"
        echo "gate $name: FAILED"
        bad=$((bad + 1))
    fi
}
gate layers python3 tools/check_layers.py
gate headers tools/check_headers.sh
gate symbols python3 tools/check_symbols.py
gate isa python3 tools/check_isa.py
gate style python3 tools/check_style.py
gate length python3 tools/top_length.py
[ "$bad" = 0 ]
