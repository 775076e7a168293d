#!/usr/bin/env bash
# Installs the programs and packages that the tests need and that are missing on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

need() { command -v "$1" >/dev/null || { echo "setup: $1 is missing; $2" >&2; exit 1; }; }
need cargo "install Rust"
need node "install Node 20 or newer"

packages=()
if ! command -v chromium >/dev/null && [ -z "${CHROMIUM_BIN:-}" ]; then packages+=(chromium); fi
# Debian has the part of Python that creates virtual environments in a package of its own.
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then packages+=(python3-venv); fi
# Debian installs nginx in /usr/sbin, which is in the PATH of root only.
if ! PATH="$PATH:/usr/sbin" command -v nginx >/dev/null; then packages+=(nginx-light); fi
if [ "${#packages[@]}" -gt 0 ]; then
    echo "setup: installing ${packages[*]} with apt-get, for the web tests"
    sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

# npm writes this file last. If it is newer than the lock file, all packages are installed.
if [ ! web/node_modules/.package-lock.json -nt web/package-lock.json ]; then
    echo "setup: installing the web packages with npm"
    (cd web && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund)
fi

# The packages use the tools and the peer dependencies of web/, so they install nothing.
for package in packages/*/; do
    ln -sfn ../../web/node_modules "${package}node_modules"
done

python=web/interop/python
# This file is written last. If it is newer than the list, all packages are installed.
if [ ! "$python/.venv/installed" -nt "$python/requirements.txt" ]; then
    echo "setup: installing the Python packages of the web tests with pip"
    python3 -m venv --clear "$python/.venv"
    "$python/.venv/bin/pip" install -q --disable-pip-version-check -r "$python/requirements.txt"
    touch "$python/.venv/installed"
fi
