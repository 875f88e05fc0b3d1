#!/usr/bin/env bash
# Build one consumer and run it: on a model that gives the mean of each colour plane, or against
# liblamina-sync alone.
# usage: consume.sh readme|log|pkgconfig|cmake|plugin|sync|examples BUILD_DIR SOURCE_DIR CC
set -eu
kind=$1 build=$2 source=$3 cc=$4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export PYTHONPATH=$source/tests/cli
python3 - "$tmp/m.onnx" <<'PY'
import sys
import onnxpb as o
g = o.graph([o.node("GlobalAveragePool", ["x"], ["y"])], [o.info("x", dims=[1, 3, 224, 224])],
            [o.info("y", dims=[1, 3, 1, 1])])
open(sys.argv[1], "wb").write(o.model(g))
PY

install_tree() {
    cmake --install "$build" --prefix "$tmp/prefix" > "$tmp/log" || { cat "$tmp/log"; exit 1; }
    for f in "$tmp"/prefix/lib*/pkgconfig/lamina.pc "$tmp"/prefix/lib*/*/pkgconfig/lamina.pc; do
        [ -f "$f" ] && lib=$(dirname "$(dirname "$f")") && return
    done
    echo "no lamina.pc was installed"
    exit 1
}

expect() { # expect TEXT command...
    local want=$1 got
    shift
    got=$("$@") || { echo "$*: exit $?, says $got"; exit 1; }
    [ "$got" = "$want" ] || { echo "$*: \"$got\", not \"$want\""; exit 1; }
}

case $kind in
readme)
    awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$source/README.md" > "$tmp/hello.c"
    lines=$(wc -l < "$tmp/hello.c")
    if [ "$lines" -lt 1 ] || [ "$lines" -gt 12 ]; then
        echo "hello has $lines lines, not 1 to 12"
        exit 1
    fi
    "$cc" -std=c17 -Wall -Wextra -Wpedantic -Werror -I "$source/include" "$tmp/hello.c" \
        -L "$build/lib" -llamina -Wl,-rpath,"$build/lib" -o "$tmp/hello"
    cd "$tmp"
    expect 0.000000 ./hello
    rm m.onnx
    ! ./hello > out || { echo "hello succeeds without its model"; exit 1; }
    grep -q m.onnx out || { echo "hello does not name the file: $(cat out)"; exit 1; }
    ;;
log)
    awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$source/docs/howto/log.md" |
        sed "s|/dev/shm/app|$tmp/rings|" > "$tmp/server.c"
    "$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror -I "$source/include" "$tmp/server.c" \
        "$build/lib/liblamina.a" -lm -lpthread -o "$tmp/server"
    mkdir "$tmp/rings"
    "$tmp/server"
    "$build/bin/lamina" logd "$tmp/rings" --once --quiet
    grep -q '"msg":"listening on port 8080"}$' "$tmp/rings/lamina.log"
    grep -q '"from":"server",.*"path":"/v1/run","ms":812.5}$' "$tmp/rings/lamina.log"
    ;;
pkgconfig)
    command -v pkg-config > /dev/null || { echo "skip: no pkg-config"; exit 77; }
    install_tree
    export PKG_CONFIG_PATH=$lib/pkgconfig
    # shellcheck disable=SC2046
    "$cc" -std=c99 -Wall -Wextra -Werror "$source/tests/consumers/pkgconfig/means.c" \
        $(pkg-config --cflags --libs lamina) -Wl,-rpath,"$lib" -o "$tmp/means"
    expect "1.5 2.5 3.5" "$tmp/means" "$tmp/m.onnx"
    expect "lamina $(pkg-config --modversion lamina)" "$tmp/prefix/bin/lamina" --version
    ;;
cmake)
    install_tree
    cmake -S "$source/tests/consumers/cmake" -B "$tmp/b" -DCMAKE_PREFIX_PATH="$tmp/prefix" \
        -DCMAKE_C_COMPILER="$cc" > "$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
    cmake --build "$tmp/b" > "$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
    expect "1.5 2.5 3.5" "$tmp/b/means_shared" "$tmp/m.onnx"
    expect "1.5 2.5 3.5" "$tmp/b/means_static" "$tmp/m.onnx"
    ;;
plugin) # the example, out of tree, with what is installed and nothing else
    install_tree
    lines=$(wc -l < "$source/examples/custom_op/custom_op.c")
    [ "$lines" -le 80 ] || { echo "the example plug-in has $lines lines, not 80"; exit 1; }
    cp -r "$source/examples/custom_op" "$tmp/custom_op"
    rm -f "$tmp/custom_op/custom_op.so"
    make -C "$tmp/custom_op" CC="$cc" LAMINA="$tmp/prefix" \
        CFLAGS="-O2 -Wall -Wextra -Wpedantic -Werror" > "$tmp/log" 2>&1 ||
        { cat "$tmp/log"; exit 1; }
    python3 - "$tmp/p.onnx" <<'PY'
import sys
import onnxpb as o
g = o.graph([o.node("Swish", ["x"], ["h"], domain="example", name="s"),
             o.node("Pairs", ["h"], ["y"], domain="example", name="p")],
            [o.info("x", dims=["N", 6])], [o.info("y", dims=["N", 3])])
open(sys.argv[1], "wb").write(o.model(g, opsets=((17, ""), (1, "example"))))
PY
    cd "$tmp"
    lamina=$tmp/prefix/bin/lamina so=custom_op/custom_op.so
    expect "p.onnx: fine" "$lamina" check p.onnx --plugin "$so"
    "$lamina" run p.onnx --random 1 --dim N=2 --json --plugin "$so" > out
    grep -q '\[2, *3\]' out || { echo "run: $(cat out)"; exit 1; }
    "$lamina" inspect p.onnx --plugin "$so" > out
    grep -q Swish out || { echo "inspect: $(cat out)"; exit 1; }
    "$lamina" bench p.onnx --iterations 3 --plugin "$so" > out
    grep -q Pairs out || { echo "bench: $(cat out)"; exit 1; }
    "$lamina" convert p.onnx p2.onnx --dim N=2 --plugin "$so" > out
    expect "p2.onnx: fine" "$lamina" check p2.onnx --plugin "$so"
    ! "$lamina" check p.onnx > out 2>&1 || { echo "check succeeds without the plug-in"; exit 1; }
    grep -q 'plug-in' out || { echo "check does not say what is missing: $(cat out)"; exit 1; }
    ! "$lamina" run p.onnx --plugin p.onnx > out 2>&1 || { echo "a model is no plug-in"; exit 1; }
    grep -q 'p.onnx' out || { echo "the plug-in is not named: $(cat out)"; exit 1; }
    ;;
sync) # the sub-library with its headers, and nothing else of Lamina; in C and in C++
    command -v pkg-config > /dev/null || { echo "skip: no pkg-config"; exit 77; }
    command -v c++ > /dev/null || { echo "skip: no C++ compiler"; exit 77; }
    cmake --install "$build" --prefix "$tmp/prefix" --component sync > "$tmp/log" ||
        { cat "$tmp/log"; exit 1; }
    [ ! -f "$tmp/prefix/include/lamina/session.h" ] || { echo "more than lamina-sync"; exit 1; }
    pc=$(find "$tmp/prefix" -name lamina-sync.pc)
    lib=$(dirname "$(dirname "$pc")")
    ! ls "$lib"/liblamina.* > /dev/null 2>&1 || { echo "more than lamina-sync"; exit 1; }
    export PKG_CONFIG_PATH=$lib/pkgconfig
    flags=$(pkg-config --cflags --libs lamina-sync)
    strict="-Wall -Wextra -Wpedantic -Werror -D_GNU_SOURCE -pthread"
    adder=$source/tests/consumers/sync/adder.c
    # shellcheck disable=SC2086
    "$cc" -std=c99 $strict "$adder" $flags -Wl,-rpath,"$lib" -o "$tmp/adder"
    expect "499500 by OK" "$tmp/adder"
    # shellcheck disable=SC2086
    c++ -std=c++17 -x c++ $strict "$adder" -x none $flags -Wl,-rpath,"$lib" -o "$tmp/adder"
    expect "499500 by OK" "$tmp/adder"
    cmake -S "$source/tests/consumers/sync" -B "$tmp/b" -DCMAKE_PREFIX_PATH="$tmp/prefix" \
        -DCMAKE_C_COMPILER="$cc" > "$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
    cmake --build "$tmp/b" > "$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
    for program in c_sync c_sync_static cxx_sync cxx_sync_static; do
        expect "499500 by OK" "$tmp/b/$program"
    done
    ;;
examples) # examples/sync out of tree, with the sub-library that is installed and nothing else
    cmake --install "$build" --prefix "$tmp/prefix" --component sync > "$tmp/log" ||
        { cat "$tmp/log"; exit 1; }
    cp -r "$source/examples/sync" "$tmp/sync"
    make -C "$tmp/sync" CC="$cc" LAMINA="$tmp/prefix" \
        CFLAGS="-O2 -Wall -Wextra -Wpedantic -Werror" > "$tmp/log" 2>&1 ||
        { cat "$tmp/log"; exit 1; }
    for file in "$source"/examples/sync/*.c; do
        lines=$(wc -l < "$file")
        [ "$lines" -le 100 ] || { echo "$file has $lines lines, not 100"; exit 1; }
    done
    cd "$tmp/sync"
    expect "sum of squares: 333338333350000" ./pipeline
    expect "fib(22) = 17711
harmonic sum 14.392727, bits the same" ./fork_join
    expect "10000 meals, 20000 uses of a fork" ./philosophers
    expect "4000 answers, 3 fetches" ./cache
    ;;
*)
    echo "unknown consumer $kind"
    exit 2
    ;;
esac
