"""hubgate under test: a folder of its own, its configuration, its process, its reloads."""
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from localhost import free_port, self_signed

HERE = Path(__file__).resolve().parent


class Edge:
    """One hubgate and its upstreams; `with` ends them all, by their ids, whatever happens."""

    def __init__(self, program, workers=0):
        self.program, self.workers = program, workers
        self.processes = []

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="hubgate-soak."))
        (self.folder / "state").mkdir(mode=0o700)
        self.log = open(self.folder / "hubgate.log", "wb")
        self.http, self.https = free_port(), free_port()
        self.process = None
        self.successors = []
        return self

    def __exit__(self, *failure):
        for pid in self.successors:
            end(pid)
        for p in self.processes:
            p.terminate()
        for p in self.processes:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.log.close()
        if failure[0] not in (None, SystemExit, KeyboardInterrupt):
            print((self.folder / "hubgate.log").read_text(errors="replace")[-3000:], file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)

    def upstream(self):
        """starts another upstream; its port"""
        p = subprocess.Popen([sys.executable, HERE / "upstream.py"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.processes.append(p)
        return int(p.stdout.readline())

    def certificate(self, name):
        """a new pair for `localhost`: (the TOML value, the certificate's DER)"""
        chain, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        self_signed(chain, key, name)
        return f'{{ chain = "{chain}", key = "{key}" }}', ssl.PEM_cert_to_DER_cert(chain.read_text())

    drain = "1s"

    def configure(self, text, http=(), https=()):
        """writes the configuration (by rename, as editors do); `http`, `https`: listeners beside the two that stay"""
        def addresses(ports):
            return "[" + ", ".join(f'"127.0.0.1:{p}"' for p in ports) + "]"
        new = self.folder / "hubgate.toml.new"
        new.write_text(f"""
[server]
workers = {self.workers}
state_dir = "{self.folder}/state"
drain_timeout = "{self.drain}"
upgrade_timeout = "20s"
[listen]
http = {addresses([self.http, *http])}
https = {addresses([self.https, *https])}
[admin]
socket = "{self.folder}/admin.sock"
{text}""")
        new.rename(self.folder / "hubgate.toml")

    def start(self):
        self.process = subprocess.Popen([self.program, "run", "-c", self.folder / "hubgate.toml"], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        self.processes.insert(0, self.process)
        deadline = time.monotonic() + 60
        while not all(listens(p) for p in (self.http, self.https)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"hubgate does not listen (exit status {self.process.poll()})")
            time.sleep(0.05)

    def signal_reload(self):
        os.kill(self.pid, signal.SIGHUP)

    @property
    def pid(self):
        """of the process that serves"""
        return self.successors[-1] if self.successors else self.process.pid

    def successor(self, pid):
        self.successors.append(pid)

    def log_text(self):
        return (self.folder / "hubgate.log").read_text(errors="replace")

    def reload_command(self):
        return [self.program, "reload", "-c", self.folder / "hubgate.toml", "--socket", self.folder / "admin.sock"]


def end(pid):
    """ends a process that is nobody's child here"""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def tls_context():
    """a client's, that asks for no particular certificate"""
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def listens(port):
    with socket.socket() as s:
        s.settimeout(2)
        return s.connect_ex(("127.0.0.1", port)) == 0
