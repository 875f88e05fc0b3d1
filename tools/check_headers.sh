#!/usr/bin/env bash
# Gate: each public header compiles alone, twice in a row, as C99 -pedantic, C11 and C++17.
set -u
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0 bad=0
try() { # compiler standard extension header
    printf '#include <%s>\n#include <%s>\n' "$4" "$4" > "$tmp/one.$3"
    "$1" "-std=$2" -pedantic-errors -Wall -Wextra -Werror -Iinclude -fsyntax-only "$tmp/one.$3" ||
        { echo "$4: not $2"; bad=$((bad + 1)); }
    n=$((n + 1))
}
for path in include/lamina/*.h include/lamina/*/*.h; do
    [ -f "$path" ] || continue
    header=${path#include/}
    try cc c99 c "$header"
    try cc c11 c "$header"
    try c++ c++17 cpp "$header"
done
echo "headers: $bad violations in $n compilations"
[ "$bad" = 0 ]
