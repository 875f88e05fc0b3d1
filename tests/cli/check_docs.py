"""
What the pages for readers say can be typed: verbs and flags are in the program's help, targets in
the Makefile, programs and tools where they are looked for, files that are named exist. So do the
examples of `lamina help`. Decisions are history and not looked at. check_docs.py LAMINA ROOT BUILD
"""
import os
import pathlib
import re
import subprocess
import sys

LAMINA, ROOT, BUILD = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
PROSE = re.compile(r"`([^`\n]+)`")
FLAG = re.compile(r"(?<![\w-])--[a-z0-9][a-z0-9-]*")
FILE = re.compile(r"(?<![\w./<-])((?:docs|src|tests|tools|bench|examples|recipes|include|cmake|cli|"
                  r"plugins|bindings|stmc|contrib)/[\w./-]+\.(?:md|c|h|py|sh|txt|recipe|cmake))\b")
MADE = re.compile(r"NAME|_<|<|\.\.\.|my_")  # a place for the reader to fill
problems, helps, n = [], {}, 0


def pages():
    found = [ROOT / p for p in ("README.md", "TESTING.md", "CONTRIBUTING.md", "ARCHITECTURE.md")]
    found += sorted((ROOT / "docs").rglob("*.md"))
    return [p for p in found if "decisions" not in p.parts]


def help_of(*verb):
    """(how to call it and its options, its examples); None where there is no such verb."""
    if verb not in helps:
        done = subprocess.run([LAMINA, "help", *verb], capture_output=True, text=True, timeout=60)
        text, _, examples = done.stdout.partition("\nexamples:\n")
        helps[verb] = (text, examples) if done.returncode == 0 else None
    return helps[verb]


def commands(page):
    """(line, command) of blocks and of `...` in prose; a line that ends in \\ goes on."""
    block, begun = False, None
    for i, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            block = not block
        elif block or line.startswith("    "):
            text = re.sub(r"^\$ ", "", line.strip())
            text = begun[1] + " " + text if begun else text
            at = begun[0] if begun else i
            begun = (at, text[:-1]) if text.endswith("\\") else None
            if not begun:
                yield at, text
        else:
            yield from ((i, m.group(1)) for m in PROSE.finditer(line))


def typed_lamina(words, where):
    words = words[words[:1] == ["help"]:]
    verb = words[:2] if words[:2] == ["bench", "serve"] else words[:1]
    if not verb or not re.fullmatch(r"[a-z]+", verb[0]):
        return
    page = help_of(*verb)
    if page is None:
        problems.append(f"{where}: there is no verb {' '.join(verb)}")
        return
    known = page[0] + (help_of("run")[0] if words[:2] == ["trace", "record"] else "")
    mine = words[:words.index("--")] if "--" in words else words
    for flag in FLAG.findall(" ".join(mine)):
        if not re.search(re.escape(flag) + r"(?![\w-])", known):
            problems.append(f"{where}: lamina {' '.join(verb)} has no {flag}")


def typed_make(words, where, makefile):
    for target in words:
        if not re.fullmatch(r"[a-z][\w-]*", target):
            continue
        name = target.removeprefix("bench-")
        bench = name != target and any((ROOT / "bench" / (name + end)).exists()
                                       for end in (".py", ".sh", "/bench_" + name + ".c"))
        rule = rf"^[^\n#=\t]*(?<![\w-]){target}(?![\w-])[^\n=]*:"
        if not bench and not re.search(rule, makefile.replace("\\\n", " "), re.M):
            problems.append(f"{where}: the Makefile has no {target}")


def typed(command, where, makefile):
    global n
    command = re.sub(r"\s+#.*| > .*|\"[^\"]*\"", "", command)
    for part in re.split(r"\s+(?:&&|\|)\s+", command):
        words = part.split()
        if len(words) < 2 or MADE.search(part):
            continue
        n += 1
        if words[0] in ("lamina", "build/bin/lamina"):
            typed_lamina(words[1:], where)
        elif words[0] == "make":
            typed_make(words[1:], where, makefile)
        elif words[0].startswith("build/") and BUILD.name == "build":
            if not (ROOT / words[0]).exists():
                problems.append(f"{where}: there is no {words[0]}")
        else:
            n -= 1


def main():
    global n
    makefile = (ROOT / "Makefile").read_text()
    for page in pages():
        name = page.relative_to(ROOT)
        for line, command in commands(page):
            typed(command, f"{name}:{line}", makefile)
        if page.stem.startswith("add-"):  # names what its reader is to write
            continue
        for i, line in enumerate(page.read_text().splitlines(), 1):
            for m in FILE.finditer(line):
                n += 1
                if not MADE.search(m.group(1)) and not any(
                        (base / m.group(1)).exists() for base in (ROOT, ROOT / "bindings/python")):
                    problems.append(f"{name}:{i}: there is no {m.group(1)}")
    verbs = re.findall(r"^  ([a-z]+(?: serve)?)  ", help_of()[0], re.M)
    for verb in verbs:
        page = help_of(*verb.split())
        for line in page[1].splitlines() if page else []:
            if line.strip().startswith("lamina "):
                n += 1
                typed_lamina(line.split()[1:], f"lamina help {verb}")
    for p in problems:
        print(p)
    print(f"docs: {len(problems)} wrong in {n} commands and files, {len(verbs)} verbs")
    return 1 if problems or n < 100 or len(verbs) < 10 else 0


if __name__ == "__main__":
    sys.exit(main())
