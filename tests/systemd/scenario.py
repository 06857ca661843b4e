"""One thing that systemd does to hubgate, under load; runs inside `boot`, prints what it saw, exits 1 when it was not as meant.

    python3 scenario.py NAME HUBGATE UNITS

HUBGATE is the program, UNITS the folder of the units under test. The service is the packaged unit with the program's path
and the account changed, and with a shorter watchdog. Load is one request per connection, and requests on kept connections.
"""
import ctypes
import os
import re
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HTTP = ("127.0.0.1", 8080)
HOME = Path("/run/test")
LOG = HOME / "log"
CONFIG = HOME / "hubgate.toml"
ADMIN = "/run/hubgate/admin.sock"
# Of hubgate's own, and of systemd's.
UNIX, ACTIVATED = "/run/hubgate/http.sock", "/run/test/activated.sock"
TOML = """
[server]
workers = 2
drain_timeout = "3s"
pid_file = "/run/hubgate/hubgate.pid"
[listen]
http = ["127.0.0.1:8080"]
https = ["127.0.0.1:8443"]
[site."hub.test"]
certificate = "self-signed"
http = "forward"
[[site."hub.test".route]]
path = "/"
upstream = "up"
[upstream.up]
endpoints = ["127.0.0.1:9000"]
"""


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/slow":
            time.sleep(60)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


def expect(what, holds):
    print(("ok   " if holds else "FAIL ") + what, flush=True)
    if not holds:
        print(run("systemctl", "status", "--no-pager", "-l", "hubgate")[1])
        print(LOG.read_text() if LOG.exists() else "no log", flush=True)
        sys.exit(1)


def eventually(what, holds, limit=90):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if holds():
            return expect(what, True)
        time.sleep(0.05)
    expect(what, False)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def show(name, unit="hubgate"):
    return run("systemctl", "show", "-P", name, unit)[1].strip()


def main_pid():
    return int(show("MainPID"))


def answer(sock):
    """one response on the connection: its body, and whether another request may follow"""
    data = b""
    while b"\r\n\r\n" not in data:
        got = sock.recv(65536)
        if not got:
            raise OSError(f"closed after {data!r}")
        data += got
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
    while len(body) < length:
        got = sock.recv(65536)
        if not got:
            raise OSError("closed in the body")
        body += got
    return body, b"connection: close" not in head.lower()


def connected(to, timeout=60):
    if isinstance(to, tuple):
        return socket.create_connection(to, timeout=timeout)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(timeout)
    sock.connect(to)
    return sock


def get(timeout=60, path="/", to=HTTP):
    with connected(to, timeout) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: hub.test\r\nConnection: close\r\n\r\n".encode())
        return answer(sock)[0]


def operator_is_answered():
    try:
        return get(path="/health", to=ADMIN) == b"ok\n"
    except OSError:
        return False


class Load:
    """requests until the end of the block; what failed is kept"""

    def __init__(self, kept=True, shapes=None):
        self.over, self.served, self.failed = threading.Event(), 0, []
        self.shapes = shapes or ["fresh", "fresh"] + ["keep"] * (2 if kept else 0)

    def __enter__(self):
        self.threads = [threading.Thread(target=self.run, args=(getattr(self, shape),)) for shape in self.shapes]
        for thread in self.threads:
            thread.start()
        time.sleep(0.3)
        return self

    def __exit__(self, *_):
        time.sleep(0.3)
        self.over.set()
        for thread in self.threads:
            thread.join()

    def run(self, shape):
        while not self.over.is_set():
            try:
                shape()
            except (OSError, AttributeError) as error:
                self.failed.append(f"{shape.__name__}: {error!r}")
                time.sleep(0.05)

    def fresh(self):
        assert get() == b"ok"
        self.served += 1

    def fresh_unix(self, to=UNIX):
        assert get(to=to) == b"ok"
        self.served += 1

    def fresh_activated(self):
        self.fresh_unix(ACTIVATED)

    def ask(self):
        """the operator's socket"""
        assert get(path="/health", to=ADMIN) in (b"ok\n", b"stopping\n")
        self.served += 1

    def keep(self):
        with socket.create_connection(HTTP, timeout=60) as sock:
            goes_on = True
            while goes_on and not self.over.is_set():
                sock.sendall(b"GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n")
                body, goes_on = answer(sock)
                assert body == b"ok"
                self.served += 1

    def expect_none_failed(self, what):
        expect(f"{what}: 0 failed of {self.served} requests {self.failed[:3]}", not self.failed and self.served > 20)

    def expect_none_refused(self, most):
        """at most so many that were with a process when it was killed may have been lost"""
        refused = [fault for fault in self.failed if "Refused" in fault or "timed out" in fault]
        expect(f"no connection was refused, {len(self.failed)} that were open were lost, of {self.served} {self.failed[:5]}",
               not refused and len(self.failed) <= most)


