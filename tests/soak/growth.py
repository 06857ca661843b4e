"""A thousand reloads, each to another configuration, with refused ones among them: what the process holds before and after."""
import os
import socket
import statistics
import subprocess
import time
from pathlib import Path

from edge import tls_context
from localhost import free_port

HOSTS = 50          # with a certificate each
WARM = 300          # reloads after which everything has been there, and the allocator has what it wants
LOOKS = 40          # reloads whose memory counts
PACE = 0.5          # seconds between those
REFUSED = 10        # one in so many is of a file with a fault
SETTLED = 60        # seconds for what the last connections held to go


class Growth:
    """One run; `before` and `after` are (file descriptors, threads, resident KiB), `faults` what did not go as it has to.

    Memory is the median of looks right after reloads that come slowly. A configuration that nobody uses goes within a
    second or two, so that of reloads one after the other ten or twenty are alive, as many as the machine makes in that
    time; and what is free goes back to the system a second later, when somebody asks for memory again: one look at a
    process with nothing to do tells how long ago that was.
    """

    def __init__(self, edge, reloads):
        self.edge, self.reloads, self.faults = edge, reloads, []

    def run(self):
        edge = self.edge
        self.upstreams = [edge.upstream(), edge.upstream()]
        self.certificates = [edge.certificate("first")[0], edge.certificate("second")[0]]
        self.extra = [free_port(), free_port()]
        self.configure(0)
        edge.start()
        self.before = self.several(1, WARM)
        begin = WARM + LOOKS
        self.after = self.several(begin + 1, begin + self.reloads - LOOKS, want=self.before)

    def several(self, first, last, want=None):
        for n in range(first, last + 1):
            self.reload(n)
        files, threads, _ = self.held(want)
        memory = []
        for n in range(last + 1, last + 1 + LOOKS):
            time.sleep(PACE)
            self.reload(n)
            memory.append(held_by(self.edge.pid)[2])
        return files, threads, int(statistics.median(memory))

    def configure(self, n):
        """as different as can be from the one before; every second one has the same listeners"""
        sites = "\n".join(f"""
[site."host-{i}.example.com"]
certificate = "self-signed"
http = "forward"
[[site."host-{i}.example.com".route]]
path = "/{n if i == n % HOSTS else 'x'}/"
upstream = "{'other' if i % 2 else 'first'}"
""" for i in range(HOSTS))
        self.edge.configure(f"""
[site.localhost]
certificate = {self.certificates[n % 2]}
http = "forward"
[[site.localhost.route]]
path = "/"
upstream = "first"
response_timeout = "{60 + n}s"
{sites}
[upstream.first]
endpoints = ["127.0.0.1:{self.upstreams[n % 2]}"]
[upstream.other]
endpoints = [{", ".join(f'"127.0.0.1:{p}"' for p in self.upstreams[:1 + n % 2])}]
""", http=[self.extra[0]] if n % 2 else [], https=[self.extra[1]] if n % 2 else [])

    def reload(self, n):
        self.configure(n)
        if n % REFUSED == 0:
            config = self.edge.folder / "hubgate.toml"
            good = config.read_text()
            config.write_text(good.replace("[upstream.other]", "[upstream.otter]"))
            self.ask(n, 1)
            config.write_text(good)
        self.ask(n, 0)
        for secured in (False, True):
            self.request(n, secured)

    def ask(self, n, wanted):
        done = subprocess.run(self.edge.reload_command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != wanted:
            self.faults.append(f"reload {n}: exit status {done.returncode} instead of {wanted}: {done.stdout.strip()[:200]}")

    def request(self, n, secured):
        try:
            with socket.create_connection(("127.0.0.1", self.edge.https if secured else self.edge.http), 20) as s:
                with tls_context().wrap_socket(s, server_hostname="localhost") if secured else s as stream:
                    stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    answer = stream.recv(65536)
        except OSError as e:
            answer = str(e).encode()
        if not answer.startswith(b"HTTP/1.1 200"):
            self.faults.append(f"a request after reload {n}: {answer[:60]!r}")

    def held(self, want):
        """once the idle connections of the last requests are closed, and threads that wait for work have ended"""
        deadline, last, same = time.monotonic() + SETTLED, None, 0
        while time.monotonic() < deadline:
            now = held_by(self.edge.pid)
            same = same + 1 if last and now[:2] == last[:2] else 0
            last = now
            if same >= 20 and (want is None or now[:2] == want[:2]):
                break
            time.sleep(0.5)
        return last


def held_by(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return len(os.listdir(f"/proc/{pid}/fd")), int(fields["Threads"]), int(fields["VmRSS"].split()[0])
