#!/usr/bin/env python3
"""
The operators of models, as -DLAMINA_OPS= of a library for these alone takes them:
subset.py MODEL... (reads them with build/bin/lamina, or the program that $LAMINA names).
"""
import json
import os
import subprocess
import sys


def main(models):
    program = os.environ.get("LAMINA", "build/bin/lamina")
    names = set()
    for model in models:
        text = subprocess.run([program, "check", "--ops", "--json", model], check=True,
                              capture_output=True, text=True).stdout
        for row in json.loads(text)["operators"]:
            domain = row["domain"]
            names.add(row["op"] if domain in ("", "ai.onnx") else f"{domain}:{row['op']}")
    print(",".join(sorted(names)))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
