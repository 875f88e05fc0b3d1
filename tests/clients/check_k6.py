#!/usr/bin/env python3
"""
k6 with infer.js: closed and open loop, every answer checked by the script itself.
"""
import json
import pathlib
import subprocess
import tempfile

from judged import HERE, PROGRAM, Server, check, finish, repository, tool

K6 = tool("k6")


def main():
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        repository(d / "repo")
        with Server(PROGRAM, d / "repo") as s:
            p = subprocess.run([K6, "run", "--quiet", "--no-usage-report", "--summary-export",
                                str(d / "out.json"), "-e", f"AT=http://127.0.0.1:{s.port}",
                                str(HERE / "infer.js")], capture_output=True, text=True,
                               timeout=120, check=False)
            check(p.returncode == 0, p.stdout[-1500:] + p.stderr[-1500:])
            m = json.loads((d / "out.json").read_text())["metrics"]
            check(m["checks"]["fails"] == 0 and m["checks"]["passes"] > 300, m["checks"])
            check(m["http_reqs"]["count"] == m["checks"]["passes"], m["http_reqs"])
            print(f"{m['http_reqs']['count']} requests")
    finish()


main()
