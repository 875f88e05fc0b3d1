#!/usr/bin/env bash
# From a bare machine to three right answers: set up, build, fetch pinned models, run them on real
# inputs, check what they say. Exit 1 when an answer is wrong.
set -eu
cd "$(dirname "$0")/.."
python=$(tools/setup.sh | tail -1)
echo "building"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
make -s build TARGET=lamina_cli > "$log" 2>&1 || { tail -40 "$log"; exit 1; }
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lamina/models
mkdir -p "$cache"
echo "fetching models (pinned, hashed) into the cache"
"$python" tools/fetch_models.py "$cache"
[ -f "$cache/line.png" ] || # a line of the page of text
    "$python" tools/crop_line.py "$cache/page.png" "$cache/line.png" 47 69

failed=0
ask() { # expected text, then the command
    local want=$1 got
    shift
    echo
    echo "\$ lamina ${*//$cache\//}"
    got=$(build/bin/lamina "$@") || true
    echo "$got"
    case $got in
    *"$want"*) echo "-> right" ;;
    *) echo "-> WRONG: expected $want" && failed=$((failed + 1)) ;;
    esac
}
ask elf run "$cache/magika/magika.onnx" --in bytes=file:/bin/ls --recipe magika
ask espresso run "$cache/efficientnet-lite0.onnx" --image "$cache/coffee.png" \
    --labels "$cache/imagenet1k_clean_names.json"
ask "Let us first determine" run "$cache/ppocr-rec.onnx" --image "$cache/line.png" --recipe ctc
echo
[ "$failed" = 0 ] && echo "three right answers" || { echo "$failed wrong"; exit 1; }
