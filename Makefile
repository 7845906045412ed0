# The two commands a newcomer needs are `make demo` and `make test`; both install what is missing.
# The others are their parts.

CARGO ?= cargo
PORT ?= 8080

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test tools fmt clippy unit build e2e chart cluster images doc deny package package-test bench bench-peers

help: ## show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## run everything on this machine until Ctrl-C (PORT=8080)
	@exec env PORT=$(PORT) .ci/demo

test: tools fmt clippy unit e2e chart doc ## all checks and tests, from a fresh checkout

tools: ## install what the tests need
	.ci/install nginx git htpasswd slapd ldapmodify gitweb
	.ci/clients
	$(CARGO) fmt --version || rustup component add rustfmt
	$(CARGO) clippy --version || rustup component add clippy

fmt: ## check the formatting
	$(CARGO) fmt --all --check

clippy: ## lints, as errors
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

unit: ## unit and property tests
	$(CARGO) test --locked --workspace --exclude gitward-tests

build: ## the daemons, as the end-to-end tests need them
	$(CARGO) build --locked -p authd -p backend-runner

e2e: build ## real git through real nginx and both daemons
	$(CARGO) test --locked -p gitward-tests

chart: build ## the Helm chart: renders, refusals, alerts, and the daemons' own checks of what it writes
	.ci/chart

cluster: ## the chart on a small Kubernetes: install, upgrade, roll back, with real containers
	.ci/cluster

images: ## container images, for release (BASE= the Debian they are made from)
	.ci/images

doc: ## documentation without warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

package: ## the Debian package, in target/package
	.ci/package release

package-test: ## that package on a fresh Debian with systemd, in a container (root and podman)
	.ci/install podman runc mmdebstrap lintian || true
	.ci/package-test

deny: ## licenses, sources and advisories of the dependencies
	.ci/deny

bench: ## benchmarks of the policy
	$(CARGO) bench --locked -p policy

bench-peers: ## Gitward and other git servers side by side (ARGS=--quick)
	.ci/install nginx git htpasswd slapd fcgiwrap lighttpd uwsgi-core apache2
	RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/.ci/static-hook-rustc $(CARGO) build --locked --release -p authd -p backend-runner
	$(CARGO) run --locked --release -p gitward-tests --example bench-peers -- $(ARGS)
