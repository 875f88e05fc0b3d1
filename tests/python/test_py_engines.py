"""
Bar B10: one script gives equal answers under both engines. Without onnxruntime the script must
still run; the comparison is then skipped with a word.
"""
import importlib.util
import json
import os
import subprocess
import sys

from pycommon import main, np, unittest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "both_engines.py")


def seen(engine):
    out = subprocess.run([sys.executable, SCRIPT, engine], capture_output=True, text=True)
    if out.returncode:
        raise AssertionError(f"{engine}: {out.stderr}")
    return json.loads(out.stdout)


class BothEngines(unittest.TestCase):
    def equal(self, ours, theirs, at):
        if isinstance(theirs, dict) and "data" in theirs and "dtype" in theirs:
            self.assertEqual((ours["dtype"], ours["shape"]), (theirs["dtype"], theirs["shape"]), at)
            if theirs["dtype"].startswith("float"):
                np.testing.assert_allclose(ours["data"], theirs["data"], 1e-5, 1e-6, err_msg=at)
                return
        if isinstance(theirs, dict):
            self.assertEqual(sorted(ours), sorted(theirs), at)
            for k in theirs:
                self.equal(ours[k], theirs[k], f"{at}/{k}")
        elif isinstance(theirs, list):
            self.assertEqual(len(ours), len(theirs), at)
            for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
                self.equal(a, b, f"{at}/{i}")
        else:
            self.assertEqual(ours, theirs, at)

    def test_same_answers(self):
        ours = seen("lamina")
        self.assertGreater(len(ours), 20)
        if importlib.util.find_spec("onnxruntime") is None:
            self.skipTest("onnxruntime is not installed: nothing to compare with")
        self.equal(ours, seen("onnxruntime"), "")


if __name__ == "__main__":
    main()
