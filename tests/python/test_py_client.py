"""
lamina.client against `lamina serve`: every type both ways, what is asked of a server, refusals,
threads, asyncio, shared memory, tokens, https, a server that goes and comes.
"""
import asyncio
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

try:
    import numpy as np
except ImportError:
    print(f"skipped: numpy is not installed for {sys.executable}")
    sys.exit(77)

import lamina
from lamina.client import (
    AsyncClient,
    Busy,
    Client,
    ConnectionLost,
    Denied,
    NotFound,
    ServerError,
    SharedClient,
)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "serving"))
from serving import SLOW, Server, o, replace, scale_model  # noqa: E402

PROGRAM = os.path.join(os.environ["LAMINA_BUILD_DIR"], "bin", "lamina")
TYPES = {"f32": (1, np.float32), "f64": (11, np.float64), "f16": (10, np.float16),
         "i8": (3, np.int8), "u8": (2, np.uint8), "i16": (5, np.int16), "u16": (4, np.uint16),
         "i32": (6, np.int32), "u32": (12, np.uint32), "i64": (7, np.int64),
         "u64": (13, np.uint64), "bool": (9, np.bool_), "text": (8, object)}


def repository(d):
    for name, (dtype, _) in TYPES.items():
        nodes = [o.node("Identity", ["x"], ["y"])]
        replace(d / name / "1" / "model.onnx",
                o.simple(nodes, [o.info("x", dtype, ["N", "M"])], [o.info("y", dtype, ["N", "M"])]))
    nodes = [o.node("Add", ["a", "b"], ["sum"]), o.node("Sub", ["a", "b"], ["less"])]
    four = ["N", 4]
    replace(d / "two" / "1" / "model.onnx",
            o.simple(nodes, [o.info("a", 1, four), o.info("b", 1, four)],
                     [o.info("sum", 1, four), o.info("less", 1, four)]))
    replace(d / "scale" / "1" / "model.onnx", scale_model(2))
    replace(d / "scale" / "2" / "model.onnx", scale_model(3))
    replace(d / "scale" / "config.json", '{"version_policy": {"all": {}}}')


def sample(kind, shape):
    x = np.arange(int(np.prod(shape))).reshape(shape)
    if kind is object:
        words = ["", "abc", "ä\n\"😀", "x" * 300]
        return np.array([words[i % 4] for i in x.flat], dtype=object).reshape(shape)
    return x.astype(kind)


