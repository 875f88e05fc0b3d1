#!/usr/bin/env python3
"""
`lamina logd` as users meet it: rotation, formats, a full disk, SIGHUP, files that are no rings, the
command line; then four writers and the collector, killed with SIGKILL at random. What must hold:
every record whose call returned OK stands in the file once, whole and in order; what was dropped is
reported, exactly.
Usage: check_logd.py LAMINA LOGWRITER [--rounds=N] [--seed=N]
"""
import json
import os
import pathlib
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time

LAMINA, WRITER = sys.argv[1], sys.argv[2]
OPTIONS = dict(a[2:].split("=") for a in sys.argv[3:])
WRITERS = 4


def fail(text):
    sys.exit(f"FAIL: {text}")


def check(holds, text):
    if not holds:
        fail(text)


class Scene:
    """A folder of rings, a collector that may be started again, writers."""

    def __init__(self, root, name, *options):
        self.dir = root / name
        self.dir.mkdir()
        self.out = self.dir / "out.log"
        self.options = list(options)
        self.writers = []
        self.daemon = None

    def command(self, *more):
        return [LAMINA, "logd", str(self.dir), "--out", str(self.out), *self.options, *more]

    def start(self, **how):
        self.daemon = subprocess.Popen(self.command("--quiet"), stderr=subprocess.PIPE, text=True,
                                       **how)

    def write(self, ident, n, ring=65536, wait_us=0, pause_us=0):
        counts = self.dir / f"counts-{ident}"
        command = [WRITER, self.dir, counts, ident, n, ring, wait_us, pause_us]
        self.writers.append((subprocess.Popen([str(a) for a in command]), ident, counts))

    def stop(self, signo=signal.SIGTERM):
        """End the collector; what it said."""
        if self.daemon is None:
            return ""
        self.daemon.send_signal(signo)
        said = self.daemon.communicate()[1]
        rc, self.daemon = self.daemon.returncode, None
        # It may have been told so early that it did not handle signals yet.
        check(signo == signal.SIGKILL or rc in (0, -signo), f"it left with {rc}: {said}")
        return said

    def once(self, *more):
        r = subprocess.run(self.command("--once", "--json", *more), capture_output=True, text=True)
        check(r.returncode == 0, f"--once: {r.returncode}: {r.stderr}")
        return json.loads(r.stdout)

    def join(self):
        for p, _, _ in self.writers:
            p.wait()

    def files(self):
        """Oldest first."""
        old = sorted((int(p.suffix[1:]) for p in self.dir.glob("out.log.*")), reverse=True)
        return [self.dir / f"out.log.{k}" for k in old] + [self.out]

    def lines(self):
        out = []
        for path in self.files():
            data = path.read_bytes()
            check(not data or data.endswith(b"\n"), f"{path.name} ends in a torn line")
            out += data.splitlines()
        return out


def pad(i):
    return "".join(chr(97 + (i + k) % 26) for k in range(i * 7 % 120))


PADS = [pad(i) for i in range(26 * 120)]


def verify(scene):
    """Count everything; returns (records, dropped)."""
    got = {ident: [] for _, ident, _ in scene.writers}
    told = {p.pid: 0 for p, _, _ in scene.writers}
    for raw in scene.lines():
        try:
            line = json.loads(raw)
        except ValueError:
            fail(f"torn: {raw[:200]}")
        if "dropped" in line:
            told[line["pid"]] += line["dropped"]
        elif line["msg"] == "n":
            i = line["i"]
            check(line["pad"] == PADS[i % len(PADS)], f"spoiled: {raw}")
            got[line["id"]].append(i)
    records = dropped = 0
    for p, ident, path in scene.writers:
        # Killed before it began? Then there is no file, or an empty one.
        data = path.read_bytes() if path.exists() else b""
        returned, lost, began = struct.unpack("<3Q", data) if len(data) == 24 else (0, 0, 0)
        mine = got[ident]
        ordered = all(a < b for a, b in zip(mine, mine[1:]))
        check(ordered, f"writer {ident}: repeated or out of order")
        check(not mine or mine[-1] < began, f"writer {ident}: {mine[-1:]} of {began}")
        # The call in which it was killed may have done its work or not, counted its drop or not.
        missing = returned - sum(i < returned for i in mine)
        check(missing in (lost - 1, lost) if began > returned else missing == lost,
              f"writer {ident}: {missing} missing of {returned}, {lost} dropped")
        check(lost <= told[p.pid] <= lost + (began > returned),
              f"writer {ident}: told of {told[p.pid]} drops, were {lost}")
        records += len(mine)
        dropped += lost
    return records, dropped


