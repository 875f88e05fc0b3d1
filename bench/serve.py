#!/usr/bin/env python3
"""
`lamina serve` beside other model servers: serve.py [SET...] [--seconds N] [--rounds N]. Each server
has core 0 to itself, the load generator core 1; they take turns, round by round, and every figure
is the median of its rounds. CPU is that of the server's whole process tree (user and system) by the
requests it answered, which a busy machine disturbs least.

sets: grpc (tiny model, unary gRPC by h2load), json (tiny model, wrk at 1, 64, 256, 1000
connections), idle (64 beside 1000 idle ones), heavy (2 ms model with and without batching), process
(the same beside itself in process), least (the same beside a program that only receives, runs and
sends), large (100,000 floats as JSON, 1 MB binary), overload (three times what it can, by `lamina
bench serve`), bound (what a bound of the queue costs), abandon (the next call after 200 clients
left), hold (10,000 connections), stream (events to 1,000 clients), start (to the first answer;
memory)

Peers: Triton 2.51 (nvidia-pytriton 0.7.0, with bench/serve/triton_ort.c on onnxruntime), granian
2.8 (with an application on onnxruntime and orjson), nginx answering a fixed file (the floor without
a model). What is missing is said and left out.
"""
import argparse
import shutil
import sys
import tempfile

import benchlib

NAME = "serve"
benchlib.need_modules(NAME, "numpy", "onnx")

from serve_bodies import set_large  # noqa: E402
from serve_least import set_least  # noqa: E402
from serve_load import Runs  # noqa: E402
from serve_overload import set_abandon, set_bound, set_overload  # noqa: E402
from serve_peers import make_models  # noqa: E402
from serve_rates import set_grpc, set_heavy, set_idle, set_json, set_process  # noqa: E402
from serve_scale import set_hold, set_start, set_stream  # noqa: E402

SETS = {"grpc": set_grpc, "json": set_json, "idle": set_idle, "heavy": set_heavy,
        "process": set_process, "least": set_least, "large": set_large, "stream": set_stream,
        "overload": set_overload, "bound": set_bound,
        "abandon": set_abandon, "hold": set_hold, "start": set_start}


def main():
    p = argparse.ArgumentParser(description="lamina serve beside other model servers")
    p.add_argument("sets", nargs="*", metavar="SET", help="; ".join(SETS))
    p.add_argument("--seconds", type=int, default=2, help="of each measurement")
    p.add_argument("--rounds", type=int, default=3, help="turns of each server")
    p.add_argument("--overload", type=int, default=60, help="seconds of overload")
    opts = p.parse_args()
    if not shutil.which("wrk"):
        benchlib.not_run(NAME, "wrk is not installed (Debian package wrk)")
    for s in opts.sets:
        if s not in SETS:
            p.error(f"{s}: no such set; there are {', '.join(SETS)}")
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(folder, make_models(folder), opts)
        for s in opts.sets or SETS:
            SETS[s](runs)
        runs.log.close()
    return 0 if benchlib.write(NAME, runs.bars, runs.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
