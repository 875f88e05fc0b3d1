"""
HTTP/1.1 as the client of model servers speaks it: an address, what is asked, what is answered, and
connections by sockets and by asyncio. How an answer is read stands here once, as a generator that
asks for bytes; a connection of either kind feeds it. Whatever a server says is bounded.
"""
import asyncio
import contextlib
import re
import socket
import ssl
import time
import urllib.parse

from . import _errors
from ._errors import EngineError, Error, InvalidArgument, Timeout

LINE, REST = -1, -2  # what a reader asks for beside a number of bytes
LINE_BYTES, FIELDS, JOINED = 64 << 10, 256, 256 << 10


class ConnectionLost(EngineError, ConnectionError):
    """No connection could be made, or it ended before the answer did."""

    def __str__(self):
        return self.sentence


class ProtocolError(Error):
    """What came is no answer in HTTP/1.1, or none of a model server."""


def failure(cls, status, sentence):
    """An error of that class, with its status by name."""
    e = cls(sentence)
    e.status = _errors.Status[status]
    return e


def invalid(sentence):
    return failure(InvalidArgument, "E_INVALID", sentence)


class Address:
    """Where a server is: "host:port", "http://...", "https://...", "unix:/PATH"."""

    def __init__(self, text, ca, cert, tls):
        self.path = self.prefix = ""
        self.tls = None
        if text.startswith("unix:"):
            self.path, self.name, self.host = text[5:], text, "localhost"
            return
        try:
            u = urllib.parse.urlsplit(text if "://" in text else "http://" + text)
            port = u.port or (443 if u.scheme == "https" else 80)
        except ValueError as e:
            raise invalid(f"{text!r} is no address: {e}") from None
        if u.scheme not in ("http", "https") or not u.hostname or u.query or u.username:
            raise invalid(f"{text!r} is no address: host:port, http://, https:// or unix:/PATH")
        self.name, self.host, self.prefix = text, u.netloc, u.path.rstrip("/")
        self.at = (u.hostname, port)
        if u.scheme == "https":
            self.tls = tls or ssl.create_default_context(cafile=ca)
            if cert:
                self.tls.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
        elif ca or cert or tls:
            raise invalid("certificates are for https:// addresses")


class Ask:
    """A request: `parts` are buffers, sent one behind the other; descriptors go with its head."""

    def __init__(self, method, target, parts=(), fields=(), descriptors=()):
        self.method, self.target, self.parts, self.fields = method, target, parts, fields
        self.descriptors = descriptors

    def head(self, address, token):
        lines = [f"{self.method} {address.prefix}{self.target} HTTP/1.1", f"Host: {address.host}"]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        lines += [f"{k}: {v}" for k, v in self.fields]
        if self.method == "POST":
            lines.append(f"Content-Length: {sum(len(p) for p in self.parts)}")
        if any("\r" in line or "\n" in line or "\0" in line for line in lines):
            raise invalid("a field of the request holds a line break")
        try:
            return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        except UnicodeEncodeError:
            raise invalid("a field of the request holds a letter beyond Latin-1") from None

    def buffers(self, address, token):
        """What to send, small buffers put together."""
        out = [self.head(address, token)]
        for p in self.parts:
            if len(out[-1]) + len(p) <= JOINED:
                out[-1] += bytes(p)
            else:
                out.append(p)
        return out


class Answer:
    """An answer: where it is binary, `body` is its JSON and `tail` what follows."""

    def __init__(self, status, fields):
        self.status, self.fields = status, fields
        self.body, self.tail, self.keep = b"", b"", True

    @property
    def json_bytes(self):
        """Inference-Header-Content-Length, or None."""
        text = self.fields.get("inference-header-content-length", "")
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _proto(what):
    return failure(ProtocolError, "E_PROTO", f"the server does not answer in HTTP/1.1: {what}")


def _too_long(limit):
    return failure(ProtocolError, "E_LIMIT", f"the answer is longer than {limit} bytes")


