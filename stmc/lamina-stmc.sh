#!/bin/sh
# Build a harness (see <lamina/stmc.h>) and check its scenes.
set -eu
usage() {
    cat << 'END'
usage: lamina-stmc HARNESS.c [SOURCE.c ...] [-Dx -Ix ...] [-- OPTIONS]
Builds the harness with the model checker and checks every scene of it under every schedule that
the C11 memory model allows. Options after -- go to the harness: --mutate, --random, --replay=PATH
(-- --help lists them).

environment: CC (default cc), CFLAGS (default -O1 -g)
exit status: 0 every scene holds, 1 one does not, 2 usage or the harness does not build
example:     lamina-stmc ring.c -Isrc -- --mutate
END
}
case ${1:-} in
'') usage >&2; exit 2 ;;
-h | --help) usage; exit 0 ;;
esac
here=$(cd "$(dirname "$0")/.." && pwd)
# A build tree has the headers beside it, an installed one below the same prefix.
include=$here/include
[ -f "$include/lamina/stmc.h" ] || include=$here/../include
lib=
for dir in "$here"/lib "$here"/lib/*-linux-gnu "$here"/lib64; do
    [ -f "$dir/liblamina-stmc.a" ] && lib=$dir/liblamina-stmc.a && break
done
[ -n "$lib" ] || { echo "lamina-stmc: no liblamina-stmc.a below $here/lib" >&2; exit 2; }
out=$(mktemp)
trap 'rm -f "$out"' EXIT
build=""
while [ $# -gt 0 ]; do
    [ "$1" = -- ] && { shift; break; }
    build="$build '$(printf %s "$1" | sed "s/'/'\\\\''/g")'"
    shift
done
eval "${CC:-cc} ${CFLAGS:--O1 -g} -I'$include' $build '$lib' -o '$out'" || exit 2
status=0
"$out" "$@" || status=$?
exit $status
