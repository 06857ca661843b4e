#!/usr/bin/env bash
# Installs grpcio from PyPI into this folder only (.venv): half a minute the first time, nothing after that.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
PY=${PYTHON:-python3}

stamp=$(cat setup.sh requirements.txt <("$PY" --version) | sha256sum)
if [ "$(cat .venv/.stamp 2>/dev/null)" != "$stamp" ]; then
    echo "installing grpcio into tests/grpc/.venv"
    rm -f .venv/.stamp
    [ -x .venv/bin/python ] || "$PY" -m venv .venv
    .venv/bin/pip -qq --disable-pip-version-check install -r requirements.txt
    echo "$stamp" > .venv/.stamp
fi
