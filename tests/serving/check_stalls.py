#!/usr/bin/env python3
"""
Clients that stop halfway, over plain HTTP and TLS, all at once: in the handshake, in a head, in a
body that began well, and while they should read an answer. `lamina serve` cuts each by its own
limits, and serves others meanwhile. Usage: check_stalls.py LAMINA
"""
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from serving import SLOW, Server, finish, replace, scale_model, want

PATIENCE = 100  # seconds: ten times what the server promises, for busy machines
HEAD = b"POST /v2/models/one/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n"
ROWS = 400000
BIG = (b'{"inputs":[{"name":"x","shape":[%d,4],"datatype":"FP32","data":[' % ROWS
       + b",".join([b"1.2345678"] * 4 * ROWS) + b"]}]}")
WHOLE = (b"POST /v2/models/one/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BIG)
         + BIG)


def trickle(s):
    """A byte of a head each half second: no better than silence."""
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 400:
        s.sendall(bytes([byte]))
        time.sleep(0.5)


STALLS = {"a head": lambda s: s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n"),
          "a head, byte by byte": trickle,
          "a body that never begins": lambda s: s.sendall(HEAD + b"\r\n"),
          "a body that stops": lambda s: s.sendall(HEAD + b"\r\n" + b" " * 300000)}
SHAKES = {"no greeting": b"", "half a greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"}


def wait_end(s):
    try:
        while s.recv(65536):
            pass
    except OSError:
        pass


def stall(port, context, act, took, name):
    s = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE * SLOW)
    try:
        if context:
            s = context.wrap_socket(s)
        sender = threading.Thread(target=lambda: quietly(act, s), daemon=True)
        sender.start()
        if act is not trickle:
            sender.join()
        begun = time.monotonic()
        wait_end(s)
        took[name] = time.monotonic() - begun
    finally:
        s.close()


def quietly(act, s):
    try:
        act(s)
    except OSError:
        pass


def reader(port, context, took, name, server):
    """Asks for an answer of megabytes and does not read: gone when its connection is."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    s.settimeout(PATIENCE * SLOW)
    s.connect(("127.0.0.1", port))
    if context:
        s = context.wrap_socket(s)
    s.sendall(WHOLE)
    begun = time.monotonic()

    def connections():
        for line in server.ask("GET", "/metrics")[2].decode().splitlines():
            if line.startswith("lamina_http_connections "):
                return int(line.split()[1])
        return 0

    while connections() > 1 and time.monotonic() - begun < PATIENCE * SLOW:
        time.sleep(0.1)
    took[name] = time.monotonic() - begun
    s.close()


def against(server, context):
    took, kind = {}, "TLS" if context else "plain"
    threads = [threading.Thread(target=stall, args=(server.port, context, act, took, name))
               for name, act in STALLS.items()]
    if context:
        for name, data in SHAKES.items():
            threads.append(threading.Thread(target=stall, args=(
                server.port, None, lambda s, d=data: s.sendall(d), took, name)))
    threads.append(threading.Thread(target=reader, args=(server.port, context, took,
                                                         "a reader that stops", server)))
    for t in threads:
        t.start()
    for _ in range(5):
        want(server.infer("one", [1] * 4)[0] == 200, f"{kind}: others are not served")
        time.sleep(0.5)
    for t in threads:
        t.join()
    want(len(took) == len(threads), f"{kind}: {took}")
    for name, seconds in took.items():
        print(f"{kind:5} {name:26} {seconds:6.2f} s")
        want(1 < seconds < PATIENCE * SLOW, f"{kind}: {name}: {seconds:.1f} s")


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        replace(d / "one.onnx", scale_model(3))
        with Server(program, d / "one.onnx", "--max-batch", "0") as s:
            against(s, None)
        plugin = pathlib.Path(program).parent.parent / "lib" / "liblamina-tls.so"
        if shutil.which("openssl") and plugin.exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(d / "key.pem"),
                            "-out", str(d / "cert.pem"), "-days", "2", "-subj", "/CN=localhost"],
                           check=True, capture_output=True, timeout=60)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with Server(program, d / "one.onnx", "--max-batch", "0", "--tls", str(d / "cert.pem"),
                        str(d / "key.pem"), tls=context) as s:
                against(s, context)
    finish()


main()
