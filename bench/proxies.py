"""The programs that bench/compare compares, and the origins behind them, with equal settings.

Each method of `Programs` writes a configuration into a folder of its own and returns the command that serves it: TLS on
one port, plain HTTP on another, `/ws`, `/events` and `/upload` to the origin in bench/load, the rest to nginx. Those that
can also pass TCP on at two more ports: to the origin's plain port, and by the name in the ClientHello to its TLS port.
"""
import os
import random
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from localhost import free_port, self_signed

SIZES = {"6": 6, "1k": 1024, "100k": 100 * 1024, "10m": 10 * 1024 * 1024}
# descriptors that a process may have; a proxied connection takes two of the proxy, and hubgate keeps 1,152 for other ends
DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
CONNECTIONS = min(10_400, (DESCRIPTORS - 1152) // 2)
# nginx counts both ends, and closes connections that wait for a request once fewer than a sixteenth of its own are left
NGINX_CONNECTIONS = min(DESCRIPTORS, 2 * CONNECTIONS + 1152)
COMMANDS = ["hubgate", "nginx", "haproxy", "caddy", "pingap"]
STREAM_MODULE = Path(os.environ.get("NGINX_STREAM", "/usr/lib/nginx/modules/ngx_stream_module.so"))


@dataclass(frozen=True)
class Ports:
    """where a contender listens"""
    tls: int
    plain: int
    forward: int
    passthrough: int


class Programs:
    def __init__(self, work, hubgate, origin_port, origin_tls_port, live_port):
        self.work, self.edge, self.live_port = work, hubgate, live_port
        self.origin_port, self.origin_tls_port = origin_port, origin_tls_port
        self.chain, self.key, self.both = work / "chain.pem", work / "key.pem", work / "both.pem"
        self_signed(self.chain, self.key)
        self.both.touch(0o600)
        self.both.write_bytes(self.chain.read_bytes() + self.key.read_bytes())

    def command(self, name, folder, ports):
        """the command line of a contender"""
        folder.mkdir(mode=0o700)
        made = {"hubgate": self.hubgate, "hubgate-log": self.hubgate_log, "hubgate-all": self.hubgate_all, "nginx": self.nginx, "haproxy": self.haproxy, "caddy": self.caddy,
                "pingap": self.pingap}[name](folder, ports)
        return [str(word) for word in made]

    def environment(self, name):
        """what the program needs beside ours"""
        if name != "caddy":
            return {}
        return {"GOMAXPROCS": "1", "HOME": str(self.work), "XDG_DATA_HOME": str(self.work), "XDG_CONFIG_HOME": str(self.work)}

    def version(self, name):
        name = name.split("-")[0]
        asked = {"hubgate": "--version", "nginx": "-v", "haproxy": "-v", "caddy": "version", "pingap": "--version"}[name]
        r = subprocess.run([self.edge if name == "hubgate" else program(name), asked], capture_output=True, text=True)
        return (r.stdout + r.stderr).strip().splitlines()[0]

    def origin(self):
        root = self.work / "root"
        root.mkdir()
        for name, size in SIZES.items():
            (root / name).write_bytes(b"hello\n" if size == 6 else random.Random(1).randbytes(size))
        folder = self.work / "origin"
        folder.mkdir()
        return self._nginx(folder, f"""
            server {{
                listen 127.0.0.1:{self.origin_port} backlog=4096;
                listen 127.0.0.1:{self.origin_tls_port} ssl backlog=4096;
                ssl_certificate {self.chain}; ssl_certificate_key {self.key};
                ssl_protocols TLSv1.3; ssl_session_cache shared:s:10m;
                root {root};
                sendfile on; tcp_nopush on; open_file_cache max=16 inactive=1h;
                location = /6 {{ default_type text/plain; return 200 "hello\\n"; }}
                location = /status {{ stub_status; }}
            }}""")

    def nginx(self, folder, ports):
        return self._nginx(folder, f"""
            upstream origin {{ server 127.0.0.1:{self.origin_port}; keepalive 256; keepalive_requests 1000000000; }}
            upstream live {{ server 127.0.0.1:{self.live_port}; keepalive 256; keepalive_requests 1000000000; }}
            server {{
                listen 127.0.0.1:{ports.tls} ssl http2 backlog=4096;
                listen 127.0.0.1:{ports.plain} backlog=4096;
                server_name localhost;
                ssl_certificate {self.chain}; ssl_certificate_key {self.key};
                ssl_protocols TLSv1.3; ssl_session_cache shared:s:10m;
                client_max_body_size 0;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                proxy_set_header Host $http_host;
                proxy_set_header X-Forwarded-For $remote_addr;
                proxy_set_header X-Forwarded-Proto $scheme;
                proxy_max_temp_file_size 0;
                location / {{ proxy_pass http://origin; }}
                location /events {{ proxy_pass http://live; proxy_buffering off; proxy_read_timeout 1h; }}
                location /upload {{ proxy_pass http://live; proxy_request_buffering off; }}
                location /ws {{
                    proxy_pass http://live;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection "upgrade";
                    proxy_set_header Host $http_host;
                    proxy_set_header X-Forwarded-For $remote_addr;
                    proxy_set_header X-Forwarded-Proto $scheme;
                    proxy_read_timeout 1h;
                }}
            }}""", f"""
            stream {{
                map $ssl_preread_server_name $behind {{ localhost 127.0.0.1:{self.origin_tls_port}; default 127.0.0.1:1; }}
                server {{ listen 127.0.0.1:{ports.forward} backlog=4096; proxy_pass 127.0.0.1:{self.origin_port}; proxy_timeout 1h; }}
                server {{
                    listen 127.0.0.1:{ports.passthrough} backlog=4096;
                    ssl_preread on; proxy_pass $behind; proxy_timeout 1h;
                }}
            }}""")

    def _nginx(self, folder, servers, stream=""):
        user = "user root;" if os.getuid() == 0 else ""     # the files are in a folder of ours alone
        module = f"load_module {STREAM_MODULE};" if stream and STREAM_MODULE.exists() else ""
        (folder / "nginx.conf").write_text(f"""
            {module}
            {user} worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log crit;
            events {{ worker_connections {NGINX_CONNECTIONS}; }}
            http {{
                access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
                client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
                uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
                {servers}
            }}
            {stream if module else ""}""")
        return [program("nginx"), "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"]

    def haproxy(self, folder, ports):
        (folder / "haproxy.cfg").write_text(f"""
global
    nbthread 1
    maxconn {CONNECTIONS}
    maxpipes 64
    ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    timeout http-keep-alive 1h
    http-reuse always
frontend edge
    bind 127.0.0.1:{ports.tls} ssl crt {self.both} alpn h2,http/1.1 backlog 4096
    bind 127.0.0.1:{ports.plain} backlog 4096
    maxconn {CONNECTIONS}
    option forwardfor
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-header X-Forwarded-Proto http if !{{ ssl_fc }}
    use_backend live if {{ path /ws /events /upload }}
    default_backend origin
backend origin
    server origin 127.0.0.1:{self.origin_port} pool-max-conn 256
backend live
    server live 127.0.0.1:{self.live_port} pool-max-conn 256
frontend forward
    mode tcp
    bind 127.0.0.1:{ports.forward} backlog 4096
    maxconn {CONNECTIONS}
    option splice-auto
    default_backend behind-plain
frontend passthrough
    mode tcp
    bind 127.0.0.1:{ports.passthrough} backlog 4096
    maxconn {CONNECTIONS}
    option splice-auto
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    use_backend behind-tls if {{ req.ssl_sni localhost }}
backend behind-plain
    mode tcp
    option splice-auto
    server origin 127.0.0.1:{self.origin_port}
backend behind-tls
    mode tcp
    option splice-auto
    server origin 127.0.0.1:{self.origin_tls_port}
""")
        return [program("haproxy"), "-db", "-f", folder / "haproxy.cfg"]

    def caddy(self, folder, ports):
        (folder / "Caddyfile").write_text(f"""
{{
    admin off
    auto_https off
    storage file_system {folder}/storage
    servers {{
        protocols h1 h2
        timeouts {{
            idle 1h
        }}
    }}
}}
(kept) {{
    transport http {{
        compression off
        keepalive_idle_conns 256
        keepalive_idle_conns_per_host 256
    }}
}}
(routes) {{
    bind 127.0.0.1
    @live path /ws /events /upload
    reverse_proxy @live 127.0.0.1:{self.live_port} {{
        import kept
    }}
    reverse_proxy 127.0.0.1:{self.origin_port} {{
        import kept
    }}
}}
https://localhost:{ports.tls} {{
    tls {self.chain} {self.key} {{
        protocols tls1.3
    }}
    import routes
}}
http://localhost:{ports.plain} {{
    import routes
}}
""")
        return [program("caddy"), "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"]

    def hubgate_log(self, folder, ports):
        return self.hubgate(folder, ports, f'[access_log]\ntarget = "{folder}/access.log"\nformat = "json"\n')

    def hubgate_all(self, folder, ports):
        more = (f'listen = "127.0.0.1:{free_port()}"\n'            # of [admin], which comes before it
                f'[access_log]\ntarget = "{folder}/access.log"\nformat = "json"\n')
        upstream = f"""
health = {{ kind = "http", path = "/6", interval = "1s", timeout = "500ms" }}
retry_on = ["connect", "reset", "timeout", "502", "503"]
outlier = {{ statuses = ["502-504"], latency = "20s" }}
max_connections = {CONNECTIONS}
max_in_flight = {CONNECTIONS}
circuit = {{ failure_rate = "50%" }}
"""
        return self.hubgate(folder, ports, more, upstream)

    def hubgate(self, folder, ports, more="", upstream=""):
        (folder / "state").mkdir(mode=0o700)
        (folder / "hubgate.toml").write_text(f"""
[server]
workers = 1
state_dir = "{folder}/state"
[listen]
http = ["127.0.0.1:{ports.plain}"]
https = ["127.0.0.1:{ports.tls}"]
[limits]
connections = {CONNECTIONS}
connections_per_client = {CONNECTIONS}
[timeouts]
keep_alive = "1h"
[admin]
socket = "{folder}/admin.sock"
{more}
[site.localhost]
certificate = {{ chain = "{self.chain}", key = "{self.key}" }}
http = "forward"
[[site.localhost.route]]
path = "/"
upstream = "origin"
""" + "".join(f"""
[[site.localhost.route]]
exact = "/{path}"
upstream = "live"
body_limit = "none"
idle_timeout = "1h"
""" for path in ("ws", "events", "upload")) + f"""
[[stream]]
listen = "127.0.0.1:{ports.forward}"
upstream = "origin"
[[stream]]
listen = "127.0.0.1:{ports.passthrough}"
sni = ["localhost"]
upstream = "behind"
[upstream.behind]
endpoints = ["127.0.0.1:{self.origin_tls_port}"]
[upstream.origin]
endpoints = ["127.0.0.1:{self.origin_port}"]
keep_alive = 256
keep_alive_idle = "60s"
{upstream}
[upstream.live]
endpoints = ["127.0.0.1:{self.live_port}"]
keep_alive = 256
keep_alive_idle = "60s"
""")
        return [self.edge, "run", "-c", folder / "hubgate.toml"]

    def pingap(self, folder, ports):
        routes = [f'[locations.{path}]\nupstream = "live"\npath = "= /{path}"\nenable_reverse_proxy_headers = true\n'
                  for path in ("ws", "events", "upload")]
        (folder / "pingap.toml").write_text(f"""
[basic]
threads = 1
work_stealing = false
upstream_keepalive_pool_size = 256
pid_file = "{folder}/pid"
upgrade_sock = "{folder}/upgrade.sock"
log_level = "error"
grace_period = "1s"
[upstreams.origin]
addrs = ["127.0.0.1:{self.origin_port}"]
idle_timeout = "1h"
[upstreams.live]
addrs = ["127.0.0.1:{self.live_port}"]
idle_timeout = "1h"
[locations.origin]
upstream = "origin"
path = "/"
enable_reverse_proxy_headers = true
{"".join(routes)}
[servers.tls]
addr = "127.0.0.1:{ports.tls}"
threads = 1
global_certificates = true
enabled_h2 = true
tls_min_version = "tlsv1.3"
locations = ["ws", "events", "upload", "origin"]
[servers.plain]
addr = "127.0.0.1:{ports.plain}"
threads = 1
locations = ["ws", "events", "upload", "origin"]
[certificates.localhost]
domains = "localhost"
is_default = true
tls_cert = "{self.chain}"
tls_key = "{self.key}"
""")
        return [program("pingap"), "-c", folder / "pingap.toml"]


def program(name):
    return find(name) or sys.exit(f"{name} is missing: tests/install.sh bench")


def passes_tcp_on(name):
    """whether the contender has streams"""
    return name in ("hubgate", "haproxy") or (name == "nginx" and STREAM_MODULE.exists())


def find(name):
    return os.environ.get(name.upper()) or shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