def units(program, folder, activated=False):
    """puts the packaged units, as they are but for what cannot be here, where this systemd finds them"""
    HOME.mkdir(exist_ok=True)
    HOME.chmod(0o755)
    CONFIG.write_text(TOML)
    own = HOME / "hubgate"
    own.write_bytes(Path(program).read_bytes())
    own.chmod(0o755)
    version = int(re.search(r"systemd (\d+)", run("systemctl", "--version")[1]).group(1))
    source = Path(folder) / ("hubgate.service" if version >= 253 else "older/hubgate.service")
    text = source.read_text()
    text = text.replace("/usr/bin/hubgate run", f"{own} run -c {CONFIG}").replace("/usr/bin/hubgate reload", f"{own} reload")
    text = text.replace("User=hubgate", "User=nobody").replace("Group=hubgate", "Group=nogroup")
    text = text.replace("WatchdogSec=30s", "WatchdogSec=8s").replace("[Unit]", "[Unit]\nDefaultDependencies=no")
    text = re.sub(r"(?m)^(Wants|After)=.*\n", "", text)
    text = text.replace("[Service]", f"[Service]\nStandardError=append:{LOG}")
    here = Path(os.environ["UNITS"])
    (here / "hubgate.service").write_text(text)
    if activated:
        text = (Path(folder) / "hubgate.socket").read_text().replace("[Unit]", "[Unit]\nDefaultDependencies=no")
        text = re.sub(r"(?m)^ListenStream=.*\n", "", text)
        listen = f"ListenStream=127.0.0.1:8080\nListenStream=127.0.0.1:8443\nListenStream=127.0.0.1:7777\nListenStream={ACTIVATED}\n"
        (here / "hubgate.socket").write_text(text.replace("[Socket]\n", "[Socket]\n" + listen))
    run("systemctl", "daemon-reload")


def start():
    code, said = run("systemctl", "start", "hubgate")
    expect(f"the service starts {said}", code == 0)


def starts_when_clients_are_served():
    start()
    expect("the first connection after the start is answered", get() == b"ok")
    expect("the service is active", show("ActiveState") == "active")
    status = show("StatusText")
    expect(f"the status is a line for a person: {status}", re.match(r"generation 1: 1 site, 1 certificate, \d+ connections? open$", status))
    expect("the pid file names the main process", int(Path("/run/hubgate/hubgate.pid").read_text()) == main_pid())
    expect("nobody but its owner reads it", Path("/run/hubgate/hubgate.pid").stat().st_mode & 0o777 == 0o600)
    capabilities = re.search(r"CapEff:\s*(\w+)", Path(f"/proc/{main_pid()}/status").read_text()).group(1)
    expect(f"it may bind low ports and nothing else: {capabilities}", int(capabilities, 16) == 1 << 10)
    code, _ = run("systemctl", "stop", "hubgate")
    expect("it stops", code == 0 and show("ActiveState") == "inactive" and show("Result") == "success")
    CONFIG.write_text("[server\n")
    code, _ = run("systemctl", "start", "hubgate")
    expect("a refused configuration fails the start", code != 0)
    expect("and is not tried again", show("NRestarts") == "0")


