#!/usr/bin/env bash
# Checks formatting, lints, documentation, types and generated files. Runs no tests.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
cd web
npm run format:check
npm run lint
npm run typecheck
npm run check:dist
