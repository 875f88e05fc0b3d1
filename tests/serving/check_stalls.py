#!/usr/bin/env python3
"""
Clients that stop halfway, all at once, by HTTP/1.1, HTTP/2 and gRPC, plain and over TLS: in the
handshake, in a record, in a head, in a body that began well, and while they should read an answer.
`lamina serve` cuts each by its own limits within ten seconds, also those that never close their
end, and serves others meanwhile. Usage: check_stalls.py LAMINA
"""
import os
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

import onnxpb as o
from serving import SLOW, Server, finish, replace, scale_model, want

PROMISED = 10 * SLOW  # seconds
WIDE = 6000000
HEAD = b"POST /v2/models/one/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n"
ASK = (b'{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[1]}],'
       b'"outputs":[{"name":"y","parameters":{"binary_data":true}}]}')
WHOLE = (b"POST /v2/models/wide/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(ASK)
         + ASK)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def wide_model():
    """An answer of 24 MB to an input of one number."""
    nodes = [o.node("Tile", ["x", "n"], ["y"])]
    return o.model(o.graph(nodes, [o.info("x", dims=["N", 1])], [o.info("y", dims=["N", WIDE])],
                           [o.ints("n", [1, WIDE])]))


def frame(kind, flags, stream, body=b""):
    return (struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream)
            + body)