def reload_keeps_every_connection_and_tells_why_it_was_refused():
    start()
    with Load() as load:
        for generation in (2, 3, 4):
            CONFIG.write_text(TOML + f"[limits]\nh2_streams = {generation + 20}\n")
            code, said = run("systemctl", "reload", "hubgate")
            expect(f"a reload is done when its command is {said}", code == 0 and f"generation {generation}:" in show("StatusText"))
        CONFIG.write_text(TOML.replace("route", "rout"))
        code, said = run("systemctl", "reload", "hubgate")
        if show("Type") != "notify-reload":
            expect("a refused reload fails", code != 0)
        expect(f"the status says why: {show('StatusText')}", "refused: error" in show("StatusText"))
        CONFIG.write_text(TOML)
        run("systemctl", "reload", "hubgate")
        expect("and forgets it after the next", "refused" not in show("StatusText"))
        expect("the service is active", show("ActiveState") == "active")
    load.expect_none_failed("five reloads")


def upgrade_makes_the_successor_the_main_process():
    start()
    with Load() as load:
        for _ in range(2):
            before = main_pid()
            run("systemctl", "kill", "--kill-whom=main", "-s", "USR2", "hubgate")
            eventually("another process is the main one", lambda: main_pid() not in (0, before))
            eventually("the status is its own", lambda: "generation" in show("StatusText"))
            eventually("the old process has ended", lambda: not Path(f"/proc/{before}").exists())
            expect("the service was active all the time", show("ActiveState") == "active" and show("NRestarts") == "0")
        before, reloads = main_pid(), LOG.read_text().count("configuration reloaded")
        run("systemctl", "kill", "--kill-whom=main", "-s", "USR2", "hubgate")
        code, said = run("systemctl", "reload", "hubgate")
        expect(f"a reload during an upgrade is done {said}", code == 0)
        eventually("by one of the two", lambda: LOG.read_text().count("configuration reloaded") == reloads + 1)
        eventually("and another process is the main one", lambda: main_pid() not in (0, before))
        before = main_pid()
        code, said = run(str(HOME / "hubgate"), "upgrade", "--program", "/bin/false")
        expect(f"an upgrade that fails says so {said}", code == 1 and "exit code 1" in said)
        expect("and changes nothing", main_pid() == before)
        # Longer than the watchdog waits: the successor gives the signs.
        time.sleep(10)
        code, said = run("systemctl", "reload", "hubgate")
        expect(f"a reload reaches the successor {said}", code == 0 and main_pid() == before)
    load.expect_none_failed("two upgrades, a failed one and a reload")
    code, _ = run("systemctl", "stop", "hubgate")
    expect("it stops", code == 0 and show("Result") == "success")


def restart_keeps_the_sockets():
    unix = TOML.replace('http = ["127.0.0.1:8080"]', f'http = ["127.0.0.1:8080", "unix:{UNIX}"]')
    CONFIG.write_text(unix)
    start()
    files = {ADMIN: 0o600, UNIX: 0o660}
    there = lambda: {path: (Path(path).stat().st_ino, Path(path).stat().st_mode & 0o777) for path in files}
    first = there()
    expect("sockets are opened to whom they are for", {path: mode for path, (_, mode) in first.items()} == files)
    with Load() as load, Load(shapes=("fresh_unix", "fresh_unix", "ask")) as other:
        for _ in range(3):
            before = main_pid()
            code, said = run("systemctl", "restart", "hubgate")
            expect(f"it restarts {said}", code == 0 and main_pid() != before)
    load.expect_none_failed("three restarts")
    other.expect_none_failed("by sockets in the file system")
    expect("these are the same as before", there() == first)
    expect("the store does not grow", int(show("NFileDescriptorStore")) == 6)
    CONFIG.write_text(unix.replace('https = ["127.0.0.1:8443"]', "https = []").replace('certificate = "self-signed"', 'certificate = "none"'))
    run("systemctl", "reload", "hubgate")
    eventually("the sockets of a listener that went are let go", lambda: show("NFileDescriptorStore") == "4")
    CONFIG.write_text(TOML)
    code, said = run("systemctl", "restart", "hubgate")
    expect(f"it restarts with a listener less {said}", code == 0 and get() == b"ok")
    expect("the file of that one is gone", not Path(UNIX).exists())
    eventually("and its socket let go", lambda: show("NFileDescriptorStore") == "5")
    code, _ = run("systemctl", "stop", "hubgate")
    expect("a stop leaves nothing", code == 0 and not Path("/run/hubgate").exists() and show("NFileDescriptorStore") == "0")


