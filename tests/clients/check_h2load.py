#!/usr/bin/env python3
"""
h2load, and wrk where it is there: many connections and streams, every answer 200. HTTP/1.1 always,
HTTP/2 and gRPC where the plug-in is built.
"""
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile

from judged import PROGRAM, Server, check, finish, has_plugin, repository, tool

H2LOAD = tool("h2load")
BODY = '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}'


def field(number, value):
    """A field of protobuf: bytes, or an integer below 128."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def grpc_body():
    tensor = field(1, b"x") + field(2, b"FP32") + field(3, b"\1\4")
    message = (field(1, b"scale") + field(5, tensor) +
               field(7, struct.pack("<4f", 1, 2, 3, 4)))
    return b"\0" + struct.pack(">I", len(message)) + message


def load(what, n, *args):
    p = subprocess.run([H2LOAD, "-n", str(n), *args], capture_output=True, text=True, timeout=120,
                       check=False)
    m = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", p.stdout)
    codes = re.search(r"status codes: (\d+) 2xx", p.stdout)
    check(m and int(m[1]) == n and codes and int(codes[1]) == n,
          f"{what}: {p.stdout[-600:]} {p.stderr[-300:]}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        repository(d / "repo")
        (d / "body").write_text(BODY)
        (d / "message").write_bytes(grpc_body())
        with Server(PROGRAM, d / "repo") as s:
            at = f"http://127.0.0.1:{s.port}"
            url = f"{at}/v2/models/scale/infer"
            load("HTTP/1.1", 20000, "--h1", "-c", "64", "-d", str(d / "body"), url)
            load("HTTP/1.1, kept and piped", 20000, "--h1", "-c", "16", "-m", "8", f"{at}/v2")
            if has_plugin("h2"):
                load("HTTP/2", 20000, "-c", "8", "-m", "32", "-d", str(d / "body"), url)
                load("HTTP/2, a stream each", 20000, "-c", "64", "-m", "1", f"{at}/v2")
                load("gRPC", 20000, "-c", "8", "-m", "32", "-d", str(d / "message"), "-H",
                     "content-type: application/grpc", "-H", "te: trailers",
                     f"{at}/inference.GRPCInferenceService/ModelInfer")
            if shutil.which("wrk"):
                (d / "post.lua").write_text(f"wrk.method='POST'\nwrk.body='{BODY}'\n")
                p = subprocess.run(["wrk", "-t1", "-c64", "-d1s", "-s", str(d / "post.lua"), url],
                                   capture_output=True, text=True, timeout=60, check=False)
                check("Non-2xx" not in p.stdout and "Socket errors" not in p.stdout and
                      re.search(r"[1-9]\d* requests in", p.stdout), p.stdout)
    finish()


main()
