"""What a program costs: CPU time and memory of its processes, and how far the origin has come."""
import http.client
import os
import time
from pathlib import Path

TICK, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def tree(pid):
    """the process and all below it"""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, queue = [], [pid]
    while queue:
        p = queue.pop()
        found.append(p)
        queue += parents.get(p, [])
    return found


def cpu_seconds(pids):
    """user + system of the processes, their ended threads included; nanoseconds where /proc/PID/stat has ticks of 10 ms"""
    # the clock of another process: clock_getcpuclockid(3), which Python does not have
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def busy_seconds(core):
    """what all processes, and the host's other guests, took of a core"""
    line = next(line for line in open("/proc/stat") if line.startswith(f"cpu{core} "))
    user, nice, system, _idle, _wait, _irq, _softirq, stolen, *_ = map(int, line.split()[1:])
    return (user + nice + system + stolen) / TICK


def rss_mib(pids):
    return sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in pids) * PAGE / 2**20


class Origin:
    """counts what reached the nginx behind the proxies, so that a part of a run can be measured: without its handshakes
    and without its end"""

    def __init__(self, port, pid):
        self.port, self.pid = port, pid

    def requests(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/status")
        answer = connection.getresponse().read().split()
        connection.close()
        return int(answer[answer.index(b"requests") + 3])

    def bytes_written(self):
        return sum(int(line.split()[1]) for p in tree(self.pid) for line in open(f"/proc/{p}/io") if line.startswith("wchar"))