def kill_round(root, k, rng):
    """Writers and the collector at work, someone killed every few milliseconds."""
    options = ["--window", "1ms"]
    if rng.random() < 0.5:
        options += ["--rotate-size", f"{rng.choice([64, 300])}K", "--keep", "1000"]
    if rng.random() < 0.3:
        options += ["--fsync", rng.choice(["each", "1000", "5ms"])]
    s = Scene(root, f"round{k}", *options)
    wait = rng.choice([0, 2000000])
    s.start()
    for ident in range(WRITERS):
        s.write(ident, rng.randrange(2000, 12000), rng.choice([8192, 65536, 1 << 20]), wait)
    for _ in range(rng.randrange(2, 7)):
        time.sleep(rng.random() * 0.03)
        victim = rng.randrange(WRITERS + 2)
        if victim < WRITERS:
            s.writers[victim][0].kill()
        else:
            s.stop(signal.SIGKILL)
            if rng.random() < 0.3:
                time.sleep(rng.random() * 0.01)
            s.start()
    s.join()
    s.stop(rng.choice([signal.SIGTERM, signal.SIGKILL]))
    s.once()
    records, dropped = verify(s)
    # One that was killed while it made its ring leaves a dot file, for a minute.
    left = [p for p in s.dir.glob("*.ring") if not p.name.startswith(".")]
    check(not left, f"rings left: {left}")
    return records, dropped


def check_kills(root):
    rounds, seed = int(OPTIONS.get("rounds", 8)), int(OPTIONS.get("seed", 1))
    rng = random.Random(seed)
    records = dropped = 0
    for k in range(rounds):
        r, d = kill_round(root, k, rng)
        records, dropped = records + r, dropped + d
    print(f"{rounds} rounds: {records} records, none torn or lost, {dropped} dropped and told")


def check_rotation(root):
    s = Scene(root, "rotation", "--rotate-size", "20K", "--keep", "3")
    s.write(0, 2000, ring=1 << 20)
    s.join()
    done = s.once()
    check(done["records"] == 2000 and done["rotations"] > 5 and done["removed"] == 1, f"{done}")
    sizes = [p.stat().st_size for p in s.files()]
    check(len(sizes) == 4 and max(sizes) <= 20 << 10, f"sizes {sizes}")
    check(min(sizes[:-1]) > 15 << 10, f"sizes {sizes}")
    last = [json.loads(x)["i"] for x in s.lines()]
    check(last == list(range(2000 - len(last), 2000)), "the newest are kept, in order")
    time.sleep(1.1)
    s.options = ["--rotate-age", "1s", "--keep", "3"]
    before = s.out.stat().st_ino
    s.once()
    check((s.dir / "out.log.1").stat().st_ino == before and s.out.stat().st_size == 0, "by age")


def check_formats(root):
    s = Scene(root, "formats", "--format", "logfmt")
    s.write(7, 3)
    s.join()
    check(s.once()["records"] == 3, "three records")
    for i, line in enumerate(s.lines()):
        want = f'msg=n id=7 i={i} pad={pad(i) or chr(34) * 2}'.encode()
        check(line.startswith(b"time=") and line.endswith(want), f"{line}")


def wait_until(holds, what):
    for _ in range(20000):
        if holds():
            return
        time.sleep(0.01)
    fail(what)


