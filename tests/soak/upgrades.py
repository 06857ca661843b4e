"""Upgrades at full CPU: an upstream that answers 101 at once and sends its first bytes with it; an echo on every tunnel."""
import asyncio
import os
import subprocess
import sys

from edge import tls_context
from wire import frame, upgrade_request
from reloads import Frames

AT_ONCE = 100
PATIENCE = 60       # seconds for one tunnel; a lost byte never comes, a slow one does


class Upgrades:
    """One run; `lost` says which tunnels failed, and how."""

    def __init__(self, edge, total):
        self.edge, self.total, self.lost = edge, total, []

    async def run(self):
        edge, port = self.edge, self.edge.upstream()
        certificate, _ = edge.certificate("soak")
        edge.configure(f"""
[site.localhost]
certificate = {certificate}
http = "forward"
[[site.localhost.route]]
path = "/"
upstream = "live"
[upstream.live]
endpoints = ["127.0.0.1:{port}"]
""")
        edge.start()
        # so that every core always has somebody waiting for it
        for _ in range(os.cpu_count() or 1):
            edge.processes.append(subprocess.Popen([sys.executable, "-c", "while True: pass"], stdin=subprocess.DEVNULL))
        self.context = tls_context()
        numbers = iter(range(self.total))
        await asyncio.gather(*(self.worker(numbers) for _ in range(AT_ONCE)))

    async def worker(self, numbers):
        for n in numbers:
            try:
                await asyncio.wait_for(self.tunnel(n), PATIENCE)
            except (OSError, EOFError, TimeoutError, asyncio.TimeoutError, ValueError) as e:
                self.lost.append(f"tunnel {n}: {type(e).__name__}: {e}")

    async def tunnel(self, n):
        """half over TLS; a third with bytes sent before the 101; a tenth that is not a WebSocket"""
        tls, early, websocket = n % 2 == 0, n % 3 == 0, n % 10 != 9
        if tls:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.edge.https, ssl=self.context, server_hostname="localhost")
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.edge.http)
        try:
            protocol = "websocket" if websocket else "soak"
            first, second, hello = f"early {n}".encode(), f"echo {n}".encode(), f"hello {n}".encode()
            say = (lambda text: frame(text, masked=True)) if websocket else (lambda text: text + b"\n")
            writer.write(upgrade_request("localhost", f"/up?{n}", protocol) + (say(first) if early else b""))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101"):
                raise ValueError(f"no 101: {head[:60]!r}")
            want = Frames(reader).want if websocket else Lines(reader).want
            await want(hello)
            if early:
                await want(first)
            writer.write(say(second))
            await want(second)
        finally:
            writer.close()


class Lines:
    def __init__(self, reader):
        self.reader = reader

    async def want(self, text):
        line = await self.reader.readline()
        if line != text + b"\n":
            raise ValueError(f"{line[:40]!r} instead of {text!r}")
