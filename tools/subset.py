#!/usr/bin/env python3
"""
The operators of models, as -DLAMINA_OPS= of a library for these alone takes them:
subset.py MODEL... (reads them with build/bin/lamina, or the program that $LAMINA names).
"""
import json
import os
import shutil
import subprocess
import sys


def main(models):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program = os.environ.get("LAMINA", os.path.join(root, "build", "bin", "lamina"))
    if not shutil.which(program):
        sys.exit(f"there is no {program}: `make build` makes it, or name one in $LAMINA")
    names = set()
    for model in models:
        done = subprocess.run([program, "check", "--ops", "--json", model], stdout=subprocess.PIPE,
                              text=True)
        if done.returncode:
            sys.exit(f"lamina check finds {model} at fault:\n{done.stdout}")
        for row in json.loads(done.stdout)["operators"]:
            domain = row["domain"]
            names.add(row["op"] if domain in ("", "ai.onnx") else f"{domain}:{row['op']}")
    print(",".join(sorted(names)))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
