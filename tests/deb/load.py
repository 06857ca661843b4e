#!/usr/bin/env python3
"""Load from many clients while a package is upgraded: what fails is counted, and told as JSON at the end.

usage: load.py up                 serves as the hub behind, on 127.0.0.1:9000
       load.py ask HOST FILE      asks hubgate on ports 80 and 443 until FILE exists
"""
import asyncio
import json
import os
import ssl
import sys
import time
from collections import Counter

UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
COUNTS = Counter()
FAULTS = []


async def serve(reader, writer):
    """Answers every request with a body; after an upgrade, gives back what comes."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"upgrade: websocket" in head.lower():
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                             b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
                while piece := await reader.read(4096):
                    writer.write(piece)
                    await writer.drain()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def tls():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def connect(host, secured):
    if secured:
        return await asyncio.open_connection("127.0.0.1", 443, ssl=tls(), server_hostname=host)
    return await asyncio.open_connection("127.0.0.1", 80)


async def request(reader, writer, host, status):
    writer.write(f"GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    await reader.readexactly(int(fields.get("content-length", 0)))
    if head.split()[1] != status:
        raise RuntimeError(head.split("\r\n")[0])
    return fields.get("connection") == "close"


async def ask(kind, host, secured, kept, status, over):
    """One client: a connection for many requests, or one for each."""
    while not over():
        writer = None
        try:
            reader, writer = await asyncio.wait_for(connect(host, secured), 10)
            closed = False
            while not closed and not over():
                closed = await asyncio.wait_for(request(reader, writer, host, status), 10) or not kept
                COUNTS[kind] += 1
                await asyncio.sleep(0.005)
        except Exception as fault:  # whatever it is, a request was lost
            COUNTS["failed"] += 1
            FAULTS.append(f"{kind} at {time.time():.3f}: {fault!r}")
        finally:
            if writer:
                writer.close()


async def echo(host, over):
    """A WebSocket for all the time: what is sent has to come back."""
    try:
        reader, writer = await connect(host, True)
        writer.write(UPGRADE.format(host=host).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head, head
        while not over():
            frame = b"\x82\x84\0\0\0\0" + os.urandom(4)
            writer.write(frame)
            assert await asyncio.wait_for(reader.readexactly(len(frame)), 10) == frame
            await asyncio.sleep(0.05)
        COUNTS["websockets alive"] += 1
        writer.close()
    except Exception as fault:
        COUNTS["failed"] += 1
        FAULTS.append(f"websocket at {time.time():.3f}: {fault!r}")


async def main():
    if sys.argv[1] == "up":
        server = await asyncio.start_server(serve, "127.0.0.1", 9000)
        await server.serve_forever()
    host, flag = sys.argv[2:4]
    over = lambda: os.path.exists(flag)
    clients = [ask("kept, TLS", host, True, True, "200", over) for _ in range(8)]
    clients += [ask("fresh, TLS", host, True, False, "200", over) for _ in range(2)]
    clients += [ask("kept, redirects", host, False, True, "301", over) for _ in range(4)]
    clients += [ask("fresh, redirects", host, False, False, "301", over) for _ in range(4)]
    clients += [echo(host, over) for _ in range(10)]
    await asyncio.gather(*clients)
    print(json.dumps({"counts": COUNTS, "faults": FAULTS[:5]}))


asyncio.run(main())
