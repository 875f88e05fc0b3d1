"""
What the gates share: the tree, its sources, and objects of a build as nm and objdump see them.
A gate is a script that prints one line a violation and exits 1 when there was one.
"""
import functools
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / os.environ.get("GATES_BUILD", "build")
CODE_DIRS = ("include", "src", "stmc", "cli", "plugins", "tests", "bench", "examples", "bindings",
             "lab")
ISA_TOKENS = ("avx2", "avx512", "avx512vnni", "avx512bf16", "avx512fp16", "avx512icl", "avx512spr",
              "amx", "neon", "neondot", "neonbf16", "sve")


def rel(path):
    return str(pathlib.Path(path).relative_to(ROOT))


def files(*suffixes, dirs=CODE_DIRS):
    """Source files below dirs with one of the suffixes, sorted."""
    out = []
    for name in dirs:
        base = ROOT / name
        if base.is_dir():
            out += [p for p in base.rglob("*") if p.suffix in suffixes and p.is_file()]
    return sorted(p for p in out if "__pycache__" not in p.parts)


@functools.lru_cache(maxsize=1)
def strip_c(text, strings=True):
    """C text with comments (and string contents) blanked, lines kept."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(m):
        s = m.group(0)
        if s[0] in "\"'":
            return '""' if strings else s
        return "\n" * s.count("\n") or " "

    return pattern.sub(blank, text)


def layers():
    """src/LAYERS as {room: set of rooms it may use}, itself included."""
    out = {}
    for line in (ROOT / "src/LAYERS").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            room, _, uses = line.partition(":")
            out[room.strip()] = set(uses.split()) | {room.strip()}
    return out


def objects():
    """{room: [object files]} of the release build."""
    out = {}
    for folder in sorted((BUILD / "src/CMakeFiles").glob("lamina_*.dir")):
        room = folder.name[len("lamina_"):-len(".dir")]
        found = sorted(folder.rglob("*.o"))
        if room not in ("static",) and found:
            # an object whose source is gone is a leftover of an incremental build
            src = ROOT / "src"
            out[room] = [o for o in found if (src / str(o.relative_to(folder))[:-2]).exists()]
    if not out:
        sys.exit("no objects in build/: run `make build` first")
    return out


def isa_of(path):
    """ISA token that a source or object name ends in, or None."""
    stem = pathlib.Path(path).name.split(".")[0]
    token = stem.rsplit("_", 1)[-1]
    return token if token in ISA_TOKENS else None


def nm(paths, *flags):
    """[(object, type letter, symbol)] of many objects by one nm call."""
    text = subprocess.run(["nm", "-A", *flags, *map(str, paths)], capture_output=True, text=True,
                          check=True).stdout
    out = []
    for line in text.splitlines():
        m = re.match(r"(.+?):(?:[0-9a-f]+)?\s+([A-Za-z?-]) (.+)$", line)
        if m:
            out.append((m.group(1), m.group(2), m.group(3)))
    return out


def report(name, problems, checked):
    """Print the verdict of a gate and leave."""
    for p in problems:
        print(p)
    print(f"{name}: {len(problems)} violations in {checked}")
    sys.exit(1 if problems else 0)
