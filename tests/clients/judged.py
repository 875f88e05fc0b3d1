"""
What the scripts of this folder share: each starts `lamina serve` and hands it to a client that
other people wrote, as it is. They leave with 77 where that client is not installed: `make
check-clients` installs them all and prints a table.
"""
import importlib.util
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "serving"))
from serving import SLOW, Server, o, problems, replace, scale_model  # noqa: E402, F401

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""
cases = 0


def need(*modules):
    for m in modules:
        try:
            found = importlib.util.find_spec(m)
        except ModuleNotFoundError:
            found = None
        if not found:
            print(f"skip: the package {m} is not installed: make check-clients does it")
            sys.exit(77)


def tool(name):
    """A program beside this Python, or in the path; else this is the end."""
    beside = pathlib.Path(sys.executable).parent / name
    path = str(beside) if beside.exists() else shutil.which(name)
    if not path:
        print(f"skip: the program {name} is not installed")
        sys.exit(77)
    return path


def check(ok, what):
    global cases
    cases += 1
    if not ok:
        problems.append(str(what))
        print("FAIL", what, flush=True)
    return ok


def raises(kind, call, what=""):
    """The exception that call raises, which must be of that kind."""
    try:
        got = call()
    except kind as e:
        check(True, what)
        return e
    check(False, f"{what}: {got!r} instead of an error")
    return None


def has_plugin(name):
    folder = pathlib.Path(PROGRAM).parent.parent / "lib"
    if (folder / f"liblamina-{name}.so").exists():
        return True
    print(f"the plug-in {name} is not built: what needs it is left out")
    return False


def finish():
    print(f"cases {cases} failed {len(problems)}")
    sys.exit(1 if problems else 0)


def repository(d):
    """scale: y = 2 x or, version 2, 3 x; two: sums and differences of INT32; text: strings; big:
    rows of any length; u8."""
    four = ["N", 4]
    replace(d / "scale" / "1" / "model.onnx", scale_model(2))
    replace(d / "scale" / "2" / "model.onnx", scale_model(3))
    replace(d / "scale" / "config.json", '{"version_policy": {"all": {}}}')
    replace(d / "two" / "1" / "model.onnx", o.simple(
        [o.node("Add", ["a", "b"], ["s"]), o.node("Sub", ["a", "b"], ["d"])],
        [o.info("a", 6, four), o.info("b", 6, four)], [o.info("s", 6, four), o.info("d", 6, four)]))
    for name, dtype, dims in (("text", 8, ["N", "M"]), ("big", 1, ["N", "M"]), ("u8", 2, four)):
        replace(d / name / "1" / "model.onnx", o.simple([o.node("Identity", ["x"], ["y"])],
                                                        [o.info("x", dtype, dims)],
                                                        [o.info("y", dtype, dims)]))
