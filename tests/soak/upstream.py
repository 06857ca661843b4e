#!/usr/bin/env python3
"""What stands behind the edge in the soak; prints its port, then serves 127.0.0.1 until it is ended.

  any GET, POST      200, kept alive
  GET .../events     an event stream: `data: 0`, `data: 1`, ... every 100 ms
  Upgrade            101 and, in the same write, the first bytes (`hello` and the query); then an echo
  Upgrade at .../refuse/STATUS
                     a complete answer with that status that does not say `Connection: close`, and the close 0.3 ms
                     later: what configurable-http-proxy does
"""
import asyncio

from wire import OPENED, frame, parse_head, take_frame


class Upstream(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.buffer, self.feed, self.ticker = transport, b"", self.requests, None

    def data_received(self, data):
        self.buffer += data
        self.feed()

    def connection_lost(self, exc):
        if self.ticker:
            self.ticker.cancel()

    def requests(self):
        while b"\r\n\r\n" in self.buffer:
            head, rest = self.buffer.split(b"\r\n\r\n", 1)
            first, fields = parse_head(head)
            size = int(fields.get("content-length", 0))
            if len(rest) < size:
                return
            self.buffer = rest[size:]
            target = first.split(" ")[1]
            if "upgrade" in fields:
                return self.upgrade(target, fields["upgrade"])
            if target.endswith("/events"):
                return self.events()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n")

    def upgrade(self, target, protocol):
        if "/refuse/" in target:
            status = target.rsplit("/", 1)[1]
            self.transport.write(f"HTTP/1.1 {status} Refused\r\nContent-Length: 2\r\n\r\nno".encode())
            asyncio.get_running_loop().call_later(0.0003, self.transport.close)
            self.feed = lambda: None
            return
        hello = ("hello " + target.partition("?")[2]).encode()
        if protocol == "websocket":
            self.feed, first = self.frames, frame(hello)
            accept = f"Sec-WebSocket-Accept: {OPENED}\r\n"
        else:
            self.feed, first, accept = self.raw, hello + b"\n", ""
        self.transport.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: {protocol}\r\nConnection: Upgrade\r\n{accept}\r\n".encode() + first)
        self.feed()

    def frames(self):
        while got := take_frame(self.buffer):
            opcode, payload, self.buffer = got
            self.transport.write(frame(payload, opcode))
            if opcode == 8:
                return self.transport.close()

    def raw(self):
        data, self.buffer = self.buffer, b""
        if data:
            self.transport.write(data)

    def events(self):
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.feed = lambda: None
        self.tick(0)

    def tick(self, n):
        event = f"data: {n}\n\n".encode()
        self.transport.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.ticker = asyncio.get_running_loop().call_later(0.1, self.tick, n + 1)


async def main():
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
