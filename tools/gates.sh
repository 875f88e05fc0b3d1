#!/usr/bin/env bash
# Run every gate on the tree and on a build of the library made for them, then the verdict. Those
# that look at sources alone go on during the build.
set -u
cd "$(dirname "$0")/.."
export GATES_BUILD=build-gates
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
gate style python3 tools/check_style.py
gate headers tools/check_headers.sh
gate length python3 tools/top_length.py
build() {
    # No compiler cache: ccache has taken a precompiled header for another's.
    cmake -G Ninja -S . -B $GATES_BUILD -DLAMINA_QUICK=ON -DLAMINA_TESTS=OFF \
        -DCMAKE_C_COMPILER_LAUNCHER= -DCMAKE_CXX_COMPILER_LAUNCHER= &&
        ninja -C $GATES_BUILD -j"$(nproc)" lamina lamina_sync_shared lamina_blas_shared
}
if build > "$out/build" 2>&1; then
    gate isa python3 tools/check_isa.py
    gate layers python3 tools/check_layers.py
    gate symbols python3 tools/check_symbols.py
else
    tail -40 "$out/build"
    echo "gate build: FAILED"
    bad=1
fi
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
