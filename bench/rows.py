"""What bench/compare measures, one row each. To add one: a line here, and a generator if none fits."""
from dataclasses import dataclass

import generators as g

KIB, MIB, GIB = 1024, 1024**2, 1024**3


@dataclass(frozen=True)
class Row:
    name: str
    what: str
    generator: callable
    arguments: tuple = ()
    path: str = ""
    unit: str = "us"            # of the figure: CPU per request in us or ms, or what the generator gives as `value`
    plain: bool = False         # plain HTTP instead of TLS
    port: str = ""              # of the streams: "forward" or "passthrough"
    size: int = 0               # of an answer, when requests are reckoned from its bytes
    by_bytes: bool = False
    log: bool = False           # hubgate-log and hubgate-all take part: a row whose cost is requests
    alone: bool = False         # measured on a process of its own, which nothing else has used
    rounds: int = 0             # when fewer are enough
    seconds: float = 0          # when it needs other than the usual time


ROWS = {row.name: row for row in [
    Row("small", "6 bytes, keep-alive, 64 connections", g.wrk, ("-c64",), "6", log=True),
    Row("1k", "1 KiB, keep-alive, 256 connections", g.wrk, ("-c256",), "1k", log=True),
    Row("100k", "100 KiB, keep-alive, 32 connections", g.wrk, ("-c32",), "100k"),
    Row("10m", "10 MiB, keep-alive, 4 connections", g.wrk, ("-c4",), "10m", unit="ms", size=10 * MIB, by_bytes=True),
    Row("resumed", "6 bytes, a connection each, session resumed", g.wrk, ("-c64", "-H", "Connection: close"), "6"),
    Row("full", "6 bytes, a connection each, full handshake", g.load, ("handshakes", "--connections", "64"), "6", log=True),
    Row("h2", "6 bytes, HTTP/2, 16 connections x 32 streams", g.h2load, ("-c16", "-m32"), "6", log=True),
    Row("plain", "6 bytes, plain HTTP, keep-alive, 64 connections", g.wrk, ("-c64",), "6", plain=True, log=True),
    Row("ws64", "WebSocket echo, 64 B, 64 connections", g.load, ("websocket", "--tls", "--connections", "64", "--size", "64")),
    Row("ws16k", "WebSocket echo, 16 KiB, 64 connections", g.load, ("websocket", "--tls", "--connections", "64", "--size", str(16 * KIB))),
    Row("events", "event streams, 1,000 of 1 event/s: an event", g.load, ("events", "--tls", "--connections", "1000"), seconds=3),
    Row("upload", "upload of 100 MiB, 1 connection", g.load, ("upload", "--tls", "--connections", "1", "--size", str(100 * MIB)), unit="ms"),
    Row("latency", "6 bytes, half of the weakest's rate, 64 connections", g.latency, ("latency", "--tls", "--connections", "64"), "6", log=True),
    Row("idle-plain", "idle connection, plain HTTP", g.idle, ("idle",), unit="KiB", plain=True, alone=True, rounds=2),
    Row("idle-tls", "idle connection, TLS", g.idle, ("idle", "--tls"), unit="KiB", alone=True, rounds=2),
    Row("idle-ws", "idle WebSocket, TLS", g.idle, ("idle", "--tls", "--websocket"), unit="KiB", alone=True, rounds=2),
    Row("forward", "TCP forward: a GiB, 4 connections", g.wrk, ("-c4",), "10m", unit="ms", size=GIB, by_bytes=True, plain=True, port="forward"),
    Row("forward-new", "TCP forward: a connection of 6 bytes", g.wrk, ("-c64", "-H", "Connection: close"), "6", plain=True, port="forward"),
    Row("sni", "TLS passed on by SNI: a GiB, 4 connections", g.wrk, ("-c4",), "10m", unit="ms", size=GIB, by_bytes=True, port="passthrough"),
    Row("sni-new", "TLS passed on by SNI: a connection of 6 bytes", g.wrk, ("-c64", "-H", "Connection: close"), "6", port="passthrough"),
    Row("start", "start: exec to the first answer", g.start_up, unit="ms", alone=True),
]}
