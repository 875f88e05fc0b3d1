#!/usr/bin/env python3
"""
schemathesis: requests made from a description, by the thousand, on the official one of the protocol
(fetched once from its repository at a fixed commit and compared with a fixed sum) and on our own
/openapi.json; no finding may be left. With names of models that it makes up, the official one says
nothing of their refusal (404), so that status is not compared there. With those that are served all
checks hold but "what fits the schema is accepted": no schema knows the inputs of a model.
"""
import hashlib
import os
import pathlib
import re
import subprocess
import tempfile
import urllib.request

from judged import PROGRAM, SLOW, Server, check, finish, repository, tool

ST = tool("schemathesis")
COMMIT = "d49cc23f89d709d87b210ef9449e273ae243984e"
FILE = "specification/protocol/open_inference_rest.yaml"
SUM = "719644d1cec52d1c98268ee16f3b75d6de7f523c6686463cbf06bf79134edbb2"
URL = f"https://raw.githubusercontent.com/kserve/open-inference-protocol/{COMMIT}/{FILE}"
EXAMPLES = os.environ.get("T_EXAMPLES", "20")
NAMES = """
[parameters]
"path.MODEL_NAME" = "scale"
"path.MODEL_VERSION" = "1"
"path.model" = "two"
"path.version" = "1"
"""


def official(d):
    """The path of the description; None where it cannot be had."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    kept = cache / "lamina" / "clients" / "open_inference_rest.yaml"
    try:
        if not kept.exists():
            with urllib.request.urlopen(URL, timeout=30) as f:
                data = f.read(1 << 20)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(data)
        data = kept.read_bytes()
    except OSError as e:
        print(f"the official description cannot be fetched ({e}): it is left out")
        return None
    if hashlib.sha256(data).hexdigest() != SUM:
        check(False, f"{kept} is not the file of commit {COMMIT}: remove it")
        return None
    path = d / "official.yaml"
    path.write_text(re.sub(r"\$\{(\w+)\}", r"{\1}", data.decode()))  # OpenAPI has no $ there
    return str(path)


def run(d, what, config, *args):
    p = subprocess.run([ST, "--config-file", str(config), "run", *args, "-n", EXAMPLES,
                        "--continue-on-failure", "--no-color", "--seed", "1"], cwd=d,
                       capture_output=True, text=True, timeout=900 * SLOW, check=False)
    m = re.search(r"(\d+) generated", p.stdout)
    print(f"{what}: {m[0] if m else 'nothing'}", flush=True)
    at = p.stdout.find("FAILURES")
    check(p.returncode == 0 and m and int(m[1]) > 100,
          f"{what}: {p.stdout[at if at >= 0 else -3000:][:6000]} {p.stderr[-500:]}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        d = pathlib.Path(folder)
        repository(d / "repo")
        (d / "any.toml").write_text("")
        (d / "names.toml").write_text(NAMES)
        but = ["--exclude-checks", "positive_data_acceptance", "--phases", "coverage,fuzzing"]
        with Server(PROGRAM, d / "repo") as s:
            at = f"http://127.0.0.1:{s.port}"
            sources = [("our own", [f"{at}/openapi.json"], [])]
            path = official(d)
            if path:
                sources.append(("the official one", [path, "--url", at],
                                ["--exclude-checks", "status_code_conformance"]))
            for what, where, without in sources:
                run(d, what, d / "any.toml", *where, *without)
                run(d, f"{what}, models that are there", d / "names.toml", *where, *but)
    finish()


main()
