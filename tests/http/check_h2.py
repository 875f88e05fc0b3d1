#!/usr/bin/env python3
"""
Raw HTTP/2 frames at echo_server, beside nghttpd where that is (Debian package nghttp2-server):
floods must end in GOAWAY, what is malformed in GOAWAY or a reset with a code that the RFC has for
it, or nghttpd's; whoever stalls is cut; and others are answered all the while.
check_h2.py ECHO_SERVER; exit 77 without plug-in.
"""
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PROTOCOL, INTERNAL, FLOW, CLOSED, SIZE, REFUSED, COMPRESSION, CALM = 1, 2, 3, 5, 6, 7, 9, 11


def frame(kind, flags, stream, body=b""):
    return (struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream)
            + body)


def head(method=0x82, path=b"/", more=b""):
    """GET / of http at a, by indices where there are any."""
    return (bytes([method, 0x86]) + b"\x04" + bytes([len(path)]) + path + b"\x41\x01a" + more)


def field(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def setting(key, value):
    return frame(4, 0, 0, struct.pack(">HI", key, value))


SETTINGS, GET, POST = frame(4, 0, 0), head(), head(0x83)
BIG = b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000  # a field of 4000 bytes, into the table
OK = "ok"  # answered with 200

# What is sent behind preface and SETTINGS; what may come of it: codes of GOAWAY or of RST_STREAM.
PROBES = {
    "rapid reset": (b"".join(frame(1, 5, i, GET) + frame(3, 0, i, struct.pack(">I", 8))
                             for i in range(1, 9001, 2)), {CALM, INTERNAL}),
    "resets that we are made to send": (b"".join(
        frame(1, 4, i, POST) + frame(8, 0, i, b"\0\0\0\0") for i in range(1, 9001, 2)),
        {CALM, INTERNAL, PROTOCOL}),
    "bodies longer than announced": (b"".join(
        frame(1, 4, i, POST + field(b"content-length", b"1")) + frame(0, 1, i, b"xy")
        for i in range(1, 9001, 2)), {CALM, INTERNAL, PROTOCOL}),
    "ping flood": (frame(6, 0, 0, b"12345678") * 5000, {CALM}),
    "settings flood": (SETTINGS * 5000, {CALM}),
    "empty data": (frame(1, 4, 1, POST) + frame(0, 0, 1) * 5000, {CALM}),
    "priority flood": (frame(1, 5, 1, GET) + frame(2, 0, 1, b"\0\0\0\0\1") * 5000,
                       {CALM, PROTOCOL}),
    "unknown frames": (frame(77, 0, 0, b"x") * 5000, {CALM, "closed"}),
    "window updates": (frame(8, 0, 0, b"\0\0\0\1") * 5000, {CALM}),
    "continuation flood": (frame(1, 1, 1, GET) + frame(9, 0, 1) * 5000,
                           {CALM, PROTOCOL, INTERNAL, OK, "closed"}),
    "continuation with fields": (frame(1, 1, 1, GET) + frame(9, 0, 1, field(b"k", b"v" * 100)) *
                                 5000, {CALM, PROTOCOL, INTERNAL, COMPRESSION, OK, "closed"}),
    "header bomb": (frame(1, 0, 1, GET + BIG) + frame(9, 4, 1, b"\xbe" * 16000),
                    {CALM, PROTOCOL, INTERNAL, COMPRESSION, REFUSED, 431, "closed"}),
    "header list too long": (frame(1, 5, 1, GET + field(b"k", b"v" * 120) * 120) +
                             frame(1, 5, 3, GET), {431}),
    "too many fields": (frame(1, 5, 1, GET + field(b"k", b"v") * 200), {431}),
    "table size beyond the limit": (frame(1, 5, 1, b"\x3f\xe1\xff\x07" + GET), {COMPRESSION}),
    "index beyond the table": (frame(1, 5, 1, b"\xff\x20"), {COMPRESSION}),
    "Huffman's end": (frame(1, 5, 1, GET + b"\x00\x84\xff\xff\xff\xff\x01a"), {COMPRESSION}),
    "a length beyond the block": (frame(1, 5, 1, GET + b"\x00\x7f\xff\xff\xff\x7f"),
                                  {COMPRESSION}),
    "data on 0": (frame(0, 0, 0, b"x"), {PROTOCOL}),
    "data on an idle stream": (frame(0, 0, 1, b"x"), {PROTOCOL, CLOSED}),
    "headers on 0": (frame(1, 5, 0, GET), {PROTOCOL}),
    "even stream": (frame(1, 5, 2, GET), {PROTOCOL}),
    "stream that goes back": (frame(1, 5, 5, GET) + frame(1, 5, 3, GET), {PROTOCOL, CLOSED, OK}),
    "depends on itself": (frame(1, 0x25, 1, b"\0\0\0\1\0" + GET), {PROTOCOL}),
    "padding beyond the frame": (frame(1, 13, 1, b"\xff" + GET), {PROTOCOL}),
    "continuation alone": (frame(9, 4, 1, GET), {PROTOCOL}),
    "continuation of another": (frame(1, 1, 1, GET) + frame(9, 4, 3, b""), {PROTOCOL}),
    "ping within headers": (frame(1, 1, 1, GET) + frame(6, 0, 0, b"12345678"), {PROTOCOL}),
    "push from a client": (frame(5, 4, 1, b"\0\0\0\2" + GET), {PROTOCOL}),
    "reset of an idle stream": (frame(3, 0, 1, b"\0\0\0\0"), {PROTOCOL}),
    "reset of the wrong size": (frame(1, 5, 1, GET) + frame(3, 0, 1, b"\0"), {SIZE}),
    "ping of the wrong size": (frame(6, 0, 0, b"1"), {SIZE}),
    "settings of the wrong size": (frame(4, 0, 0, b"12345"), {SIZE}),
    "settings on a stream": (frame(4, 0, 1), {PROTOCOL}),
    "acknowledged with a body": (frame(4, 1, 0, b"123456"), {SIZE}),
    "push enabled as 2": (setting(2, 2), {PROTOCOL}),
    "frames beyond 16 MB": (setting(5, 1 << 24), {PROTOCOL}),
    "frames below 16 KB": (setting(5, 100), {PROTOCOL}),
    "window beyond 2 GB": (setting(4, 1 << 31), {FLOW}),
    "windows that overflow": (frame(8, 0, 0, b"\x7f\xff\xff\xff") * 2, {FLOW}),
    "a stream's window that overflows": (frame(1, 4, 1, POST) +
                                         frame(8, 0, 1, b"\x7f\xff\xff\xff") * 2, {FLOW}),
    "window of 0": (frame(8, 0, 0, b"\0\0\0\0"), {PROTOCOL}),
    "huge frame": (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", {SIZE}),
    "goaway, then more": (frame(7, 0, 0, b"\0" * 8) + frame(1, 5, 1, GET), {OK, "closed"}),
    # requests that are none
    "capital letters": (frame(1, 5, 1, GET + field(b"Key", b"v")), {PROTOCOL}),
    "connection": (frame(1, 5, 1, GET + field(b"connection", b"close")), {PROTOCOL}),
    "transfer-encoding": (frame(1, 5, 1, GET + field(b"transfer-encoding", b"chunked")),
                          {PROTOCOL}),
    "te other than trailers": (frame(1, 5, 1, GET + field(b"te", b"gzip")), {PROTOCOL}),
    "unknown pseudo-field": (frame(1, 5, 1, GET + field(b":key", b"v")), {PROTOCOL}),
    "pseudo-field behind others": (frame(1, 5, 1, field(b"k", b"v") + GET), {PROTOCOL}),
    "two methods": (frame(1, 5, 1, b"\x82" + GET), {PROTOCOL}),
    "no path": (frame(1, 5, 1, b"\x82\x86\x41\x01a"), {PROTOCOL}),
    "empty path": (frame(1, 5, 1, head(path=b"")), {PROTOCOL, 400}),
    "path without a slash": (frame(1, 5, 1, head(path=b"x")), {PROTOCOL, 400}),
    "blank in the path": (frame(1, 5, 1, head(path=b"/a b")), {PROTOCOL, 400}),
    "line end in a value": (frame(1, 5, 1, GET + field(b"k", b"a\r\nb: c")), {PROTOCOL}),
    "zero in a value": (frame(1, 5, 1, GET + field(b"k", b"a\0b")), {PROTOCOL}),
    "blank in a name": (frame(1, 5, 1, GET + field(b"k v", b"a")), {PROTOCOL}),
    "two lengths": (frame(1, 4, 1, POST + field(b"content-length", b"1") +
                          field(b"content-length", b"2")) + frame(0, 1, 1, b"x"), {PROTOCOL, 400}),
    "length with a sign": (frame(1, 4, 1, POST + field(b"content-length", b"+1")) +
                           frame(0, 1, 1, b"x"), {PROTOCOL, 400}),
    "shorter than announced": (frame(1, 4, 1, POST + field(b"content-length", b"5")) +
                               frame(0, 1, 1, b"x"), {PROTOCOL}),
    "another host": (frame(1, 5, 1, GET + field(b"host", b"b")), {PROTOCOL, 400}),
    "data behind the end": (frame(1, 5, 1, GET) + frame(0, 1, 1, b"x"), {CLOSED}),
    # what is fine
    "a request": (frame(1, 5, 1, GET), {OK}),
    "a body": (frame(1, 4, 1, POST) + frame(0, 1, 1, b"body"), {OK}),
    "padded": (frame(1, 13, 1, b"\3" + GET + b"\0\0\0"), {OK}),
    "in pieces": (frame(1, 1, 1, GET[:3]) + frame(9, 4, 1, GET[3:]), {OK}),
    "trailers": (frame(1, 4, 1, POST) + frame(0, 0, 1, b"body") + frame(1, 5, 1, field(b"k", b"v")),
                 {OK}),
}
RAW = {  # instead of preface and SETTINGS
    "no settings": (PREFACE + frame(6, 0, 0, b"12345678"), {PROTOCOL}),
    "a preface that goes wrong": (PREFACE[:20] + b"\0\0\0\0\0", {"closed", PROTOCOL}),
}


def what_came(got):
    """Codes of GOAWAY and RST_STREAM; OK or the status of answers; whether GOAWAY came."""
    found, at = set(), 0
    while at + 9 <= len(got):
        n, kind = int.from_bytes(got[at:at + 3], "big"), got[at + 3]
        body = got[at + 9:at + 9 + n]
        if kind == 7 and n >= 8:
            found.add(struct.unpack(">I", body[4:8])[0])
        elif kind == 3 and n == 4:
            found.add(struct.unpack(">I", body)[0])
        elif kind == 1 and n:  # :status by index, or literal with an indexed name
            known = {0x88: OK, 0x8c: 400, 0x8d: 404, 0x8e: 500}
            if body[0] & 0x80 and body[0] in known:
                found.add(known[body[0]])
            elif body[0] in (0x48, 0x08, 0x58):
                text = body[2:2 + (body[1] & 0x7f)]
                found.add(431 if text == b"431" or body[1] & 0x80 else text.decode("latin-1"))
        at += 9 + n
    return found - {0}


def ask(port, sent):
    """All that comes until the server closes or has had its say."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        try:
            s.sendall(sent)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        try:
            while part := s.recv(1 << 16):
                got += part
        except OSError:
            pass
    return got


def alive(port):
    got = ask(port, PREFACE + SETTINGS + frame(1, 5, 1, GET) + frame(1, 5, 3, GET))
    return OK in what_came(got)


def judged(port):
    """{name: what came} of every probe."""
    found, dead = {}, []
    rows = {n: (PREFACE + SETTINGS + sent, want) for n, (sent, want) in PROBES.items()}
    for name, (sent, _) in (rows | RAW).items():
        found[name] = what_came(ask(port, sent)) or {"closed"}
        if not alive(port):
            dead.append(name)
    return found, dead


def stalls(port):
    """Clients that read nothing, or send half of something, are cut; the server says in which
    time (echo_server: one second)."""
    failed = []
    many = b"".join(frame(1, 5, i, head(path=b"/big")) for i in range(1, 200, 2))
    cases = {"reads nothing": PREFACE + setting(4, (1 << 31) - 1) + frame(8, 0, 0, b"\x7f\0\0\0") +
             many,
             "gives no window": PREFACE + setting(4, 0) + frame(1, 5, 1, GET),
             "half a body": PREFACE + SETTINGS + frame(1, 4, 1, POST) + frame(0, 0, 1, b"x"),
             "half a head": PREFACE + SETTINGS + frame(1, 1, 1, GET),
             "half a preface": PREFACE[:10],
             "nothing": b"", "nothing more": PREFACE + SETTINGS}
    held = {}
    for name, sent in cases.items():
        held[name] = socket.create_connection(("127.0.0.1", port), 20)
        held[name].sendall(sent)
    time.sleep(0.2)
    if not alive(port):
        failed.append("others while some stall")
    for name, s in held.items():
        s.settimeout(15)
        end = time.monotonic() + 15
        try:
            while s.recv(1 << 16) and time.monotonic() < end:
                if name == "reads nothing":
                    time.sleep(0.5)
        except TimeoutError:
            failed.append(name)
        except OSError:
            pass
        s.close()
    return failed


def nghttpd():
    """What nghttpd makes of the probes; None: it is not here."""
    if not shutil.which("nghttpd"):
        return None
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "index.html"), "w", encoding="ascii") as f:
            f.write("hello\n")
        with subprocess.Popen(["nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", folder, str(port)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            found, _ = judged(port)
            p.kill()
    return found


def main():
    failed = 0
    lib = os.path.join(os.path.dirname(sys.argv[1]), "..", "lib", "liblamina-h2.so")
    if not os.path.exists(lib):
        print("skip: no", os.path.basename(lib))
        return 77
    theirs = nghttpd() or {}
    with subprocess.Popen([sys.argv[1], "1000"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as server:
        port = int(server.stdout.readline())
        found, dead = judged(port)
        for name, (_, want) in (PROBES | RAW).items():
            got, peer = found[name], theirs.get(name)
            if not got & want:
                failed += 1
                print(f"FAIL {name}: {got}, not {want}; nghttpd: {peer}")
            elif "-v" in sys.argv:
                print(f"{name}: {got}; nghttpd: {peer}")
        for name in dead + stalls(port):
            failed += 1
            print(f"FAIL {name}: others are not answered, or it is not cut")
        server.stdin.close()
        if server.wait(20):
            failed += 1
            print("FAIL: the server ended badly")
    print(f"{len(PROBES) + len(RAW)} probes, failed: {failed}"
          + ("" if theirs else "; nghttpd is not here"))
    return failed != 0


sys.exit(main())
