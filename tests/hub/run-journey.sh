#!/usr/bin/env bash
# The main job from end to end (`make journey`): a real JupyterHub and BinderHub behind hubgate, which is given no
# certificate and gets one from Pebble through its own plain-HTTP port, while lego or certbot, standing in for the
# cluster's cert-manager, gets another through the same port; then the journey of a user, by script and in Chromium.
# The layout `nginx` is the hand-edited configuration of an nginx, given to hubgate called as nginx, and nothing else.
#   --quick        without the silences of more than 60 s (5 minutes instead of 15)
#   --no-browser   without Chromium
#   --only NAME    only one-host, only two-hosts or only nginx
#   --keep         leave the logs in place even when all passes
# HUBGATE=FILE: the program under test (default: target/release/hubgate). Exits 1 when any step failed.
set -euo pipefail
HERE=$(dirname "$(readlink -f "$0")")
HUBGATE=$(realpath -m "${HUBGATE:-$HERE/../../target/release/hubgate}")
cd "$HERE"
. ../processes.sh
. ./pebble.sh

# a debug build on a busy machine may add more to an event than the release, which may add 1 ms
SLOW=(--slow) DELAY_MS=1 BROWSER=1 ONLY='' KEEP=0
while [ $# -gt 0 ]; do
    case $1 in
    --quick) SLOW=() DELAY_MS=50 ;;
    --no-browser) BROWSER=0 ;;
    --only) ONLY=${2:?--only needs a name}; shift ;;
    --keep) KEEP=1 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
    shift
done
case $ONLY in '' | one-host | two-hosts | nginx) ;; *) echo "--only one-host, two-hosts or nginx" >&2; exit 2 ;; esac
[ -x "$HUBGATE" ] || { echo "$HUBGATE is not there: cargo build --release" >&2; exit 2; }

WORK=$(mktemp -d "${TMPDIR:-/tmp}/hubgate-journey.XXXXXX")
# one port for two servers, neither of which has bound it yet, is told apart by nobody
export PORTS_GIVEN=$WORK/ports
PIDS=$WORK/pids LOGS=$WORK
ROWS=() FAILED=0

