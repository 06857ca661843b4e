#!/usr/bin/env python3
"""The whole journey of a BinderHub/JupyterHub user, through any edge.

  journey.py BASE_URL [--connect HOST:PORT] [--cafile PEM] [--slow] [--strict] [--binder-direct URL] [--json FILE]

BASE_URL, e.g. https://localhost:18443, has /jupyterhub/ and /binderhub/ under it
(--hub-base / --binder-base say otherwise, e.g. for two hosts).  Without --cafile, a certificate
is checked only when the host is not a loopback name.  --binder-direct, BinderHub's own address, adds a
check of how much later events come through the edge.  Needs `requests` and `websocket-client`.

Checks are of two sorts.  MUST: the user cannot work without it; a failure makes the exit status 1.
SHOULD: what a correct edge does (raw URI kept, scheme, host, port and client address told, ...); a
failure is reported, and makes the exit status 1 only with --strict.
"""
import argparse
import base64
import hashlib
import http.client
import html
import ipaddress
import json
import os
import re
import socket
import ssl
import statistics
import struct
import sys
import time
import uuid
from urllib.parse import quote, urljoin, urlsplit

import requests
import urllib3
import websocket

ap = argparse.ArgumentParser()
ap.add_argument("base")
ap.add_argument("--hub-base")
ap.add_argument("--binder-base")
ap.add_argument("--connect", help="connect every host to this address:port (name and port in the URL stay as they are)")
ap.add_argument("--cafile")
ap.add_argument("--binder-direct", help="BinderHub without the edge, e.g. http://127.0.0.1:18585/binderhub")
ap.add_argument("--allowed-delay-ms", type=float, default=1.0, help="how much later the median event may come through the edge")
ap.add_argument("--password", default=os.environ.get("HUB_PASSWORD", "edge-test"))
ap.add_argument("--mb", type=int, default=50, help="size of the file to upload and download")
ap.add_argument("--slow", action="store_true", help="adds silent periods longer than the usual 60 s proxy timeouts (about 3 minutes)")
ap.add_argument("--strict", action="store_true")
ap.add_argument("--only", default="", help="comma-separated prefixes of checks to run (those of hub. always run)")
ap.add_argument("--json")
A = ap.parse_args()
BASE = A.base.rstrip("/")
HUB = (A.hub_base or BASE + "/jupyterhub").rstrip("/")
BINDER = (A.binder_base or BASE + "/binderhub").rstrip("/")
HUBPATH = urlsplit(HUB).path
HUBORIGIN = f"{urlsplit(HUB).scheme}://{urlsplit(HUB).netloc}"
results = []


# ------------------------------------------------------------------ plumbing
def is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


VERIFY = A.cafile or not (is_loopback(urlsplit(BASE).hostname) or A.connect)
if not VERIFY:
    urllib3.disable_warnings()
CTX = ssl.create_default_context(cafile=A.cafile) if VERIFY else ssl._create_unverified_context()
if A.connect:
    _host, _port = A.connect.rsplit(":", 1)
    _gai = socket.getaddrinfo
    socket.getaddrinfo = lambda h, p, *a, **k: _gai(h, p, *a, **k) if h == "127.0.0.1" else _gai(_host, int(_port), *a, **k)


class Failed(Exception):
    pass


def need(cond, msg):
    if not cond:
        raise Failed(msg)


def check(name, level="MUST"):
    def deco(fn):
        if A.only and not any(name.startswith(p) for p in A.only.split(",")) and not name.startswith("hub."):
            return fn
        t = time.time()
        try:
            note, ok = fn() or "", True
        except Failed as e:
            note, ok = str(e), False
        except Exception as e:  # noqa: BLE001  a check that breaks is a check that fails
            note, ok = f"{type(e).__name__}: {e}"[:400], False
        dt = time.time() - t
        results.append({"check": name, "level": level, "ok": ok, "seconds": round(dt, 3), "note": note})
        print(f"{'ok  ' if ok else 'FAIL'} {level:6} {name:34} {dt:7.2f}s  {note}", flush=True)
        return fn
    return deco


def session():
    s = requests.Session()
    s.verify = VERIFY
    s.trust_env = False
    s.headers["User-Agent"] = "edge-journey"
    return s


def cookies_for(s, url):
    """the Cookie header a browser would send to this URL"""
    r = requests.Request("GET", url)
    return requests.cookies.get_cookie_header(s.cookies, r.prepare())


def xsrf(s, url):
    path = urlsplit(url).path
    best = max((c for c in s.cookies if c.name == "_xsrf" and path.startswith(c.path)), key=lambda c: len(c.path), default=None)
    need(best, f"no _xsrf cookie for {path}")
    return best.value


