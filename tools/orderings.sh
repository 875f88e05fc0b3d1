#!/usr/bin/env bash
# docs/orderings.md: what breaks when an ordering of src/sync or of the mutex is weakened by one
# step, as the model checker found it. Usage: tools/orderings.sh BUILD
set -eu
build=$1
cat << 'END'
# Orderings

Written by `make orderings`, not by hand. Each row is one atomic operation weakened by one step,
run under [stmc](rooms/stmc.md); the last column is the first thing that broke: the scene, and what
was found there. A harness also lists the operations of its own scenes (`mc_*.c`).
END
for harness in "$build"/tests/mc_*; do
    name=${harness##*/}
    [ "$name" = mc_workpool ] && continue # as in tests/stmc: its parts stand here by themselves
    printf '\n## %s\n\n' "${name#mc_}"
    "$harness" --mutate --markdown --runs=10000
done
