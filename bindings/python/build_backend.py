"""
Build backend (PEP 517) of the package: CMake builds the library and the extension, this file puts
them and the modules into a wheel. One binary serves Python 3.11 and later (limited API).

Config settings: build-dir=DIR takes a CMake build folder that exists instead of build-wheel.
"""
import base64
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def _version():
    text = (ROOT / "include/lamina/base.h").read_text()
    return re.search(r'LAMINA_VERSION_STRING "([^"]+)"', text).group(1)


def _project():
    return tomllib.loads((HERE / "pyproject.toml").read_text())["project"]


def _metadata():
    p = _project()
    lines = ["Metadata-Version: 2.1", f"Name: {p['name']}", f"Version: {_version()}",
             f"Summary: {p['description']}", f"License: {p['license']}",
             f"Requires-Python: {p['requires-python']}"]
    lines += [f"Requires-Dist: {d}" for d in p["dependencies"]]
    for extra, needs in p["optional-dependencies"].items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f'Requires-Dist: {d} ; extra == "{extra}"' for d in needs]
    return "\n".join(lines) + "\n"


def _tag():
    return f"cp311-abi3-{re.sub('[-.]', '_', sysconfig.get_platform())}"


def _build(settings):
    """Folder of a finished build."""
    given = (settings or {}).get("build-dir")
    build = pathlib.Path(given).resolve() if given else ROOT / "build-wheel"
    if not given:
        subprocess.run(["cmake", "-S", ROOT, "-B", build, "-DCMAKE_BUILD_TYPE=Release",
                        "-DLAMINA_TESTS=OFF", f"-DLAMINA_PYTHON={sys.executable}"], check=True)
    subprocess.run(["cmake", "--build", build, "--target", "lamina_python",
                    "--parallel", str(os.cpu_count() or 1)], check=True)
    return build


def _files(build):
    """(name in the wheel, bytes), sorted."""
    package = build / "python/lamina"
    out = {f"lamina/{p.relative_to(HERE / 'lamina').as_posix()}": p
           for p in (HERE / "lamina").rglob("*.py")}
    out["lamina/_lamina.abi3.so"] = package / "_lamina.abi3.so"
    out["lamina/liblamina.so.0"] = build / "lib/liblamina.so.0"
    return [(name, path.read_bytes(), name.endswith((".so", ".so.0")))
            for name, path in sorted(out.items())]


def _info():
    """The files of the .dist-info folder, RECORD apart."""
    wheel = f"Wheel-Version: 1.0\nGenerator: lamina\nRoot-Is-Purelib: false\nTag: {_tag()}\n"
    folder = f"lamina-{_version()}.dist-info"
    return folder, [(f"{folder}/METADATA", _metadata().encode(), False),
                    (f"{folder}/WHEEL", wheel.encode(), False)]


def _record(files, name):
    rows = []
    for path, data, _ in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(data)}")
    return "\n".join([*rows, f"{name},,"]) + "\n"


def get_requires_for_build_wheel(config_settings=None):
    return []


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    folder, info = _info()
    files = _files(_build(config_settings)) + info
    record = f"{folder}/RECORD"
    files.append((record, _record(files, record).encode(), False))
    name = f"lamina-{_version()}-{_tag()}.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w", zipfile.ZIP_DEFLATED) as z:
        for path, data, executable in files:
            entry = zipfile.ZipInfo(path)  # without the time: equal input, equal wheel
            entry.external_attr = (0o755 if executable else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(entry, data)
    return name


def build_sdist(sdist_directory, config_settings=None):
    raise RuntimeError("there is no source archive of the package alone: its C library is the rest "
                       "of the repository; install from a clone, or build a wheel")