def raw_request(url, method="GET", headers=None, body=None, timeout=60, source=None):
    """One request whose target is sent exactly as written (no client normalises it); unbuffered reads."""
    u = urlsplit(url)
    port = u.port or (443 if u.scheme == "https" else 80)
    conn = (http.client.HTTPSConnection(u.hostname, port, timeout=timeout, context=CTX, source_address=source and (source, 0)) if u.scheme == "https"
            else http.client.HTTPConnection(u.hostname, port, timeout=timeout, source_address=source and (source, 0)))
    target = url.split("://", 1)[1]
    target = target[target.index("/"):] if "/" in target else "/"
    conn.putrequest(method, target, skip_accept_encoding=True)
    for k, v in {"User-Agent": "edge-journey", **(headers or {})}.items():
        conn.putheader(k, v)
    conn.endheaders(body)
    return conn, conn.getresponse()


def events(url, headers=None, timeout=60):
    """Server-sent events as (time received, 'data' or 'comment', value); reads what is there, never waits for more."""
    end = time.time() + timeout
    try:
        conn, r = raw_request(url, headers={"Accept": "text/event-stream", "Accept-Encoding": "gzip, deflate, br", **(headers or {})}, timeout=30)
    except TimeoutError:
        raise Failed("not even response headers after 30 s, though the upstream sends at least a keepalive every 25 s: the stream is held back") from None
    if r.status != 200:
        raise Failed(f"HTTP {r.status} {r.read(300)!r}")
    need("text/event-stream" in r.headers.get("Content-Type", ""), f"Content-Type {r.headers.get('Content-Type')}")
    need("Content-Encoding" not in r.headers, f"event stream compressed: {r.headers.get('Content-Encoding')}")
    buf = b""
    try:
        while True:
            try:
                chunk = r.read1(65536)
            except TimeoutError:
                raise Failed("nothing for 30 s, though the upstream sends at least a keepalive every 25 s: the stream is held back") from None
            if not chunk:
                return
            now = time.time()
            if now > end:
                raise Failed(f"the stream had not ended after {timeout} s")
            buf += chunk
            while b"\n\n" in buf:
                raw, buf = buf.split(b"\n\n", 1)
                for line in raw.decode().splitlines():
                    if line.startswith(":"):
                        yield now, "comment", line
                    elif line.startswith("data:"):
                        yield now, "data", json.loads(line[5:])
    finally:
        conn.close()


