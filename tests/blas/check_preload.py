#!/usr/bin/env python3
"""
liblamina-blas in front of the BLAS of Debian's NumPy: check_preload.py LIBRARY. A child with
LD_PRELOAD computes products and other things, and all must be right; by what the linker says it
bound, products came from our library, the rest from the one that NumPy is linked to. Exit 77 where
there is no such NumPy.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

CHILD = r"""
import numpy as np

rng = np.random.default_rng(7)
for dtype, eps in ((np.float32, 2.0 ** -24), (np.float64, 2.0 ** -53)):
    for m, n, k in ((1, 1, 1), (4, 4, 4), (33, 65, 17), (128, 96, 200), (1, 300, 77), (200, 1, 50)):
        x, y = rng.standard_normal((m, k)), rng.standard_normal((k, n))
        x, y = x.astype(dtype), y.astype(dtype)
        want = x.astype(np.longdouble) @ y.astype(np.longdouble)
        bound = (np.abs(x).astype(np.longdouble) @ np.abs(y).astype(np.longdouble)) * eps * (k + 4)
        forms = (x @ y, np.asfortranarray(x) @ y, x @ np.asfortranarray(y), (y.T @ x.T).T,
                 np.matmul(x[None], y[None])[0])
        for got in forms:
            assert got.dtype == dtype and (np.abs(got - want) <= bound).all(), (dtype, m, n, k)
    a = rng.standard_normal((60, 60)).astype(dtype) + 20 * np.eye(60, dtype=dtype)
    b = rng.standard_normal(60).astype(dtype)
    assert np.abs(a @ np.linalg.solve(a, b) - b).max() < 1e-4
    q, r = np.linalg.qr(a)
    assert np.abs(q @ r - a).max() < 1e-3
    assert abs(float(np.dot(b, b)) - float((b.astype(np.float64) ** 2).sum())) < 1e-3
"""
NAMES = ["cblas_sgemm", "cblas_sgemv", "cblas_dgemm", "cblas_dgemv"]


def main():
    library, python = os.path.abspath(sys.argv[1]), "/usr/bin/python3"
    probe = ("import numpy, glob, os; d = os.path.dirname(numpy.__file__); "
             "print(*glob.glob(d + '/core/_multiarray*.so') + glob.glob(d + '/_core/_multi*.so'))")
    try:
        found = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=True)
        needs = subprocess.run(["ldd", *found.stdout.split()], capture_output=True, text=True,
                               check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        needs = ""
    if "libblas.so.3" not in needs:
        print("skip: no NumPy of Debian's (python3-numpy) that is linked to libblas")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "LD_PRELOAD": library, "LAMINA_BLAS_THREADS": "2",
               "LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": os.path.join(folder, "bound")}
        done = subprocess.run([python, "-c", CHILD], env=env)
        text = "".join(open(f).read() for f in glob.glob(folder + "/bound*"))
    bound = {}
    for who, name in re.findall(r"_multiarray_umath\S* \[0\] to (\S+) \[0\].*`(cblas_\w+)'", text):
        bound[name] = who
    ours = {n for n, who in bound.items() if "liblamina-blas" in who}
    print("ours:", *sorted(ours), "others:", *sorted(set(bound) - ours))
    bad = [n for n in NAMES if n not in ours]
    if "cblas_ddot" not in set(bound) - ours:
        bad.append("cblas_ddot")
    if bad:
        print("bound to a wrong library:", *bad)
    sys.exit(1 if done.returncode or bad else 0)


if __name__ == "__main__":
    main()
