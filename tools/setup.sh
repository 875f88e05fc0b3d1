#!/usr/bin/env bash
# Install what building and checking need on a bare Debian 12, and nothing that is there already.
# The Python packages go into a virtual environment in the user's cache, outside the tree.
# Prints the path of that environment's python as its last line. With "learned" it adds what trains
# and converts classical models (requirements-learned.txt), for `make models` only; with
# "sync-peers" the queues and pools of others (sync_peers.txt), for `make bench-sync` only; with
# "arm64" a cross compiler and an emulator, for `make check-arm64` only; with "clients" what speaks
# to model servers (requirements-clients.txt) into an environment of its own, whose python is then
# the last line, for `make check-clients` only.
set -eu
cd "$(dirname "$0")/.."

missing=
need() { # package, then a command or a file whose presence proves it
    command -v "$2" > /dev/null 2>&1 || [ -e "$2" ] || missing="$missing $1"
}
need build-essential c++
need cmake cmake
need ninja-build ninja
need clang clang
# The sanitizers of clang, without which no fuzzer links, are only recommended by its package.
rt=libclang_rt.fuzzer-$(uname -m).a
need libclang-rt-dev "$(clang -print-file-name="$rt" 2> /dev/null || echo none)"
need clang-format clang-format
need git git
need pkg-config pkg-config # the test of an installed tree
need python3 python3
py() { python3 -c "$1" 2> /dev/null || echo none; }
need python3-venv "$(py 'import ensurepip; print(ensurepip.__file__)')"
need python3-dev "$(py 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')"
need libpng-dev /usr/include/png.h
need libssl-dev /usr/include/openssl/ssl.h # the plug-in for TLS
need libnghttp2-dev /usr/include/nghttp2/nghttp2.h # the plug-in for HTTP/2
[ -e /usr/include/jpeglib.h ] || [ -e "/usr/include/$(uname -m)-linux-gnu/jpeglib.h" ] ||
    missing="$missing libjpeg62-turbo-dev"
if [ "${1:-}" = sync-peers ]; then
    while read -r package proof; do
        [ "${package#\#}" != "$package" ] || need "$package" "$proof"
    done < tools/sync_peers.txt
fi
if [ "${1:-}" = arm64 ]; then
    need gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
    need libc6-dev-arm64-cross /usr/aarch64-linux-gnu/include/stdio.h
    need qemu-user qemu-aarch64
fi
if [ "${1:-}" = clients ]; then
    need curl curl
    need nghttp2-client h2load
    need wrk wrk
    need openssl openssl
fi
if [ -n "$missing" ]; then
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root apt-get update -q >&2
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends $missing >&2
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/lamina
venv=$cache/venv
install() { # list of packages, then the name of the stamp that says it is there
    stamp=$(sha256sum "$1" | cut -d' ' -f1)
    [ "$(cat "$venv/$2" 2> /dev/null)" != "$stamp" ] || return 0
    mkdir -p "$cache"
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv" >&2
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$1" >&2
    echo "$stamp" > "$venv/$2"
}
if [ "${1:-}" = clients ]; then
    venv=$cache/venv-clients
    install tools/requirements-clients.txt .stamp
    echo "$venv/bin/python"
    exit
fi
install tools/requirements.txt .stamp
[ "${1:-}" != learned ] || install tools/requirements-learned.txt .stamp-learned
echo "$venv/bin/python"
