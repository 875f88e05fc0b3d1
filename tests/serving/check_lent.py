#!/usr/bin/env python3
"""
Memory that a client lends: passed as a descriptor over a UNIX socket, read and written by requests
of that connection, and by calls of gRPC of the same process, refused in every other way, and gone
with the connection. Usage: check_lent.py LAMINA
"""
import fcntl
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from serving import SLOW, Server, finish, o, replace, scale_model, want

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


class Rpc:
    """One connection of HTTP/2 to a UNIX socket, whose calls come one after the other."""

    def __init__(self, path, token=None):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(30 * SLOW)
        self.s.connect(str(path))
        self.stream, self.token = -1, token
        self.s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(4, 0, 0))

    @staticmethod
    def frame(kind, flags, stream, body=b""):
        return (struct.pack(">I", len(body))[1:] + bytes([kind, flags]) +
                struct.pack(">I", stream) + body)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            part_of = self.s.recv(n - len(data))
            if not part_of:
                raise ConnectionError("closed")
            data += part_of
        return data

    def call(self, method, message=b""):
        """The message of the answer, or None where it has failed."""
        def field(name, value):
            return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
        path = b"/inference.GRPCInferenceService/" + method.encode()
        head = (b"\x83\x86\x04" + bytes([len(path)]) + path + b"\x41\x01x" +
                field(b"content-type", b"application/grpc") + field(b"te", b"trailers"))
        if self.token:
            head += field(b"authorization", b"Bearer " + self.token.encode())
        self.stream += 2
        body = b"\0" + struct.pack(">I", len(message)) + message
        self.s.sendall(self.frame(1, 4, self.stream, head) + self.frame(0, 1, self.stream, body))
        data, ended = b"", False
        while not ended:
            h = self.exactly(9)
            n, (kind, flags) = int.from_bytes(h[:3], "big"), h[3:5]
            body, ours = self.exactly(n), int.from_bytes(h[5:], "big") == self.stream
            if kind == 7:
                raise ConnectionError(body)
            if kind == 4 and not flags:
                self.s.sendall(self.frame(4, 1, 0))
            data += body if kind == 0 and ours else b""
            ended = ours and (kind == 3 or kind in (0, 1) and flags & 1)
        return data[5:] if data else None

    def infer(self, given, wanted=None, raw=(), more=()):
        out = [(6, o.msg((1, "y"), *parameters(2, wanted)))] if wanted else []
        x = o.msg((1, "x"), (2, "FP32"), (3, o.varint(1) + o.varint(4)), *parameters(4, given))
        return self.call("ModelInfer", o.msg((1, "one"), (5, x), *out, *[(7, b) for b in raw],
                                             *more))

    def close(self):
        self.s.close()


def parameters(number, of):
    """Fields of a map of parameters."""
    for key, value in (of or {}).items():
        yield number, o.msg((1, key), (2, o.msg((3 if isinstance(value, str) else 2, value))))


def by_grpc(s, path):
    line, other = Line(path), Line(path)
    a, b = memory(64, floats(1, 2, 3, 4, 5, 6, 7, 8)), memory(64)
    for name, fd in (("a", a), ("b", b)):
        want(line.ask("POST", f"{BASE}/region/{name}/register", b"", [fd]) == (200, {}), name)
    rpc = Rpc(path)
    got = rpc.infer(part("a", 16, 16))
    want(got and got.endswith(floats(15, 18, 21, 24)), f"in: {got}")
    got = rpc.infer(part("a", 16), part("b", 32, 8))
    want(got and floats(3, 6, 9, 12) not in got and b"shared_memory_offset" in got, f"out: {got}")
    want(os.pread(b, 16, 8) == floats(3, 6, 9, 12), "what was written")
    got = rpc.infer({}, part("b", 16, 32), [floats(1, 1, 1, 1)])
    want(got and os.pread(b, 16, 32) == floats(3, 3, 3, 3), f"bytes in, memory out: {got}")
    want(rpc.infer({}) is None and rpc.infer({}, None, [floats(1, 1, 1, 1)]), "without memory")
    got = rpc.call("SystemSharedMemoryStatus")
    want(got and b"\x0a\x01a" in got and b"\x0a\x01b" in got, f"{got}")
    got = rpc.call("SystemSharedMemoryStatus", o.msg((1, "b")))
    want(got == o.msg((1, o.msg((1, "b"), (2, o.msg((1, "b"), (4, 64)))))), f"{got}")
    for given, wanted, raw in [(part("a", 20), None, ()), (part("a", 16, 60), None, ()),
                               (part("a", 16, (1 << 63) - 1), None, ()), (part("c", 16), None, ()),
                               ({"shared_memory_region": "a"}, None, ()),
                               ({"shared_memory_region": 7, "shared_memory_byte_size": 16}, None,
                                ()),
                               (dict(part("a", 16), shared_memory_key="k"), None, ()),
                               (part("a", 16), None, [floats(1, 1, 1, 1)]),
                               (part("a", 16), part("b", 15), ()),
                               (part("a", 16), part("b", 65), ()), (part("", 16), None, ())]:
        want(rpc.infer(given, wanted, raw) is None, f"{given} {wanted} {raw}")
    want(rpc.call("SystemSharedMemoryRegister", o.msg((1, "d"), (2, "/d"), (4, 64))) is None,
         "a key")
    want(other.ask("POST", f"{BASE}/region/a/register", b"", [b]) == (200, {}), "the name again")
    want(rpc.infer(part("a", 16)) is None, "one of two that are called the same")
    want(rpc.call("SystemSharedMemoryUnregister", o.msg((1, "a"))) is None, "of two")
    other.close()
    while s.ask("GET", "/v2")[0] != 200 or rpc.infer(part("a", 16)) is None:
        time.sleep(0.01)  # until the server has seen that
    for n in range(200):  # given back and registered while others use it
        want(rpc.infer(part("a", 16)), f"{n}: in")
        if n % 10 == 0:
            line.ask("POST", f"{BASE}/region/b/register", b"", [b])
    foreign(path)
    want(rpc.call("SystemSharedMemoryUnregister", o.msg((1, "a"))) == b"", "unregister")
    want(rpc.call("SystemSharedMemoryUnregister", o.msg((1, "a"))) is None, "twice")
    want(rpc.infer(part("a", 16)) is None and infer(line, part("a", 16))[0] == 400, "afterwards")
    want(rpc.call("SystemSharedMemoryUnregister") == b"", "all")
    want(line.ask("GET", f"{BASE}/status") == (200, []), "HTTP sees that they are gone")
    want(rpc.call("SystemSharedMemoryStatus") == b"", "nothing is left")
    rpc.close()
    line.close()
    os.close(a)
    os.close(b)


