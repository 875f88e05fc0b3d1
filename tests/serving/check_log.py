#!/usr/bin/env python3
"""
The log of `lamina serve` as lines to standard error: --log json, --log text, and what holds
without. Usage: check_log.py LAMINA
"""
import json
import os
import pty
import re
import signal
import subprocess
import threading
import time

from serving import SLOW, Server, replace, run, scale_model, want

PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^" ]*)(?: |$)')


def read_text(line):
    """A line of key=value as a dict; None: it is none."""
    out, at = {}, 0
    while at < len(line):
        m = PAIR.match(line, at)
        if not m:
            return None
        value = json.loads(m[2]) if m[2].startswith('"') else m[2]
        out[m[1]] = int(value) if m[1] not in ("time", "msg") and value.isdigit() else value
        at = m.end()
    return out


def lines_of(program, d, *args):
    """What a server says that answers a request, refuses one and ends."""
    replace(d / "models" / "one" / "1" / "model.onnx", scale_model(3))
    with Server(program, d / "models", *args) as s:
        got = [s.infer("one", [1] * 4)[0], s.infer("one", [1] * 3)[0]]
        want(got == [200, 400], f"requests: {got}")
        s.p.send_signal(signal.SIGTERM)
        text = s.p.communicate(timeout=60 * SLOW)[1]
    return text.splitlines()


def judge(what, lines, requests):
    """Events always, requests where they are asked for."""
    want(lines and all(lines), f"{what}: {lines}")
    text = " ".join(str(v.get("msg")) for v in lines)
    want('model "one" version 1: loaded' in text and "draining" in text, f"{what}: {text}")
    mine = [v for v in lines if v["msg"] == "request"]
    want([v["status"] for v in mine] == ([200, 400] if requests else []), f"{what}: {mine}")
    for v in lines:
        want(v["from"] == "serve" and v["pid"] > 1 and v["level"] == "info" and
             re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", v["time"]), f"{what}: {v}")
    if requests:
        first, bad = mine
        want(first["path"] == "/v2/models/one/infer" and first["method"] == "POST" and
             first["model"] == "one" and first["rows"] == 1 and first["peer"] == "127.0.0.1" and
             {"us", "input_us", "queue_us", "compute_us", "output_us"} <= set(first), f"{first}")
        want("shape" in bad["reason"], f"{bad}")


def forms(program, d):
    judge("json", [json.loads(v) for v in lines_of(program, d, "--log", "json")], True)
    judge("text", [read_text(v) for v in lines_of(program, d, "--log", "text")], True)
    judge("nothing said", [json.loads(v) for v in lines_of(program, d)], False)
    judge("sampled", [json.loads(v) for v in lines_of(program, d, "--log-sample", "1")], True)
    judge("not sampled", [read_text(v) for v in lines_of(program, d, "--log", "text",
                                                         "--log-sample", "0")], False)


def terminal(program, d):
    """Text, where somebody reads along."""
    ours, theirs = pty.openpty()
    args = ["--no-sandbox"] if SLOW > 1 else []
    p = subprocess.Popen([program, "serve", str(d / "models"), "--listen", "127.0.0.1:0", *args],
                         stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    got, end = b"", time.monotonic() + 30 * SLOW
    while b"loaded" not in got and time.monotonic() < end:
        got += os.read(ours, 4096)
    line = read_text(got.decode().splitlines()[0])
    want(line and line["from"] == "serve", f"a terminal: {got}")
    p.terminate()
    want(p.wait(30 * SLOW) == 0, "its end")
    os.close(ours)


def nobody_reads(program, d):
    """Standard error takes nothing any more: requests are answered, lines dropped and counted, and
    the end comes."""
    with Server(program, d / "models", "--log", "json") as s:
        c, failed, n = s.connect(), 0, 1000
        body = json.dumps({"id": "x" * 1000, "inputs": [{"name": "x", "shape": [1, 4],
                                                         "datatype": "FP32", "data": [1] * 4}]})
        while n < 8000:
            for _ in range(1000):
                c.request("POST", "/v2/models/one/infer", body)
                r = c.getresponse()
                r.read()
                failed += r.status != 200
            n += 1000
            text = s.ask("GET", "/metrics")[2].decode()
            if not re.search(r"^lamina_log_dropped(_total)? 0$", text, re.M):
                break
        c.close()
        want(failed == 0, f"{failed} of {n} requests failed")
        want(not re.search(r"^lamina_log_dropped(_total)? 0$", text, re.M), "none is dropped")
        begin = time.monotonic()
        s.p.terminate()
        s.p.wait(30 * SLOW)
        want(time.monotonic() - begin < 3 * SLOW, "a full pipe holds up the end")
    with Server(program, d / "models", "--log", "json") as s:
        for _ in range(300):
            s.infer("one", [1] * 4)
        s.p.stderr.close()
        for _ in range(20):
            want(s.infer("one", [1] * 4)[0] == 200, "a request after the reader went")
        s.p.terminate()
        s.p.wait(30 * SLOW)
        s.p.stderr = open(os.devnull, encoding="utf-8")


def busy(program, d):
    """Every line is there, whole, from many threads of requests."""
    with Server(program, d / "models", "--loops", "2", "--log", "json") as s:
        got = []
        reader = threading.Thread(target=lambda: got.extend(s.p.stderr))
        reader.start()
        threads = [threading.Thread(target=lambda: [s.infer("one", [1] * 4) for _ in range(200)])
                   for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        s.p.terminate()
        s.p.wait(30 * SLOW)
        reader.join()
        lines = [json.loads(v) for v in got]
        want(sum(v["msg"] == "request" for v in lines) == 800, f"{len(lines)} lines")
        s.p.stderr = open(os.devnull, encoding="utf-8")


run(forms, terminal, nobody_reads, busy)
