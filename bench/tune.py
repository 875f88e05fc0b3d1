#!/usr/bin/env python3
"""
What `lamina tune` brings: each model is tuned into a file of its own, then run by the rules and
with that file in processes that take turns. The search's own figure and the later one should
agree; no model may lose.
Usage: tune.py [--threads N] [--budget TIME] [--pairs N] [MODEL[:DIM=N,..] ...]
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import benchlib

CASES = ("resnet50:N=1", "mobilenetv2:N=1", "yolov8n", "whisper_tiny_enc", "bert_base:B=1,S=128",
         "gpt2:B=1,S=32")
LAMINA = os.path.join(benchlib.BUILD, "bin", "lamina")


def lamina(args, tune="off"):
    """The JSON answer of a verb; None and a line when it fails."""
    p = subprocess.run([LAMINA, *args, "--json"], capture_output=True, text=True, check=False,
                       env=dict(os.environ, LAMINA_TUNE=tune))
    if p.returncode:
        print(f"lamina {' '.join(args)}: {p.stderr.strip()}")
        return None
    return json.loads(p.stdout)


def least_ms(model, file):
    answer = lamina(["bench", *model, "--seconds", "1", "--top", "0"], file)
    return answer["min_ms"]


def measure(case, opts, file):
    name, _, dims = case.partition(":")
    model = [benchlib.model_file(name), "--threads", str(opts.threads)]
    for d in filter(None, dims.split(",")):
        model += ["--dim", d]
    tuned = lamina(["tune", *model, "--budget", opts.budget, "--out", file])
    if tuned is None:
        return None
    pairs = []
    for i in range(opts.pairs if tuned["tuned"] else 0):
        order = ("off", file) if i % 2 == 0 else (file, "off")
        ms = {f: least_ms(model, f) for f in order}
        pairs.append(ms["off"] / ms[file])
    later = benchlib.median(pairs) if pairs else 1.0
    return {"model": name, "problems": tuned["problems"], "tuned": tuned["tuned"],
            "runs": tuned["runs"], "before_ms": tuned["before_ms"], "after_ms": tuned["after_ms"],
            "search": tuned["before_ms"] / tuned["after_ms"], "later": later,
            "best": max((r["gain"] for r in tuned["table"] if r["outcome"].startswith("kept")),
                        default=1.0), "table": tuned["table"]}


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--threads", type=int, default=1)
    parse.add_argument("--budget", default="40s")
    parse.add_argument("--pairs", type=int, default=5)
    parse.add_argument("models", nargs="*", default=CASES)
    opts = parse.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for i, case in enumerate(opts.models):
            row = measure(case, opts, os.path.join(folder, str(i)))
            if row:
                rows.append(row)
    if not rows:
        return 1
    benchlib.table(("model", "problems", "tuned", "best x", "before ms", "after ms", "search x",
                    "later x"),
                   [(r["model"], r["problems"], r["tuned"], r["best"], r["before_ms"],
                     r["after_ms"], r["search"], r["later"]) for r in rows])
    bars = {f"{r['model']}, {opts.threads} thread{'s' * (opts.threads > 1)}":
            benchlib.bar(r["later"], "x speed", 0.99, "the rules") for r in rows}
    return 0 if benchlib.write("tune", bars, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
