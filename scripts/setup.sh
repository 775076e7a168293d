#!/usr/bin/env bash
# Installs the programs and packages that the tests need and that are missing on this machine. With
# the argument `packages`, only what is needed to build the packages and the pages.
set -euo pipefail
cd "$(dirname "$0")/.."

need() { command -v "$1" >/dev/null || { echo "setup: $1 is missing; $2" >&2; exit 1; }; }
need cargo "install Rust"
need node "install Node 20 or newer"

what=${1:-all}

packages=()
need_package() { if [ "$what" = all ] && ! eval "$2"; then packages+=("$1"); fi; }
need_package chromium '[ -n "${CHROMIUM_BIN:-}" ] || command -v chromium >/dev/null'
# Debian has the part of Python that creates virtual environments in a package of its own.
need_package python3-venv 'python3 -c "import ensurepip, venv" 2>/dev/null'
# Debian installs nginx in /usr/sbin, which is in the PATH of root only.
need_package nginx-light 'PATH="$PATH:/usr/sbin" command -v nginx >/dev/null'
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

if [ "$what" = packages ]; then exit; fi

python=web/interop/python
# This file is written last. If it is newer than the list, all packages are installed.
if [ ! "$python/.venv/installed" -nt "$python/requirements.txt" ]; then
    echo "setup: installing the Python packages of the web tests with pip"
    python3 -m venv --clear "$python/.venv"
    "$python/.venv/bin/pip" install -q --disable-pip-version-check -r "$python/requirements.txt"
    touch "$python/.venv/installed"
fi
