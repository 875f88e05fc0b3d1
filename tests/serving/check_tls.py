#!/usr/bin/env python3
"""
`lamina serve --tls` from outside: Python's ssl and curl as clients, versions, ALPN, certificates of
clients, who may listen where, reload on SIGHUP within the sandbox. Certificates are made by the
program openssl; without it, or without the plug-in, this skips. Usage: check_tls.py LAMINA
"""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import warnings

from serving import SLOW, Server, body_of, finish, replace, scale_model, unix_ask, want


def make_cert(d, name, serial=1):
    """NAME.pem and NAME.key, signed by itself."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(d / f"{name}.key.new"),
                    "-out", str(d / f"{name}.pem.new"), "-days", "2", "-subj", f"/CN={name}",
                    "-set_serial", str(serial), "-addext",
                    "subjectAltName=IP:127.0.0.1,DNS:localhost"],
                   check=True, capture_output=True, timeout=60)
    os.replace(d / f"{name}.key.new", d / f"{name}.key")
    os.replace(d / f"{name}.pem.new", d / f"{name}.pem")


def trusting(*certs, alpn=("http/1.1",)):
    c = ssl.create_default_context()
    for cert in certs:
        c.load_verify_locations(str(cert))
    c.set_alpn_protocols(list(alpn))
    return c


def shaken(port, context):
    """What came of a handshake: the socket, or the reason."""
    s = socket.create_connection(("127.0.0.1", port), timeout=30 * SLOW)
    try:
        return context.wrap_socket(s, server_hostname="localhost")
    except (ssl.SSLError, OSError) as e:
        s.close()
        return str(e)


def speaks(program, d):
    model = d / "one.onnx"
    with Server(program, model, "--max-batch", "0", "--tls", str(d / "server.pem"),
                str(d / "server.key"), tls=trusting(d / "server.pem")) as s:
        want(s.told["listen"][0]["url"].startswith("https://"), f"{s.told}")
        got, _, body = s.infer("one", [1, 2, 3, 4])
        want(got == 200 and body["outputs"][0]["data"] == [3, 6, 9, 12], f"infer: {got} {body}")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            c = trusting(d / "server.pem")
            c.minimum_version = c.maximum_version = version
            got = shaken(s.port, c)
            want(not isinstance(got, str) and got.selected_alpn_protocol() == "http/1.1",
                 f"{version}: {got}")
        old = trusting(d / "server.pem")
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        want(isinstance(shaken(s.port, old), str), "TLS 1.1 is spoken")
        want("alert" in str(shaken(s.port, trusting(d / "server.pem", alpn=["zz"]))).lower(),
             "a protocol that nobody speaks")
        # a body of many records, in one connection with what follows
        conn = s.connect()
        big = body_of([1] * 4).replace("[1, 4]", "[60000, 4]").replace(
            "[1, 1, 1, 1]", "[" + ",".join(["1.25"] * 240000) + "]")
        for _ in range(3):
            conn.request("POST", "/v2/models/one/infer", big)
            r = conn.getresponse()
            text = r.read()
            want(r.status == 200 and text.count(b"3.75") == 240000, f"large: {r.status}")
        conn.close()
        with socket.create_connection(("127.0.0.1", s.port), timeout=30) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            want(b"HTTP/" not in plain.recv(100), "plain HTTP is answered")
        _, _, text = s.ask("GET", "/metrics")
        want('lamina_tls_handshakes_total{outcome="failed"} 3' in text.decode(), "metrics")
        if shutil.which("curl"):
            out = subprocess.run(["curl", "-sS", "--cacert", str(d / "server.pem"),
                                  f"https://localhost:{s.port}/v2/models/one/infer", "-d",
                                  body_of([2] * 4)], capture_output=True, text=True, timeout=60,
                                 check=False)
            want("[6,6,6,6]" in out.stdout, f"curl: {out.stdout} {out.stderr}")


def reloads(program, d):
    """SIGHUP, with connections that stay; a link that leads to another file, as certbot's do."""
    live, archive = d / "live", d / "archive"
    live.mkdir()
    archive.mkdir()
    make_cert(archive, "a", 11)
    make_cert(archive, "b", 12)
    for kind in ("pem", "key"):
        (live / f"x.{kind}").symlink_to(archive / f"a.{kind}")
    context = trusting(archive / "a.pem", archive / "b.pem")
    with Server(program, d / "one.onnx", "--tls", str(live / "x.pem"), str(live / "x.key"),
                tls=context) as s:
        def serial():
            sock = shaken(s.port, context)
            return None if isinstance(sock, str) else sock.getpeercert()["serialNumber"]

        want(serial() == "0B", f"first: {serial()}")
        conn = s.connect()
        conn.request("GET", "/v2")
        conn.getresponse().read()
        for kind in ("pem", "key"):
            (live / f"y.{kind}").symlink_to(archive / f"b.{kind}")
            os.replace(live / f"y.{kind}", live / f"x.{kind}")
        s.p.send_signal(signal.SIGHUP)
        for _ in range(200 * SLOW):
            if serial() == "0C":
                break
            time.sleep(0.05)
        want(serial() == "0C", f"after SIGHUP: {serial()}")
        conn.request("GET", "/v2")
        want(conn.getresponse().status == 200, "the connection from before")
        conn.close()
        replace(archive / "b.key", b"no key")
        s.p.send_signal(signal.SIGHUP)
        line = next(n for n in s.p.stderr if "error" in n)
        want("the key" in line, f"a broken key: {line}")
        want(serial() == "0C", "a reload that failed changed something")