def delays(pairs):
    d = sorted((recv - sent) * 1000 for sent, recv in pairs)
    need(d, "no stamped events")
    return d[len(d) // 2], d[-1]


def ws_connect(url, s=None, subprotocols=None, origin=None, headers=None, timeout=60):
    u = urlsplit(url)
    wsurl = ("wss" if u.scheme == "https" else "ws") + url[len(u.scheme):]
    origin = origin or f"{u.scheme}://{u.netloc}"          # what a browser sends
    h = dict(headers or {})
    h["Sec-Fetch-Mode"] = "websocket"
    h["User-Agent"] = "edge-journey"
    return websocket.create_connection(
        wsurl, timeout=timeout, origin=origin, subprotocols=subprotocols, header=h,
        cookie=cookies_for(s, url) if s else None,
        sslopt={"context": CTX} if u.scheme == "https" else {}, http_proxy_host=None)


# ------------------------------------------------------------------ kernels
PROTO = "v1.kernel.websocket.jupyter.org"


def pack(channel, msg_type, content, sess):
    header = {"msg_id": uuid.uuid4().hex, "msg_type": msg_type, "username": "u", "session": sess, "version": "5.3", "date": ""}
    parts = [channel.encode()] + [json.dumps(x).encode() for x in (header, {}, {}, content)]
    offs = [8 * (len(parts) + 2)]
    for p in parts:
        offs.append(offs[-1] + len(p))
    return header["msg_id"], struct.pack(f"<{len(offs) + 1}Q", len(offs), *offs) + b"".join(parts)


def unpack(data):
    n = struct.unpack_from("<Q", data)[0]
    offs = struct.unpack_from(f"<{n}Q", data, 8)
    parts = [data[offs[i]:offs[i + 1]] for i in range(n - 1)]
    return parts[0].decode(), json.loads(parts[1]), json.loads(parts[2]), json.loads(parts[4])


class Server:
    """One running Jupyter server, spoken to as JupyterLab does."""

    def __init__(self, s, url, token=None):
        self.s, self.url, self.token = s, url.rstrip("/") + "/", token

    def api(self, method, path, ok=(200, 201, 204), **kw):
        h = kw.pop("headers", {})
        if self.token:
            h["Authorization"] = f"token {self.token}"
        else:
            h["X-XSRFToken"] = xsrf(self.s, self.url)
            h["Sec-Fetch-Mode"] = "cors"
            h["Sec-Fetch-Site"] = "same-origin"
        u = urlsplit(self.url)
        h["Origin"] = f"{u.scheme}://{u.netloc}"
        r = self.s.request(method, self.url + path, headers=h, timeout=300, allow_redirects=False, **kw)
        need(r.status_code in ok, f"{method} {path[:60]}: HTTP {r.status_code} {r.text[:160]!r}")
        return r

    def ws(self, path, **kw):
        q = f"?token={self.token}" if self.token else ""
        return ws_connect(self.url + path + q, self.s, **kw)

    def kernel(self):
        k = self.api("POST", "api/kernels", json={"name": "python3"}).json()["id"]
        w = self.ws(f"api/kernels/{k}/channels", subprotocols=[PROTO])
        need(w.subprotocol == PROTO, f"subprotocol not kept: {w.subprotocol}")
        return k, w

    @staticmethod
    def execute(w, code, timeout=60):
        mid, data = pack("shell", "execute_request",
                         {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True}, "s")
        w.settimeout(timeout)
        w.send_binary(data)
        value = idle = replied = None
        while not (idle and replied):
            op, frame = w.recv_data()
            if op == websocket.ABNF.OPCODE_CLOSE:
                raise Failed("websocket closed by the other side")
            if op != websocket.ABNF.OPCODE_BINARY:
                continue
            ch, header, parent, content = unpack(frame)
            if parent.get("msg_id") != mid:
                continue
            if header["msg_type"] == "execute_result":
                value = content["data"]["text/plain"]
            elif header["msg_type"] == "error":
                raise Failed("\n".join(content["traceback"])[-300:])
            elif header["msg_type"] == "execute_reply":
                replied = True
            elif header["msg_type"] == "status" and content["execution_state"] == "idle":
                idle = True
        return value


def echo(path="", **kw):
    """what a hub service behind edge + configurable-http-proxy saw, asked without cookies"""
    conn, r = raw_request(HUB + "/services/echo/" + path, **kw)
    body = r.read()
    conn.close()
    need(r.status == 200, f"HTTP {r.status} {body[:200]!r}")
    return json.loads(body)


def first(seen, name):
    return next((v for k, v in seen["headers"] if k.lower() == name.lower()), None)


# ------------------------------------------------------------------ JupyterHub
S = session()
USER = "u" + uuid.uuid4().hex[:8]
ctx = {}


@check("hub.login")
def _():
    r = S.get(HUB + "/hub/login", timeout=30)
    need(r.status_code == 200, f"login page: HTTP {r.status_code}")
    m = re.search(r'name="_xsrf" value="([^"]+)"', r.text)
    need(m, "no _xsrf in the login form")
    r = S.post(HUB + "/hub/login?next=", data={"username": USER, "password": A.password, "_xsrf": html.unescape(m[1])},
               headers={"Origin": HUBORIGIN, "Referer": HUB + "/hub/login"}, allow_redirects=False, timeout=30)
    need(r.status_code == 302, f"POST login: HTTP {r.status_code} {re.sub('<[^>]+>', ' ', r.text)[:200]}")
    loc = urljoin(r.url, r.headers["Location"])
    need(loc.startswith(HUB + "/"), f"redirected away from the edge: {r.headers['Location']}")
    ctx["login_cookie"] = next((v for k, v in r.raw.headers.items() if k.lower() == "set-cookie" and "jupyterhub-hub-login" in v), "")
    need(any(c.name == "jupyterhub-hub-login" for c in S.cookies), "no login cookie")
    r = S.get(HUB + "/hub/home", timeout=30)
    need(r.status_code == 200 and USER in r.text, f"home: HTTP {r.status_code}")
    return f"user {USER}"


@check("hub.login-cookie-secure", "SHOULD")
def _():
    need(not BASE.startswith("https") or "secure" in ctx["login_cookie"].lower(),
         "login cookie without Secure on an https edge: the hub was not told X-Forwarded-Proto: https")


@check("hub.spawn")
def _():
    r = S.get(HUB + "/hub/home", timeout=30)
    tok = xsrf(S, HUB + "/hub/")
    t = time.time()
    r = S.post(HUB + f"/hub/spawn/{USER}?_xsrf={tok}", data={"_xsrf": tok}, allow_redirects=False, timeout=120)
    need(r.status_code == 302, f"POST spawn: HTTP {r.status_code} {r.text[:200]!r}")
    ctx["spawn_posted"] = time.time() - t
    return f"redirected to {r.headers['Location'][len(HUBPATH):][:60]} after {ctx['spawn_posted']:.2f}s"


@check("hub.spawn-progress-events")
def _():
    url = HUB + f"/hub/api/users/{USER}/server/progress?_xsrf={quote(xsrf(S, HUB + '/hub/'))}"
    got, ready = [], None
    for recv, kind, d in events(url, {"Cookie": cookies_for(S, url), "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}, timeout=120):
        if kind != "data":
            continue
        if "emitted" in d:
            got.append((d["emitted"], recv))
        if d.get("ready"):
            ready = d
        need(not d.get("failed"), f"spawn failed: {d}")
    need(ready, "stream ended without ready")
    # the first may have been emitted before we connected
    med, worst = delays(got[1:])
    spread = got[-1][1] - got[0][1]
    need(worst < 500, f"events delayed: median {med:.1f} ms, worst {worst:.0f} ms")
    need(len(got) < 4 or spread > 0.3, "events came all at once: buffered")
    return f"{len(got)} events over {spread:.1f}s, delay median {med:.1f} ms worst {worst:.1f} ms"


@check("hub.user-server-opens")
def _():
    r = S.get(HUB + f"/user/{USER}/lab", timeout=60)        # OAuth dance with the hub, by redirects
    need(r.status_code == 200 and "jupyter-config-data" in r.text, f"HTTP {r.status_code} at {r.url}")
    hops = [h for h in r.history if not urljoin(h.url, h.headers["Location"]).startswith(HUB + "/")]
    need(not hops, f"redirected away from the edge: {[h.headers['Location'] for h in hops]}")
    ctx["srv"] = Server(S, HUB + f"/user/{USER}/")
    return f"{len(r.history)} redirects"


@check("kernel.1+1")
def _():
    srv = ctx["srv"]
    t = time.time()
    ctx["kid"], ctx["kws"] = srv.kernel()
    v = srv.execute(ctx["kws"], "1+1")
    need(v == "2", f"got {v!r}")
    return f"1+1 = {v}; kernel start to first result {time.time() - t:.2f}s"


@check("kernel.round-trips")
def _():
    ts = []
    for i in range(50):
        t = time.perf_counter()
        need(Server.execute(ctx["kws"], f"{i}*2") == str(i * 2), "wrong answer")
        ts.append((time.perf_counter() - t) * 1000)
    return f"50 executions: median {statistics.median(ts):.1f} ms, worst {max(ts):.1f} ms"


@check("kernel.large-output")
def _():
    v = Server.execute(ctx["kws"], "'x' * (8 * 2**20)", 60)
    need(v and len(v) == 8 * 2**20 + 2, f"got {len(v or '')} bytes")
    return "one 8 MiB message"


@check("kernel.foreign-origin-refused")
def _():
    try:
        w = ctx["srv"].ws(f"api/kernels/{ctx['kid']}/channels", origin="https://evil.invalid")
    except websocket.WebSocketBadStatusException as e:
        need(e.status_code == 403, f"HTTP {e.status_code}")
        return "403, passed back as it is"
    w.close()
    raise Failed("accepted")


@check("terminal")
def _():
    srv = ctx["srv"]
    name = srv.api("POST", "api/terminals", json={}).json()["name"]
    w = srv.ws(f"terminals/websocket/{name}")
    w.settimeout(20)
    w.send(json.dumps(["stdin", "echo answer=$((20+22))\r"]))
    out = ""
    while "answer=42" not in out:
        m = json.loads(w.recv())
        if m[0] == "stdout":
            out += m[1]
    w.close()
    srv.api("DELETE", f"api/terminals/{name}")
    return "echo answered 42"


BLOB = os.urandom(A.mb * 2**20)
SHA = hashlib.sha256(BLOB).hexdigest()


@check("contents.upload-whole")
def _():
    body = json.dumps({"type": "file", "format": "base64", "content": base64.b64encode(BLOB).decode()})
    t = time.time()
    ctx["srv"].api("PUT", "api/contents/whole.bin", data=body, headers={"Content-Type": "application/json"})
    return f"{A.mb} MB as one {len(body) / 1e6:.0f} MB request in {time.time() - t:.2f}s"


@check("contents.upload-chunks")
def _():
    step = 2**20                        # JupyterLab's chunk
    n = (len(BLOB) + step - 1) // step
    t = time.time()
    for i in range(n):
        ctx["srv"].api("PUT", "api/contents/chunks.bin", json={
            "type": "file", "format": "base64", "chunk": -1 if i == n - 1 else i + 1,
            "content": base64.b64encode(BLOB[i * step:(i + 1) * step]).decode()})
    return f"{A.mb} MB in {n} requests of 1 MiB (1.4 MB each as base64) in {time.time() - t:.2f}s"


@check("contents.download")
def _():
    notes, srv = [], ctx["srv"]
    for name in ("whole.bin", "chunks.bin"):
        t = time.time()
        r = srv.api("GET", f"files/{name}")
        if hashlib.sha256(r.content).hexdigest() != SHA:
            raise Failed(f"{name}: {len(r.content)} bytes, not what was uploaded")
        notes.append(f"/files/{name} {time.time() - t:.2f}s")
    t = time.time()
    c = srv.api("GET", "api/contents/whole.bin?content=1&type=file&format=base64").json()["content"]
    need(hashlib.sha256(base64.b64decode(c)).hexdigest() == SHA, "contents API: other bytes")
    notes.append(f"/api/contents {time.time() - t:.2f}s")
    return "same sha256; " + ", ".join(notes)


@check("contents.odd-names", "SHOULD")
def _():
    srv = ctx["srv"]
    for name in ("with space.txt", "50%25 done.txt", "percent%2Fslash.txt", "ünï ☃.txt", "a+b;c=d&e.txt", "q?.txt", "h#.txt"):
        enc = quote(name, safe="")
        srv.api("PUT", f"api/contents/{enc}", json={"type": "file", "format": "text", "content": name})
        got = srv.api("GET", f"api/contents/{enc}?content=1").json()
        need(got["name"] == name and got["content"] == name, f"{name!r} came back as {got['name']!r}")
    return "7 names with spaces, %, unicode, ; & ? #"


# ------------------------------------------------------------------ what the upstream is told
@check("edge.raw-uri-hub", "SHOULD")
def _():
    bad = []
    # not here: "a/./b", "a/../b" and an empty "?", which configurable-http-proxy itself rewrites (see binder.raw-uri)
    for p in ("a%2Fb", "a%252Fb", "a//b", "a%20b", "a;v=1,2", "a%3Fb%23c", "%C3%BC", "%7Eu", "a|b", "x?y=%2F&z=a+b%20c"):
        want = HUBPATH + "/services/echo/" + p
        try:
            got = echo(p)["uri"]
        except Failed as e:
            got = str(e)[:40]
        if got != want:
            bad.append(f"{p} -> {got.removeprefix(HUBPATH + '/services/echo/')}")
    need(not bad, "request URI changed: " + "; ".join(bad))
    return "10 targets reached the service byte for byte"


@check("edge.host-and-scheme", "SHOULD")
def _():
    seen, bad = echo(), []
    u = urlsplit(HUB)
    want_port = str(u.port or (443 if u.scheme == "https" else 80))
    if first(seen, "Host") != urlsplit(HUB).netloc:
        bad.append(f"Host {first(seen, 'Host')} instead of {urlsplit(HUB).netloc}")
    # configurable-http-proxy appends its own hop after a comma: the first value is the edge's
    if (first(seen, "X-Forwarded-Proto") or "").split(",")[0] != u.scheme:
        bad.append(f"X-Forwarded-Proto {first(seen, 'X-Forwarded-Proto')}")
    if not (A.connect and want_port != _port) and (first(seen, "X-Forwarded-Port") or "").split(",")[0] != want_port:
        bad.append(f"X-Forwarded-Port {first(seen, 'X-Forwarded-Port')}")
    need(not bad, "; ".join(bad))


@check("edge.spoofed-headers-replaced", "SHOULD")
def _():
    spoof = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "X-Forwarded-Proto": "gopher", "X-Scheme": "gopher",
             "Forwarded": "for=203.0.113.9;proto=gopher", "X-Forwarded-Host": "evil.invalid"}
    seen = echo(headers=spoof)
    kept = [f"{k}: {v}" for k, v in seen["headers"] if k.lower() in {h.lower() for h in spoof} and ("203.0.113.9" in v or "gopher" in v or "evil" in v)]
    need(not kept, "a client's own values reach the hub: " + "; ".join(kept) + f" (the service takes {seen['remote_ip']} for the client)")


@check("edge.client-address", "SHOULD")
def _():
    # the hub hashes it into its XSRF token, BinderHub limits and bans by it
    if not is_loopback(urlsplit(HUB).hostname) and not A.connect:
        return "not checked: only from loopback can the client choose an address"
    seen = echo(source="127.0.0.77")
    need(seen["remote_ip"] == "127.0.0.77", f"the client is 127.0.0.77, the service takes {seen['remote_ip']} for it"
         f" (X-Forwarded-For: {first(seen, 'X-Forwarded-For')}; X-Real-IP: {first(seen, 'X-Real-IP')})")
    seen = echo(source="127.0.0.77", headers={"X-Real-IP": "203.0.113.9", "X-Forwarded-For": "203.0.113.9"})
    need(seen["remote_ip"] == "127.0.0.77", f"a client that sends X-Real-IP: 203.0.113.9 is taken for {seen['remote_ip']}: limits and bans are void")


@check("edge.long-cookie", "SHOULD")
def _():
    seen = echo(headers={"Cookie": "big=" + "c" * 12000})
    need(len(first(seen, "Cookie") or "") >= 12000, "cut")
    return "a Cookie header of 12 kB passes"


@check("edge.streamed-upload", "SHOULD")
def _():
    def slow():
        for _ in range(5):
            yield b"x" * 1000
            time.sleep(0.1)
    r = S.post(HUB + "/services/echo/up", data=slow(), timeout=30)      # chunked, no Content-Length
    need(r.status_code == 200 and r.json()["body_bytes"] == 5000, f"HTTP {r.status_code} {r.text[:100]}")


@check("edge.post-after-refused-websocket")
def _():
    # configurable-http-proxy answers a refused handshake with a complete response and closes 0.3 ms later, without
    # saying so: an edge that pools that connection loses the next request that it may not repeat
    u = urlsplit(HUB)

    def connect():
        c = socket.create_connection((u.hostname, u.port or (443 if u.scheme == "https" else 80)), timeout=20)
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return CTX.wrap_socket(c, server_hostname=u.hostname) if u.scheme == "https" else c

    def say(c, first_line, *more):
        c.sendall("\r\n".join([first_line, f"Host: {u.netloc}", "User-Agent: edge-journey", *more, "", ""]).encode())

    bad, poster = [], connect()
    for _ in range(200):
        w = connect()
        say(w, f"GET {HUBPATH}/services/echo/no-websocket-here HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        status = w.recv(12)
        say(poster, f"POST {HUBPATH}/services/echo/ HTTP/1.1", "Content-Length: 0")       # at once, on a connection that waits
        answer = poster.recv(65536)
        need(status.endswith(b" 200"), f"handshake: {status!r}")
        if not answer.startswith(b"HTTP/1.1 200"):
            bad.append(answer[:12].decode(errors="replace"))
        if not answer.startswith(b"HTTP/1.1 200") or b"connection: close" in answer.lower():
            poster.close()
            poster = connect()
        w.close()
    poster.close()
    need(not bad, f"{len(bad)} of 200 POSTs that follow a refused handshake fail: {sorted(set(bad))}")
    return "200 pairs, none lost"


@check("edge.many-websockets")
def _():
    u = urlsplit(HUB + "/services/echo/ws")
    ws = [ws_connect(HUB + "/services/echo/ws", subprotocols=["a.b", "c"]) for _ in range(100)]
    try:
        for i, w in enumerate(ws):
            w.send(f"hello {i}")
        for i, w in enumerate(ws):
            need(w.recv() == f"hello {i}", "mixed up")
        rtt = []
        for i in range(200):
            t = time.perf_counter()
            ws[0].send("ping")
            ws[0].recv()
            rtt.append((time.perf_counter() - t) * 1000)
        rtt.sort()
        t = time.perf_counter()
        ws[0].send_binary(b"z" * 4 * 2**20)
        need(len(ws[0].recv()) == 4 * 2**20, "cut")
        big = (time.perf_counter() - t) * 1000
        need(ws[0].subprotocol == "a.b", "subprotocol lost")
        return f"100 at once; echo median {rtt[100]:.2f} ms, p99 {rtt[197]:.2f} ms; 4 MiB there and back in {big:.0f} ms"
    finally:
        for w in ws:
            w.close()


# ------------------------------------------------------------------ BinderHub
B = session()


@check("binder.pages")
def _():
    r = B.get(BINDER + "/", timeout=30)
    need(r.status_code == 200 and "Binder" in r.text, f"HTTP {r.status_code}")
    js = re.search(r'src="([^"]+bundle\.js[^"]*)"', r.text)
    need(js, "no bundle.js in the page")
    r = B.get(urljoin(r.url, js[1]), timeout=30)
    need(r.status_code == 200 and len(r.content) > 100_000, f"bundle.js: HTTP {r.status_code}, {len(r.content)} bytes")
    return f"bundle.js {len(r.content) // 1000} kB, Content-Encoding {r.headers.get('Content-Encoding', 'none')}"


@check("binder.encoded-slash-page")
def _():
    conn, r = raw_request(BINDER + "/v2/gh/org/repo/feature%2Fbranch?urlpath=lab%2Ftree%2Fa.ipynb")
    text = r.read().decode()
    need(r.status == 200, f"HTTP {r.status}")
    need("gh/org/repo/feature%2Fbranch" in text, "the page lost the encoded slash")


def build(repo, ref="feature%2Fbranch", timeout=60, base=BINDER):
    for e in events(f"{base}/build/gh/org/{repo}/{ref}", timeout=timeout):
        yield e
        if e[1] == "data" and e[2].get("phase") in ("ready", "failed"):
            return                       # as BinderHub's page does


@check("binder.build-events")
def _():
    t = time.time()
    stamped, gaps, last, ready, phases = [], [], None, None, []
    for recv, kind, d in build("n20-ms250"):
        if kind != "data":
            continue
        phases.append(d["phase"])
        if "binder_url" in d:
            ctx["binder_url"] = d["binder_url"]
        if "seq" in d:
            stamped.append((d["emitted"], recv))
            if last:
                gaps.append((recv - last) * 1000)
            last = recv
        if d["phase"] == "ready":
            ready = d
        need(d["phase"] != "failed", f"failed: {d.get('message')}")
    need(ready, f"no ready event; phases {phases}")
    need(len(stamped) == 20, f"{len(stamped)} of 20 lines")
    med, worst = delays(stamped)
    need(worst < 500, f"log lines delayed: median {med:.1f} ms, worst {worst:.0f} ms: buffered")
    need(min(gaps) > 100, f"log lines bunched: smallest gap {min(gaps):.0f} ms of 250")
    ctx["ready"] = ready
    return (f"20 lines one by one, 250 ms apart ({min(gaps):.0f}-{max(gaps):.0f}); delay median {med:.2f} ms worst {worst:.2f} ms; "
            f"launched after {time.time() - t:.1f}s")


def lines_of(repo, base):
    """the log lines of a build, not its launch"""
    for recv, kind, d in build(repo, base=base):
        if kind == "data":
            if d["phase"] not in ("waiting", "fetching", "building"):
                return
            yield recv, kind, d


if A.binder_direct:
    @check("binder.added-delay", "SHOULD")
    def _():
        # the two take turns and are compared by their medians: what else this machine does meets both alike
        took = {BINDER: [], A.binder_direct.rstrip("/"): []}
        for _ in range(3):
            for base, stamped in took.items():
                stamped += [(d["emitted"], recv) for recv, k, d in lines_of("n40-ms50", base) if "seq" in d]
        (through, _), (direct, _) = (delays(x) for x in took.values())
        need(through - direct < A.allowed_delay_ms, f"median delay {through:.2f} ms, without an edge {direct:.2f} ms")
        return f"median delay {through:.2f} ms, without an edge {direct:.2f} ms"


@check("binder.raw-spec")
def _():
    need(ctx["binder_url"].endswith("/v2/gh/org/n20-ms250/feature%2Fbranch"), f"BinderHub saw {ctx['binder_url']}")
    for ref in ("a%252Fb", "a%2F%2Fb", "x%20y", "%C3%BC", "v1.0%2Brc1"):
        seen = next(d["binder_url"] for _, k, d in build("n1-ms1", ref) if k == "data" and "binder_url" in d)
        need(seen.endswith("/n1-ms1/" + ref), f"{ref}: BinderHub saw {seen}")
    spec = "git/https%3A%2F%2Fgit.invalid%2Forg%2Fn1-ms1/HEAD"       # any Git URL is one encoded path segment
    seen = next(d["binder_url"] for _, k, d in events(f"{BINDER}/build/{spec}", timeout=20) if k == "data" and "binder_url" in d)
    need(seen.endswith("/v2/" + spec), f"{spec}: BinderHub saw {seen}")
    return "7 specs reached BinderHub byte for byte"


@check("binder.raw-uri", "SHOULD")
def _():
    bad = []
    for ref in ("a//b", "a/./b", "a/../b", "%7Eu", "a|b", "%2e%2e/c"):
        seen = next(d["binder_url"] for _, k, d in build("n1-ms1", ref) if k == "data" and "binder_url" in d)
        if not seen.endswith("/n1-ms1/" + ref):
            bad.append(f"{ref} -> {seen.split('/n1-ms1/')[-1]}")
    need(not bad, "; ".join(bad))
    return "6 more, with dots and double slashes"


@check("binder.knows-its-address", "SHOULD")
def _():
    need(ctx["binder_url"].startswith(BINDER + "/v2/"), f"BinderHub believes it is {ctx['binder_url'].split('/v2/')[0]} (Host, X-Forwarded-Proto)")


@check("binder.burst")
def _():
    n = sum(1 for _, k, d in build("n2000-ms1-pad200") if k == "data" and "seq" in d)
    need(n == 2000, f"{n} of 2000 lines")
    return "2000 lines of 200 bytes, none lost"


def gauge():
    r = B.get(BINDER + "/metrics", timeout=10)
    return float(re.search(r"^binderhub_inprogress_builds (\S+)", r.text, re.M)[1])


@check("binder.client-gone-stops-build", "SHOULD")
def _():
    # the edge must close its upstream connection when the browser leaves, or builds are watched for nobody
    before = gauge()
    it = build("n10000-ms100")
    for _, k, d in it:
        if k == "data" and "seq" in d:
            break
    need(gauge() > before, "gauge did not move")
    it.close()
    for i in range(50):
        time.sleep(0.2)
        if gauge() <= before:
            return f"BinderHub noticed after {(i + 1) * 0.2:.1f}s"
    raise Failed("10 s after the client left, BinderHub still streams to the edge")


@check("binder.cors-preflight")
def _():
    r = B.options(BINDER + "/build/gh/org/repo/main", headers={"Origin": "https://thebe.invalid", "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "cache-control"}, timeout=10)
    need(r.status_code in (200, 204), f"HTTP {r.status_code}")
    need(r.headers.get("Access-Control-Allow-Origin") == "*", "Access-Control-Allow-Origin lost")
    need(len(r.raw.headers.getlist("Access-Control-Allow-Origin")) == 1, "Access-Control-Allow-Origin twice")


@check("binder.launched-server")
def _():
    rd = ctx["ready"]
    url = urljoin(BINDER + "/", rd["url"])
    s = session()
    r = s.get(f"{url}?token={rd['token']}", timeout=60)
    need(r.status_code == 200 and "jupyter-config-data" in r.text, f"HTTP {r.status_code} at {r.url}")
    srv = Server(s, url, rd["token"])
    k, w = srv.kernel()
    v = srv.execute(w, "1+1")
    w.close()
    need(v == "2", f"got {v!r}")
    return f"opened {urlsplit(url).path} with its token; 1+1 = {v}"


@check("binder.error-event")
def _():
    got = [d for _, k, d in events(BINDER + "/build/nosuch/org/repo/main", timeout=20) if k == "data"]
    need(got and got[0]["phase"] == "failed", f"{got}")
    return got[0]["message"].strip()


# ------------------------------------------------------------------ long silences
if A.slow:
    @check("slow.silent-build-70s")
    def _():
        t, comments, stamped = time.time(), 0, []
        for recv, kind, d in build("n3-ms10-quiet70", timeout=100):
            if kind == "comment":
                comments += 1
            elif "seq" in d:
                stamped.append((d["emitted"], recv))
        med, worst = delays(stamped)
        need(worst < 500, f"late by {worst:.0f} ms")
        return f"{comments} keepalive comments, then the lines, worst delay {worst:.1f} ms"

    @check("slow.silent-websocket-100s")
    def _():
        # no application traffic; the Jupyter server pings every 30 s and the client answers
        _, w = ctx["srv"].kernel()
        end, pings = time.time() + 100, 0
        while time.time() < end:
            w.settimeout(max(0.1, end - time.time()))
            try:
                op, _ = w.recv_data(control_frame=True)
            except websocket.WebSocketTimeoutException:
                break
            if op == websocket.ABNF.OPCODE_PING:
                pings += 1
            need(op != websocket.ABNF.OPCODE_CLOSE, "closed")
        need(Server.execute(w, "1+1") == "2", "kernel lost")
        return f"{pings} pings in 100 s, then 1+1 = 2"

    @check("slow.websocket-no-pings-100s", "SHOULD")
    def _():
        w = ws_connect(HUB + "/services/echo/ws")
        time.sleep(100)
        w.settimeout(5)
        w.send("still here")
        need(w.recv() == "still here", "lost")
        return "a websocket that nobody pings survives 100 s"

if "kws" in ctx:
    ctx["kws"].close()
try:    # leave nothing running
    S.delete(HUB + f"/hub/api/users/{USER}/server", headers={"X-XSRFToken": xsrf(S, HUB + "/hub/")}, timeout=30)
except Exception:
    pass

must = [r for r in results if not r["ok"] and r["level"] == "MUST"]
should = [r for r in results if not r["ok"] and r["level"] == "SHOULD"]
print(f"{sum(r['ok'] for r in results)} of {len(results)} checks pass; MUST failed: {len(must)}, SHOULD failed: {len(should)}")
if A.json:
    with open(A.json, "w") as f:
        json.dump({"base": BASE, "time": time.strftime("%FT%TZ", time.gmtime()), "results": results}, f, indent=1)
sys.exit(1 if must or (A.strict and should) else 0)
