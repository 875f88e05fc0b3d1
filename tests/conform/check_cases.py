"""Every operator of com.microsoft and ai.onnx.ml has a case in cases/: check_cases.py LAMINA

LAMINA is the program, which lists its operators. A case's folder is test_ms_OP_VARIANT or
test_ml_OP_VARIANT, in small letters. WITHOUT names the operators that cannot have one, and why.
"""
import json
import os
import subprocess
import sys

CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases")
FAMILIES = {"com.microsoft": "ms", "ai.onnx.ml": "ml"}
BY_OTHER_NAME = {"DynamicQuantizeLSTM": "test_quantized_lstm"}
WITHOUT = {}


def main():
    out = subprocess.run([sys.argv[1], "info", "--ops", "--json"], check=True, capture_output=True,
                         text=True).stdout
    cases, lacking, checked = os.listdir(CASES), [], 0
    for op in json.loads(out):
        family = FAMILIES.get(op["domain"])
        if not family or op["name"] in WITHOUT:
            continue
        start = BY_OTHER_NAME.get(op["name"], f"test_{family}_{op['name'].lower()}_")
        checked += 1
        if not any(c.startswith(start) for c in cases):
            lacking.append(f"{op['domain']} {op['name']}")
    for name in lacking:
        print(f"FAIL {name} has no case in tests/conform/cases")
    print(f"{checked} operators, {len(lacking)} without a case; {len(WITHOUT)} cannot have one")
    return 1 if lacking or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