def field(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def post(path, more=b""):
    return b"\x83\x86\x04" + bytes([len(path)]) + path + b"\x41\x01a" + more


def call(method):
    return post(b"/inference.GRPCInferenceService/" + method,
                field(b"content-type", b"application/grpc") + field(b"te", b"trailers"))


SETTINGS = PREFACE + frame(4, 0, 0)
ROOM = frame(4, 0, 0, struct.pack(">HI", 4, (1 << 31) - 1)) + frame(8, 0, 0, b"\x7f\0\0\0")
JSON = frame(1, 4, 1, post(b"/v2/models/one/infer"))
UNARY = frame(1, 4, 1, call(b"ModelInfer"))
STREAM = frame(1, 4, 1, call(b"ModelStreamInfer"))
BEGUN = b"\0\0\x3d\x09\0\x0a\x03one"  # a message of 4,000,000 bytes


def sends(data):
    return lambda s: s.sendall(data)


def trickle(s):
    """A byte of a head each half second: no better than silence."""
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 400:
        s.sendall(bytes([byte]))
        time.sleep(0.5)


HTTP1 = {"a head": sends(b"GET / HTTP/1.1\r\nHost: a\r\n"),
         "a head, byte by byte": trickle,
         "a body that never begins": sends(HEAD + b"\r\n"),
         "a body that stops": sends(HEAD + b"\r\n" + b" " * 300000),
         "a chunk that stops": sends(HEAD.replace(b"Content-Length: 4000000",
                                                  b"Transfer-Encoding: chunked")
                                     + b"\r\nffff\r\n{}")}
HTTP2 = {"h2: half a preface": sends(PREFACE[:10]),
         "h2: a frame of settings": sends(PREFACE + frame(4, 0, 0, b"123456")[:12]),
         "h2: the head of a frame": sends(SETTINGS + JSON[:5]),
         "h2: a head in half a frame": sends(SETTINGS + JSON[:20]),
         "h2: a head that goes on": sends(SETTINGS + frame(1, 0, 1, post(b"/"))),
         "h2: a second head": sends(SETTINGS + frame(1, 5, 1, post(b"/")) + frame(
             1, 5, 3, post(b"/"))[:15]),
         "h2: a body that never begins": sends(SETTINGS + JSON),
         "h2: a body that stops": sends(SETTINGS + JSON + frame(0, 0, 1, b" " * 16000)),
         "h2: half a frame of a body": sends(SETTINGS + JSON + frame(0, 0, 1, b" " * 16000)[:99]),
         "grpc: no message": sends(SETTINGS + UNARY),
         "grpc: half a message": sends(SETTINGS + UNARY + frame(0, 0, 1, BEGUN)),
         "grpc: half a message of a stream": sends(SETTINGS + STREAM + frame(0, 0, 1, BEGUN)),
         "grpc: the head of a message": sends(SETTINGS + STREAM + frame(0, 0, 1, BEGUN[:3]))}
SHAKES = {"no greeting": sends(b""),
          "half a greeting": sends(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")}
WIDE_H2 = post(b"/v2/models/wide/infer")
# Those ask for megabytes and read nothing: only the server can say that they are gone.
READERS1 = {"a reader that stops": WHOLE}
READERS2 = {"h2: a reader that stops": PREFACE + ROOM + frame(1, 4, 1, WIDE_H2) + frame(
                0, 1, 1, ASK),
            "h2: a reader without a window": PREFACE + frame(4, 0, 0, struct.pack(">HI", 4, 0)) +
            frame(1, 4, 1, WIDE_H2) + frame(0, 1, 1, ASK)}


def half_record(context, whole=b"", n=20, at_once=True):
    """A handshake, whole records, and n bytes of one: by one segment, or each by its own."""
    def act(s):
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        t = context.wrap_bio(into, out)
        while True:
            try:
                t.do_handshake()
                break
            except ssl.SSLWantReadError:
                s.sendall(out.read())
                into.write(s.recv(65536))
        if whole:
            t.write(whole)
        data = out.read()
        t.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        part = out.read()[:n]
        if at_once:
            s.sendall(data + part)
            return
        s.sendall(data)
        time.sleep(0.2)
        s.sendall(part)
    return act


def half_records(context, h2):
    """Where a record can stop. What came before it came by the same receive, or another."""
    get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    first = {"": b"", " behind a request": SETTINGS + frame(1, 5, 1, post(b"/")) if h2 else get}
    return {f"{n} bytes of a record{behind}{', later' * (not at_once)}":
            half_record(context, whole, n, at_once)
            for behind, whole in first.items() for n in (1, 5, 20) for at_once in (True, False)}


class Stalls:
    """All that stall at one server, each with a thread, and when they began and were told."""

    def __init__(self, server):
        self.server, self.begun, self.told = server, {}, {}
        self.held, self.threads, self.readers = [], [], 0
        self.ready, self.all_but_readers = threading.Event(), threading.Event()

    def dial(self, context):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.settimeout(3 * PROMISED)
        s.connect(("127.0.0.1", self.server.port))
        self.held.append(s)
        if context:
            s = context.wrap_socket(s)
            self.held.append(s)
        return s

    def add(self, name, act, context=None, reads=True):
        s = self.dial(context)
        self.threads.append(threading.Thread(target=self.one, args=(name, act, s, reads)))
        self.threads[-1].start()
        self.readers += not reads

    def one(self, name, act, s, reads):
        (self.ready if reads else self.all_but_readers).wait()
        if act is trickle:
            threading.Thread(target=quietly, args=(act, s), daemon=True).start()
        else:
            quietly(act, s)
        self.begun[name] = time.monotonic()
        try:
            while reads and s.recv(65536):
                pass
        except TimeoutError:
            return
        except OSError:
            pass
        if reads:
            self.told[name] = time.monotonic()

    def connections(self):
        for line in self.server.ask("GET", "/metrics")[2].decode().splitlines():
            if line.startswith("lamina_http_connections "):
                return int(line.split()[1])
        return 0

    def judge(self, kind):
        """Nobody closes an end before the server has. When those that only the server can tell
        of begin, all others have: so the last of all to go is judged by the first of them."""
        self.ready.set()
        until = time.monotonic() + 3 * PROMISED
        while len(self.begun) < len(self.threads) - self.readers and time.monotonic() < until:
            time.sleep(0.01)
        first = time.monotonic()
        self.all_but_readers.set()
        for _ in range(5):
            want(self.server.infer("one", [1] * 4)[0] == 200, f"{kind}: others are not served")
            time.sleep(0.5)
        while self.connections() > 1 and time.monotonic() - first < 3 * PROMISED:
            time.sleep(0.1)
        gone = time.monotonic() - first
        for t in self.threads:
            t.join()
        for s in self.held:
            s.close()
        want(len(self.begun) == len(self.threads), f"{kind}: {self.begun}")
        for name, end in sorted(self.told.items()):
            seconds = end - self.begun[name]
            print(f"{kind:5} {name:34} {seconds:6.2f} s")
            want(1 < seconds <= PROMISED, f"{kind}: {name}: {seconds:.1f} s")
        print(f"{kind:5} {'all, and readers, at the server':34} {gone:6.2f} s")
        want(gone <= PROMISED, f"{kind}: {gone:.1f} s until all are gone")


def quietly(act, s):
    try:
        act(s)
    except OSError:
        pass


def against(server, context, h2):
    kind, all_of = "TLS" if context else "plain", Stalls(server)
    for name, act in HTTP1.items():
        all_of.add(name, act, context)
    for name, data in READERS1.items():
        all_of.add(name, sends(data), context, reads=False)
    if context:
        for name, act in half_records(context, False).items():
            all_of.add(name, act)
    if h2:
        over = None
        if context:
            over = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            over.check_hostname, over.verify_mode = False, ssl.CERT_NONE
            over.set_alpn_protocols(["h2"])
            for name, act in half_records(over, True).items():
                all_of.add(f"h2: {name}", act)
        for name, act in HTTP2.items():
            if not context or "half a preface" not in name:
                all_of.add(name, act, over)
        for name, data in READERS2.items():
            all_of.add(name, sends(data), over, reads=False)
    if context:  # last, since their time runs already
        for name, act in SHAKES.items():
            all_of.add(name, act)
    all_of.judge(kind)


def main():
    program = os.path.abspath(sys.argv[1])
    lib = pathlib.Path(program).parent.parent / "lib"
    h2 = (lib / "liblamina-h2.so").exists()
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        for name, model in (("one", scale_model(3)), ("wide", wide_model())):
            replace(d / "models" / name / "1" / "model.onnx", model)
            replace(d / "models" / name / "config.pbtxt", "max_batch_size: 0\n")
        with Server(program, d / "models") as s:
            against(s, None, h2)
        if shutil.which("openssl") and (lib / "liblamina-tls.so").exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(d / "key.pem"),
                            "-out", str(d / "cert.pem"), "-days", "2", "-subj", "/CN=localhost"],
                           check=True, capture_output=True, timeout=60)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with Server(program, d / "models", "--tls", str(d / "cert.pem"), str(d / "key.pem"),
                        tls=context) as s:
                against(s, context, h2)
    finish()


main()
