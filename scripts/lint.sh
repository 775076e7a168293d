#!/usr/bin/env bash
# Checks formatting, lints, documentation, types and generated files. Runs no tests.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
for package in web packages/client packages/testing; do
    (cd "$package" && npm run format:check && npm run lint && npm run typecheck)
done
(cd web && npm run check:dist)
