"""
What the benches share: paired timing, the machine, bars, tables, build/bench/NAME.json.

A bench imports this, measures ours and the peer's turn by turn in one process or in alternating
processes, and ends with write(). A bar is {value, unit, goal, pass, peer}; a bench whose peer is
missing calls not_run(), which says so and exits 0.
"""
import contextlib
import datetime
import importlib.util
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("LAMINA_BUILD", os.path.join(ROOT, "build"))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "lamina")
FEATURES = ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_bf16", "avx512_vnni",
            "avx_vnni", "amx_tile", "amx_bf16", "amx_int8", "asimd", "sve", "i8mm", "bf16")


def median(values):
    """Middle value of a non-empty sequence."""
    return statistics.median(values)


def geomean(values):
    """Geometric mean of positive values."""
    return statistics.geometric_mean(values)


def machine():
    """CPU, the features that matter to kernels, cores, load, system and commit."""
    model, flags = platform.machine(), []
    with open("/proc/cpuinfo") as f:
        for line in f:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = value.split()
                break
    git = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty", "--exclude=*"],
                         capture_output=True, text=True)
    return {"cpu": model, "features": [f for f in FEATURES if f in flags],
            "cores": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 2),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "commit": git.stdout.strip() or "unknown",
            "utc": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def timed(call, clock):
    """Seconds of one call by `clock`."""
    t0 = clock()
    call()
    return clock() - t0


def paired_ratio(ours, peer, pairs=9, seconds=0.0, clock=time.perf_counter):
    """
    Call both turn by turn, the first of a pair alternating; short calls are repeated inside a
    sample until it lasts `seconds`. Returns (median of peer/ours per pair, median seconds of ours,
    of the peer). clock=time.process_time keeps other processes out of single-thread figures.
    """
    both = (ours, peer)
    inner = max(1, round(seconds / max(1e-9, min(timed(c, clock) for c in both))))

    def sample(call):
        def many():
            for _ in range(inner):
                call()
        return timed(many, clock) / inner

    a, b = [], []
    for i in range(pairs):
        for who in ((0, 1) if i % 2 == 0 else (1, 0)):
            (a, b)[who].append(sample(both[who]))
    return median([y / x for x, y in zip(a, b)]), median(a), median(b)


class Child:
    """
    A contender in a process of its own, stopped while it is not asked: nothing that its threads do
    after a run reaches the samples of others. `args` is a command that ends in answer_samples().
    """

    def __init__(self, args):
        self.p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.p.stdout.readline() != "ready\n":
            raise RuntimeError(f"{' '.join(args)}: did not start")
        self.p.send_signal(signal.SIGSTOP)

    def sample(self, seconds):
        """Seconds of a run, over runs that last `seconds` together."""
        self.p.send_signal(signal.SIGCONT)
        self.p.stdin.write(f"{seconds}\n")
        self.p.stdin.flush()
        got = self.p.stdout.readline()
        self.p.send_signal(signal.SIGSTOP)
        if not got:
            raise RuntimeError(f"{' '.join(self.p.args)}: ended")
        return float(got)

    def close(self):
        self.p.kill()
        self.p.wait()


def answer_samples(call):
    """The child's side: warms up, then answers a line of seconds with the seconds of a run."""
    call()
    print("ready", flush=True)
    for line in sys.stdin:
        call()
        runs = max(1, round(float(line) / max(1e-9, timed(call, time.perf_counter))))
        took = timed(lambda: [call() for _ in range(runs)], time.perf_counter)
        print(took / runs, flush=True)


def rounds(children, samples=15, seconds=0.05):
    """Samples of every child (a dict by name), turn by turn, each round from another one on."""
    names, got = list(children), {name: [] for name in children}
    for i in range(samples):
        for name in names[i % len(names):] + names[:i % len(names)]:
            got[name].append(children[name].sample(seconds))
    return got


def faster(got, ours, peer):
    """Median over rounds of peer / ours."""
    return median([y / x for x, y in zip(got[ours], got[peer])])


def bar(value, unit, goal, peer, at_least=True):
    """One bar: at_least says on which side of the goal it passes."""
    return {"value": value, "unit": unit, "goal": goal, "peer": peer,
            "pass": bool(value >= goal if at_least else value <= goal)}


def table(head, rows):
    """Print an aligned table: first column left, the others right; floats with three digits."""
    def text(v):
        return v if isinstance(v, str) else f"{v:,}" if isinstance(v, int) else (
            f"{v:,.0f}" if abs(v) >= 1000 else f"{v:.3g}")

    lines = [list(head)] + [[text(v) for v in r] for r in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join([line[0].ljust(widths[0])] +
                        [c.rjust(w) for c, w in zip(line[1:], widths[1:])]).rstrip())


def write(name, bars, rows):
    """Print the bars and write build/bench/NAME.json; returns whether every bar passes."""
    for key, b in bars.items():
        verdict = "pass" if b["pass"] else "FAIL"
        print(f"bar {key}: {b['value']:.3g} {b['unit']}, goal {b['goal']:g} ({b['peer']}): "
              f"{verdict}")
    folder = os.path.join(BUILD, "bench")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name + ".json"), "w") as f:
        json.dump({"bench": name, "machine": machine(), "bars": bars, "rows": rows}, f, indent=1)
        f.write("\n")
    return all(b["pass"] for b in bars.values())


def not_run(name, why):
    """The bench cannot run here: say so, write an empty result, exit 0."""
    print(f"{name}: not run: {why}")
    write(name, {}, [{"not run": why}])
    sys.exit(0)


def need_modules(name, *modules):
    """not_run() unless every Python module is installed."""
    missing = [m for m in modules if importlib.util.find_spec(m) is None]
    if missing:
        not_run(name, f"missing Python packages: {', '.join(missing)} (tools/setup.sh)")


def model_file(model):
    """Path of a generated benchmark model, made once (LAMINA_BENCH_MODELS or the cache)."""
    folder = os.environ.get("LAMINA_BENCH_MODELS", os.path.join(CACHE, "bench-models"))
    path = os.path.join(folder, model + ".onnx")
    if not os.path.exists(path):
        subprocess.run([sys.executable, os.path.join(ROOT, "tools", "gen_models.py"), folder,
                        model], check=True)
    return path


def fma_peak():
    """Measured f32 FMA peak of one core in GFLOP/s (the burst of kcheck), 0 if unknown."""
    kcheck = os.path.join(BUILD, "bin", "kcheck")
    if not os.path.exists(kcheck):
        return 0.0
    out = subprocess.run([kcheck, "--bench", "--only=none"], capture_output=True, text=True).stdout
    words = out.partition("FMA peak")[2].split()
    return float(words[0]) if words else 0.0


@contextlib.contextmanager
def busy(on):
    """A process of somebody else that never sleeps."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if on else None
    try:
        time.sleep(0.2 if on else 0)
        yield
    finally:
        if other:
            other.kill()
            other.wait()
