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


def registers(obj):
    pattern = WIDE.get(g.isa_of(obj))
    if not pattern:
        return None
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", str(obj)], capture_output=True,
                          check=True).stdout
    m = pattern.search(text)
    if not m:
        return None
    line = text[text.rfind(b"\n", 0, m.start()) + 1:text.find(b"\n", m.end())]
    return f"{g.rel(obj)}: {g.isa_of(obj) or 'base'} object uses: {line.decode().strip()}"


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
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            problems += [p for p in pool.map(registers, objs) if p]
    g.report("isa", problems, f"{len(objs)} objects")


if __name__ == "__main__":
    main()
