#!/usr/bin/env python3
"""
Gate: what the libraries show and need. The exports of liblamina.so are exactly the lines of
tests/api/symbols.txt, each also declared LAMINA_API in a public header, and those of
liblamina-sync.so are the lines of symbols-sync.txt; those of liblamina-blas.so, the lines of
symbols-blas.txt, are names of BLAS. They link libc, libm and pthread only; stripped they stay
within their bounds; no object holds mutable static data but the one that BLAS, which has no
handles, needs.
--write puts the present exports into the lists.
"""
import re
import subprocess
import sys
import tempfile

import gatelib as g

MAY_NEED = re.compile(r"lib(c|m|pthread)\.so\.\d+$|ld-linux.*|linux-vdso.*")
MUTABLE = {"lmn_blas_shared"}
BLAS_NAME = re.compile(r"(cblas_)?[sd](bgemm|gem[mv](_batch_strided)?)_?$|cblas_gemm_\w+$")
SYNC_HEADERS = {"arena.h", "lru.h", "pool.h", "queue.h"}  # of liblamina-sync alone


def exports(lib):
    text = subprocess.run(["nm", "-D", "--defined-only", str(lib)], capture_output=True, text=True,
                          check=True).stdout
    return {line.split()[-1] for line in text.splitlines() if line.strip()}


def declared(sync):
    """Functions of the headers that are of liblamina-sync alone, or of all the others."""
    names = set()
    for path in g.files(".h", dirs=("include",)):
        if (path.name in SYNC_HEADERS) != sync:
            continue
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
            if symbol not in MUTABLE:
                problems.append(f"{name}: mutable static data: {symbol} in {m.group(1)}")
    return problems


def check(name, symbols, max_bytes, must, may):
    """
    Violations of one library, its number of exports, its size when stripped. must: the public
    functions that it has to show; None = it shows names of BLAS.
    """
    lib, path = g.BUILD / "lib" / name, g.ROOT / "tests/api" / symbols
    if not lib.exists():
        sys.exit(f"no build/lib/{name}: run `make build` first")
    have = exports(lib)
    if "--write" in sys.argv:
        path.write_text("".join(f"{s}\n" for s in sorted(have)))
    want = set(path.read_text().split()) if path.exists() else set()
    problems = [f"exported, not in {symbols}: {s}" for s in sorted(have - want)]
    problems += [f"in {symbols}, not exported: {s}" for s in sorted(want - have)]
    if must is None:
        must, may = set(), have
        bare = [s for s in sorted(have) if not BLAS_NAME.match(s)]
    else:
        bare = [s for s in sorted(have) if not s.startswith("lamina_")]
    problems += [f"exported under a strange name: {s}" for s in bare]
    problems += [f"exported, in no public header: {s}" for s in sorted(have - must - may)]
    problems += [f"declared LAMINA_API, not exported: {s}" for s in sorted(must - have)]
    problems += [f"links {n}" for n in needs(lib) if not MAY_NEED.match(n)]
    with tempfile.NamedTemporaryFile() as f:
        subprocess.run(["strip", "-o", f.name, str(lib)], check=True)
        size = len(open(f.name, "rb").read())
    if size > max_bytes:
        problems.append(f"{name}: stripped it has {size} bytes, limit {max_bytes}")
    return [p if p.startswith(name) else f"{name}: {p}" for p in problems], len(have), size


def main():
    big, sync = declared(False), declared(True)
    a = check("liblamina.so", "symbols.txt", 5 << 20, big, set())
    b = check("liblamina-sync.so", "symbols-sync.txt", 512 << 10, sync, big)
    c = check("liblamina-blas.so", "symbols-blas.txt", 2 << 20, None, None)
    g.report("symbols", a[0] + b[0] + c[0] + mutable(),
             f"{a[1]}, {b[1]} and {c[1]} exports, {a[2] // 1024}, {b[2] // 1024} and "
             f"{c[2] // 1024} KB stripped")


if __name__ == "__main__":
    main()
