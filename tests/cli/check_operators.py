#!/usr/bin/env python3
"""
docs/operators.md is what `lamina info --ops --markdown` prints, whatever the machine has; the list
and the JSON tell the same operators; a plug-in's stand beside the built-in ones.
Usage: check_operators.py LAMINA PAGE PLUGIN
"""
import json
import os
import pathlib
import platform
import subprocess
import sys


def lamina(program, *args, isa=""):
    env = {**os.environ, "LAMINA_ISA": isa} if isa else os.environ
    return subprocess.run([program, "info", *args], capture_output=True, text=True, check=True,
                          env=env, timeout=60).stdout


def first_difference(a, b):
    for i, (x, y) in enumerate(zip(a.splitlines(), b.splitlines()), 1):
        if x != y:
            return f"line {i}: {x!r} is not {y!r}"
    return "one is longer"


def main():
    program, page, plugin = sys.argv[1:4]
    bad = []
    if platform.machine() not in ("x86_64", "AMD64"):
        print("the page lists the kernel rows of x86-64")
        return 77
    for isa in ("", "ref"):
        made, kept = lamina(program, "--ops", "--markdown", isa=isa), pathlib.Path(page).read_text()
        if made != kept:
            bad.append(f"docs/operators.md is out of date ({first_difference(kept, made)}); run "
                       "`build/bin/lamina info --ops --markdown > docs/operators.md`")
            break
    rows = json.loads(lamina(program, "--ops", "--json"))
    text = lamina(program, "--ops").splitlines()
    if len(rows) != len(text) or any(r["name"] not in t for r, t in zip(rows, text)):
        bad.append("--ops and --ops --json tell different operators")
    add = [r for r in rows if r["domain"] == "ai.onnx" and r["name"] == "Add"]
    if len(add) != 1 or "float32" not in add[0]["inputs"][0]["types"] or \
            not add[0]["kernels"].startswith("elementwise.f32: ref"):
        bad.append(f"Add is {add}")
    more = json.loads(lamina(program, "--ops", "--json", "--plugin", plugin))
    new = more[len(rows):]
    if more[:len(rows)] != rows or not new or not all(r["plugin"] for r in new):
        bad.append(f"a plug-in brings {new}")
    key = f"plugin.{new[0]['plugin']}" if new else "plugin."
    row = json.loads(lamina(program, "--json", "--plugin", plugin)).get(key, "")
    if any(f"{r['domain']}:{r['name']}" not in row for r in new):
        bad.append(f"info --plugin has {key}: {row!r}")
    for b in bad:
        print("FAIL " + b)
    print(f"{len(rows)} operators, {len(bad)} problems")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
