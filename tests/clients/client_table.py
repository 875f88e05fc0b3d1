#!/usr/bin/env python3
"""
Every client of other people, one script each, against one build of `lamina`: a table of what they
said. Usage: client_table.py BUILD [part of a name ...]; ends with 1 if one of them failed.
"""
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(sys.argv[1]).resolve()
LAMINA = BUILD / "bin" / "lamina"
# Scripts elsewhere that have a client of other people, or ours, as the judge.
MORE = [(HERE.parent / "serve" / "check_serve_client.py", [LAMINA]),
        (HERE.parent / "serve" / "check_kserve_client.py", [BUILD / "tests" / "kserve_pipe"]),
        (HERE.parent / "serve" / "check_serve_grpc.py", [LAMINA]),
        (HERE.parent / "serving" / "check_bodies.py", [LAMINA]),
        (HERE.parent / "serving" / "check_otlp.py", [LAMINA]),
        (HERE.parent / "python" / "test_py_client.py", []),
        (HERE.parent / "python" / "test_py_client_wire.py", [])]


def run(script, args):
    """What it is called, what came of it, the seconds it took, its last lines."""
    env = dict(os.environ, PYTHONPATH=f"{HERE.parent / 'cli'}:{BUILD / 'python'}",
               PYTHONDONTWRITEBYTECODE="1", LAMINA_BUILD_DIR=str(BUILD))
    t = time.monotonic()
    p = subprocess.run([sys.executable, str(script), *map(str, args)], env=env, check=False,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = {0: "ok", 77: "skipped"}.get(p.returncode, "FAILED")
    lines = [x for x in p.stdout.splitlines() if x.strip()] or [""]
    return said, time.monotonic() - t, lines


def main():
    scripts = [(p, [LAMINA]) for p in sorted(HERE.glob("check_*.py"))] + MORE
    rows, bad = [], 0
    for script, args in scripts:
        if sys.argv[2:] and not any(part in script.name for part in sys.argv[2:]):
            continue
        said, seconds, lines = run(script, args)
        rows.append((script.stem.removeprefix("check_"), said, f"{seconds:.0f} s", lines[-1]))
        if said == "FAILED":
            bad += 1
            print(f"--- {script.name}", *lines[-40:], sep="\n", flush=True)
    for name, said, seconds, last in rows:
        print(f"{name:18} {said:8} {seconds:>6}  {last[:70]}")
    sys.exit(1 if bad or not rows else 0)


main()
