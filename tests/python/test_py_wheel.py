"""
The wheel: built offline out of the finished build folder, installed into an empty folder, imported
from there without the build folder in sight.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

from pycommon import adder, main, unittest

BINDINGS = pathlib.Path(__file__).resolve().parents[2] / "bindings/python"
USE = """
import sys, numpy as np, lamina
assert lamina.__file__.startswith(sys.argv[1]), lamina.__file__
s = lamina.InferenceSession(open(sys.argv[2], "rb").read())
assert s.run(None, {"x": np.ones(2, np.float32)})[0].tolist() == [2, 2]
maps = open("/proc/self/maps").read()
assert sys.argv[1] + "/lamina/liblamina.so.0" in maps, "another liblamina was loaded"
"""


class Wheel(unittest.TestCase):
    def test_install(self):
        have_pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True)
        if have_pip.returncode or os.environ.get("LD_PRELOAD"):
            self.skipTest("needs pip and a build without sanitizers")
        with tempfile.TemporaryDirectory() as d:
            d = os.path.realpath(d)
            subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index",
                            "--disable-pip-version-check", "--target", f"{d}/site",
                            "--config-settings", f"build-dir={os.environ['LAMINA_BUILD_DIR']}",
                            str(BINDINGS)], check=True)
            with open(f"{d}/m.onnx", "wb") as f:
                f.write(adder())
            env = {**os.environ, "PYTHONPATH": f"{d}/site"}
            subprocess.run([sys.executable, "-c", USE, f"{d}/site", f"{d}/m.onnx"], check=True,
                           cwd=d, env=env)


if __name__ == "__main__":
    main()
