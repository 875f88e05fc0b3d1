#!/usr/bin/env python3
"""
Load of unary gRPC for bench/serve.py: a prepared ModelInfer request, posted by h2load over
connections of HTTP/2. The message is written by hand: no package of gRPC is needed.
"""
import os
import re
import struct
import subprocess

PATH = "/inference.GRPCInferenceService/ModelInfer"


def varint(v):
    out = b""
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def field(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


def write_request(folder, model, values):
    """A file with one message in its frame: x, [1, n] of FP32, as raw contents."""
    raw = struct.pack(f"<{len(values)}f", *values)
    shape = field(3, varint(1) + varint(len(values)))
    tensor = field(1, b"x") + field(2, b"FP32") + shape
    message = field(1, model.encode()) + field(5, tensor) + field(7, raw)
    path = os.path.join(folder, f"{model}.grpc")
    with open(path, "wb") as f:
        f.write(b"\0" + struct.pack(">I", len(message)) + message)
    return path


def h2load(port, body, connections, streams, seconds):
    """(requests, seconds, mean us, failed): `streams` at once on each connection."""
    out = subprocess.run(["taskset", "-c", "1", "h2load", "-t1", f"-c{connections}", f"-m{streams}",
                          f"-D{seconds}", "-d", body, "-H", "content-type: application/grpc", "-H",
                          "te: trailers", f"http://127.0.0.1:{port}{PATH}"],
                         capture_output=True, text=True, check=True).stdout
    done = re.search(r"requests: .* (\d+) done, (\d+) succeeded, (\d+) failed", out)
    took = re.search(r"finished in ([0-9.]+)(ms|s)", out)
    data = re.search(r"\((\d+)\) data", out)
    mean = re.search(r"time for request:\s+\S+\s+\S+\s+([0-9.]+)(us|ms|s)\b", out)
    n, failed = int(done[2]), int(done[1]) - int(done[2])
    if int(data[1]) < 40 * n:  # a refusal has no message, and is 200 all the same
        failed = n
    scale = {"us": 1, "ms": 1e3, "s": 1e6}
    return n, float(took[1]) * scale[took[2]] / 1e6, float(mean[1]) * scale[mean[2]], failed
