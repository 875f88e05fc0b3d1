#!/usr/bin/env python3
"""
GET /v2/admin/profile of `lamina serve`: folded stacks of all threads, while it serves and within
its sandbox. Usage: check_profile.py LAMINA
"""
import os
import pathlib
import re
import sys
import tempfile
import threading
import time

from serving import SLOW, Server, ends_beside, finish, o, replace, want

PATH = "/v2/admin/profile?seconds="


def busy_model():
    """x times a matrix, many times: what a profile has to find."""
    n = 256
    nodes = [o.node("MatMul", [f"t{i}" if i else "x", "w"], [f"t{i + 1}" if i < 199 else "y"])
             for i in range(200)]
    weights = [o.floats("w", [n, n], [1.0 / n] * (n * n))]
    return o.model(o.graph(nodes, [o.info("x", dims=["N", n])], [o.info("y", dims=["N", n])],
                           weights))


def refused(s):
    want(s.ask("GET", PATH + "1")[0] == 403, "a profile by anybody")
    for bad in ("0", "61", "-1", "x", "", "1&level=2", "1&what=1"):
        got, _, body = s.ask("GET", PATH + bad, admin=True)
        want(got == 400 and "seconds=1..60" in body["error"], f"{bad}: {got} {body}")
    want(s.ask("POST", PATH + "1", "{}", admin=True)[0] == 405, "POST")


def loaded(s, path, until):
    """Requests while something is asked; what came of it, and how the requests went."""
    got, failed = [], 0
    t = threading.Thread(target=lambda: got.append(s.ask("GET", path, admin=True)))
    t.start()
    until()
    body = ('{"inputs":[{"name":"x","shape":[8,256],"datatype":"FP32","data":['
            + ",".join(["1"] * 2048) + "]}]}")
    while t.is_alive():
        failed += s.ask("POST", "/v2/models/busy/infer", body)[0] != 200
    t.join()
    return got[0], failed


def one_at_a_time(s):
    time.sleep(0.3)
    got, headers, body = s.ask("GET", PATH + "1", admin=True)
    want(got == 503 and "one at a time" in body["error"] and headers["Retry-After"],
         f"two at once: {got} {body}")
    want(s.ask("GET", "/v2/admin/trace?seconds=1", admin=True)[0] == 503, "a trace beside it")


def profiled(s):
    (got, headers, text), failed = loaded(s, PATH + "2", lambda: one_at_a_time(s))
    lines = text.decode().splitlines()
    want(got == 200 and headers["Content-Type"].startswith("text/plain"), f"{got} {headers}")
    want(failed == 0, f"{failed} requests failed meanwhile")
    want(lines and all(re.fullmatch(r"[^;]+(;[^;]+)* [1-9][0-9]*", n) for n in lines),
         f"not folded: {[n for n in lines if not re.fullmatch('.+ [0-9]+', n)][:3]}")
    stacks = [n.rsplit(" ", 1)[0] for n in lines]
    want(len(set(stacks)) == len(stacks), "a stack twice")
    want(not re.search(r"0x[0-9a-f]{9,}", text.decode()), "addresses")
    total = sum(int(n.rsplit(" ", 1)[1]) for n in lines)
    want(total >= 5 / SLOW, f"{total} samples in two seconds")
    if SLOW > 1:
        return  # sanitizers hold signals back, and have frames of their own
    ours = ("lmn_http_loop_main", "lamina_session_run", "lmn_worker_work", "lmn_model_instance")
    named = sum(int(n.rsplit(" ", 1)[1]) for n in lines if any(f";{f};" in n for f in ours))
    want(named > total / 2, f"functions without names: {lines[:3]}")
    want(any(re.search(r";lamina_session_run;.*;g/t[0-9]+ \d+$|;g/y \d+$", n) for n in lines),
         f"no node: {[n for n in lines if 'session_run' in n][:5]}")


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as tmp:
        d = pathlib.Path(tmp)
        replace(d / "models" / "busy" / "1" / "model.onnx", busy_model())
        for more in ([], ["--no-sandbox", "--threads", "2"]):
            with Server(program, d / "models", "--admin", "127.0.0.1:0", *more) as s:
                refused(s)
                for _ in range(2):
                    profiled(s)
        with Server(program, d / "models", "--admin", "127.0.0.1:0") as s:
            ends_beside(s, PATH + "60")
    finish()


if __name__ == "__main__":
    main()
