"""What wrk and h2load print, as figures."""
import re


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
