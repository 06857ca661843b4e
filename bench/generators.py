"""Load for one proxy and one row, and the figures of it.

A sample is a dict: `requests` done in the measured time, `failed`, `seconds`, `cpu_seconds` of the proxy, and what else
the generator tells (`latency_ms`). A generator of ours (bench/load) says `ready` when the measured time begins.
"""
import json
import re
import signal
import subprocess
import sys
import time

from meter import cpu_seconds, rss_mib

CIPHER = "TLS_AES_128_GCM_SHA256"
SETTLE = 0.4            # connections, handshakes and caches, before the measured time
PATIENCE = 120


def wrk(bench, proxy, row):
    """the middle of a run of wrk; what passed in it is counted at the origin"""
    command = ["wrk", "-t1", f"-d{int(bench.seconds) + 60}s", "--timeout", "10", "--latency", *row.arguments, proxy.url(row)]
    return _middle(bench, proxy, row, command, lambda text: wrk_figures(text), stop=signal.SIGINT)


def h2load(bench, proxy, row):
    """as wrk, with HTTP/2"""
    log = bench.work / "h2load.log"
    log.unlink(missing_ok=True)
    took = round((SETTLE + bench.seconds) * 1000) + 200
    command = ["h2load", "-t1", f"-D{took}ms", f"--log-file={log}", f"--tls13-ciphers={CIPHER}", "--groups=X25519",
               *row.arguments, proxy.url(row)]
    return _middle(bench, proxy, row, command, lambda text: (*h2load_figures(text), percentile(log, 0.99)))


def _middle(bench, proxy, row, command, figures, stop=None):
    def look():
        passed = bench.origin.bytes_written() / row.size if row.by_bytes else bench.origin.requests()
        return passed, time.monotonic(), cpu_seconds(proxy.pids)

    process = subprocess.Popen(command, env=bench.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=bench.work)
    try:
        time.sleep(SETTLE)
        before = look()
        time.sleep(bench.seconds)
        after = look()
        if stop:
            process.send_signal(stop)
        text, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    if process.returncode:
        sys.exit(f"{command[0]} against {proxy.name}, {row.name}: {text}")
    _, failed, p99 = figures(text)
    done, seconds, cpu = (b - a for a, b in zip(before, after))
    return {"requests": done, "failed": failed, "seconds": seconds, "cpu_seconds": cpu, "latency_ms": p99 and {"p99": p99}}


class Load:
    """a run of bench/load: `with Load(...) as run`, then `run.end()`"""

    def __init__(self, bench, proxy, row, *more, measure=True):
        self.what = f"load {row.arguments[0]} against {proxy.name}, {row.name}"
        command = [bench.load, row.arguments[0], "--connect", f"127.0.0.1:{proxy.port(row)}", *row.arguments[1:], *more]
        if measure:
            command += ["--seconds", str(row.seconds or bench.seconds)]
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, cwd=bench.work)

    def __enter__(self):
        if self.process.stdout.readline().strip() != "ready":
            self.fail()
        return self

    def end(self):
        self.process.stdin.close()
        line = self.process.stdout.readline()
        return json.loads(line) if line else self.fail()

    def fail(self):
        self.process.kill()
        sys.exit(f"{self.what}: {self.process.stderr.read()}")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def load(bench, proxy, row, *more):
    """CPU between the two lines of a generator of ours"""
    with Load(bench, proxy, row, *more) as run:
        before = cpu_seconds(proxy.pids)
        told = run.end()
        cpu = cpu_seconds(proxy.pids) - before
    return {"requests": told["done"], "failed": told["failed"], "seconds": told["seconds"], "cpu_seconds": cpu,
            "latency_ms": told.get("ms"), **{k: told[k] for k in ("rate", "generator_late_ms") if k in told}}


def latency(bench, proxy, row):
    return load(bench, proxy, row, "--rate", bench.rate())


def idle(bench, proxy, row):
    """memory of connections that do nothing, in a process that has done nothing else"""
    count = bench.idle_connections(row)
    with bench.fresh(proxy.name) as alone:
        bench.check(alone, sizes=["6"])
        before = rss_mib(alone.pids)
        with Load(bench, alone, row, "--connections", count, measure=False) as run:
            time.sleep(0.2)
            during = rss_mib(alone.pids)
            told = run.end()
        # an allocator may give back only when it is asked for something
        time.sleep(0.7)
        bench.check(alone, sizes=["6"])
        time.sleep(0.3)
        return {"requests": told["done"], "failed": told["failed"], "connections": count, "rss_before_mib": before, "rss_idle_mib": during,
                "rss_mib": rss_mib(alone.pids), "value": (during - before) * 1024 / count}


def start_up(bench, proxy, _row):
    """from exec to the first answer over plain HTTP"""
    with bench.fresh(proxy.name, wait=True) as alone:
        return {"requests": 1, "failed": 0, "value": alone.started_in * 1000, "rss_mib": rss_mib(alone.pids)}


def wrk_figures(text):
    """(requests done, requests and connections failed, 99th percentile in ms or None without --latency)"""
    done = int(re.search(r"(\d+) requests in", text)[1])
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    failed = (sum(map(int, errors.groups())) if errors else 0) + (int(other[1]) if other else 0)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    return done, failed, p99 and float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]]


def h2load_figures(text):
    """(requests answered with 2xx, requests that were not)"""
    line = re.search(r"requests: (\d+) total, .*?(\d+) failed, (\d+) errored, (\d+) timeout", text)
    total, failed, _, timeout = map(int, line.groups())           # `failed` includes `errored`
    good, *others = map(int, re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text).groups())
    return good, max(failed + timeout + sum(others), total - good)


def percentile(log, share):
    """of the request times in a log that h2load wrote, in ms"""
    took = sorted(int(line.split("\t")[2]) for line in open(log))
    return took[min(len(took) - 1, int(len(took) * share))] / 1000 if took else None