finish() {
    local status=$?
    trap - EXIT INT TERM HUP
    set +e
    for pid in $(descendants $$ | cut -d' ' -f1); do same "$pid" "$(started "$pid")" && kill -TERM "$pid" 2>/dev/null; done
    stop_listed
    for run in "$WORK"/*/; do [ -d "$run" ] && EDGE_RUN_DIR=${run%/} ./down.sh; done
    if [ ${#ROWS[@]} -gt 0 ]; then
        printf '\n%-10s %-58s %8s  %s\n' layout step seconds result
        printf '%s\n' "${ROWS[@]}"
    fi
    [ $FAILED -eq 0 ] || status=1
    if [ $status -ne 0 ] || [ $KEEP -eq 1 ]; then
        echo "logs: $WORK/*/log"
    else
        rm -rf "$WORK"
    fi
    exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# step TEXT COMMAND...   runs it, notes how it went, leaves its status in STEP (a caller's || or && would switch off
# the `set -e` in it)
step() {
    local text=$1 began=$EPOCHREALTIME rc note; shift
    echo "--- $LAYOUT: $text"
    rm -f "$WORK/status"
    # in the background, so that a signal to this script is not kept waiting
    {
        set +e
        ( set -e; "$@" ) 2>&1
        echo $? > "$WORK/status"
    } | tee "$WORK/step" &
    wait $! || true
    rc=$(cat "$WORK/status" 2>/dev/null || echo 1)
    note=ok
    if [ $rc -ne 0 ]; then note="FAILED ($rc)"; FAILED=1; fi
    ROWS+=("$(printf '%-10s %-58s %8.1f  %s' "$LAYOUT" "$text" "$(seconds_between "$began" "$EPOCHREALTIME")" "$note")")
    STEP=$rc
}
seconds_between() { awk -v from="${1/,/.}" -v to="${2/,/.}" 'BEGIN { print to - from }'; }

write_configuration() { # TEMPLATE
    sed -e "s|@RUN@|$RUN|g" -e "s|@HTTP@|$HTTP|g" -e "s|@HTTPS@|$HTTPS|g" -e "s|@PEBBLE@|$PEBBLE|g" \
        -e "s|@BINDER@|$BINDER_PORT|g" -e "s|@HUB@|$CHP_PORT|g" -e "s|@FALLBACK@|$FALLBACK|g" "$1" > "$RUN/hubgate.toml"
    "$HUBGATE" check -c "$RUN/hubgate.toml"
}

start_hubgate() {
    start hubgate "$HUBGATE" run -c "$RUN/hubgate.toml"
    local until=$((SECONDS + 10))
    until (exec 3<> "/dev/tcp/127.0.0.1/$HTTP") 2>/dev/null; do
        if [ $SECONDS -ge $until ]; then echo 'hubgate does not listen'; tail -20 "$LOGS/hubgate.log"; return 1; fi
        sleep 0.1
    done
}

# over TLS, believing only Pebble's root
https() { # HOST PATH
    curl -s --noproxy '*' --max-time 5 -o /dev/null -w '%{http_code}' --cacert "$RUN/pebble/roots.pem" \
        --connect-to "$1:443:127.0.0.1:$HTTPS" "https://$1$2"
}

certificate_served() { # HOST PATH
    local until=$((SECONDS + 60)) code
    while [ $SECONDS -lt $until ]; do
        if code=$(https "$1" "$2") && [ "$code" = 200 ]; then
            echo | openssl s_client -connect "127.0.0.1:$HTTPS" -servername "$1" 2>/dev/null | openssl x509 -noout -subject -issuer -enddate -ext subjectAltName
            return 0
        fi
        sleep 0.2
    done
    echo "no certificate of Pebble's for $1 after 60 s (last answer: ${code:-none})"
    tail -20 "$LOGS/hubgate.log"
    return 1
}

by_lego() { # gets cluster.example.com a certificate, listening on the fallback upstream's port
    LEGO_CA_CERTIFICATES=$RUN/pebble/ca.pem lego --path "$RUN/lego" --server "https://127.0.0.1:$PEBBLE/dir" --accept-tos \
        --email ops@example.com --domains cluster.example.com --http --http.port "127.0.0.1:$FALLBACK" run 2>&1 | tail -3
    openssl verify -CAfile "$RUN/pebble/roots.pem" -untrusted "$RUN/lego/certificates/cluster.example.com.issuer.crt" \
        "$RUN/lego/certificates/cluster.example.com.crt"
}

by_certbot() {
    REQUESTS_CA_BUNDLE=$RUN/pebble/ca.pem certbot certonly --quiet --non-interactive --agree-tos --register-unsafely-without-email \
        --standalone --http-01-address 127.0.0.1 --http-01-port "$FALLBACK" --server "https://127.0.0.1:$PEBBLE/dir" \
        --config-dir "$RUN/certbot" --work-dir "$RUN/certbot/work" --logs-dir "$RUN/certbot/logs" -d cluster.example.com
    openssl verify -CAfile "$RUN/pebble/roots.pem" -untrusted "$RUN/certbot/live/cluster.example.com/chain.pem" \
        "$RUN/certbot/live/cluster.example.com/cert.pem"
}

port_80() { # what a browser's address bar relies on
    local wrong=0
    expect() { # WANT HOST METHOD TARGET
        local got
        got=$(curl -s --noproxy '*' --max-time 5 -o /dev/null -w '%{http_code} %{redirect_url}' --path-as-is -X "$3" -H "Host: $2" "http://127.0.0.1:$HTTP$4")
        got=${got% }
        if [ "$got" = "$1" ]; then echo "ok    $3 $2$4: $got"; else echo "FAIL  $3 $2$4: $got instead of $1"; wrong=1; fi
    }
    expect "301 https://binder.example.com$SHOWN_PORT/a%2Fb//c?x=%7E" binder.example.com GET '/a%2Fb//c?x=%7E'
    expect "308 https://binder.example.com$SHOWN_PORT/jupyterhub/hub/login" binder.example.com POST /jupyterhub/hub/login
    expect 404 binder.example.com GET /.well-known/acme-challenge/nobody-knows-this-token
    expect 421 nobody.example.net GET /
    [ $wrong = 0 ]
}

journey() {
    .venv/bin/python journey.py "$BASE" "${BASES[@]}" --connect "127.0.0.1:$HTTPS" --cafile "$ROOTS" \
        --binder-direct "http://127.0.0.1:$BINDER_PORT${BINDER_BASE_URL%/}" --allowed-delay-ms "$DELAY_MS" --strict "${SLOW[@]}" --json "$RUN/journey.json"
}

in_chromium() {
    local host keys=''
    for host in "${HOSTS[@]}"; do
        keys+=${keys:+,}$(echo | openssl s_client -connect "127.0.0.1:$HTTPS" -servername "$host" 2>/dev/null |
            openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64)
    done
    node browser_journey.mjs "$BASE" "${BASES[@]}" --connect "127.0.0.1:$HTTPS" --spki "$keys"
}

stops_when_told() {
    local pid
    pid=$(sed -n 's/^\([0-9]*\) .* hubgate$/\1/p' "$PIDS" | tail -1)
    kill -TERM "$pid"
    for _ in $(seq 80); do [ -n "$(started "$pid")" ] || return 0; sleep 0.1; done
    echo 'hubgate still runs 8 s after TERM, with a drain of 2 s'
    return 1
}

# run_layout NAME STAND-IN   the variables that say what the layout looks like are set by the caller
run_layout() {
    LAYOUT=$1 RUN=$WORK/$1
    LOGS=$RUN/log
    mkdir -p "$LOGS" "$RUN/state"
    chmod 700 "$RUN/state"
    export EDGE_RUN_DIR=$RUN
    read -r HTTP HTTPS FALLBACK <<< "$(free_ports 3)"
    [ "$1" = two-hosts ] && SHOWN_PORT='' || SHOWN_PORT=:$HTTPS
    BASE=https://binder.example.com$SHOWN_PORT ROOTS=$RUN/pebble/roots.pem
    step 'JupyterHub and BinderHub start' ./up.sh
    [ $STEP = 0 ] || return 0
    . "$RUN/env.sh"
    start_pebble "$RUN/pebble" "$HTTP"
    step 'the configuration is accepted' write_configuration "conf/hubgate-$1.toml.in"
    [ $STEP = 0 ] || return 0
    step 'hubgate starts without a certificate' start_hubgate
    [ $STEP = 0 ] || return 0
    # both at once through one port: neither may take the other's tokens
    ( "$2" > "$RUN/stand-in" 2>&1; echo $? > "$RUN/stand-in.status" ) &
    local standin=$!
    local host certificates=0
    for host in "${HOSTS[@]}"; do
        step "hubgate gets a certificate for $host" certificate_served "$host" "${FIRST_PAGE[$host]}"
        [ $STEP != 0 ] || certificates=$((certificates + 1))
    done
    wait "$standin" || true
    step "${2/by_/} behind the fallback upstream gets its own" eval 'cat "$RUN/stand-in"; exit "$(cat "$RUN/stand-in.status")"'
    step 'port 80 redirects, and answers for nobody else' port_80
    [ $certificates = ${#HOSTS[@]} ] || return 0
    step "journey.py --strict ${SLOW[*]}" journey
    [ $BROWSER = 0 ] || step 'browser_journey.mjs in Chromium' in_chromium
    step 'hubgate stops when told' stops_when_told
    stop_listed
    ./down.sh
    LOGS=$WORK
}

# The edge that people have: its configuration as it is, read by a program that is called nginx.
as_nginx() {
    LAYOUT=nginx RUN=$WORK/nginx
    LOGS=$RUN/log
    mkdir -p "$LOGS" "$RUN/bin"
    ln -s "$HUBGATE" "$RUN/bin/nginx"
    export EDGE_RUN_DIR=$RUN
    step 'JupyterHub, BinderHub and hubgate as nginx start' \
        env NGINX="$RUN/bin/nginx" NGINX_CONF=conf/nginx-seed.conf.in ./up.sh
    [ $STEP = 0 ] || return 0
    . "$RUN/env.sh"
    BASE=$EDGE_URL BASES=() HOSTS=(localhost) HTTPS=$NGINX_TLS_PORT ROOTS=$RUN/nginx/cert.pem
    step "journey.py --strict ${SLOW[*]}" journey
    [ $BROWSER = 0 ] || step 'browser_journey.mjs in Chromium' in_chromium
    step 'nginx -s stop stops it' \
        "$RUN/bin/nginx" -p "$RUN/nginx" -e "$RUN/nginx/error.log" -c "$RUN/nginx/nginx.conf" -s stop
    ./down.sh
    LOGS=$WORK
}

declare -A FIRST_PAGE
all_layouts() {
    case $ONLY in '' | nginx) as_nginx ;; esac
    case $ONLY in '' | one-host)
        HOSTS=(binder.example.com) BASES=()
        FIRST_PAGE=([binder.example.com]=/binderhub/)
        run_layout one-host by_lego ;;
    esac
    case $ONLY in '' | two-hosts)
        HOSTS=(binder.example.com hub.binder.example.com)
        FIRST_PAGE=([binder.example.com]=/ [hub.binder.example.com]=/hub/login)
        BASES=(--binder-base https://binder.example.com --hub-base https://hub.binder.example.com)
        export HUB_PREFIX=/ BINDER_PREFIX=/ HUB_PUBLIC=https://hub.binder.example.com/
        run_layout two-hosts by_certbot ;;
    esac
}

# one line for the shell to read: an edit of this file does not reach a run under way
all_layouts; exit