def ends(program, d):
    """SIGTERM: connections that rest are told that no more will come."""
    context = trusting(d / "server.pem")
    with Server(program, d / "one.onnx", "--tls", str(d / "server.pem"), str(d / "server.key"),
                tls=context) as s:
        resting = [shaken(s.port, context) for _ in range(5)]
        for sock in resting:
            sock.suppress_ragged_eofs = False
            sock.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
            want(b"200 OK" in sock.recv(4096), "an answer")
        s.p.terminate()
        for sock in resting:
            want(sock.recv(100) == b"", "an end that is said")  # else an SSLEOFError
            sock.close()
        want(s.p.wait(timeout=30 * SLOW) == 0, "SIGTERM")


def clients(program, d):
    """Certificates of clients, and what an address that others can reach wants."""
    tls = ["--tls", str(d / "server.pem"), str(d / "server.key")]
    p = subprocess.run([program, "serve", str(d / "one.onnx"), "--listen", "0.0.0.0:0", *tls],
                       capture_output=True, text=True, timeout=60, check=False)
    want(p.returncode == 1 and "can be reached by others" in p.stderr, f"0.0.0.0: {p.stderr}")
    no_pem = str(d / "one.onnx")
    for rc, args, text in [(2, ["--tls", "a"], "CERT and KEY"),
                           (2, ["--client-ca", "a"], "goes with --tls"),
                           (1, ["--tls", no_pem, no_pem], "onnx: the certificate cannot be used")]:
        p = subprocess.run([program, "serve", str(d / "one.onnx"), *args], capture_output=True,
                           text=True, timeout=60, check=False)
        want(p.returncode == rc and text in p.stderr, f"{args}: {p.stderr}")
    known = trusting(d / "server.pem")
    known.load_cert_chain(str(d / "client.pem"), str(d / "client.key"))
    stranger = trusting(d / "server.pem")
    stranger.load_cert_chain(str(d / "server.pem"), str(d / "server.key"))
    with Server(program, d / "one.onnx", *tls, "--client-ca", str(d / "client.pem"),
                "--admin", f"unix:{d}/admin.sock", listen="0.0.0.0:0", tls=known) as s:
        for _ in range(3):
            got, _, body = s.infer("one", [1] * 4)
            want(got == 200, f"with a certificate: {got} {body}")
        for context in (trusting(d / "server.pem"), stranger):
            s.tls = context
            try:
                got = s.ask("GET", "/v2")
                want(False, f"without a certificate: {got}")
            except (ssl.SSLError, ConnectionError, http.client.HTTPException):
                pass
        got, _ = unix_ask(d / "admin.sock", "GET", "/v2")
        want(got == 200, "the admin socket is plain")


