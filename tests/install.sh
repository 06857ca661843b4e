#!/usr/bin/env bash
# Installs what building and testing need, as far as it is missing; says nothing and takes no time when all is there.
#   tests/install.sh build          a C compiler and cmake (for aws-lc-rs)
#   tests/install.sh lint           cargo-deny
#   tests/install.sh test           what the tests start: Pebble, lego, certbot, nginx, dnsmasq, chromium; JupyterHub and BinderHub; grpcio
#   tests/install.sh bench          nginx, HAProxy, Caddy and the load generators
#   tests/install.sh instructions   valgrind, which counts instructions
#   tests/install.sh soak           the load generators, and what makes a network bad
#   tests/install.sh deb            what makes a Debian package
#   tests/install.sh deb-test       what makes a clean Debian to try it in
# Debian packages need root or sudo; without either it says what to install and stops.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

missing=()
want() { # PROGRAM [PACKAGE]
    command -v "$1" >/dev/null || PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null || missing+=("${2:-$1}")
}

SUDO=''
as_root() { # can we install?
    [ "$(id -u)" = 0 ] && return 0
    SUDO='sudo -n'
    command -v sudo >/dev/null && sudo -n true 2>/dev/null
}

install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null || ! as_root; then
        echo "missing: ${missing[*]}" >&2
        echo "install them (Debian: sudo apt-get install --no-install-recommends ${missing[*]}) and try again" >&2
        exit 1
    fi
    echo "installing ${missing[*]}"
    local policy=/usr/sbin/policy-rc.d log
    log=$(mktemp)
    # the tests start their own nginx, haproxy and so on: none is to become a service of this machine
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $SUDO tee $policy >/dev/null
        $SUDO chmod 755 $policy
        trap '$SUDO rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    if ! { $SUDO apt-get -q update &&
        $SUDO env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${missing[@]}"; } > "$log" 2>&1 < /dev/null; then
        tail -20 "$log" >&2
        exit 1
    fi
    rm -f "$log"
    missing=()
}

need_cargo() {
    command -v cargo >/dev/null && return 0
    [ -x "$HOME/.cargo/bin/cargo" ] && return 0
    echo "cargo is missing: install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer from https://rustup.rs" >&2
    exit 1
}

for set in "$@"; do
    case $set in
    build)
        want cc gcc
        want c++ g++
        want cmake
        ;;
    lint)
        want cc gcc
        ;;
    deb)
        want dpkg-shlibdeps dpkg-dev
        want strip binutils
        ;;
    deb-test)
        want debootstrap
        want python3
        want curl
        want nsenter util-linux
        want pgrep procps
        want ip iproute2
        ;;
    soak)
        want python3
        want wrk
        want h2load nghttp2-client
        want openssl
        want unshare util-linux
        want nft nftables
        want tc iproute2
        ;;
    bench)
        want python3
        want curl
        want nginx
        [ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || missing+=(libnginx-mod-stream)
        want haproxy
        want caddy
        want wrk
        want h2load nghttp2-client
        want openssl
        want taskset util-linux
        ;;
    instructions)
        want python3
        want openssl
        want valgrind
        ;;
    test)
        want curl
        want openssl
        want python3
        python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
        want node nodejs
        want npm
        want nginx
        want pebble
        want faketime
        want lego
        want certbot
        /usr/bin/python3 -c 'import certbot_nginx' 2>/dev/null || missing+=(python3-certbot-nginx)
        want systemd-analyze systemd
        want unshare util-linux
        want ip iproute2
        want chromium
        want dnsmasq dnsmasq-base
        ;;
    *)
        echo "unknown set \`$set\`: build, lint, test, soak, bench, instructions, deb, deb-test" >&2
        exit 2
        ;;
    esac
done
install_missing
for set in "$@"; do
    case $set in
    build) need_cargo ;;
    lint)
        need_cargo
        command -v cargo-deny >/dev/null || [ -x "$HOME/.cargo/bin/cargo-deny" ] || cargo install --quiet --locked cargo-deny
        ;;
    test)
        tests/hub/setup.sh
        tests/grpc/setup.sh
        ;;
    esac
done
