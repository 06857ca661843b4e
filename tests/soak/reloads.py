"""Reloads and binary upgrades under load: what they cost requests in flight, open WebSockets and event streams."""
import asyncio
import random
import socket
import time

from edge import listens, tls_context
from generators import h2load_figures, wrk_figures
from localhost import free_port
from takeovers import DIES, Takeovers
from wire import frame, take_frame, upgrade_request


class Reloads:
    """One run; the counts are attributes when `run` returns."""

    def __init__(self, edge, reloads, sockets, streams, takeovers, requests):
        self.edge, self.reloads, self.sockets, self.streams = edge, reloads, sockets, streams
        self.takeovers, self.wanted = takeovers, requests
        self.requests = dict.fromkeys(("kept", "fresh", "HTTP/2"), 0)
        self.failed = dict(self.requests)
        self.answered = 0
        self.lost_sockets, self.lost_streams, self.open_sockets = [], [], 0
        self.faults, self.notes = [], []          # of the reloads themselves
        self.took = []

    async def run(self):
        edge = self.edge
        self.live, self.load = edge.upstream(), [edge.upstream(), edge.upstream()]
        self.certificates = [edge.certificate("first"), edge.certificate("second")]
        self.extra = [free_port(), free_port()]
        if self.takeovers:
            edge.drain = "1h"                               # tunnels stay with the process that began them
        self.configure(0)
        edge.start()
        over = self.over = Takeovers(edge)
        bad = [lambda name=name: over.fail(name) for name in over.bad if name != DIES] + [over.refuse]
        self.load_over, self.stop = asyncio.Event(), asyncio.Event()
        tunnels = [asyncio.create_task(self.socket(n, edge.https)) for n in range(self.sockets)]
        tunnels += [asyncio.create_task(self.stream(n)) for n in range(self.streams)]
        await self.until(lambda: self.open_sockets == self.sockets + self.streams, 300, "the tunnels open")
        loads = [asyncio.create_task(self.wrk("kept", "-c16")), asyncio.create_task(self.h2load()),
                 asyncio.create_task(self.wrk("fresh", "-c4", "-H", "Connection: close"))]
        await asyncio.sleep(1)
        for n in range(1, self.reloads + 1):
            began = time.monotonic()
            await self.reload(n)
            self.took.append(time.monotonic() - began)
            share = max(1, self.reloads // max(1, self.takeovers))
            if self.takeovers and n % share == 0 and over.done < self.takeovers:
                await over.succeed()
                if bad:
                    await bad.pop()()
            if self.extra_https(n) and n % 10 == 3:         # a tunnel on a listener that the next reload takes away
                tunnels.append(asyncio.create_task(self.socket(f"extra-{n}", self.extra[1])))
                want = self.open_sockets + 1
                await self.until(lambda: self.open_sockets >= want, 60, "a tunnel opens on the new listener")
        while self.takeovers and bad:
            await bad.pop()()
        while sum(self.requests.values()) < self.wanted and not self.notes:
            await asyncio.sleep(1)
        self.load_over.set()
        await asyncio.gather(*loads)
        if self.takeovers:                                  # requests that it had taken would die with it: that is not the edge's
            await over.fail(DIES)
        await asyncio.sleep(3)                              # every tunnel says something after the last reload
        self.stop.set()
        await asyncio.gather(*tunnels)
        await self.lose_none()

    async def lose_none(self):
        """as many requests by HTTP/2 as hubgate logged have to have got their answer"""
        logged = 0
        for _ in range(50):                                 # the last lines are written within a moment
            with open(self.edge.folder / "load.log") as log:
                logged = sum(line.startswith("HTTP/2.0 ") for line in log)
            if logged == self.answered:
                return
            await asyncio.sleep(0.1)
        self.failed["HTTP/2"] += abs(logged - self.answered)
        self.notes.append(f"hubgate answered {logged} requests by HTTP/2, {self.answered} answers of 2xx arrived")

    # ------------------------------------------------------------ the configurations
    def extra_https(self, n):
        return n % 10 in (2, 3, 7)

    def configure(self, n):
        """generation n: a route of its own, another certificate, other listeners, other endpoints and limits"""
        endpoints = ", ".join(f'"127.0.0.1:{p}"' for p in (self.load if n % 3 else self.load[:1]))
        certificate, self.der = self.certificates[n % 2]
        self.edge.configure(f"""
[limits]
connections = 20000
connections_per_client = 20000
[site.localhost]
certificate = {certificate}
[[site.localhost.route]]
path = "/load/"
upstream = "load"
access_log = {{ target = "{self.edge.folder}/load.log", format = "$server_protocol $status" }}
response_timeout = "{60 + n}s"
[[site.localhost.route]]
path = "/live/"
upstream = "live"
idle_timeout = "{600 + n}s"
tunnel_idle_timeout = "{600 + n}s"
[[site.localhost.route]]
exact = "/generation-{n}"
upstream = "{'load' if n % 2 else 'passing'}"
[site."generation-{n}.example.com"]
certificate = "self-signed"
[[site."generation-{n}.example.com".route]]
path = "/"
upstream = "live"
[upstream.load]
endpoints = [{endpoints}]
[upstream.live]
endpoints = ["127.0.0.1:{self.live}"]
[upstream.passing]
endpoints = ["127.0.0.1:{self.load[n % 2]}"]
""", http=[self.extra[0]] if n % 2 else [], https=[self.extra[1]] if self.extra_https(n) else [])

    async def reload(self, n):
        self.configure(n)
        if n % 2:
            p = await asyncio.create_subprocess_exec(*map(str, self.edge.reload_command()), stdin=asyncio.subprocess.DEVNULL,
                                                     stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
            said = (await p.communicate())[0].decode(errors="replace")
            if p.returncode:
                self.faults.append(f"reload {n}: exit status {p.returncode}: {said.strip()}")
                return
        else:
            self.edge.signal_reload()
        try:
            await self.until(lambda: self.serves(n), 60, f"reload {n} takes effect")
            if await asyncio.to_thread(self.probe, f"/generation-{n - 1}") != (404, self.der):
                self.faults.append(f"reload {n}: the route of the generation before is still there")
        except TimeoutError as e:
            self.faults.append(str(e))

    def serves(self, n):
        """all of generation n is in force: its route, its certificate, its listeners"""
        return (self.probe(f"/generation-{n}") == (200, self.der)
                and listens(self.extra[0]) == bool(n % 2) and listens(self.extra[1]) == self.extra_https(n))

    def probe(self, target):
        """(status, certificate) of a new connection"""
        try:
            with socket.create_connection(("127.0.0.1", self.edge.https), 60) as c:
                with tls_context().wrap_socket(c, server_hostname="localhost") as t:
                    t.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                    return int(t.recv(4096).split(b" ")[1]), t.getpeercert(True)
        except (OSError, IndexError, ValueError) as e:
            note = f"a probe on a new connection failed: {type(e).__name__}: {e}"
            if note not in self.notes:
                self.notes.append(note)
            return None, None

    async def until(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not await asyncio.to_thread(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds} s: {what}")
            await asyncio.sleep(0.02)

    # ------------------------------------------------------------ the load, in rounds so that connections are made too
    async def wrk(self, name, *how):
        url = f"https://localhost:{self.edge.https}/load/x"
        while not self.load_over.is_set():
            text = await generator("wrk", "-t1", *how, "-d4", "--timeout", "60", url)
            self.account(name, text, *wrk_figures(text)[:2])

    async def h2load(self):
        url = f"https://localhost:{self.edge.https}/load/x"
        while not self.load_over.is_set():
            text = await generator("h2load", "-t1", "-c8", "-m8", "-n6000", url)
            good, _ = h2load_figures(text)
            # It does not connect again after a GOAWAY, and counts what it never sent as failed. What counts is what arrived.
            self.answered += good
            self.account("HTTP/2", text, good, 0)

    def account(self, name, text, requests, failed):
        self.requests[name] += requests
        self.failed[name] += failed
        if failed:
            said = [line.strip() for line in text.splitlines() if any(w in line for w in ("rrors:", "Non-2xx", "requests:", "codes:"))]
            self.notes.append(f"{name}: {'; '.join(said)}")

    # ------------------------------------------------------------ the tunnels
    async def open(self, port, request):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls_context(), server_hostname="localhost")
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 120)
        return reader, writer, head

    async def socket(self, name, port):
        """says something about once a second and wants it back"""
        writer, said = None, 0
        try:
            reader, writer, head = await self.open(port, upgrade_request("localhost", f"/live/ws?{name}"))
            if not head.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(f"no 101: {head[:40]!r}")
            frames = Frames(reader)
            await frames.want(f"hello {name}".encode())
            self.open_sockets += 1
            while True:
                last = self.stop.is_set()
                said += 1
                text = f"{name} says {said}".encode()
                writer.write(frame(text, masked=True))
                await frames.want(text)
                if last:
                    return
                await asyncio.sleep(random.uniform(0.5, 1.5))
        except (OSError, EOFError, TimeoutError, asyncio.TimeoutError, ValueError) as e:
            self.lost_sockets.append(f"websocket {name} after {said} messages: {type(e).__name__}: {e}")
        finally:
            if writer:
                writer.close()

    async def stream(self, name):
        """the numbers of an event stream, none missing"""
        writer, number = None, 0
        try:
            reader, writer, head = await self.open(self.edge.https, b"GET /live/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(f"no 200: {head[:40]!r}")
            self.open_sockets += 1
            while not self.stop.is_set():
                line = await asyncio.wait_for(reader.readline(), 120)
                if not line:
                    raise EOFError("the stream ended")
                if line.startswith(b"data: "):
                    if int(line[6:]) != number:
                        raise ValueError(f"event {number} is missing")
                    number += 1
        except (OSError, EOFError, TimeoutError, asyncio.TimeoutError, ValueError) as e:
            self.lost_streams.append(f"event stream {name} after {number} events: {type(e).__name__}: {e}")
        finally:
            if writer:
                writer.close()


class Frames:
    def __init__(self, reader):
        self.reader, self.buffer = reader, b""

    async def want(self, text):
        while True:
            if got := take_frame(self.buffer):
                opcode, payload, self.buffer = got
                if opcode == 8:
                    raise EOFError(f"closed by the other side: {payload!r}")
                if opcode in (9, 10):
                    continue
                if payload != text:
                    raise ValueError(f"{payload[:40]!r} instead of {text[:40]!r}")
                return
            data = await asyncio.wait_for(self.reader.read(65536), 120)
            if not data:
                raise EOFError("the connection ended")
            self.buffer += data


async def generator(*command):
    p = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                                             stderr=asyncio.subprocess.STDOUT)
    try:
        text = (await p.communicate())[0].decode(errors="replace")
    except asyncio.CancelledError:
        p.kill()
        raise
    if p.returncode:
        raise RuntimeError(f"{command[0]}: {text}")
    return text
