#!/usr/bin/env python3
"""
The named functions of an object hold no call, no jump out, no locked instruction and no fence:
check_fastpath.py OBJECT FUNCTION... Exit 77 without objdump or off x86-64.
"""
import platform
import re
import shutil
import subprocess
import sys

SLOW = re.compile(r"\b(call[q]?|lock|xchg|[lsm]fence|cpuid)\b")


def main():
    if platform.machine() not in ("x86_64", "AMD64"):
        print("the words looked for are those of x86-64: skipped")
        return 77
    if not shutil.which("objdump"):
        print("no objdump: skipped")
        return 77
    path, wanted = sys.argv[1], sys.argv[2:]
    text = subprocess.run(["objdump", "-dr", "--no-show-raw-insn", path], capture_output=True,
                          text=True, check=True).stdout
    bodies = dict(re.findall(r"^[0-9a-f]+ <(\w+)>:\n((?:.+\n)*)", text, re.M))
    bad = 0
    for name in wanted:
        body = bodies.get(name, "")
        lines = [s for s in body.splitlines() if s.strip()]
        if len(lines) < 5:
            print(f"{name}: not found")
            bad += 1
        for line in lines:
            # `xchg %ax,%ax` is a two-byte nop; a relocation is a jump to somewhere else
            if "R_X86_64_PLT32" in line or SLOW.search(line.replace("xchg   %ax,%ax", "nop")):
                print(f"{name}: {line.strip()}")
                bad += 1
        print(f"{name}: {len(lines)} instructions")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
