#!/usr/bin/env python3
"""
The probes of hostile.txt through nginx and haproxy with kept connections behind them. Whatever the
proxy makes of a probe, our server must have seen exactly the requests whose answers came back, and
the next client must get its own answer. With "tls" the proxies speak TLS to both sides, and each
probe is sent over TLS to our server itself, which answers as it does without.
Usage: check_desync.py ECHO_SERVER [tls]; 77 when neither proxy is installed.
"""
import concurrent.futures
import pathlib
import re
import shutil
import socket
import ssl
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
  keepalive_timeout 100ms; lingering_timeout 200ms; lingering_time 1s;
  upstream lamina {{ server 127.0.0.1:{to}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port} {nginx_front};
    location / {{ proxy_pass http{s}://lamina; proxy_http_version 1.1; proxy_request_buffering off;
                  proxy_set_header Connection ""; proxy_read_timeout 1s; }}
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  http-reuse always
  timeout client 1s
  timeout server 1s
  timeout connect 1s
  timeout http-request 1s
  timeout http-keep-alive 100ms
frontend f
  bind 127.0.0.1:{port} {haproxy_front}
  default_backend b
backend b
  server s 127.0.0.1:{to} {haproxy_back}
"""
PLAIN = {"s": "", "nginx_front": "", "haproxy_front": "", "haproxy_back": ""}
TLS = {"s": "s", "haproxy_front": "ssl crt {dir}/both.pem", "haproxy_back": "ssl verify none",
       "nginx_front": "ssl; ssl_certificate {dir}/both.pem; ssl_certificate_key {dir}/both.pem"}
context = None  # of TLS, to all whom we talk to
GET = "GET {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
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
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        s = context.wrap_socket(plain) if context else plain
        try:
            s.sendall(data)
        except OSError:
            pass
        try:
            while part := s.recv(65536):
                got += part
        except OSError:
            pass
        s.close()
    return got


def body(answer):
    return answer.rpartition(b"\r\n\r\n")[2].decode("latin-1")


def count(port):
    return int(body(talk(port, GET.format("/count").encode())))


def relayed(got):
    """How many answers of ours are in what a proxy sent."""
    return 1 if got.startswith(b"/echo") else got.lower().count(b"x-echo: 1")  # HTTP/0.9: no head


def ask(port, n, what, data):
    """A probe, then another client; how many answers of ours came back, what is wrong or None."""
    got = talk(port, data)
    nxt = talk(port, GET.format(f"/next{n}").encode())
    good = body(nxt).startswith(f"/next{n} 0")
    return relayed(got) + relayed(nxt), None if good else f"{what}: next got {body(nxt)!r}"


def judge(name, port, to, some):
    """Probes at once; what is wrong with them, taken one by one when the sum is."""
    before = count(to)
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        results = list(pool.map(lambda p: ask(port, *p), some))
    came, wrong = sum(r[0] for r in results), [r[1] for r in results if r[1]]
    saw = count(to) - before
    if saw != came:
        wrong.append(f"{some[0][1]} ...: {saw} requests seen, {came} answers came back")
        if len(some) > 1:
            wrong = sum((judge(name, port, to, [p]) for p in some), [])
    return wrong


def through(name, command, config, server):
    """All probes through one proxy; how many problems."""
    port, wrong = free_port(), ["it does not start"]
    echo = subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    to = int(echo.stdout.readline())
    all_probes = [(n, *p) for n, p in enumerate(probes())]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "conf"
        if context:
            shutil.copy(server[1], path.with_name("both.pem"))
            with path.with_name("both.pem").open("ab") as f:
                f.write(pathlib.Path(server[2]).read_bytes())
        more = {k: v.format(dir=folder) for k, v in (TLS if context else PLAIN).items()}
        path.write_text(config.format(dir=folder, port=port, to=to, **more))
        proxy = subprocess.Popen([*command, str(path)], stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                wrong = judge(name, port, to, all_probes)
                break
            except OSError:
                time.sleep(0.05)
        proxy.terminate()
        proxy.wait()
    echo.stdin.close()
    echo.wait()
    for text in wrong:
        print(f"{name}: {text}")
    print(f"{name}: {len(all_probes)} probes, {len(wrong)} problems")
    return len(wrong)


def directly(server):
    """Probes over TLS to our server: the statuses that hostile.txt lists. How many problems."""
    own = ("at its head", "the handler takes")  # what another handler refuses than this one
    echo = subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    to = int(echo.stdout.readline())

    def one(probe):
        want, got = probe[0].split(":")[0], talk(to, probe[1])
        came = " ".join(re.findall(r"HTTP/1\.1 (\d\d\d)", got.decode("latin-1")))
        return None if came == want else f"{probe[0]}: {came}"

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = list(pool.map(one, (p for p in probes() if not any(o in p[0] for o in own))))
    echo.stdin.close()
    echo.wait()
    wrong = [text for text in results if text]
    print("\n".join(wrong + [f"directly: {len(results)} probes, {len(wrong)} problems"]))
    return len(wrong)


def make_cert(folder):
    """Its file, and that of its key; None without openssl."""
    cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    if not shutil.which("openssl"):
        return None
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days",
                    "2", "-subj", "/CN=localhost"], check=True, capture_output=True, timeout=60)
    return [cert, key]


def main():
    global context  # pylint: disable=global-statement
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
    bad, server = 0, [sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[2:] == ["tls"]:
            pair = make_cert(folder)
            if not pair or not pathlib.Path(server[0]).parent.parent.joinpath(
                    "lib/liblamina-tls.so").exists():
                print("skip: no openssl, or the plug-in for TLS is not built")
                sys.exit(77)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            server += pair
            bad += directly(server)
        with concurrent.futures.ThreadPoolExecutor(len(proxies)) as pool:
            bad += sum(pool.map(lambda p: through(*p, server), proxies))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
