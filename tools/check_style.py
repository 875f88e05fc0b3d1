#!/usr/bin/env python3
"""
Gate: the rules of form that rot silently. Banned functions, atomics by their one door, the comment
that opens a file, line and file lengths, unique basenames (public headers apart: they are written
lamina/x.h), no TODO, a doc comment on every public function, comment share of the public headers,
and clang-format.
"""
import concurrent.futures
import hashlib
import re
import shutil
import subprocess

import gatelib as g

COLUMNS, FILE_LINES, HEADER_LINES, COMMENT_SHARE = 100, 900, 500, 0.5
ALLOCATION = "malloc|free|calloc|realloc|aligned_alloc|posix_memalign|strdup|strndup"
PRINTING = "printf|fprintf|vprintf|vfprintf|puts|putchar|perror|sprintf|vsprintf"
NEVER = ("strcpy|strcat|strncpy|gets|rand|srand|assert|abort|exit|_exit|quick_exit|alloca|"
         "tmpnam|atof")
OUTSIDE_BASE = re.compile(rf"(?<![\w.>])({ALLOCATION}|{PRINTING}|{NEVER}|snprintf|vsnprintf|"
                          r"strerror|getenv)\s*\((?!\s*\*)")
IN_BASE = re.compile(rf"(?<![\w.>])({PRINTING}|{NEVER})\s*\(")
# Atomics go through src/base/atomic.h, so that the model checker sees each; fences go nowhere.
ATOMIC_DOORS = {"src/base/atomic.h", "src/base/os/os_barrier.h"}
ATOMIC = re.compile(r"(<stdatomic\.h>)|\b(_Atomic)\b|"
                    r"(?<!\w)((?:atomic_|__atomic_|__sync_)\w+)\s*\(")
FENCE = re.compile(r"\b(atomic_thread_fence|__atomic_thread_fence)\b")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|^\s*#\s*if 0\b", re.M)
SHARED_NAMES = {"CMakeLists.txt", "README.md", "__init__.py", "Makefile"}


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def form(path, text, problems):
    """What every source file has to keep."""
    name = g.rel(path)
    lines = text.splitlines()
    for i, line in enumerate(lines, 1):
        if len(line) > COLUMNS:
            problems.append(f"{name}:{i}: {len(line)} columns")
        if line != line.rstrip() or "\t" in line:
            problems.append(f"{name}:{i}: blank at the end or tab")
    if len(lines) > FILE_LINES and not path.stem.endswith("_tab"):
        problems.append(f"{name}: {len(lines)} lines, limit {FILE_LINES}")
    for m in UNFINISHED.finditer(text):
        if path.name != "check_style.py":
            problems.append(f"{name}:{line_of(text, m.start())}: {m.group(0).strip()}")
    if not text.endswith("\n"):
        problems.append(f"{name}: no newline at the end")


def opening(path, text, problems):
    m = re.match(r"/\*.*?\*/", text, re.S)
    if not m or m.group(0).count("\n") < 2:
        problems.append(f"{g.rel(path)}: must open with a comment: what it is, its invariants")


def banned(path, text, problems):
    code = g.strip_c(text)
    code = re.sub(r"^\s*#\s*include.*$", "", code, flags=re.M)
    in_base = path.relative_to(g.ROOT / "src").parts[0] == "base"
    for m in (IN_BASE if in_base else OUTSIDE_BASE).finditer(code):
        problems.append(f"{g.rel(path)}:{line_of(code, m.start())}: {m.group(1)} is banned here")


def atomics(path, text, problems):
    code, name = g.strip_c(text), g.rel(path)
    if path.is_relative_to(g.ROOT / "src") and name not in ATOMIC_DOORS:
        for m in ATOMIC.finditer(code):
            problems.append(f"{name}:{line_of(code, m.start())}: {m.group(m.lastindex)}: use "
                            "base/atomic.h")
    for m in FENCE.finditer(code):
        problems.append(f"{name}:{line_of(code, m.start())}: {m.group(1)}: put the ordering on an "
                        "operation, or use sync/asym.h")


def public_header(path, text, problems):
    name = g.rel(path)
    lines = [s.strip() for s in text.splitlines() if s.strip()]
    if len(text.splitlines()) > HEADER_LINES:
        problems.append(f"{name}: over {HEADER_LINES} lines")
    if re.search(r"\bstatic\s+inline\b|\)\s*\{", g.strip_c(text)):
        problems.append(f"{name}: holds a function body")
    for m in re.finditer(r"^(?!#)LAMINA_API\b[^;]*;", text, re.M):
        before = text[:m.start()].rstrip()
        doc = before[before.rfind("/*"):] if before.endswith("*/") else ""
        decl = " ".join(m.group(0).split())
        if not doc.startswith("/**"):
            problems.append(f"{name}:{line_of(text, m.start())}: no doc comment: {decl[:60]}")
    with_comment = sum(1 for s in lines if "/*" in s or s.startswith("*") or "*/" in s)
    if lines and with_comment / len(lines) < COMMENT_SHARE:
        problems.append(f"{name}: comment share {with_comment / len(lines):.0%}, "
                        f"at least {COMMENT_SHARE:.0%}")


def unique_names(problems):
    seen = {}
    listed = subprocess.run(["git", "ls-files"], cwd=g.ROOT, capture_output=True, text=True,
                            check=True).stdout.split()
    for name in listed:
        base = name.rsplit("/", 1)[-1]
        if base in SHARED_NAMES or name.startswith("include/"):
            continue
        if not name.endswith((".c", ".h", ".py", ".sh")):
            continue
        if base in seen and (g.ROOT / name).exists():
            problems.append(f"{name}: basename also at {seen[base]}")
        seen[base] = name


def formatted(problems):
    """Files that clang-format would change. Texts found clean before by the same clang-format and
    the same rules are known by their digests, kept beside the build, and not looked at again."""
    if not shutil.which("clang-format"):
        return
    rules = subprocess.run(["clang-format", "--version"], capture_output=True, check=True).stdout
    rules += (g.ROOT / ".clang-format").read_bytes()
    digest = {p: hashlib.sha256(rules + p.read_bytes()).hexdigest() for p in g.files(".c", ".h")}
    store = g.BUILD / "formatted"
    clean = set(store.read_text().split()) if store.exists() else set()
    paths = [str(p) for p, d in digest.items() if d not in clean]

    def complaints(some):
        return subprocess.run(["clang-format", "--dry-run", *some], cwd=g.ROOT, text=True,
                              capture_output=True, check=True).stderr

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        out = "".join(pool.map(complaints, filter(None, (paths[::2], paths[1::2]))))
    bad = {s.split(":")[0] for s in out.splitlines() if "warning: code should be" in s}
    problems += [f"{g.rel(p)}: run clang-format -i" for p in sorted(bad)]
    if store.parent.is_dir():
        store.write_text("\n".join(d for p, d in digest.items() if str(p) not in bad))


def main():
    problems, n = [], 0
    for path in g.files(".c", ".h", ".py", ".sh", dirs=g.CODE_DIRS + ("tools",)):
        text = path.read_text()
        n += 1
        form(path, text, problems)
        if path.suffix in (".c", ".h"):
            opening(path, text, problems)
            atomics(path, text, problems)
            if path.is_relative_to(g.ROOT / "src"):
                banned(path, text, problems)
            if path.is_relative_to(g.ROOT / "include") and path.suffix == ".h":
                public_header(path, text, problems)
    unique_names(problems)
    formatted(problems)
    g.report("style", problems, f"{n} files")


if __name__ == "__main__":
    main()
