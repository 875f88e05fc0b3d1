#!/usr/bin/env python3
"""
The probes of hostile.txt through nginx and haproxy with kept connections behind them. Whatever the
proxy makes of a probe, our server must have seen exactly the requests whose answers came back, and
the next client must get its own answer.
Usage: check_desync.py ECHO_SERVER; 77 when neither proxy is installed.
"""
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

PROBES = pathlib.Path(__file__).parent / "hostile.txt"
NGINX = """
daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/log crit;
events {{ worker_connections 200; }}
http {{
  access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir}; client_header_timeout 1s; client_body_timeout 1s;
  keepalive_timeout 100ms;
  upstream lamina {{ server 127.0.0.1:{to}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://lamina; proxy_http_version 1.1; proxy_request_buffering off;
                  proxy_set_header Connection ""; proxy_read_timeout 3s; }}
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  http-reuse always
  timeout client 1s
  timeout server 3s
  timeout connect 1s
  timeout http-request 1s
  timeout http-keep-alive 100ms
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server s 127.0.0.1:{to}
"""
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0"}


def unescape(line):
    times = 1
    if line[0] == "*":
        times = int(line[1:line.index(" ")])
    text, out, i = line[line.index('"') + 1:line.rindex('"')], b"", 0
    while i < len(text):
        if text[i] != "\\":
            out += text[i].encode()
        elif text[i + 1] == "x":
            out += bytes([int(text[i + 2:i + 4], 16)])
            i += 3
        else:
            out += ESCAPES.get(text[i + 1], text[i + 1].encode())
            i += 1
        i += 1
    return out * times


def probes():
    name, data = None, b""
    for line in PROBES.read_text().splitlines() + ["0: end"]:
        if line[:1] in ('"', "*"):
            data += unescape(line)
        elif line and line[0] != "#":
            if data:
                yield name, data
            name, data = line, b""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def talk(port, data):
    """Send, read until the end or 5 s; the bytes that came."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        try:
            s.sendall(data)
        except OSError:
            pass
        try:
            while part := s.recv(65536):
                got += part
        except OSError:
            pass
    return got


def get(port, path):
    head = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    return talk(port, head).rpartition(b"\r\n\r\n")[2].decode("latin-1")


def count(port):
    return int(get(port, "/count"))


def through(name, command, config, to):
    """All probes through one proxy; how many problems."""
    port, bad, n = free_port(), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "conf"
        path.write_text(config.format(dir=folder, port=port, to=to))
        proxy = subprocess.Popen([*command, str(path)], stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                try:
                    if get(port, "/ready").startswith("/ready"):
                        break
                except OSError:
                    time.sleep(0.05)
            else:
                print(f"{name} does not start")
                return 1
            for what, data in probes():
                n += 1
                before = count(to)
                got = talk(port, data)
                marker = f"/next{n}"
                nxt = get(port, marker)
                saw, relayed = count(to) - before - 1, got.lower().count(b"x-echo: 1")
                if got.startswith(b"/echo"):  # HTTP/0.9 has no head
                    relayed = 1
                if not nxt.startswith(f"{marker} 0"):
                    bad += 1
                    print(f"{name}: {what}: the next client got {nxt!r}")
                if saw != relayed:
                    bad += 1
                    print(f"{name}: {what}: {saw} requests seen, {relayed} answers came back")
        finally:
            proxy.terminate()
            proxy.wait()
    print(f"{name}: {n} probes, {bad} problems")
    return bad


def main():
    proxies = []
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    haproxy = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if nginx:
        proxies.append(("nginx", [nginx, "-c"], NGINX))
    if haproxy:
        proxies.append(("haproxy", [haproxy, "-db", "-f"], HAPROXY))
    if not proxies:
        print("skip: neither nginx nor haproxy is installed")
        sys.exit(77)
    server = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True)
    try:
        to = int(server.stdout.readline())
        bad = sum(through(*p, to) for p in proxies)
    finally:
        server.stdin.close()
        server.wait()
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
