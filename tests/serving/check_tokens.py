#!/usr/bin/env python3
"""
`lamina serve --tokens` from outside: a file that is replaced and read again on SIGHUP within the
sandbox, a bad one that changes nothing, counters that go on. Usage: check_tokens.py LAMINA
"""
import os
import pathlib
import signal
import sys
import tempfile
import time

from serving import SLOW, Server, finish, replace, scale_model, want


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def count(text, name):
    """Requests that came with the token of that name and were taken."""
    for line in text.splitlines():
        if line.startswith("lamina_token_requests_total") and f'token="{name}"' in line \
                and 'outcome="admitted"' in line:
            return int(line.split()[-1])
    return 0


def until(s, token, wanted):
    for _ in range(200 * SLOW):
        if s.ask("GET", "/v2", headers=bearer(token))[0] == wanted:
            return True
        time.sleep(0.02)
    return False


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        replace(d / "one.onnx", scale_model(3))
        keys = d / "keys" / "tokens"  # in a folder of its own
        replace(keys, "secret-one name=one\nsecret-two name=two rate=3/h\n")
        with Server(program, d / "one.onnx", "--tokens", str(keys), "--loops", "2") as s:
            for _ in range(5):
                want(s.ask("GET", "/v2", headers=bearer("secret-one"))[0] == 200, "one")
            got = [s.ask("GET", "/v2", headers=bearer("secret-two"))[0] for _ in range(4)]
            want(got == [200, 200, 200, 429], f"a rate: {got}")
            want(s.ask("GET", "/v2", headers=bearer("secret-new"))[0] == 401, "not there yet")
            replace(keys, "secret-new name=new\nsecret-one name=uno\n"
                    "secret-two name=two rate=3/h\n")
            s.p.send_signal(signal.SIGHUP)
            want(until(s, "secret-new", 200), "a token that came")
            want(s.ask("GET", "/v2", headers=bearer("secret-two"))[0] == 429, "a rate used up")
            text = s.ask("GET", "/metrics", headers=bearer("secret-new"))[2].decode()
            want(count(text, "uno") == 5 and count(text, "two") == 3, "counters")
            for bad, why in [("short\n", "line 1"), ("", "holds none"),
                             ("secret-new\nsecret-x rate=1/d\n", "line 2")]:
                replace(keys, bad)
                s.p.send_signal(signal.SIGHUP)
                line = next(n for n in s.p.stderr if "error" in n)
                want(why in line and "secret" not in line, f"a bad file: {line}")
                want(s.ask("GET", "/v2", headers=bearer("secret-new"))[0] == 200, "as before")
            keys.unlink()
            s.p.send_signal(signal.SIGHUP)
            want("the file of tokens" in s.p.stderr.readline(), "a file that is gone")
            want(s.ask("GET", "/v2", headers=bearer("secret-new"))[0] == 200, "as before")
            replace(keys, "secret-two\n")
            s.p.send_signal(signal.SIGHUP)
            want(until(s, "secret-new", 401), "a token that was taken back")
            want(s.ask("GET", "/v2", headers=bearer("secret-two"))[0] == 200, "no rate any more")
    finish()


main()
