#!/usr/bin/env bash
# Run every gate on the tree and on a build of the library; all of them at once, then the verdict.
# Usage: tools/gates.sh [BUILD], build by default
set -u
cd "$(dirname "$0")/.."
export GATES_BUILD=${1:-build}
bad=0
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
names=
TIMEFORMAT=%0R
gate() { # name command...: begun here, judged below
    local name=$1
    shift
    names="$names $name"
    { time "$@" > "$out/$name" 2>&1; } 2> "$out/$name.time" && touch "$out/$name.ok" &
}
gate layers python3 tools/check_layers.py
gate headers tools/check_headers.sh
gate symbols python3 tools/check_symbols.py
gate isa python3 tools/check_isa.py
gate style python3 tools/check_style.py
gate length python3 tools/top_length.py
wait
for name in $names; do
    if [ -e "$out/$name.ok" ]; then
        echo "gate $name: ok, $(cat "$out/$name.time") s: $(tail -1 "$out/$name")"
    else
        cat "$out/$name"
        echo "gate $name: FAILED"
        bad=$((bad + 1))
    fi
done
[ "$bad" = 0 ]