def socket_activation_starts_it_with_the_first_connection():
    CONFIG.write_text(TOML.replace('http = ["127.0.0.1:8080"]', f'http = ["127.0.0.1:8080", "unix:{ACTIVATED}"]'))
    code, said = run("systemctl", "start", "hubgate.socket")
    expect(f"the sockets are there {said}", code == 0)
    expect("the service is not", show("ActiveState") == "inactive")
    mode = Path(ACTIVATED).stat().st_mode
    with Load() as load, Load(shapes=("fresh_activated",)) as other:
        eventually("the first connections start the service", lambda: show("ActiveState") == "active")
        run("systemctl", "restart", "hubgate")
        before = main_pid()
        run("systemctl", "kill", "--kill-whom=main", "-s", "USR2", "hubgate")
        eventually("an upgrade passes them on", lambda: main_pid() not in (0, before))
        eventually("the old process has ended", lambda: not Path(f"/proc/{before}").exists())
    load.expect_none_failed("a start by the first connection, a restart and an upgrade")
    other.expect_none_failed("the same by a socket in the file system")
    expect("whose file stays as systemd made it", Path(ACTIVATED).stat().st_mode == mode)
    CONFIG.write_text(TOML)
    code, said = run("systemctl", "reload", "hubgate")
    expect(f"and stays when hubgate listens there no more {said}", code == 0 and Path(ACTIVATED).exists())
    expect("a socket that is not in the configuration is told", "127.0.0.1:7777" in LOG.read_text())


def watchdog_ends_a_process_with_a_stuck_worker():
    start()
    pid = main_pid()
    time.sleep(11)
    expect("an idle process gives its signs", main_pid() == pid)
    threads = Path(f"/proc/{pid}/task").iterdir()
    worker = next(int(t.name) for t in threads if (t / "comm").read_text().strip() == "worker-1")
    libc = ctypes.CDLL(None, use_errno=True)
    seize, interrupt = 0x4206, 0x4207
    expect("a worker is held", libc.ptrace(seize, worker, 0, 0) == 0 and libc.ptrace(interrupt, worker, 0, 0) == 0)

    def replaced():
        try:  # who is held ends only when its tracer has looked
            os.waitpid(worker, os.WNOHANG | 0x40000000)
        except ChildProcessError:
            pass
        return main_pid() not in (0, pid)

    with Load(kept=False) as load:
        eventually("systemd ends the process", replaced)
        eventually("and starts another", lambda: show("ActiveState") == "active" and show("NRestarts") == "1")
        before = load.served
        eventually("clients are served again", lambda: load.served > before + 20)
    expect("the log tells why", "watchdog" in LOG.read_text())
    load.expect_none_refused(2)


def a_killed_process_is_started_again_and_nobody_is_refused():
    start()
    with Load(kept=False) as load:
        for _ in range(2):
            pid = main_pid()
            run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "hubgate")
            eventually("another process serves", lambda: main_pid() not in (0, pid) and show("ActiveState") == "active")
    load.expect_none_refused(4)


def a_process_killed_while_its_successor_is_on_trial_leaves_one_that_serves():
    start()
    with Load(kept=False) as load:
        pid = main_pid()
        run("systemctl", "kill", "--kill-whom=main", "-s", "USR2", "hubgate")
        eventually("the successor is on trial", lambda: "taking over" in LOG.read_text())
        run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "hubgate")
        eventually("another process serves", lambda: main_pid() not in (0, pid) and show("ActiveState") == "active")
        alone = [str(main_pid())]
        eventually("an operator reaches it", operator_is_answered)
        eventually("it is alone", lambda: Path("/sys/fs/cgroup" + show("ControlGroup"), "cgroup.procs").read_text().split() == alone)
    load.expect_none_refused(4)


