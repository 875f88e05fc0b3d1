#!/usr/bin/env bash
# Build for arm64, run the kernel checks under qemu, compare answers with the native build.
# Says so and exits 0 where the compiler or the emulator is missing: tools/setup.sh arm64.
# Usage: tools/check_arm64.sh [NATIVE_BUILD [JOBS]]
set -eu
cd "$(dirname "$0")/.."
native=${1:-build} jobs=${2:-$(nproc)}
for program in aarch64-linux-gnu-gcc qemu-aarch64; do
    command -v "$program" > /dev/null || { echo "arm64: no $program, nothing checked"; exit 0; }
done
emulated=(qemu-aarch64 -L /usr/aarch64-linux-gnu)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{
    cmake -G Ninja -S . -B build-arm64 -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake &&
        ninja -C build-arm64 -j"$jobs" lamina lamina_cli kcheck
} > "$log" 2>&1 || { tail -40 "$log"; exit 1; }
failed=0
gate() { # name command...
    local name=$1 from=$SECONDS
    shift
    if "$@" > "$log" 2>&1; then
        echo "gate $name: ok, $((SECONDS - from)) s: $(tail -1 "$log")"
    else
        tail -40 "$log"
        echo "gate $name: FAILED"
        failed=1
    fi
}
gate arm64_kernels "${emulated[@]}" build-arm64/bin/kcheck
gate arm64_answers python3 tests/cli/check_arm64.py "$native/bin/lamina" "${emulated[@]}" \
    build-arm64/bin/lamina
exit "$failed"
