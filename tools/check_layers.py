#!/usr/bin/env python3
"""
Gate: the tree is the drawing. Every #include and every symbol that a room's objects leave undefined
must lie in a room that src/LAYERS allows it. System headers of the OS stay behind base/os, and
<thing>_int.h stays inside its room.
"""
import re

import gatelib as g

KERNELS_MAY = {"base/types.h", "base/cpu.h"}
OS_HEADER = re.compile(r"(sys/|linux/|asm/|net/|arpa/|netinet/)|"
                       r"(unistd|fcntl|pthread|sched|dirent|dlfcn|signal|poll|spawn|ftw|glob)\.h")


def scan_includes(layers):
    problems, n = [], 0
    for path in g.files(".c", ".h", dirs=("src",)):
        parts = path.relative_to(g.ROOT / "src").parts
        room = parts[0]
        if room not in layers:
            problems.append(f"{g.rel(path)}: room \"{room}\" has no row in src/LAYERS")
            continue
        for i, line in enumerate(path.read_text().splitlines(), 1):
            m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if not m:
                continue
            n += 1
            where = f"{g.rel(path)}:{i}: #include {m.group(2)}"
            if m.group(1) == "<":
                if OS_HEADER.match(m.group(2)) and parts[:2] != ("base", "os"):
                    problems.append(f"{where}: the OS is reached through base/os only")
                continue
            target = m.group(2)
            if target.startswith("lamina/"):
                continue
            other = target.split("/")[0]
            if "/" not in target:
                problems.append(f"{where}: write \"room/file.h\"")
            elif other not in layers[room]:
                problems.append(f"{where}: {room} may not use {other}")
            elif other != room and target.endswith("_int.h"):
                problems.append(f"{where}: *_int.h is for its own room")
            elif room == "kernels" and other == "base" and target not in KERNELS_MAY:
                problems.append(f"{where}: kernels may use only {' '.join(sorted(KERNELS_MAY))}")
    for path in g.files(".c", ".h", dirs=("cli", "examples", "bindings")):
        for i, line in enumerate(path.read_text().splitlines(), 1):
            m = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            if m and "/" in m.group(1) and not m.group(1).startswith(("lamina/", "cli/")):
                problems.append(f"{g.rel(path)}:{i}: only the public API is open to it")
    return problems, n


def scan_symbols(layers):
    problems, home, wants = [], {}, []
    for room, objs in g.objects().items():
        for obj, kind, name in g.nm(objs, "-g"):
            if kind == "U":
                wants.append((room, obj, name))
            else:
                home[name] = room
    for room, obj, name in wants:
        if not name.startswith(("lmn_", "lamina_")):
            continue
        if name not in home:
            problems.append(f"{obj}: {name} is defined nowhere")
        elif home[name] not in layers.get(room, ()):
            problems.append(f"{obj}: {name} lies in {home[name]}, which {room} may not use")
    return sorted(set(problems)), len(wants)


if __name__ == "__main__":
    rows = g.layers()
    inc, n_inc = scan_includes(rows)
    sym, n_sym = scan_symbols(rows)
    g.report("layers", inc + sym, f"{n_inc} includes, {n_sym} symbols")