def load(program, port, *args, host="localhost"):
    """`lamina bench serve` over https: exit code, and what it said."""
    p = subprocess.run([program, "bench", "serve", f"https://{host}:{port}", "--json", "--warmup",
                        "0s", "--duration", "300ms", "--connections", "4", *map(str, args)],
                       capture_output=True, text=True, timeout=120, check=False)
    return p.returncode, json.loads(p.stdout) if p.returncode == 0 else p.stderr


def generator(program, d):
    """Our own client: it trusts whom it is told to, and only under the right name."""
    tls = ["--tls", str(d / "server.pem"), str(d / "server.key")]
    with Server(program, d / "one.onnx", "--max-batch", "0", *tls,
                tls=trusting(d / "server.pem")) as s:
        for host in ("localhost", "127.0.0.1"):
            got, said = load(program, s.port, "--ca", d / "server.pem", "--binary", host=host)
            want(got == 0 and said["ok"] > 0 and said["broken"] == 0, f"{host}: {said}")
            want(len(said["by_second"]) == 1, f"seconds: {said}")
        got, said = load(program, s.port, "--ca", d / "server.pem", "--rows", "60000", "--svg",
                         d / "load.svg")
        want(got == 0 and said["ok"] > 0, f"large: {said}")
        plot = (d / "load.svg").read_text()
        want(">0<" in plot and ">0.0000<" not in plot, "numbers of the plot")
        for args, why in [([], "self-signed"), (["--ca", d / "client.pem"], "certificate"),
                          (["--ca", d / "server.pem", "--server-name", "other.example"],
                           "hostname mismatch"),
                          (["--ca", d / "server.key"], "the CA"), (["--ca", "/none"], "the CA")]:
            got, said = load(program, s.port, *args)
            want(got == 1 and why in said, f"{args}: {got} {said}")
        got, said = load(program, s.port, "--ca", d / "server.pem", "--server-name", "localhost",
                         host="127.0.0.1")
        want(got == 0, f"a name that is given: {said}")
        text = s.ask("GET", "/metrics")[2].decode()
        want('lamina_tls_handshakes_total{outcome="ok"}' in text, "metrics")
    with Server(program, d / "one.onnx", tls=None) as s:
        got, said = load(program, s.port, "--ca", d / "server.pem")
        want(got == 1 and "no connection with TLS" in said, f"a plain server: {said}")
    with Server(program, d / "one.onnx", *tls, "--client-ca", str(d / "client.pem")) as s:
        got, said = load(program, s.port, "--ca", d / "server.pem", "--cert", d / "client.pem",
                         d / "client.key")
        want(got == 0, f"a client's certificate: {said}")
        got, said = load(program, s.port, "--ca", d / "server.pem")
        want(got == 1 and "certificate required" in said, f"without one: {said}")
    for args in (["--ca", "x"], ["--server-name", "x"]):
        p = subprocess.run([program, "bench", "serve", "http://127.0.0.1:1", *args],
                           capture_output=True, text=True, timeout=60, check=False)
        want(p.returncode == 2 and "https://" in p.stderr, f"{args}: {p.stderr}")


def main():
    program = os.path.abspath(sys.argv[1])
    warnings.simplefilter("ignore", DeprecationWarning)  # TLS 1.1 is old: that is the point
    if not shutil.which("openssl"):
        print("the program openssl is not there")
        sys.exit(77)
    if not (pathlib.Path(program).parent.parent / "lib" / "liblamina-tls.so").exists():
        print("the plug-in for TLS is not built")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        replace(d / "one.onnx", scale_model(3))
        make_cert(d, "server")
        make_cert(d, "client")
        speaks(program, d)
        ends(program, d)
        clients(program, d)
        generator(program, d)
        reloads(program, d)
    finish()


main()
