"""Requests through a proxy in lock step: a client and an origin in one process, which go on only when the proxy sleeps.

What a proxy does for a request depends on what has arrived by the time it looks. Here each thing is sent only after
all threads of the proxy have gone to sleep over the last one, so that the same script costs the same every time.
Each function of SCRIPTS takes a `Proxy` and a number of requests, and asserts that every one was answered in full.
"""
import os
import select
import socket
import ssl
import struct
import time
from pathlib import Path

PATIENCE = 60       # seconds for anything; a program under valgrind is some fifty times slower
STREAMS = 8         # HTTP/2 requests that are sent together
BODY = bytes(range(256)) * 400      # 100 KiB
FIELDS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.5",
    "Cookie": "_xsrf=2|6b1f9f0e|4f1b2c3d4e5f60718293a4b5c6d7e8f9|1790000000; jupyterhub-session-id=0123456789abcdef0123456789abcdef",
}
TARGET = "/hub/api/users/student-17?include_stopped_servers=1"


class Proxy:
    """A running proxy: its process, where it listens, and the origin behind it."""

    def __init__(self, pid, http, https, origin):
        self.pid, self.http, self.https, self.origin = pid, http, https, origin
        self.threads = [os.open(task / "stat", os.O_RDONLY) for task in Path(f"/proc/{pid}/task").iterdir()]

    def settle(self):
        """until each of its threads sleeps"""
        until = time.monotonic() + PATIENCE
        while not all(map(self.sleeps, self.threads[:])):
            assert time.monotonic() < until, "the proxy does not come to rest"
            time.sleep(0)

    def sleeps(self, thread):
        try:
            return b") S " in os.pread(thread, 128, 0)
        except ProcessLookupError:          # a thread for blocking calls, which ends when there are none
            self.threads.remove(thread)
            return True

    def connect(self, alpn=None, tls=True, session=None):
        plain = socket.create_connection(("127.0.0.1", self.https if tls else self.http), timeout=PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.settle()
        if not tls:
            return plain
        stream = context(alpn).wrap_socket(plain, server_hostname="localhost", session=session)
        assert stream.cipher()[:2] == ("TLS_AES_128_GCM_SHA256", "TLSv1.3") and stream.selected_alpn_protocol() == alpn
        assert stream.session_reused == bool(session)
        self.settle()
        return stream


class Origin:
    """Takes the proxy's connections; answers when it is told to."""

    def __init__(self):
        self.door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.door.getsockname()[1]
        self.streams = []

    def requests(self, count, body=0):
        """the connections that `count` whole requests came over, in the order in which they were complete"""
        got, complete = {}, []
        while len(complete) < count:
            ready = select.select([self.door, *self.streams], [], [], PATIENCE)[0]
            assert ready, "the proxy does not ask the origin"
            for one in ready:
                if one is self.door:
                    stream = one.accept()[0]
                    stream.settimeout(PATIENCE)
                    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.streams.append(stream)
                    continue
                data = one.recv(1 << 18)
                if not data:
                    self.streams.remove(one)
                    one.close()
                    continue
                got[one] = got.get(one, b"") + data
                head = got[one].find(b"\r\n\r\n")
                if head >= 0 and len(got[one]) == head + 4 + body:
                    complete.append(one)
        return complete


def context(alpn, made={}):
    """one for each protocol, so that sessions can be resumed"""
    if alpn not in made:
        made[alpn] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made[alpn].check_hostname, made[alpn].verify_mode = False, ssl.CERT_NONE
        if alpn:
            made[alpn].set_alpn_protocols([alpn])
    return made[alpn]


def read(stream, size):
    """exactly that many bytes"""
    data = bytearray()
    while len(data) < size:
        part = stream.recv(size - len(data))
        assert part, f"the connection ended after {bytes(data)!r:.200}"
        data += part
    return bytes(data)


def read_answer(stream, body):
    data = bytearray()
    while (head := data.find(b"\r\n\r\n")) < 0 or len(data) < head + 4 + len(body):
        part = stream.recv(1 << 18)
        assert part, f"the connection ended after {bytes(data)!r:.200}"
        data += part
    assert data.startswith(b"HTTP/1.1 200 ") and data[head + 4:] == body, f"{bytes(data)!r:.400}"


def request(method="GET", more=()):
    lines = [f"{method} {TARGET} HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in FIELDS.items()), *more, "", ""]
    return "\r\n".join(lines).encode()


def answer(body):
    return (f"HTTP/1.1 200 OK\r\nServer: TornadoServer/6.4\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n"
            f"X-Jupyterhub-Version: 5.2.1\r\nAccess-Control-Allow-Headers: accept, content-type, authorization\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def exchange(proxy, stream, ask, reply, body, upload=0):
    """one HTTP/1.1 request and its answer"""
    stream.sendall(ask)
    there, = proxy.origin.requests(1, upload)
    proxy.settle()
    there.sendall(reply)
    read_answer(stream, body)
    proxy.settle()


def keep_alive(proxy, count, tls=True, body=b"hello\n", upload=b""):
    """one connection"""
    stream = proxy.connect(tls=tls)
    ask = request("POST", [f"Content-Length: {len(upload)}"]) + upload if upload else request()
    for _ in range(count):
        exchange(proxy, stream, ask, answer(body), body, len(upload))
    stream.close()
    proxy.settle()


def connection_each(proxy, count, resume=False):
    """a connection and a handshake for each request"""
    session = None
    for _ in range(count):
        stream = proxy.connect(session=session)
        exchange(proxy, stream, request(more=["Connection: close"]), answer(b"hello\n"), b"hello\n")
        if resume:
            session = stream.session
        stream.close()
        proxy.settle()


def websocket(proxy, count, size):
    """messages from the client, each echoed"""
    stream = proxy.connect()
    stream.sendall(request(more=["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]))
    there, = proxy.origin.requests(1)
    proxy.settle()
    there.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read(stream, 1)
    assert head.startswith(b"HTTP/1.1 101 "), head
    proxy.settle()
    length = bytes([size]) if size < 126 else struct.pack(">BH", 126, size)
    payload = BODY[:size]
    asked = b"\x82" + bytes([length[0] | 0x80]) + length[1:] + bytes(4) + payload       # the mask is four zeros
    echoed = b"\x82" + length + payload
    for _ in range(count):
        stream.sendall(asked)
        assert read(there, len(asked)) == asked
        proxy.settle()
        there.sendall(echoed)
        assert read(stream, len(echoed)) == echoed
        proxy.settle()
    proxy.origin.streams.remove(there)
    stream.close()
    there.close()
    proxy.settle()


def http2(proxy, count):
    """one connection, STREAMS requests in one write, their answers one after the other"""
    stream = proxy.connect("h2")
    stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4) + frame(8, body=struct.pack(">I", 1 << 30)))
    proxy.settle()
    block = header_block()
    for first in range(0, count, STREAMS):
        batch = range(first, min(first + STREAMS, count))
        stream.sendall(b"".join(frame(1, 0x5, 2 * n + 1, block) for n in batch))
        open_streams = len(batch)
        for there in proxy.origin.requests(len(batch)):
            proxy.settle()
            there.sendall(answer(b"hello\n"))
            open_streams -= 1
            while ended(stream) != "stream":
                pass
        assert not open_streams
        proxy.settle()
    stream.close()
    proxy.settle()


def frame(kind, flags=0, stream=0, body=b""):
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def ended(stream):
    """reads one frame: "stream" when it was the last of its stream"""
    head = read(stream, 9)
    kind, flags = head[3], head[4]
    body = read(stream, int.from_bytes(head[:3], "big"))
    assert kind not in (3, 7), f"the proxy refuses: frame {kind} {body!r}"
    if kind in (4, 6) and not flags & 1:
        stream.sendall(frame(kind, 1, body=body if kind == 6 else b""))
    return "stream" if kind in (0, 1) and flags & 1 else ""


def header_block():
    """of FIELDS; nothing is added to the dynamic table, so that each request is the same"""
    def literal(index, value):
        name = bytes([index]) if index < 15 else bytes([15, index - 15])
        return name + bytes([len(value)] if len(value) < 127 else [127, len(value) - 127]) + value.encode()

    static = {"User-Agent": 58, "Accept": 19, "Accept-Language": 17, "Cookie": 32}
    return b"\x82\x87" + literal(1, "localhost") + literal(4, TARGET) + b"".join(literal(static[k], v) for k, v in FIELDS.items())


# name: (what one unit is, what is done, how often, how often before that to fill caches)
SCRIPTS = {
    "plain": ("HTTP/1.1, no TLS, keep-alive, 6 bytes", lambda p, n: keep_alive(p, n, tls=False), 2000, 32),
    "tls": ("HTTP/1.1, TLS, keep-alive, 6 bytes", keep_alive, 2000, 32),
    "logged": ("the same with the access log on (JSON, file)", keep_alive, 1000, 32),
    "h2": (f"HTTP/2, {STREAMS} streams, 6 bytes", http2, 2000, 32),
    "download": ("HTTP/1.1, TLS, keep-alive, 100 KiB down", lambda p, n: keep_alive(p, n, body=BODY), 200, 8),
    "upload": ("HTTP/1.1, TLS, keep-alive, 100 KiB up", lambda p, n: keep_alive(p, n, upload=BODY), 200, 8),
    "websocket": ("WebSocket over TLS, a 64-byte message echoed", lambda p, n: websocket(p, n, 64), 2000, 32),
    "websocket-16k": ("WebSocket over TLS, a 16 KiB message echoed", lambda p, n: websocket(p, n, 1 << 14), 300, 8),
    "connect": ("a connection and a full handshake each", connection_each, 250, 8),
    "resume": ("a connection and a resumed handshake each", lambda p, n: connection_each(p, n, True), 250, 8),
}