def a_successor_that_dies_while_the_old_process_drains_is_replaced_and_nobody_is_refused():
    start()
    for _ in range(3):
        old, log = main_pid(), len(LOG.read_text())
        # Something that the old process waits for: an answer that takes its time.
        waiting = connected(HTTP)
        waiting.sendall(b"GET /slow HTTP/1.1\r\nHost: hub.test\r\n\r\n")
        time.sleep(0.3)
        with Load(kept=False) as load:
            run("systemctl", "kill", "--kill-whom=main", "-s", "USR2", "hubgate")
            eventually("the successor is the main process", lambda: main_pid() not in (0, old))
            eventually("behind its trial", lambda: "upgrade.done" in LOG.read_text()[log:])
            new = main_pid()
            expect("the old process drains", Path(f"/proc/{old}").exists())
            gap, before = time.monotonic(), load.served
            os.kill(new, 9)
            eventually("another process serves", lambda: main_pid() not in (0, old, new) and load.served > before + 5)
            gap = time.monotonic() - gap
        print(f"clients waited at most {gap:.1f} s", flush=True)
        load.expect_none_refused(4)
        eventually("the old process is gone", lambda: not Path(f"/proc/{old}").exists())
        waiting.close()


def debians_own_unit_of_nginx_runs_hubgate_in_nginxs_place():
    """the packaged unit of nginx as it is, with a link to hubgate as /usr/sbin/nginx; and signals as its init script sends them"""
    unit, etc, log, pid = Path("/lib/systemd/system/nginx.service"), Path("/etc/nginx"), Path("/var/log/nginx"), Path("/run/nginx.pid")
    layer, program = HOME / "layer", Path("/usr/sbin/nginx")
    for folder in ("upper", "work"):
        (layer / folder).mkdir(parents=True)
    over = f"lowerdir={program.parent},upperdir={layer}/upper,workdir={layer}/work"
    expect("what it mounts is its own", run("mount", "-t", "overlay", "o", "-o", over, program.parent)[0] == 0
           and run("mount", "-t", "tmpfs", "t", etc)[0] == 0)
    program.unlink()
    program.symlink_to(HOME / "hubgate")
    log.mkdir()
    text = re.sub(r"(?m)^(Wants|After)=.*\n", "", unit.read_text()).replace("[Unit]", "[Unit]\nDefaultDependencies=no")
    (Path(os.environ["UNITS"]) / "nginx.service").write_text(text)
    run("systemctl", "daemon-reload")

    def conf(word):
        (etc / "nginx.conf").write_text("user www-data; pid /run/nginx.pid; events {} http { access_log /var/log/nginx/access.log; "
                                        f"server {{ listen 127.0.0.1:8080; return 200 {word}; }} }}")

    def told(*words):
        code, said = run("systemctl", *words, "nginx")
        return code == 0 or print(said)

    def signalled(name, file):
        return run("start-stop-daemon", "--stop", "--signal", name, "--quiet", "--pidfile", file, "--name", "nginx")[0] == 0

    def main_process():
        return int(show("MainPID", "nginx"))
    conf("one ONE")
    expect("a refused configuration fails the start", run("systemctl", "start", "nginx")[0] != 0 and not pid.exists())
    conf("one")
    expect("it starts", told("start") and show("ActiveState", "nginx") == "active")
    expect("the main process is the one in the pid file", main_process() == int(pid.read_text()))
    expect("it serves", get() == b"one")
    conf("two")
    expect("it reloads", told("reload"))
    eventually("it serves what it was told", lambda: get() == b"two")
    (log / "access.log").rename(log / "access.log.1")
    expect("logs are opened again", signalled("USR1", pid))
    eventually("the log is there anew", (log / "access.log").exists)
    old = main_process()
    expect("another program is begun", signalled("USR2", pid))
    eventually("both have a file", lambda: pid.exists() and Path(f"{pid}.oldbin").exists() and int(pid.read_text() or old) != old)
    expect("the old one is sent away", signalled("QUIT", f"{pid}.oldbin"))
    eventually("the new one is the main process", lambda: main_process() == int(pid.read_text()) != old)
    expect("and serves", get() == b"two" and show("ActiveState", "nginx") == "active")
    expect("it stops", told("stop") and show("Result", "nginx") == "success")
    expect("and leaves no files", not pid.exists() and not Path(f"{pid}.oldbin").exists())


def main():
    name, program, folder = sys.argv[1:]
    threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", 9000), Upstream).serve_forever, daemon=True).start()
    units(program, folder, activated=name.startswith("socket_activation"))
    globals()[name]()


if __name__ == "__main__":
    main()
