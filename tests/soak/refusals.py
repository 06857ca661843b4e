"""POSTs right after a refused WebSocket handshake, whose upstream closes the connection without having said so."""
import socket

from wire import upgrade_request

STATUSES = (200, 403, 404, 503)


class Refusals:
    """One run; `lost` says which POSTs failed, and how. One worker, so that all connections share one pool."""

    def __init__(self, edge, total):
        self.edge, self.total, self.lost = edge, total, []

    def run(self):
        self.edge.configure(f"""
[site.localhost]
certificate = "none"
[[site.localhost.route]]
path = "/"
upstream = "hub"
[upstream.hub]
endpoints = ["127.0.0.1:{self.edge.upstream()}"]
""")
        self.edge.start()
        poster = self.connect()
        for n in range(self.total):
            status = STATUSES[n % len(STATUSES)]
            with self.connect() as asking:
                asking.sendall(upgrade_request("localhost", f"/refuse/{status}"))
                refusal = asking.recv(12)
                # at once, on a connection that waits: the upstream closes 0.3 ms after the refusal
                try:
                    poster.sendall(b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody")
                    answer = poster.recv(65536)
                except OSError as e:
                    answer = str(e).encode()
            if not refusal.endswith(str(status).encode()):
                self.lost.append(f"handshake {n}: {refusal!r} instead of {status}")
            if not answer.startswith(b"HTTP/1.1 200"):
                self.lost.append(f"POST {n}: {answer[:60]!r}")
                poster.close()
                poster = self.connect()
        poster.close()

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.edge.http), 20)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s
