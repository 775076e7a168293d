.PHONY: help run test test-rust test-web lint setup audit schema web bench

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

run: ## serve, optimised
	cargo run --release

test: ## everything, as CI runs it; fetches what the tests need and says so
	scripts/test.sh

test-rust: ## the Rust tests alone
	cargo test

test-web: setup ## unit, interop and browser tests alone
	cargo build
	cd web && npm test && npm run interop && npm run e2e

lint: setup ## formatting, lints, documentation, types, generated files
	scripts/lint.sh

setup: ## fetch what the tests need: Chromium by apt-get, packages by npm
	scripts/setup.sh

audit: setup ## licences, advisories and sources of what is built in; needs cargo-deny
	cargo deny check
	cd web && npm audit --omit=dev && npm audit

schema: ## write schema.graphql anew
	cargo run --quiet -- schema > schema.graphql

web: setup ## build the pages anew
	cd web && npm run build

bench: ## measure, beside the baselines, and print the table; needs two cores and taskset
	cargo build --release --workspace
	target/release/switchboard-bench run
