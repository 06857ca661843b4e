"""The programs that bench/compare compares, and the origin behind them, with equal settings.

Each method of `Programs` writes a configuration for one port and returns the command that serves it.
"""
import os
import random
import shutil
import subprocess
import sys

from localhost import free_port, self_signed

SIZES = {"6": 6, "1k": 1024, "100k": 100 * 1024, "10m": 10 * 1024 * 1024}


class Programs:
    def __init__(self, work, hubgate, origin_port):
        self.work, self.edge, self.origin_port = work, hubgate, origin_port
        self.chain, self.key, both = work / "chain.pem", work / "key.pem", work / "both.pem"
        self_signed(self.chain, self.key)
        both.touch(0o600)
        both.write_bytes(self.chain.read_bytes() + self.key.read_bytes())

    def environment(self, name):
        """what the program needs beside ours"""
        if name != "caddy":
            return {}
        return {"GOMAXPROCS": "1", "HOME": str(self.work), "XDG_DATA_HOME": str(self.work), "XDG_CONFIG_HOME": str(self.work)}

    def version(self, name):
        command = {"hubgate": lambda: [self.edge, "--version"], "nginx": lambda: [program("nginx"), "-v"],
                   "haproxy": lambda: [program("haproxy"), "-v"], "caddy": lambda: [program("caddy"), "version"]}[name]()
        r = subprocess.run(command, capture_output=True, text=True)
        return (r.stdout + r.stderr).strip().splitlines()[0]

    def origin(self):
        root = self.work / "root"
        root.mkdir()
        for name, size in SIZES.items():
            (root / name).write_bytes(b"hello\n" if size == 6 else random.Random(1).randbytes(size))
        return self._nginx("origin", f"""
            server {{
                listen 127.0.0.1:{self.origin_port} backlog=4096;
                root {root};
                sendfile on; tcp_nopush on; open_file_cache max=16 inactive=1h;
                location = /6 {{ default_type text/plain; return 200 "hello\\n"; }}
            }}""")

    def nginx(self, port):
        return self._nginx("nginx", f"""
            upstream origin {{ server 127.0.0.1:{self.origin_port}; keepalive 256; keepalive_requests 1000000000; }}
            server {{
                listen 127.0.0.1:{port} ssl http2 backlog=4096;
                server_name localhost;
                ssl_certificate {self.chain}; ssl_certificate_key {self.key};
                ssl_protocols TLSv1.3; ssl_session_cache shared:s:10m;
               
                location / {{
                    proxy_pass http://origin;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    proxy_set_header Host $http_host;
                    proxy_set_header X-Forwarded-For $remote_addr;
                    proxy_set_header X-Forwarded-Proto $scheme;
                    proxy_max_temp_file_size 0;
                }}
            }}""")

    def _nginx(self, name, servers):
        folder = self.work / name
        folder.mkdir()
        user = "user root;" if os.getuid() == 0 else ""     # the files are in a folder of ours alone
        (folder / "nginx.conf").write_text(f"""
            {user} worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log crit;
            events {{ worker_connections 8192; }}
            http {{
                access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
                client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
                uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
                {servers}
            }}""")
        return [program("nginx"), "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"]

    def haproxy(self, port):
        (self.work / "haproxy.cfg").write_text(f"""
global
    nbthread 1
    maxconn 8192
    ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    http-reuse always
frontend edge
    bind 127.0.0.1:{port} ssl crt {self.work}/both.pem alpn h2,http/1.1 backlog 4096
    option forwardfor
    http-request set-header X-Forwarded-Proto https
    default_backend origin
backend origin
    server origin 127.0.0.1:{self.origin_port} pool-max-conn 256
""")
        return [program("haproxy"), "-db", "-f", self.work / "haproxy.cfg"]

    def caddy(self, port):
        (self.work / "Caddyfile").write_text(f"""
{{
    admin off
    auto_https off
    storage file_system {self.work}/caddy
    servers {{
        protocols h1 h2
    }}
}}
https://localhost:{port} {{
    bind 127.0.0.1
    tls {self.chain} {self.key} {{
        protocols tls1.3
    }}
    reverse_proxy 127.0.0.1:{self.origin_port} {{
        transport http {{
            compression off
            keepalive_idle_conns 256
            keepalive_idle_conns_per_host 256
        }}
    }}
}}
""")
        return [program("caddy"), "run", "--config", self.work / "Caddyfile", "--adapter", "caddyfile"]

    def hubgate(self, port):
        state = self.work / "state"
        state.mkdir(mode=0o700)
        (self.work / "hubgate.toml").write_text(f"""
[server]
workers = 1
state_dir = "{state}"
[listen]
http = ["127.0.0.1:{free_port()}"]
https = ["127.0.0.1:{port}"]
[admin]
socket = "{self.work}/admin.sock"
[site.localhost]
certificate = {{ chain = "{self.chain}", key = "{self.key}" }}
[[site.localhost.route]]
path = "/"
upstream = "origin"
[upstream.origin]
endpoints = ["127.0.0.1:{self.origin_port}"]
keep_alive = 256
keep_alive_idle = "60s"
""")
        return [self.edge, "run", "-c", self.work / "hubgate.toml"]


def program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") or sys.exit(f"{name} is missing: tests/install.sh bench")
