#!/usr/bin/env python3
"""
Raw HTTP/2 frames at echo_server: floods must end in GOAWAY, what is malformed in GOAWAY or a reset,
and the server must answer others all the while. check_h2.py ECHO_SERVER; exit 77 without plug-in.
"""
import os
import socket
import struct
import subprocess
import sys

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = bytes([0x82, 0x86, 0x84, 0x41, 1]) + b"a"  # GET http / with :authority a
CALM = 11


def frame(kind, flags, stream, body=b""):
    head = struct.pack(">I", len(body))[1:] + bytes([kind, flags])
    return head + struct.pack(">I", stream) + body


SETTINGS = frame(4, 0, 0)
PROBES = {  # what is sent behind preface and SETTINGS; the code of the GOAWAY that must come
    "rapid reset": (b"".join(frame(1, 5, i, HEAD) + frame(3, 0, i, struct.pack(">I", 8))
                             for i in range(1, 9001, 2)), CALM),
    "ping flood": (frame(6, 0, 0, b"12345678") * 5000, CALM),
    "settings flood": (SETTINGS * 5000, CALM),
    "empty data": (frame(1, 4, 1, HEAD.replace(b"\x82", b"\x83")) + frame(0, 0, 1) * 5000, CALM),
    "continuation": (frame(1, 1, 1, HEAD) + frame(9, 0, 1) * 5000, None),
    "header bomb": (frame(1, 0, 1, HEAD + b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000)
                    + frame(9, 4, 1, b"\xbe" * 16000), None),
    "data on 0": (frame(0, 0, 0, b"x"), 1),
    "even stream": (frame(1, 5, 2, HEAD), 1),
    "huge frame": (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", 6),
    "window overflow": (frame(8, 0, 0, b"\x7f\xff\xff\xff") * 2, 3),
    "no settings": (None, 1),
}


def ask(port, sent):
    """All that comes until the server closes, and the code of its GOAWAY."""
    code, got = None, b""
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
    at = 0
    while at + 9 <= len(got):
        n = int.from_bytes(got[at:at + 3], "big")
        if got[at + 3] == 7 and at + 17 <= len(got):
            code = struct.unpack(">I", got[at + 13:at + 17])[0]
        at += 9 + n
    return got, code


def main():
    failed = 0
    lib = os.path.join(os.path.dirname(sys.argv[1]), "..", "lib", "liblamina-h2.so")
    if not os.path.exists(lib):
        print("skip: no", os.path.basename(lib))
        return 77
    with subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        port = int(server.stdout.readline())
        for name, (sent, want) in PROBES.items():
            begin = PREFACE + (SETTINGS + sent if sent else frame(6, 0, 0, b"12345678"))
            _, code = ask(port, begin)
            # resets are counted by the library as well, which says INTERNAL_ERROR
            if want is not None and code != want and (want, code) != (CALM, 2):
                failed += 1
                print(f"FAIL {name}: GOAWAY {code}, not {want}")
            got, _ = ask(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            if not got.startswith(b"HTTP/1.1 200"):
                failed += 1
                print(f"FAIL {name}: {got[:40]} to the next")
        server.stdin.close()
        if server.wait(20):
            failed += 1
            print("FAIL: the server ended badly")
    print("failed:", failed)
    return failed != 0


sys.exit(main())
