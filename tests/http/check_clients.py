#!/usr/bin/env python3
"""
curl and Python's own client against the http room: uploads of every kind, what must be answered
with 100 Continue, old and kept connections. Usage: check_clients.py ECHO_SERVER; 77 without curl.
"""
import http.client
import shutil
import socket
import subprocess
import sys
import tempfile


def curl(*args):
    out = subprocess.run(["curl", "-s", "-S", "-m", "20", *args], capture_output=True, check=False)
    return out.stdout.decode("latin-1") + out.stderr.decode("latin-1")


def check(name, got, want):
    if got != want:
        sys.exit(f"FAIL: {name}: {got!r} instead of {want!r}")


def main():
    if not shutil.which("curl"):
        print("skip: curl is not installed")
        sys.exit(77)
    server = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True)
    try:
        port = int(server.stdout.readline())
        url = f"http://127.0.0.1:{port}"
        with tempfile.NamedTemporaryFile() as f:
            f.write(b"x" * 3000000)
            f.flush()
            data = "@" + f.name
            check("get", curl(f"{url}/a"), "/a 0")
            check("post", curl("-d", "hello", f"{url}/a"), "/a 5")
            check("large", curl("--data-binary", data, f"{url}/a"), "/a 3000000")
            check("100-continue", curl("-H", "Expect: 100-continue", "--data-binary", data,
                                       f"{url}/a"), "/a 3000000")
            check("chunked", curl("-H", "Transfer-Encoding: chunked", "--data-binary", data,
                                  f"{url}/a"), "/a 3000000")
            check("put", curl("-T", f.name, f"{url}/put"), "/put 3000000")
            check("1.0", curl("-0", "-d", "hello", f"{url}/a"), "/a 5")
            check("head", curl("-I", f"{url}/a").split()[1], "200")
            check("absolute", curl("-x", url, "http://elsewhere/a?b"), "/a 0")
            check("kept", curl(f"{url}/a", f"{url}/b", "-w", "%{num_connects}"), "/a 01/b 00")
            check("http2 offered", curl("--http2", f"{url}/a"), "/a 0")
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for n in (0, 1, 5000, 100000):
            client.request("POST", "/python", body=b"y" * n)
            check("python", client.getresponse().read().decode(), f"/python {n}")
        client.close()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s: # printf | nc -N
            s.sendall(b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
            s.shutdown(socket.SHUT_WR)
            got = b""
            while part := s.recv(4096):
                got += part
        check("half closed", got[-7:], b"/half 0")
    finally:
        server.stdin.close()
        server.wait()
    print("all clients were served")


if __name__ == "__main__":
    main()
