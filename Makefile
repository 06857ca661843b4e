# One word each; everything installs what it needs first (tests/install.sh says what).

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
# the programs that cargo installs are found even when the shell does not look there
export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: help run test acme-faults acme-year journey chaos soak bench scale instructions lint deb deb-test container-test systemd-test

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' Makefile | expand -t 14

run: ## build the release and try it: a stand-in hub behind hubgate on unprivileged ports
	@tests/install.sh build
	$(CARGO) build --release --locked
	$(TARGET)/release/hubgate demo

test: ## every test: cargo's, then a user's journey through a real JupyterHub and BinderHub (debug build)
	@tests/install.sh build test
	$(CARGO) test --locked
	HUBGATE=$(TARGET)/debug/hubgate tests/hub/run-journey.sh --quick

acme-faults: ## every fault of authorities, disks, clocks and networks that certificates must survive; a table of what was shown (10 minutes)
	@tests/install.sh build test
	CARGO="$(CARGO)" tests/acme-faults.sh

acme-year: ## a year of 30 certificates in fast forward: an outage, a month of limits, lost answers; prints what was counted
	@tests/install.sh build
	$(CARGO) test --locked --lib acme::year -- --nocapture

journey: ## the same journey with the release, long silences included (15 minutes)
	@tests/install.sh build test
	$(CARGO) build --release --locked
	HUBGATE=$(TARGET)/release/hubgate tests/hub/run-journey.sh

chaos: ## endpoints that misbehave in turn under load, and one that is killed: what is lost, doubled or cut (7 minutes)
	@tests/install.sh build
	$(CARGO) build --release --locked
	HUBGATE=$(abspath $(TARGET))/release/hubgate HUBGATE_CHAOS_SECONDS=$(or $(SECONDS),300) HUBGATE_CHAOS_RATE=$(or $(RATE),900) \
	HUBGATE_CHAOS_KILL_RATE=2000 HUBGATE_CHAOS_SEED=$(or $(SEED),1) \
	$(CARGO) test --locked --test chaos -- --nocapture --test-threads=1

soak: ## count what is lost over reloads and upgrades, also on bad networks; what a process holds after 1,000 reloads (40 minutes; docs/soak.md)
	@tests/install.sh build soak
	$(CARGO) build --release --locked
	HUBGATE=$(TARGET)/release/hubgate tests/soak/run $(SOAK)

deb: ## a Debian package of the release in target/deb (3 minutes with the build)
	@tests/install.sh build deb
	$(CARGO) build --release --locked
	CARGO="$(CARGO)" packaging/deb/build $(TARGET)/release/hubgate $(TARGET)/deb

deb-test: ## the package installed, upgraded under load, removed and purged in a clean root with its own systemd (as root; 5 minutes)
	@tests/install.sh build deb deb-test
	$(CARGO) build --release --locked
	HUBGATE=$(TARGET)/release/hubgate CARGO="$(CARGO)" tests/deb/run

systemd-test: ## the service under a systemd of today (Debian 13's; `make test` has this machine's), in a clean root (as root; 6 minutes)
	@tests/install.sh build deb-test
	$(CARGO) build --release --locked
	HUBGATE=$(TARGET)/release/hubgate tests/systemd/newer

container-test: ## what the container file makes, by hand on a clean Debian: run without privileges, asked, reloaded, stopped (as root; 3 minutes with the build)
	@tests/install.sh build deb-test
	$(CARGO) build --release --locked
	HUBGATE=$(TARGET)/release/hubgate tests/container/run

bench: ## hubgate beside nginx, HAProxy, Caddy and pingap (25 minutes; BENCH=--quick 3); bench/compare --help says more
	@tests/install.sh build bench
	$(CARGO) build --release --locked
	$(CARGO) build --release --locked --manifest-path bench/load/Cargo.toml --target-dir $(TARGET)/load
	HUBGATE=$(TARGET)/release/hubgate LOAD=$(TARGET)/load/release/load bench/compare $(BENCH)

scale: ## what 10 to 10,000 hosts, routes and certificates cost, two workers, and reloads under load (10 minutes)
	@tests/install.sh build bench
	$(CARGO) build --release --locked
	HUBGATE=$(TARGET)/release/hubgate bench/scale

instructions: ## count the instructions of each kind of request and compare with the baseline (5 minutes with the build)
	@tests/install.sh build instructions
	$(CARGO) build --profile profiling --locked
	HUBGATE=$(TARGET)/profiling/hubgate bench/instructions

lint: ## formatting, clippy, licences, advisories and duplicate versions of what is linked
	@tests/install.sh build lint
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) fmt --check --manifest-path bench/load/Cargo.toml
	$(CARGO) clippy --locked --all-targets --manifest-path bench/load/Cargo.toml --target-dir $(TARGET)/load -- -D warnings
	tests/deny.sh
