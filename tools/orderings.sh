#!/usr/bin/env bash
# docs/orderings.md: what the model checker searched for each structure of src/sync, src/trace,
# src/log and for the mutex, and what breaks when an ordering is weakened by one step.
# Usage: tools/orderings.sh BUILD (half an hour of one processor)
set -euo pipefail
build=$1
cat << 'END'
# Orderings

Written by `make orderings`, not by hand, by running each harness (`tests/stmc/mc_*.c`) under
[stmc](rooms/stmc.md).

The first table of a structure says what was searched: for each scene the atomic operations of its
threads (in the longest execution), the executions, and whether these are all that the memory model
allows. Where they are not, the search was cut off, and another one walked every schedule within a
bound on preemptions.

In the second table each row is one atomic operation weakened by one step; the last column is the
first thing that broke: the scene, and what was found there. Operations of the scenes themselves are
among them. The pool as a whole is too large for that: its parts stand here by themselves.
END
# Names of files without the folder, which depends on how the build was configured.
for harness in "$build"/tests/mc_*; do
    name=${harness##*/}
    runs=3000000
    [ "$name" != mc_workpool ] || runs=300000 # its runs are long
    printf '\n## %s\n\n' "${name#mc_}"
    "$harness" --markdown --runs=$runs
    [ "$name" != mc_workpool ] || continue
    printf '\n'
    "$harness" --mutate --markdown --runs=10000
done | sed 's|([^ ()]*/\([a-z_]*\.[ch]:[0-9]*\))|(\1)|'