def foreign(path):
    """Another process of the same user."""
    run = subprocess.run([sys.executable, __file__, "--as-another", str(path)], timeout=60 * SLOW,
                         check=False, stdout=subprocess.PIPE, text=True)
    want(run.returncode == 0, f"another process: {run.stdout}")


def as_another(path):
    rpc = Rpc(path)
    seen = rpc.call("SystemSharedMemoryStatus")
    rpc.call("SystemSharedMemoryUnregister")
    read = rpc.infer(part("a", 16)), rpc.infer({}, part("b", 16), [floats(1, 1, 1, 1)])
    fine = rpc.infer({}, None, [floats(1, 1, 1, 1)])
    print(seen, read, fine)
    sys.exit(seen != b"" or bool(read[0] or read[1]) or not fine)


def meanwhile(path):
    """Regions come and go on one connection while calls of two others use them."""
    line, stop, wrong, right = Line(path), threading.Event(), [], []
    a, b = memory(1 << 20, floats(*[1] * 4)), memory(1 << 20, floats(*[2] * 4))

    def use():
        rpc = Rpc(path)
        while not stop.is_set():
            got = rpc.infer(part("a", 16), part("a", 16, 4096))
            right.append(1) if got else None
            got = rpc.infer(part("a", 16))
            if got and not got.endswith((floats(3, 3, 3, 3), floats(6, 6, 6, 6))):
                wrong.append(got)
        rpc.close()
    threads = [threading.Thread(target=use) for _ in range(2)]
    for t in threads:
        t.start()
    for i in range(300):
        line.ask("POST", f"{BASE}/region/a/register", b"", [a if i % 2 else b])
        if i % 3 == 0:
            line.ask("POST", f"{BASE}/region/a/unregister")
    line.close()
    stop.set()
    for t in threads:
        t.join()
    want(right and not wrong, f"{len(right)} right, {wrong[:1]}")


def by_token(program, d):
    """The same process, but another token."""
    replace(d / "tokens.txt", "first-token-of-many\nsecond-token-of-many\n")
    path = d / "tokens.sock"
    with Server(program, d / "one.onnx", "--listen", f"unix:{path}", "--tokens",
                str(d / "tokens.txt")):
        line = socket.socket(socket.AF_UNIX)
        line.connect(str(path))
        socket.send_fds(line, [f"POST {BASE}/region/a/register HTTP/1.1\r\nHost: x\r\n"
                               "Authorization: Bearer first-token-of-many\r\n"
                               "Content-Length: 0\r\n\r\n".encode()],
                        [memory(64, floats(1, 2, 3, 4))])
        want(line.recv(4096).startswith(b"HTTP/1.1 200"), "register")
        for token, sees in (("first-token-of-many", True), ("second-token-of-many", False),
                            (None, False)):
            rpc = Rpc(path, token)
            want((rpc.infer(part("a", 16)) is not None) == sees, f"by {token}")
            rpc.close()
        line.close()


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
    for at, allowed in (("status", "GET, HEAD, OPTIONS"), ("unregister", "POST, OPTIONS"),
                        ("region/r1/status", "GET, HEAD, OPTIONS"),
                        ("region/r1/register", "POST, OPTIONS")):
        got, fields, _ = s.ask("PUT", f"{BASE}/{at}")
        want(got == 405 and fields["Allow"] == allowed, f"{at}: {got} {fields['Allow']}")
    for bad in ("region/../status", "region/a/b/register", "region//register", "x", ""):
        want(line.ask("POST", f"{BASE}/{bad}")[0] == 404, bad)
    line.close()
    got, _, body = s.ask("POST", f"{BASE}/region/r/register")
    want(got == 403 and "UNIX" in body["error"], f"over TCP: {got} {body}")
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
    if sys.argv[1] == "--as-another":
        as_another(sys.argv[2])
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        replace(d / "one.onnx", scale_model(3))
        path = d / "lent.sock"
        with Server(program, d / "one.onnx", "--listen", f"unix:{path}") as s:
            works(path)
            refused(s, path)
            if (pathlib.Path(program).parent.parent / "lib" / "liblamina-h2.so").exists():
                by_grpc(s, path)
                meanwhile(path)
                by_token(program, d)
            leaks(s, path)
            line = Line(path)  # a region that is there when the server ends
            line.ask("POST", f"{BASE}/region/r/register", b"", [memory(64)])
    finish()


main()
