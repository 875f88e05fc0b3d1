#!/usr/bin/env python3
"""
Gate: no instruction leaks out of its ISA. An object compiled for an ISA may define only symbols
that end in that ISA's token (or static ones); no object defines weak symbols, because the linker
may keep the copy with the wrong instructions; no zmm in avx2 objects, no ymm or zmm in base
objects.
"""
import concurrent.futures
import re
import subprocess

import gatelib as g

WIDE = {None: re.compile(rb"%[yz]mm\d|%tmm\d"), "avx2": re.compile(rb"%zmm\d|%tmm\d|%k[1-7]\b")}
for token in ("avx512", "avx512vnni", "avx512bf16", "avx512fp16"):
    WIDE[token] = re.compile(rb"%tmm\d")
PER_CALL = 16  # objects that one objdump shows: starting it takes longer than a small object


def registers(objs):
    """What these objects, each of a kind in WIDE, use beyond their kind: one objdump for all."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", *map(str, objs)],
                          capture_output=True, check=True).stdout
    parts = re.split(rb"^(.+): +file format .*$", text, flags=re.M)[1:]
    problems = []
    for obj, name, code in zip(objs, parts[::2], parts[1::2], strict=True):
        isa = g.isa_of(obj)
        m = WIDE[isa].search(code)
        if name.decode() != str(obj):
            problems.append(f"{g.rel(obj)}: objdump shows {name.decode()} in its place")
        elif m:
            line = code[code.rfind(b"\n", 0, m.start()) + 1:code.find(b"\n", m.end())]
            problems.append(f"{g.rel(obj)}: {isa or 'base'} object uses: {line.decode().strip()}")
    return problems


def main():
    objs = [o for room in g.objects().values() for o in room]
    problems = []
    for obj, kind, name in g.nm(objs, "-g", "--defined-only"):
        isa = g.isa_of(obj)
        if kind in "WwVvu":
            problems.append(f"{obj}: {name} is weak")
        elif isa and not name.endswith("_" + isa):
            problems.append(f"{obj}: {name} does not end in _{isa}")
    machine = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout
    if machine.strip() == "x86_64":
        kinds = [o for o in objs if g.isa_of(o) in WIDE]
        some = [kinds[i:i + PER_CALL] for i in range(0, len(kinds), PER_CALL)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            problems += [p for found in pool.map(registers, some) for p in found]
    g.report("isa", problems, f"{len(objs)} objects")


if __name__ == "__main__":
    main()
