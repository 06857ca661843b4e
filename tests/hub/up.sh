#!/usr/bin/env bash
# Starts real upstreams on free loopback ports: JupyterHub (with configurable-http-proxy) and BinderHub; waits until
# each answers; prints the addresses and writes them to $EDGE_RUN_DIR/env.sh (default: run/env.sh beside this file).
#   ./up.sh                                          both under one host: /jupyterhub/ and /binderhub/
#   HUB_PREFIX=/ BINDER_PREFIX=/ HUB_PUBLIC=https://hub.binder.example.com/ ./up.sh     one host for each
#   NGINX_CONF=conf/nginx-fixed.conf.in ./up.sh      also a reference edge: that nginx; its address is EDGE_URL
#                                                    (also conf/nginx-seed.conf.in, conf/nginx-two-hosts.conf.in)
#   NGINX=/path/to/nginx                             that edge by another program: a link called nginx to hubgate
#   SPAWN_STEP_S=0.3 HUB_PASSWORD=edge-test          pace of the spawn progress events; everybody's password
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
HERE=$PWD
. ../processes.sh
RUN=${EDGE_RUN_DIR:-$HERE/run}
PIDS=$RUN/hub.pids LOGS=$RUN/log
if [ -s "$PIDS" ]; then echo "$PIDS exists: ./down.sh first" >&2; exit 1; fi
rm -rf "$RUN/home" "$RUN/log" "$RUN/nginx" "$RUN"/jupyterhub* "$RUN"/cookie_secret "$RUN/env.sh"
mkdir -p "$RUN/home" "$RUN/log" "$RUN/nginx"
read -r chp api hub binder echo tls http <<< "$(free_ports 7)"
cat > "$RUN/env.sh" <<P
export EDGE_RUN_DIR=$RUN
export CHP_PORT=$chp CHP_API_PORT=$api HUB_PORT=$hub BINDER_PORT=$binder ECHO_PORT=$echo
export NGINX_TLS_PORT=$tls NGINX_HTTP_PORT=$http
export HUB_BASE_URL=${HUB_PREFIX:-/jupyterhub/} BINDER_BASE_URL=${BINDER_PREFIX:-/binderhub/}
# a path is enough for browsers and works through any edge; an absolute URL is for two hosts
export HUB_PUBLIC_URL=${HUB_PUBLIC:-${HUB_PREFIX:-/jupyterhub/}}
export CHP_TOKEN=$(openssl rand -hex 16) BINDER_HUB_TOKEN=$(openssl rand -hex 16)
export HUB_PASSWORD=${HUB_PASSWORD:-edge-test} SPAWN_STEP_S=${SPAWN_STEP_S:-0.3}
export CHP_BIN=$HERE/node_modules/.bin/configurable-http-proxy
P
. "$RUN/env.sh"
trap 'echo "not started; stopping" >&2; stop_listed' ERR

export PATH="$HERE/.venv/bin:$PATH"
cd "$RUN"
start jupyterhub "$HERE/.venv/bin/python" -m jupyterhub -f "$HERE/conf/jupyterhub_config.py"
PYTHONWARNINGS=ignore start binderhub "$HERE/.venv/bin/python" "$HERE/conf/run_binderhub.py"
cd "$HERE"
wait_http "http://127.0.0.1:$CHP_PORT${HUB_BASE_URL}hub/login" 90
wait_http "http://127.0.0.1:$CHP_PORT${HUB_BASE_URL}services/echo/" 60
wait_http "http://127.0.0.1:$BINDER_PORT$BINDER_BASE_URL" 60

if [ -n "${NGINX_CONF:-}" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
        -addext 'subjectAltName=DNS:localhost,DNS:binder.example.com,DNS:hub.binder.example.com,IP:127.0.0.1' \
        -keyout "$RUN/nginx/key.pem" -out "$RUN/nginx/cert.pem" 2>/dev/null
    sed -e "s|@RUN@|$RUN/nginx|g" -e "s|@TLS@|$NGINX_TLS_PORT|g" -e "s|@HTTP@|$NGINX_HTTP_PORT|g" \
        -e "s|@HUB@|127.0.0.1:$CHP_PORT|g" -e "s|@BINDER@|127.0.0.1:$BINDER_PORT|g" \
        "$NGINX_CONF" > "$RUN/nginx/nginx.conf"
    PATH="$PATH:/usr/sbin" start nginx "${NGINX:-nginx}" -p "$RUN/nginx" -e "$RUN/nginx/error.log" -c "$RUN/nginx/nginx.conf" -g 'daemon off;'
    wait_http "https://localhost:$NGINX_TLS_PORT/edge-is-up" 10
    echo "export EDGE_URL=https://localhost:$NGINX_TLS_PORT" >> "$RUN/env.sh"
fi
cat <<P
jupyterhub (configurable-http-proxy)  http://127.0.0.1:$CHP_PORT$HUB_BASE_URL   hub itself 127.0.0.1:$HUB_PORT
binderhub                             http://127.0.0.1:$BINDER_PORT$BINDER_BASE_URL
header echo (hub service)             http://127.0.0.1:$CHP_PORT${HUB_BASE_URL}services/echo/
P
[ -z "${NGINX_CONF:-}" ] || echo "reference edge ($NGINX_CONF)  https://localhost:$NGINX_TLS_PORT/"
echo "log in with any name and password '$HUB_PASSWORD'; settings in $RUN/env.sh; logs in $RUN/log"
