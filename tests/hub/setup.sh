#!/usr/bin/env bash
# Installs real upstreams into this folder only (.venv, node_modules): JupyterHub, JupyterLab and BinderHub 0.1.0 from
# PyPI, configurable-http-proxy and playwright-core from npm. One to two minutes the first time, nothing after that.
#   HUB_VERSION=6.1.1 ./setup.sh    another JupyterHub
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
PY=${PYTHON:-python3}

stamp=$(cat setup.sh requirements.txt <(echo "${HUB_VERSION:-}") <("$PY" --version) | sha256sum)
if [ "$(cat .venv/.stamp 2>/dev/null)" != "$stamp" ]; then
    echo "installing JupyterHub and BinderHub into tests/hub/.venv"
    rm -f .venv/.stamp
    [ -x .venv/bin/python ] || "$PY" -m venv .venv
    # binderhub 0.1.0 declares "kubernetes>=4.*", which pip 24.1 and later refuse to read
    .venv/bin/pip -qq --disable-pip-version-check install 'pip==24.0'
    .venv/bin/pip -qq --disable-pip-version-check install -r requirements.txt
    .venv/bin/pip -qq --disable-pip-version-check install --no-deps 'binderhub==0.1.0'
    [ -z "${HUB_VERSION:-}" ] || .venv/bin/pip -qq --disable-pip-version-check install "jupyterhub==$HUB_VERSION"
    echo "$stamp" > .venv/.stamp
fi

stamp=$(sha256sum < package-lock.json)
if [ "$(cat node_modules/.stamp 2>/dev/null)" != "$stamp" ]; then
    echo "installing configurable-http-proxy and playwright-core into tests/hub/node_modules"
    npm ci --silent --no-audit --no-fund --prefix . < /dev/null > /dev/null
    echo "$stamp" > node_modules/.stamp
fi