class Served(unittest.TestCase):
    """One server for all."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.d = pathlib.Path(cls.folder.name)
        repository(cls.d / "repo")
        (cls.d / "tokens").write_text("secret-of-mine\nslowly-now name=slow rate=1/m\n")
        cls.server = Server(PROGRAM, cls.d / "repo", "--admin", f"unix:{cls.d}/admin",
                            "--model-control", "explicit", "--load", "*")
        cls.server.__enter__()
        cls.client = Client(f"127.0.0.1:{cls.server.port}", timeout=30 * SLOW)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.__exit__()
        cls.folder.cleanup()

    def test_every_type(self):
        for name, (_, kind) in TYPES.items():
            for shape in ((1, 1), (3, 5), (2, 0), (40, 50)):
                x = sample(kind, shape)
                for binary in (True, False):
                    with self.subTest(name=name, shape=shape, binary=binary):
                        r = self.client.infer(name, {"x": x}, binary=binary, id="7")
                        self.assertEqual(r["y"].dtype, x.dtype)
                        self.assertEqual(r["y"].shape, x.shape)
                        np.testing.assert_array_equal(r["y"], x)
                        self.assertEqual((r.id, r.model, r.version), ("7", name, "1"))

    def test_layouts(self):
        x = np.arange(24, dtype=np.float32).reshape(4, 6)
        for y in (x.T, x[:, ::2], x[::-1], x.astype(">f4"), np.asfortranarray(x)):
            np.testing.assert_array_equal(self.client.infer("f32", {"x": y})["y"], y)
        big = np.random.default_rng(1).random((30, 10000), np.float32)  # longer than one send
        y = self.client.infer("f32", {"x": big})["y"]
        np.testing.assert_array_equal(y, big)
        self.assertTrue(y.flags.writeable and y.flags.aligned)
        odd = np.array([["a", "bc"]])
        self.assertEqual(self.client.infer("text", {"x": odd})["y"].tolist(), odd.tolist())
        raw = np.array([[b"\xff\x00", b""]], dtype=object)
        said = self.client.infer("text", {"x": raw})["y"]
        self.assertEqual(said[0, 0].encode("utf-8", "surrogateescape"), b"\xff\x00")
        with self.assertRaises(lamina.InvalidArgument):
            self.client.infer("text", {"x": raw}, binary=False)

    def test_more_rows_than_a_batch(self):
        rows = self.client.config("scale")["max_batch_size"] * 3 + 1  # it was found out
        x = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)
        for binary in (True, False):
            y = self.client.infer("scale", {"x": x}, version=1, binary=binary)["y"]
            np.testing.assert_array_equal(y, 2 * x)

    def test_not_finite(self):
        x = np.array([[np.nan, np.inf, -np.inf, 1]], np.float32)
        np.testing.assert_array_equal(self.client.infer("f32", {"x": x})["y"], x)
        with self.assertRaises(lamina.InvalidArgument) as e:
            self.client.infer("f32", {"x": x}, binary=False)
        self.assertIn("binary=True", str(e.exception))

    def test_floats_to_the_last_bit(self):
        bits = np.random.default_rng(3).integers(0, 2**32, 20000, dtype=np.uint32)
        x = bits.view(np.float32).reshape(1, -1)
        x = np.where(np.isfinite(x), x, np.float32(1))
        y = self.client.infer("f32", {"x": x}, binary=False)["y"]
        np.testing.assert_array_equal(y.view(np.uint32), x.view(np.uint32))

    def test_lists_take_the_type_of_the_model(self):
        y = self.client.infer("scale", {"x": [[1, 2, 3, 4]]}, version=1)["y"]
        self.assertEqual((y.tolist(), y.dtype), ([[2, 4, 6, 8]], np.float32))
        self.assertEqual(self.client.infer("text", {"x": [["a"]]})["y"].tolist(), [["a"]])
        with self.assertRaises(lamina.InvalidArgument):
            self.client.infer("u8", {"x": [[300]]})
        with self.assertRaises(lamina.InvalidArgument):
            self.client.infer("f32", {"x": [["a"]]})

    def test_outputs(self):
        a, b = np.ones((2, 4), np.float32), np.arange(8, dtype=np.float32).reshape(2, 4)
        r = self.client.infer("two", {"a": a, "b": b})
        self.assertEqual(list(r), ["sum", "less"])
        np.testing.assert_array_equal(r["sum"], a + b)
        r = self.client.infer("two", {"a": a, "b": b}, "less", timing=True)
        self.assertEqual(list(r), ["less"])
        self.assertEqual(set(r.timing), {"input", "queue", "compute", "output"})
        self.assertEqual(list(self.client.infer("two", {"a": a, "b": b}, ["less", "sum"])),
                         ["less", "sum"])
        r = self.client.infer("two", {"a": a, "b": b}, {"sum": {"classification": 2}, "less": {}})
        self.assertEqual(r["sum"].tolist(), [["4:3", "3:2"], ["8:3", "7:2"]])
        r = self.client.infer("two", {"a": a, "b": b}, {"sum": {"classification": 1}}, binary=False)
        self.assertEqual(r["sum"].tolist(), [["4:3"], ["8:3"]])
        self.assertIn("sum: float32[2, 4]", repr(self.client.infer("two", {"a": a, "b": b})))
        r = self.client.infer("two", {"a": a, "b": b}, priority=1, deadline=30.0,
                              parameters={"mine": "x"})
        self.assertEqual(len(r), 2)

    def test_what_a_server_says(self):
        c = self.client
        self.assertTrue(c.live() and c.ready())
        self.assertTrue(c.model_ready("two") and c.model_ready("scale", 2))
        self.assertFalse(c.model_ready("none") or c.model_ready("two", "9"))
        c.wait_ready()
        c.wait_ready(model="two")
        self.assertEqual(c.server()["name"], "lamina")
        self.assertEqual(c.metadata("scale")["versions"], ["2", "1"])
        self.assertEqual(c.metadata("two")["inputs"][0]["datatype"], "FP32")
        self.assertGreater(c.config("two")["max_batch_size"], 0)
        self.assertEqual({s["version"] for s in c.statistics("scale", 1)}, {"1"})
        self.assertGreaterEqual(len(c.statistics()), len(TYPES))
        self.assertEqual({r["state"] for r in c.index(ready=True)}, {"READY"})
        self.assertIn("lamina_http_requests_total", c.metrics())
        self.assertTrue(c.metrics(openmetrics=True).endswith("# EOF\n"))

    def test_refusals(self):
        one = {"x": np.ones((1, 4), np.float32)}
        for cls, number, args in ((NotFound, 404, ("none", one)), (NotFound, 404, ("no/ne", one)),
                                  (NotFound, 404, ("sc ale\n", one)),
                                  (ServerError, 400, ("scale", {"z": one["x"]})),
                                  (ServerError, 400, ("scale", {})),
                                  (ServerError, 400, ("scale", {"x": np.ones((1, 5), np.float32)})),
                                  (ServerError, 400, ("scale", {"x": np.ones((1, 4))})),
                                  (ServerError, 400, ("scale", one, "q"))):
            with self.assertRaises(cls) as e:
                self.client.infer(*args)
            self.assertEqual(e.exception.http_status, number)
            self.assertTrue(str(e.exception) and e.exception.status)
            self.assertIsInstance(e.exception, lamina.Error)
        with self.assertRaises(lamina.InvalidArgument):
            self.client.infer("scale", {"x": np.ones((1, 4), np.complex64)})
        with self.assertRaises(lamina.InvalidArgument):
            self.client.infer("scale", one, traceparent="a\r\nX: b")
        with self.assertRaises(Denied):
            self.client.load("scale")

    def test_repository(self):
        with Client(f"unix:{self.d}/admin", timeout=30 * SLOW) as admin:
            admin.unload("i8")
            self.assertFalse(self.client.model_ready("i8"))
            with self.assertRaises(Busy):
                self.client.infer("i8", {"x": np.ones((1, 1), np.int8)})
            admin.load("i8")
            self.assertTrue(self.client.model_ready("i8"))
            with self.assertRaises(ServerError):
                admin.load("none")

    def test_threads(self):
        bad = []

        def work(k):
            for i in range(50):
                x = np.full((1, 4), 100 * k + i, np.float32)
                if not np.array_equal(self.client.infer("scale", {"x": x}, version=1)["y"], 2 * x):
                    bad.append(k)
        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(bad, [])

    def test_asyncio(self):
        async def all_of_it():
            async with AsyncClient(f"127.0.0.1:{self.server.port}", timeout=30 * SLOW) as c:
                self.assertTrue(await c.ready())
                xs = [np.full((1, 4), i, np.float32) for i in range(100)]
                rs = await asyncio.gather(*(c.infer("scale", {"x": x}, version=2) for x in xs))
                for x, r in zip(xs, rs, strict=True):
                    np.testing.assert_array_equal(r["y"], 3 * x)
                self.assertTrue(rs[0]["y"].flags.writeable)
                r = await c.infer("scale", {"x": [[1] * 4]})
                self.assertEqual(r["y"].tolist(), [[3] * 4])
                with self.assertRaises(NotFound):
                    await c.metadata("none")
                big = np.ones((30, 10000), np.float32)
                r = await c.infer("f32", {"x": big})
                np.testing.assert_array_equal(r["y"], big)
                self.assertIn("# TYPE", await c.metrics())
                await c.wait_ready(model="two")
            async with AsyncClient(f"unix:{self.d}/admin") as c:
                self.assertEqual((await c.server())["name"], "lamina")
        asyncio.run(all_of_it())

    def test_shared_memory(self):
        with self.assertRaises(lamina.InvalidArgument):
            SharedClient(f"127.0.0.1:{self.server.port}", 4096)
        with SharedClient(f"unix:{self.d}/admin", 1 << 22, timeout=30 * SLOW) as c:
            a, b, s = (c.array((30, 4)) for _ in range(3))
            a[:], b[:] = 1, np.arange(120).reshape(30, 4)
            try:
                c.live()
            except NotFound:
                self.skipTest("this server takes no memory")
            r = c.infer("two", {"a": a, "b": b}, {"sum": s, "less": {}})
            np.testing.assert_array_equal(s, a + b)
            np.testing.assert_array_equal(r["less"], a - b)
            self.assertTrue(np.shares_memory(r["sum"], s))
            for k in range(20):  # the same memory again and again
                a[:] = k
                c.infer("two", {"a": a, "b": b}, {"sum": s})
                np.testing.assert_array_equal(s, k + b)
            mixed = c.infer("two", {"a": a, "b": np.ones((30, 4), np.float32)})
            np.testing.assert_array_equal(mixed["sum"], a + 1)
            odd = c.infer("two", {"a": a.T[:4].T.copy(), "b": b[::-1]}, {"sum": s})
            np.testing.assert_array_equal(odd["sum"], a + b[::-1])
            with self.assertRaises(lamina.InvalidArgument):
                c.infer("two", {"a": a, "b": b}, {"sum": np.zeros((30, 4), np.float32)})
            with self.assertRaises(lamina.InvalidArgument):
                c.array((1 << 20,))
            with self.assertRaises(ServerError) as e:
                c.infer("two", {"a": a, "b": b}, {"sum": s[:1]})
            self.assertEqual(e.exception.http_status, 400)
            c._idle[0].sock.shutdown(socket.SHUT_RDWR)  # another connection, the same memory
            c.infer("two", {"a": a, "b": b}, {"sum": s})
            np.testing.assert_array_equal(s, a + b)
            c.clear()
            self.assertTrue(np.shares_memory(c.array((4,)), a))

    def test_tokens(self):
        with Server(PROGRAM, self.d / "repo", "--tokens", str(self.d / "tokens")) as s:
            at = f"http://127.0.0.1:{s.port}"
            with Client(at) as c, self.assertRaises(Denied) as e:
                self.assertTrue(c.live())
                c.server()
            self.assertEqual(e.exception.http_status, 401)
            with Client(at, token="secret-of-mine") as c:
                self.assertEqual(c.server()["name"], "lamina")
            with Client(at, token="slowly-now") as c, self.assertRaises(Busy) as e:
                for _ in range(9):
                    c.server()
            self.assertEqual(e.exception.http_status, 429)
            self.assertGreater(e.exception.retry_after, 0)

    def test_https(self):
        plugin = pathlib.Path(PROGRAM).parent.parent / "lib" / "liblamina-tls.so"
        if not shutil.which("openssl") or not plugin.exists():
            self.skipTest("no program openssl, or no plug-in for TLS")
        pem, key = self.d / "server.pem", self.d / "server.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", pem, "-days",
                        "2", "-subj", "/CN=x", "-addext", "subjectAltName=DNS:localhost"],
                       check=True, capture_output=True, timeout=60)
        with Server(PROGRAM, self.d / "repo", "--tls", str(pem), str(key), "--client-ca",
                    str(pem)) as s:
            at = f"https://localhost:{s.port}"
            mine = {"ca": str(pem), "cert": (str(pem), str(key))}
            big = np.ones((30, 10000), np.float32)
            with Client(at, timeout=30 * SLOW, **mine) as c:
                for _ in range(3):
                    np.testing.assert_array_equal(c.infer("f32", {"x": big})["y"], big)

            async def one():
                async with AsyncClient(at, timeout=30 * SLOW, **mine) as c:
                    np.testing.assert_array_equal((await c.infer("f32", {"x": big}))["y"], big)
            asyncio.run(one())
            for wrong, options in ((at, {}), (at, {"ca": str(pem)}),
                                   (f"https://127.0.0.1:{s.port}", mine)):
                with Client(wrong, **options) as c, self.assertRaises(ConnectionLost):
                    c.server()

    def test_the_server_goes_and_comes(self):
        model = self.d / "one.onnx"
        replace(model, scale_model(2))
        x = {"x": np.ones((1, 4), np.float32)}
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        with Client(f"127.0.0.1:{port}", timeout=30 * SLOW) as c:
            with self.assertRaises(ConnectionLost):
                c.live()
            with self.assertRaises(lamina.Timeout):
                c.wait_ready(0.05)
            for _ in range(2):
                with Server(PROGRAM, model, listen=f"127.0.0.1:{port}"):
                    c.wait_ready(30 * SLOW)
                    self.assertEqual(c.infer("one", x)["y"].tolist(), [[2] * 4])


if __name__ == "__main__":
    unittest.main(verbosity=1)
