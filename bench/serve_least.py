"""
Set least of bench/serve.py: what it costs a model to be asked by network, whatever the server.
"""
import os
import subprocess
import threading
import time

import benchlib
from serve_load import generator, infer_body, wrk, wrk_script
from serve_peers import LAMINA, lamina_server
from serve_rates import in_process

LEAST = os.path.join(benchlib.BUILD, "bin", "bench_serve_least")


class Least:
    """bench_serve_least on core 0, and the rows a second that it tells while it refuses."""

    def __init__(self, model, what):
        self.p = subprocess.Popen(["taskset", "-c", "0", LEAST, model, what],
                                  stdout=subprocess.PIPE, text=True)
        self.port, self.told = int(self.p.stdout.readline()), []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        self.told += (float(line) for line in self.p.stdout)

    def rows(self, meanwhile):
        """Rows a second, without the first and the last of them."""
        first = len(self.told)
        meanwhile()
        return benchlib.median(self.told[first + 1:-1])

    def close(self):
        self.p.kill()
        self.p.wait()


def singly(runs, model, rounds):
    """B3 beside the least: shares of in process."""
    least, server = Least(model, "answer"), runs.start((lamina_server, False))[0]
    script = wrk_script(runs.folder, infer_body(16))
    shares = {"lamina": [], "the least": []}
    server.rest()
    for _ in range(rounds):
        alone = in_process(model, 1)
        for name, s in (("the least", least), ("lamina", server)):
            if s is server:
                server.wake()
            shares[name].append(wrk(s, "heavy", script, 16, runs.opts.seconds)["rate"] / alone)
        server.rest()
    server.wake()
    server.close()
    least.close()
    return shares


def refusing(runs, model, rounds):
    """B5: rows a second of batches, beside twice as many refusals a second and alone."""
    least, shares = Least(model, "refuse"), []
    body = os.path.join(runs.folder, "body.json")
    with open(body, "w") as f:
        f.write(infer_body(16))
    for _ in range(rounds):
        alone = least.rows(lambda: time.sleep(runs.opts.seconds + 3))
        load = generator() + [LAMINA, "bench", "serve", f"http://127.0.0.1:{least.port}/", "--body",
                              body, "--rate", str(round(2 * alone)), "--warmup", "1s", "--duration",
                              f"{runs.opts.seconds + 2}s", "--connections", "2000", "--json"]
        beside = least.rows(lambda load=load: subprocess.run(load, stdout=subprocess.DEVNULL))
        shares.append(beside / alone)
    least.close()
    return shares


def set_least(runs):
    """B3 and B5: what is left of a model's speed beside a receive and a send a request, no more."""
    model = os.path.join(runs.repo, "heavy/1/model.onnx")
    shares = singly(runs, model, 2 * runs.opts.rounds)
    shares["the least, refusing twice as many"] = refusing(runs, model, runs.opts.rounds)
    benchlib.table(["heavy model", "share of its speed in process"],
                   [[k, f"{benchlib.median(v):.3f}"] for k, v in shares.items()])
    runs.row(set="least", **shares)