def _head():
    line = yield LINE
    m = re.fullmatch(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?", line)
    if not m:
        raise _proto(f"it begins with {bytes(line[:40])!r}")
    fields = {}
    for _ in range(FIELDS):
        line = yield LINE
        if not line:
            return m[1] == b"1", int(m[2]), fields
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise _proto("a field without a colon")
        name, value = name.lower(), value.strip(" \t")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    raise _proto(f"more than {FIELDS} fields")


def _chunks(limit):
    body = bytearray()
    while True:
        line = yield LINE
        size = line.split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", size):
            raise _proto(f"a chunk of size {bytes(size[:20])!r}")
        n = int(size, 16)
        if n == 0:
            break
        if len(body) + n > limit:
            raise _too_long(limit)
        body += yield n
        if (yield LINE):
            raise _proto("a chunk has no end")
    for _ in range(FIELDS):
        if not (yield LINE):
            return body
    raise _proto("trailers without an end")


def read_answer(method, limit):
    """A generator: yields a number of bytes, LINE or REST, is sent them, returns an Answer."""
    while True:
        new, status, fields = yield from _head()
        if status >= 200:
            break
    a = Answer(status, fields)
    a.keep = new and "close" not in fields.get("connection", "").lower()
    json_bytes = a.json_bytes
    if method == "HEAD" or status in (204, 304):
        return a
    if "transfer-encoding" in fields:
        if fields["transfer-encoding"].lower() != "chunked":
            raise _proto(f"its body is coded as {fields['transfer-encoding']!r}")
        a.body = yield from _chunks(limit)
    elif "content-length" in fields:
        if not re.fullmatch(r"[0-9]{1,18}", fields["content-length"]):
            raise _proto(f"a length of {fields['content-length'][:40]!r}")
        n = int(fields["content-length"])
        if n > limit:
            raise _too_long(limit)
        if json_bytes is not None and json_bytes <= n:  # tensors get a buffer of their own
            a.body = yield json_bytes
            a.tail = yield n - json_bytes
            return a
        a.body = yield n
    else:
        a.body = yield REST
        a.keep = False
        if len(a.body) > limit:
            raise _too_long(limit)
    if json_bytes is not None:
        a.body, a.tail = a.body[:json_bytes], a.body[json_bytes:]
    return a


class Plain:
    """A connection by a socket; `deadline` is a time of time.monotonic."""

    def __init__(self, address, deadline):
        left = self._left(deadline)
        try:
            if address.path:
                self.sock = socket.socket(socket.AF_UNIX)
                self.sock.settimeout(left)
                self.sock.connect(address.path)
            else:
                self.sock = socket.create_connection(address.at, left)
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.tls:
                self.sock = address.tls.wrap_socket(self.sock, server_hostname=address.at[0])
        except BaseException:
            if hasattr(self, "sock"):
                self.sock.close()
            raise
        self.buf = bytearray()
        self.heard = False

    @staticmethod
    def _left(deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def close(self):
        self.sock.close()

    def _more(self, deadline):
        self.sock.settimeout(self._left(deadline))
        data = self.sock.recv(64 << 10)
        self.heard |= bool(data)
        self.buf += data
        return bool(data)

    def _line(self, deadline):
        start = 0
        while (at := self.buf.find(b"\n", start)) < 0:
            start = len(self.buf)
            if start > LINE_BYTES:
                raise _proto("a line of more than 64 KiB")
            if not self._more(deadline):
                raise EOFError
        line = bytes(self.buf[:at])
        del self.buf[:at + 1]
        return line.removesuffix(b"\r")

    def _exactly(self, n, deadline):
        out = bytearray(n)
        view, have = memoryview(out), min(n, len(self.buf))
        view[:have] = self.buf[:have]
        del self.buf[:have]
        while have < n:
            self.sock.settimeout(self._left(deadline))
            got = self.sock.recv_into(view[have:])
            if not got:
                raise EOFError
            self.heard, have = True, have + got
        return out

    def _rest(self, limit, deadline):
        while len(self.buf) <= limit and self._more(deadline):
            pass
        return self.buf

    def talk(self, ask, address, token, limit, deadline):
        """Send, and read the answer. A server that answers early may stop to read: what cannot be
        sent is no error while there is an answer."""
        self.heard = False
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for i, part in enumerate(ask.buffers(address, token)):
                self.sock.settimeout(self._left(deadline))
                if ask.descriptors and i == 0:
                    part = part[socket.send_fds(self.sock, [part], ask.descriptors):]
                self.sock.sendall(part)
        reader = read_answer(ask.method, limit)
        want = next(reader)
        try:
            while True:
                if want == LINE:
                    got = self._line(deadline)
                elif want == REST:
                    got = self._rest(limit, deadline)
                else:
                    got = self._exactly(want, deadline)
                want = reader.send(got)
        except StopIteration as end:
            end.value.keep &= not self.buf  # bytes that nobody asked for
            return end.value


class Async:
    """A connection by asyncio."""

    def __init__(self, reader, writer):
        self.reader, self.writer, self.heard = reader, writer, False

    @classmethod
    async def open(cls, address):
        if address.path:
            pair = await asyncio.open_unix_connection(address.path, limit=LINE_BYTES)
        else:
            pair = await asyncio.open_connection(*address.at, ssl=address.tls, limit=LINE_BYTES)
        return cls(*pair)

    def close(self):
        self.writer.close()

    async def closed(self):
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def _line(self):
        try:
            line = await self.reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise _proto("a line of more than 64 KiB") from None
        self.heard = True
        return line[:-1].removesuffix(b"\r")

    async def talk(self, ask, address, token, limit):
        self.heard = False
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in ask.buffers(address, token):
                self.writer.write(part)
                await self.writer.drain()
        reader = read_answer(ask.method, limit)
        want = next(reader)
        try:
            while True:
                if want == LINE:
                    got = await self._line()
                elif want == REST:
                    got = await self.reader.read(limit + 1)
                    while part := await self.reader.read(limit + 1 - len(got)):
                        got += part
                else:
                    got = await self.reader.readexactly(want) if want else b""
                want = reader.send(got)
        except StopIteration as end:
            return end.value


# What ends a connection that answered nothing: a request may then be sent again.
LOST = (EOFError, OSError)


def lost(address, cause):
    """The exception for what a connection raised."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return failure(ConnectionLost, "E_PERM",
                       f"{address.name} is not who it says: {cause.verify_message}")
    what = str(cause) if isinstance(cause, OSError) else ""
    return failure(ConnectionLost, "E_CLOSED",
                   f"{address.name}: {what or 'the connection was closed before the answer'}")


def late(address, timeout):
    return failure(Timeout, "E_TIMEOUT", f"{address.name} did not answer within {timeout:.3g} s")
