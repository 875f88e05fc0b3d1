#!/usr/bin/env python3
"""
Memory that a client lends: passed as a descriptor over a UNIX socket, read and written by requests
of that connection, refused in every other way, and gone with the connection.
Usage: check_lent.py LAMINA
"""
import fcntl
import json
import os
import pathlib
import socket
import struct
import sys
import tempfile
import time

from serving import SLOW, Server, finish, replace, scale_model, want

SEAL, SHRINK, GROW, WRITE = 1033, 2, 4, 8  # F_ADD_SEALS and its bits
BASE = "/v2/systemsharedmemory"


def memory(size, data=b"", seals=SHRINK | GROW):
    fd = os.memfd_create("lent", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(fd, size)
    os.pwrite(fd, data, 0)
    if seals:
        fcntl.fcntl(fd, SEAL, seals)
    return fd


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


class Line:
    """One connection to a UNIX socket, kept."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(30 * SLOW)
        self.s.connect(str(path))

    def ask(self, method, path, body=b"", fds=()):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        head = (f"{method} {path} HTTP/1.1\r\nHost: x\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        if fds:
            socket.send_fds(self.s, [head + body], list(fds))
        else:
            self.s.sendall(head + body)
        return self.answer()

    def answer(self):
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.more()
        head, _, rest = data.partition(b"\r\n\r\n")
        size = int(next(x.split(b":")[1] for x in head.split(b"\r\n")
                        if x.lower().startswith(b"content-length")))
        while len(rest) < size:
            rest += self.more()
        return int(head.split()[1]), json.loads(rest) if rest else None

    def more(self):
        part = self.s.recv(65536)
        if not part:
            raise ConnectionError("closed")
        return part

    def close(self):
        self.s.close()


def part(region, size, offset=0):
    return {"shared_memory_region": region, "shared_memory_byte_size": size,
            "shared_memory_offset": offset}


def infer(line, given, wanted=None, rows=1):
    body = {"inputs": [{"name": "x", "shape": [rows, 4], "datatype": "FP32", "parameters": given}]}
    if wanted:
        body["outputs"] = [{"name": "y", "parameters": wanted}]
    return line.ask("POST", "/v2/models/one/infer", body)


def works(path):
    line = Line(path)
    a = memory(64, floats(1, 2, 3, 4, 5, 6, 7, 8))
    b = memory(64)
    fixed = memory(16, floats(9, 8, 7, 6), SHRINK | GROW | WRITE)
    for name, fd in (("a", a), ("b", b), ("fixed", fixed)):
        want(line.ask("POST", f"{BASE}/region/{name}/register", b"", [fd]) == (200, {}), name)
    got, body = infer(line, part("a", 16, 16))
    want(got == 200 and body["outputs"][0]["data"] == [15, 18, 21, 24], f"in: {got} {body}")
    os.pwrite(a, floats(1, 1, 1, 1), 16)  # the same memory, other bytes
    got, body = infer(line, part("a", 16, 16), part("b", 32, 8))
    want(got == 200 and body["outputs"][0].get("parameters") == part("b", 16, 8)
         and "data" not in body["outputs"][0], f"in and out: {got} {body}")
    want(os.pread(b, 16, 8) == floats(3, 3, 3, 3), "what was written")
    got, body = infer(line, part("fixed", 16))
    want(got == 200 and body["outputs"][0]["data"] == [27, 24, 21, 18], f"fixed: {got} {body}")
    got, body = line.ask("GET", f"{BASE}/status")
    want(got == 200 and sorted(r["name"] for r in body) == ["a", "b", "fixed"], f"{body}")
    got, body = line.ask("GET", f"{BASE}/region/b/status")
    want(got == 200 and [r["byte_size"] for r in body] == [64], f"{body}")
    for given, wanted, why in [(part("a", 20), None, "bytes"), (part("a", 16, 60), None, "past"),
                               (part("a", 16, 1 << 62), None, "past"),
                               (part("c", 16), None, "no region"),
                               ({"shared_memory_region": "a"}, None, "byte_size"),
                               (dict(part("a", 16), shared_memory_key="k"), None, "no such"),
                               (dict(part("a", 16), binary_data_size=16), None, "excludes"),
                               (part("a", 16), part("b", 15), "15 of its region"),
                               (part("a", 16), part("b", 65), "past"),
                               (part("a", 16), part("fixed", 16), "cannot be written")]:
        got, body = infer(line, given, wanted)
        want(got == 400 and why in body["error"], f"{given} {wanted}: {got} {body}")
    other = Line(path)
    got, body = infer(other, part("a", 16))
    want(got == 400 and "region" in body["error"], f"another's: {got} {body}")
    want(other.ask("GET", f"{BASE}/status") == (200, []), "another sees it")
    other.close()
    want(line.ask("POST", f"{BASE}/region/a/unregister")[0] == 200, "unregister")
    want(line.ask("POST", f"{BASE}/region/a/unregister")[0] == 404, "twice")
    want(infer(line, part("a", 16))[0] == 400, "after it is gone")
    want(line.ask("POST", f"{BASE}/unregister")[0] == 200, "unregister all")
    want(line.ask("GET", f"{BASE}/status") == (200, []), "all")
    line.close()
    for fd in (a, b, fixed):
        os.close(fd)


def refused(s, path):
    line = Line(path)
    with tempfile.TemporaryFile() as f:
        f.write(b" " * 64)
        f.flush()
        for fds, body, why in [([], b"", "descriptor"),
                               ([], {"key": "/shm", "byte_size": 64}, "names"),
                               ([f.fileno()], b"", "memfd"), ([0], b"", ""),
                               ([memory(64, seals=0)], b"", "F_SEAL_SHRINK"),
                               ([memory(0)], b"", "empty"),
                               ([memory(65 << 20)], b"", "larger"),
                               ([memory(64)], {"key": "/shm"}, "key")]:
            got, body = line.ask("POST", f"{BASE}/region/r/register", body, fds)
            want(got == 400 and why in body["error"], f"{why}: {got} {body}")
    for i in range(20):
        fd = memory(64)
        got = line.ask("POST", f"{BASE}/region/r{i}/register", b"", [fd, fd, fd])
        want(got[0] == (200 if i < 16 else 400), f"region {i}: {got}")
        os.close(fd)
    want(line.ask("GET", f"{BASE}/region/r1/register")[0] == 405, "GET")
    for bad in ("region/../status", "region/a/b/register", "region//register", "x", ""):
        want(line.ask("POST", f"{BASE}/{bad}")[0] == 404, bad)
    line.close()
    got, _, body = s.ask("POST", f"{BASE}/region/r/register")
    want(got == 400 and "UNIX" in body["error"], f"over TCP: {got} {body}")
    got, _, body = s.ask("POST", "/v2/models/one/infer", json.dumps({"inputs": [
        {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": part("r1", 16)}]}))
    want(got == 400 and "shared memory" in body["error"], f"over TCP: {got} {body}")


def leaks(s, path):
    """Descriptors and mappings of the server, when all who lent are gone."""
    proc = pathlib.Path(f"/proc/{s.p.pid}")

    def held():
        maps = sum("memfd:lent" in x for x in (proc / "maps").read_text().splitlines())
        return maps, len(list((proc / "fd").iterdir()))

    for _ in range(100):
        if held()[0] == 0:
            break
        time.sleep(0.05)
    _, fds = held()
    lines = [Line(path) for _ in range(8)]
    for i, line in enumerate(lines):
        for k in range(10):
            fd = memory(4096, floats(1, 2, 3, 4))
            line.ask("POST", f"{BASE}/region/r{k % 3}/register", b"", [fd])
            line.ask("GET", "/v2", b"", [fd])  # one that nobody takes
            os.close(fd)
        want(infer(line, part("r1", 16))[0] == 200, "infer")
        if i % 2:  # leaves with a request open
            line.s.sendall(b"POST /v2/models/one/infer HTTP/1.1\r\nHost: x\r\n"
                           b"Content-Length: 10\r\n\r\n{")
    want(held()[0] == 24, f"mappings: {held()}")
    for line in lines:
        line.close()
    for _ in range(200 * SLOW):
        if held()[0] == 0 and held()[1] <= fds:
            break
        time.sleep(0.05)
    want(held()[0] == 0 and held()[1] <= fds, f"left: {held()}, {fds} descriptors before")


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        replace(d / "one.onnx", scale_model(3))
        path = d / "lent.sock"
        with Server(program, d / "one.onnx", "--listen", f"unix:{path}") as s:
            works(path)
            refused(s, path)
            leaks(s, path)
            line = Line(path)  # a region that is there when the server ends
            line.ask("POST", f"{BASE}/region/r/register", b"", [memory(64)])
    finish()


main()
