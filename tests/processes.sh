# shellcheck shell=bash
# Starts, finds and stops the processes of a test run. Sourced, not run.
#
# A process is known by its id and its start time, both noted in $PIDS; a stop ends exactly those and their
# descendants, never "all of that name". Set PIDS (a file) and LOGS (a folder) before calling start.

# when process $1 began, in clock ticks since boot (an id that was reused has another value); nothing when it has ended
started() { sed -n 's/^.*) \([^ZX] .*\)/\1/p' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# start NAME COMMAND...   leaves its id in STARTED
start() {
    local name=$1; shift
    setsid "$@" > "$LOGS/$name.log" 2>&1 < /dev/null &
    STARTED=$!
    echo "$STARTED $(started "$STARTED") $name" >> "$PIDS"
}

descendants() {
    local p
    for p in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
        descendants "$p"
        echo "$p $(started "$p")"
    done
}

same() { [ -n "$2" ] && [ "$(started "$1")" = "$2" ]; }

# stop_listed [NAME]   TERM, up to 10 s, TERM again (hubgate: at once), then KILL; NAME: only that one
stop_listed() {
    local all='' pid when name p w
    [ -s "$PIDS" ] || return 0
    while read -r pid when name; do
        [ -z "${1:-}" ] || [ "$name" = "$1" ] || continue
        same "$pid" "$when" || continue
        all+="$(descendants "$pid")"$'\n'"$pid $when"$'\n'
        kill -TERM "$pid" 2>/dev/null || true
    done < "$PIDS"
    alive() { while read -r p w; do [ -n "$p" ] && same "$p" "$w" && echo "$p"; done <<< "$all"; true; }
    for _ in $(seq 50); do [ -z "$(alive)" ] && break; sleep 0.2; done
    for p in $(alive); do kill -TERM "$p" 2>/dev/null || true; done
    for _ in $(seq 5); do [ -z "$(alive)" ] && break; sleep 0.1; done
    for p in $(alive); do kill -KILL "$p" 2>/dev/null || true; done
    if [ -z "${1:-}" ]; then
        rm -f "$PIDS"
    else
        sed -i "/ $1\$/d" "$PIDS"
    fi
}

# wait_http URL SECONDS [CURL OPTIONS]   until it answers 2xx or 3xx
wait_http() {
    local url=$1 until=$((SECONDS + $2)); shift 2
    while [ $SECONDS -lt $until ]; do
        curl -ksf -o /dev/null --max-time 2 --noproxy '*' "$@" "$url" && return 0
        sleep 0.2
    done
    echo "no answer from $url; logs in $LOGS" >&2
    return 1
}

# free_ports N   N free ports (localhost.py says what free means)
free_ports() { python3 "$(dirname "${BASH_SOURCE[0]}")/localhost.py" "$1"; }
