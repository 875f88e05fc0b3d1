#!/usr/bin/env python3
"""
The units of contrib are what systemd-analyze takes without a word, and the server is started as
they start it: options that it knows, ready when it says so, and the socket that they pass. The
image holds what its files lean on.
Usage: check_units.py LAMINA; 77 when systemd-analyze is not there.
"""
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

from serving import SLOW, Server, finish, problems, replace, scale_model, want

CONTRIB = pathlib.Path(__file__).resolve().parents[2] / "contrib"


def verify(tool, program, d):
    """With the program that there is, since the one that is named is not installed."""
    for name in ("lamina.service", "lamina.socket"):
        text = (CONTRIB / name).read_text().replace("/usr/local/bin/lamina", program)
        (d / name).write_text(text)
    done = subprocess.run([tool, "verify", "--man=no", str(d / "lamina.service"),
                           str(d / "lamina.socket")], capture_output=True, text=True, timeout=120,
                          check=False)
    if "Failed to initialize manager" in done.stderr or "Failed to connect" in done.stderr:
        print(f"systemd-analyze cannot judge here: {done.stderr.strip()[:200]}")
        return False
    want(done.returncode == 0 and not done.stderr.strip(), f"verify: {done.stderr}")
    return True


def options(line, models):
    words = shlex.split(line)
    want("/srv/models" in words, f"no models in {line}")
    at = words.index("serve")
    return [w for w in words[at + 1:] if w != "/srv/models"], models


def image(program):
    """Every library that a file of the image names comes with a package that it installs."""
    if SLOW > 1 or not shutil.which("readelf") or not shutil.which("dpkg"):
        return  # sanitizers have libraries of their own
    text = (CONTRIB / "Dockerfile").read_text().replace("\\\n", " ")
    line = re.search(r"install -y --no-install-recommends ([^&]*)&", text)[1]
    installed = {"libc6", *line.split()}
    lib = pathlib.Path(program).parent.parent / "lib"
    files = [w for line in re.findall(r"COPY (.*) /usr/local/.*", text) for w in line.split()]
    want("lamina" in files and "liblamina-h2.so" in files, f"the image holds {files}")
    for name in files:
        path = pathlib.Path(program).with_name(name) if name == "lamina" else lib / name
        if not path.exists():
            print(f"{name} is not built")
            continue
        said = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, timeout=60,
                              check=True).stdout
        for needed in re.findall(r"NEEDED.*\[(.*)\]", said):
            found = subprocess.run(["dpkg", "-S", f"*/{needed}"], capture_output=True, text=True,
                                   timeout=60, check=False).stdout
            packages = {line.split(":")[0] for line in found.splitlines()}
            want(not packages or packages & installed, f"{name} needs {needed} of {packages}")


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    tool = shutil.which("systemd-analyze")
    with tempfile.TemporaryDirectory() as tmp:
        d = pathlib.Path(tmp)
        replace(d / "models" / "m" / "1" / "model.onnx", scale_model(3))
        unit = (CONTRIB / "lamina.service").read_text()
        entry = re.search(r"ENTRYPOINT \[(.*)\]", (CONTRIB / "Dockerfile").read_text()).group(1)
        for line in (re.search(r"ExecStart=(.*)", unit).group(1), entry.replace(",", "")):
            words, models = options(line, d / "models")
            if "--listen" in words:
                at = words.index("--listen")
                words[at:at + 2] = []
            with Server(program, models, *words) as s:
                want(s.infer("m", [1] * 4)[0] == 200, f"started as {line}")
        image(program)
        judged = tool and verify(tool, program, d)
    if not judged and not problems:
        print("skip: no systemd-analyze that works")
        sys.exit(77)
    finish()


if __name__ == "__main__":
    main()
