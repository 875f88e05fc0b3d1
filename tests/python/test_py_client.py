"""
lamina.client against `lamina serve`: every type both ways, what is asked of a server, refusals,
threads, asyncio, connections that end, sockets of both families, https; and against a server made
of bytes: what is no HTTP, what is too long, what comes late.
"""
import asyncio
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

try:
    import numpy as np
except ImportError:
    print(f"skipped: numpy is not installed for {sys.executable}")
    sys.exit(77)

import lamina
from lamina import _kserve, _wire
from lamina.client import (
    AsyncClient,
    Busy,
    Client,
    ConnectionLost,
    Denied,
    NotFound,
    ProtocolError,
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


class Bytes:
    """A server that answers with these bytes, an answer a connection."""

    def __init__(self, *answers, pause=0.0):
        self.answers, self.pause, self.asked = list(answers), pause, []
        self.s = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        for a in self.answers:
            c, _ = self.s.accept()
            with c:
                for part in a if isinstance(a, list) else [a]:
                    data = c.recv(1 << 20)
                    self.asked.append(data)
                    time.sleep(self.pause)
                    if data and part is not None:
                        c.sendall(part)

    def __enter__(self):
        return f"127.0.0.1:{self.s.getsockname()[1]}"

    def __exit__(self, *what):
        self.s.close()
        self.thread.join()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + b'{"name":"a"}'


def ask(answers, **options):
    """What both clients make of it: the JSON of /v2, or the exception."""
    out = []
    with Bytes(*answers) as at:
        try:
            with Client(at, timeout=5 * SLOW, **options) as c:
                out.append(c.server())
        except lamina.Error as e:
            out.append(e)

    async def other(at):
        async with AsyncClient(at, timeout=5 * SLOW, **options) as c:
            return await c.server()
    with Bytes(*answers) as at:
        try:
            out.append(asyncio.run(other(at)))
        except lamina.Error as e:
            out.append(e)
    return out


def read(text, limit):
    """The answer that these bytes are."""
    reader, at = _wire.read_answer("POST", limit), 0
    want = next(reader)
    try:
        while True:
            end = len(text) if want == _wire.REST else at + want
            if want == _wire.LINE:
                end = text.find(b"\n", at) + 1 or len(text) + 1
            if end > len(text):
                raise EOFError
            part, at = bytes(text[at:end]), end
            want = reader.send(part.rstrip(b"\r\n") if want == _wire.LINE else part)
    except StopIteration as done:
        return done.value


class Wire(unittest.TestCase):
    def test_answers_that_are_fine(self):
        for text in (OK, b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"HTTP/1.0 200\r\n\r\n" + OK[-12:],
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n{\"nam\r\n"
                     b"7\r\ne\":\"a\"}\r\n0\r\nT: x\r\n\r\n", OK.replace(b"\r\n", b"\n")):
            for got in ask([text]):
                self.assertEqual(got, {"name": "a"}, text)

    def test_answers_that_are_not(self):
        for text, word in ((b"SSH-2.0-x\r\n", "begins with"), (b"HTTP/2 200\r\n\r\n", "begins"),
                           (b"HTTP/1.1 200 OK\r\nbad\r\n\r\n", "colon"),
                           (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "length"),
                           (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "length"),
                           (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "coded"),
                           (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxy\r\n",
                            "chunk"),
                           (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n",
                            "chunk"),
                           (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n", "fields"),
                           (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70000, "line"),
                           (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "JSON")):
            for got in ask([text]):
                self.assertIsInstance(got, ProtocolError, text[:60])
                self.assertIn(word, str(got))

    def test_limits(self):
        long = (b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n" +
                b"x" * 2000, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n")
        for text in long:
            for got in ask([text], answer_bytes=1000):
                self.assertIsInstance(got, ProtocolError, text[:60])
                self.assertIn("longer than 1000", str(got))

    def test_ends(self):
        for text in (b"", b"HTTP/1.1 200 OK\r\nCont", OK[:-3],
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"):
            for got in ask([text]):
                self.assertIsInstance(got, ConnectionLost, text)
                self.assertIsInstance(got, ConnectionError)

    def test_a_connection_that_rested_is_replaced(self):
        with Bytes([OK, None], OK) as at, Client(at, timeout=5 * SLOW) as c:
            self.assertEqual([c.server(), c.server()], [{"name": "a"}] * 2)

        async def other(at):
            async with AsyncClient(at, timeout=5 * SLOW) as c:
                return [await c.server(), await c.server()]
        with Bytes([OK, None], OK) as at:
            self.assertEqual(asyncio.run(other(at)), [{"name": "a"}] * 2)
        with Bytes([OK, OK[:20]]) as at, Client(at, timeout=5 * SLOW) as c:
            c.server()
            with self.assertRaises(ConnectionLost):  # it was heard: not asked twice
                c.server()

    def test_late(self):
        async def other(at):
            async with AsyncClient(at, timeout=0.2) as c:
                await c.server()
        with Bytes(OK, pause=1.0) as at, Client(at, timeout=0.2) as c:
            with self.assertRaises(lamina.Timeout) as e:
                c.server()
            self.assertIsInstance(e.exception, TimeoutError)
        with Bytes(OK, pause=1.0) as at, self.assertRaises(lamina.Timeout):
            asyncio.run(other(at))

    def test_bytes_of_any_kind(self):
        """Answers with bytes changed, dropped and doubled: an error of ours, or arrays."""
        body = json.dumps({"model_name": "m", "id": "7", "outputs": [
            {"name": "y", "shape": [2, 2], "datatype": "FP32",
             "parameters": {"binary_data_size": 16}},
            {"name": "z", "shape": [2], "datatype": "BYTES",
             "parameters": {"binary_data_size": 11}},
            {"name": "w", "shape": [3], "datatype": "INT64", "data": [1, 2, 3]}]}).encode()
        tail = np.arange(4, dtype=np.float32).tobytes() + b"\1\0\0\0a\2\0\0\0bc"
        head = b"HTTP/1.1 200 OK\r\nInference-Header-Content-Length: %d\r\n" % len(body)
        n = len(body) + len(tail)
        whole = [head + b"Content-Length: %d\r\n\r\n" % n + body + tail,
                 head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % n + body + tail +
                 b"\r\n0\r\n\r\n", head + b"\r\n" + body + tail]
        rng, fine = random.Random(5), 0
        for i in range(6000):
            text = bytearray(whole[i % 3])
            for _ in range(0 if i < 3 else rng.randrange(1, 4)):
                at = rng.randrange(len(text))
                what = rng.randrange(4)
                if what == 0:
                    text[at] ^= 1 << rng.randrange(8)
                elif what == 1:
                    del text[at:at + rng.randrange(1, 30)]
                elif what == 2:
                    text[at:at] = text[at:at + rng.randrange(1, 30)]
                else:
                    text[at:at + 1] = rng.choice([b"-1", b"99999999999", b"null", b"1e5", b""])
            try:
                r = _kserve.result(read(text, 1 << 20))
                fine += sum(a.size for a in r.values()) < 1 << 20
            except (lamina.Error, EOFError):
                pass
        self.assertGreater(fine, 50)

    def test_addresses(self):
        for bad in ("", "ftp://a", "http://", "http://a:99999", "https://u@a", "http://a?b=c"):
            with self.assertRaises(lamina.InvalidArgument, msg=bad):
                Client(bad)
        with self.assertRaises(lamina.InvalidArgument):
            Client("a:1", ca="x.pem")
        with Bytes(OK) as at, Client(f"http://{at}/behind/", token="t") as c:
            c.server()
            self.assertEqual(c._address.prefix, "/behind")
        server = Bytes(OK)
        with server as at, Client(f"http://{at}/behind/", token="t") as c:
            c.server()
        self.assertEqual(server.asked[0].split(b"\r\n")[0], b"GET /behind/v2 HTTP/1.1")
        self.assertIn(b"\r\nAuthorization: Bearer t\r\n", server.asked[0])

    def test_tensors_that_are_not_there(self):
        def answer(outputs, tail=b""):
            body = json.dumps({"model_name": "m", "outputs": outputs}).encode()
            return (b"HTTP/1.1 200 OK\r\nInference-Header-Content-Length: %d\r\nContent-Length: "
                    b"%d\r\n\r\n" % (len(body), len(body) + len(tail)) + body + tail)

        def out(**more):
            return [{"name": "y", "shape": [2], "datatype": "FP32", **more}]

        size = {"parameters": {"binary_data_size": 8}}
        good = answer(out(**size), np.float32([1, 2]).tobytes())
        x = {"x": np.ones(1, np.float32)}
        with Bytes(good) as at, Client(at) as c:
            self.assertEqual(c.infer("m", x)["y"].tolist(), [1, 2])
        for bad in (answer(out(**size), b"1234567"), answer(out(shape=[3], **size), b"12345678"),
                    answer(out(shape=[-2], **size), b"12345678"), answer(out()), answer("y"),
                    answer(out(datatype="FP8", **size), b"12345678"),
                    answer(out(data=[1, 2, 3])), answer(out(data=["a", "b"])),
                    answer(out(datatype="BYTES", **size), b"\xff\xff\xff\xff1234"),
                    answer(out(shape=[1 << 40, 1 << 40], datatype="BYTES", **size), b"12345678"),
                    answer(out(shape=["a"], **size), b"12345678"), answer([1])):
            with Bytes(bad) as at, Client(at) as c, self.assertRaises(ProtocolError, msg=bad):
                c.infer("m", x)


if __name__ == "__main__":
    unittest.main(verbosity=1)
