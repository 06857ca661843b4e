"""Stops while nothing is asked: how long from the signal to the end of the process."""
import os
import signal
import socket
import time

from edge import Edge, tls_context

IDLE = 100      # connections that wait for their next request, half of them over TLS


def stops(program, times):
    """seconds of each stop: (with nobody connected, with idle connections), and what went wrong"""
    took, faults = ([], []), []
    for n in range(times):
        for kind, connections in enumerate((0, IDLE)):
            with Edge(program) as edge:
                edge.drain = "30s"
                edge.configure(f"""
[site.localhost]
certificate = {edge.certificate("only")[0]}
http = "forward"
[[site.localhost.route]]
path = "/"
upstream = "hub"
[upstream.hub]
endpoints = ["127.0.0.1:{edge.upstream()}"]
""")
                edge.start()
                idle = [connect(edge, i % 2) for i in range(connections)]
                time.sleep(0.5)
                began = time.monotonic()
                os.kill(edge.pid, signal.SIGTERM)
                code = edge.process.wait(40)
                took[kind].append(time.monotonic() - began)
                if code:
                    faults.append(f"stop {n} with {connections} connections: exit status {code}")
                for connection in idle:
                    connection.close()
    return took, faults


def connect(edge, secured):
    """a connection that had one answer"""
    s = socket.create_connection(("127.0.0.1", edge.https if secured else edge.http), 20)
    if secured:
        s = tls_context().wrap_socket(s, server_hostname="localhost")
    s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    if not s.recv(65536).startswith(b"HTTP/1.1 200"):
        raise ConnectionError("no 200")
    return s
