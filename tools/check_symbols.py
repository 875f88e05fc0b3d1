#!/usr/bin/env python3
"""
Gate: what the library shows and needs. The exports of liblamina.so are exactly the lines of
tests/api/symbols.txt, each also declared LAMINA_API in a public header; it links libc, libm and
pthread only; stripped it stays within 5 MB; no object holds mutable static data.
--write puts the present exports into symbols.txt.
"""
import re
import subprocess
import sys
import tempfile

import gatelib as g

LIST = g.ROOT / "tests/api/symbols.txt"
MAY_NEED = re.compile(r"lib(c|m|pthread)\.so\.\d+$|ld-linux.*|linux-vdso.*")
MAX_BYTES = 5 << 20


def exports(lib):
    text = subprocess.run(["nm", "-D", "--defined-only", str(lib)], capture_output=True, text=True,
                          check=True).stdout
    return {line.split()[-1] for line in text.splitlines() if line.strip()}


def declared():
    names = set()
    for path in g.files(".h", dirs=("include",)):
        text = g.strip_c(path.read_text())
        text = re.sub(r"^\s*#.*?(?<!\\)$", "", text, flags=re.M | re.S)
        for decl in re.findall(r"LAMINA_API\b([^;{]*);", text):
            m = re.search(r"\b(lamina_\w+)\s*(?:\(|$)", decl.strip())
            if m:
                names.add(m.group(1))
    return names


def needs(lib):
    text = subprocess.run(["readelf", "-d", str(lib)], capture_output=True, text=True,
                          check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*?)\]", text)


def mutable():
    """Objects with writable data that is not relro: symbols of .data, .bss and their kin."""
    problems = []
    section = re.compile(r"^[0-9a-f]+ .{7} (\.(?:data|bss|tbss|tdata)\S*|\*COM\*)\s+"
                         r"([0-9a-f]+)\s+(.+)$")
    objs = [o for room in g.objects().values() for o in room]
    text = subprocess.run(["objdump", "-t", *map(str, objs)], capture_output=True, text=True,
                          check=True).stdout
    name = ""
    for line in text.splitlines():
        if ":     file format" in line:
            name = line.split(":")[0]
        m = section.match(line)
        if m and not m.group(1).startswith(".data.rel.ro") and int(m.group(2), 16):
            symbol = m.group(3).split()[-1]
            problems.append(f"{name}: mutable static data: {symbol} in {m.group(1)}")
    return problems


def main():
    lib = g.BUILD / "lib/liblamina.so"
    if not lib.exists():
        sys.exit("no build/lib/liblamina.so: run `make build` first")
    have = exports(lib)
    if "--write" in sys.argv:
        LIST.parent.mkdir(parents=True, exist_ok=True)
        LIST.write_text("".join(f"{s}\n" for s in sorted(have)))
    want = set(LIST.read_text().split()) if LIST.exists() else set()
    problems = [f"exported, not in symbols.txt: {s}" for s in sorted(have - want)]
    problems += [f"in symbols.txt, not exported: {s}" for s in sorted(want - have)]
    bare = [s for s in sorted(have) if not s.startswith("lamina_")]
    problems += [f"exported without the prefix: {s}" for s in bare]
    problems += [f"exported, in no public header: {s}" for s in sorted(have - declared())]
    problems += [f"declared LAMINA_API, not exported: {s}" for s in sorted(declared() - have)]
    problems += [f"links {n}" for n in needs(lib) if not MAY_NEED.match(n)]
    with tempfile.NamedTemporaryFile() as f:
        subprocess.run(["strip", "-o", f.name, str(lib)], check=True)
        size = len(open(f.name, "rb").read())
    if size > MAX_BYTES:
        problems.append(f"stripped library has {size} bytes, limit {MAX_BYTES}")
    g.report("symbols", problems + mutable(), f"{len(have)} exports, {size // 1024} KB stripped")


if __name__ == "__main__":
    main()