def check_full_disk(root):
    """A limit on the size of files stands for a disk: writing fails, and later does not."""
    s = Scene(root, "full", "--window", "1ms")
    small = 30000

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (small, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    s.write(0, 2000, ring=65536)
    s.join()
    s.start(preexec_fn=limit, restore_signals=False)
    said = s.daemon.stderr.readline()
    check("cannot write" in said and "tried again" in said, f"said: {said}")
    s.write(1, 10)
    s.join()
    check(s.out.stat().st_size <= small, "no more than fits")
    resource.prlimit(s.daemon.pid, resource.RLIMIT_FSIZE, (1 << 30, resource.RLIM_INFINITY))
    wait_until(lambda: not list(s.dir.glob("*.ring")), "rings are drained when there is room")
    s.stop()
    records, dropped = verify(s)
    check(records + dropped == 2010 and dropped > 0, f"{records} + {dropped}")


def check_reopen(root):
    s = Scene(root, "reopen", "--window", "1ms")
    s.start()
    s.write(0, 10)
    s.join()
    wait_until(lambda: s.out.exists() and s.out.read_bytes().count(b"\n") == 10, "ten lines")
    s.out.rename(s.dir / "out.log.1")
    s.daemon.send_signal(signal.SIGHUP)
    wait_until(s.out.exists, "a new file after SIGHUP")
    s.write(1, 10)
    s.join()
    s.stop()
    check([len(p.read_bytes().splitlines()) for p in s.files()] == [10, 10], "ten in each")
    # A file that somebody else began, without a newline, is not spoiled.
    s.out.write_bytes(b"not ours")
    s.write(2, 1)
    s.join()
    s.once()
    check(s.out.read_bytes().startswith(b"not ours\n{"), f"{s.out.read_bytes()[:50]}")


def check_hostile(root):
    """Files that are no rings, and rings that somebody changes, do no harm and cost no others."""
    s = Scene(root, "hostile", "--window", "1ms")
    rng = random.Random(3)
    (s.dir / "empty.ring").write_bytes(b"")
    (s.dir / "short.ring").write_bytes(b"LOG1")
    (s.dir / "noise.ring").write_bytes(rng.randbytes(70000))
    (s.dir / "zero.ring").write_bytes(bytes(4480))
    (s.dir / "folder.ring").mkdir()
    (s.dir / "link.ring").symlink_to("/dev/zero")
    os.mkfifo(s.dir / "pipe.ring")
    s.start()
    s.write(0, 4000, wait_us=300000000)
    s.write(1, 100000, ring=8192, pause_us=100)
    wait_until(lambda: len(list(s.dir.glob("logwriter-*.ring"))) >= 1, "a ring")
    for _ in range(40):
        time.sleep(0.002)
        for ring in s.dir.glob(f"logwriter-{s.writers[1][0].pid}-*.ring"):
            with ring.open("r+b") as f:
                f.seek(rng.randrange(128, 8192))
                f.write(rng.randbytes(rng.choice([8, 64])))
    s.writers[1][0].send_signal(signal.SIGSTOP)
    for ring in s.dir.glob(f"logwriter-{s.writers[1][0].pid}-*.ring"):
        os.truncate(ring, rng.choice([0, 100, 4096]))
    s.writers[0][0].wait()
    s.writers[1][0].kill()
    s.writers[1][0].wait()
    s.stop()
    mine = []
    for raw in s.lines():
        line = json.loads(raw)
        if line.get("id") == 0 and line["pid"] == s.writers[0][0].pid:
            mine.append(line["i"])
    check(mine == list(range(4000)), f"the other ring is whole: {len(mine)}")


def check_usage(root):
    def run(*args):
        return subprocess.run([LAMINA, "logd", *args], capture_output=True, text=True)

    for args, words in (((), "which folder"), (("a", "b"), "one folder"),
                        (("a", "--rotate-size", "12X"), "64M"),
                        (("a", "--rotate-age", "5"), "24h"), (("a", "--fsync", "often"), "each"),
                        (("a", "--format", "xml"), "logfmt"),
                        (("a", "--keep", "0"), "from 1 to 1000"),
                        (("a", "--rotate"), "did you mean")):
        r = run(*args)
        check(r.returncode == 2 and words in r.stderr, f"{args}: {r.returncode} {r.stderr}")
    r = run(str(root / "none"), "--once")
    check(r.returncode == 1 and "none" in r.stderr, f"no folder: {r.stderr}")
    (root / "some").mkdir()
    r = run(str(root / "some"), "--once", "--out", str(root / "no" / "where"))
    check(r.returncode == 1 and "where" in r.stderr, f"no place for the file: {r.stderr}")
    s = Scene(root, "twice")
    s.start()
    wait_until(s.out.exists, "a collector")
    r = run(str(s.dir), "--once")
    check(r.returncode == 1 and "another collector" in r.stderr, f"two: {r.stderr}")
    s.stop()
    check("examples:" in run("--help").stdout, "help has examples")


def main():
    with tempfile.TemporaryDirectory(prefix="lamina-logd-") as name:
        root = pathlib.Path(name)
        if "rounds" not in OPTIONS:
            for test in (check_rotation, check_formats, check_full_disk, check_reopen,
                         check_hostile, check_usage):
                test(root)
                print(f"ok   {test.__name__}")
        check_kills(root)


main()
