"""
lamina.client against servers made of bytes: what is no HTTP, what is too long, what comes late or
not at all, answers with bytes changed, addresses.
"""
import asyncio
import json
import pathlib
import random
import socket
import sys
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
from lamina.client import AsyncClient, Client, ConnectionLost, ProtocolError

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "serving"))
from serving import SLOW  # noqa: E402


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
