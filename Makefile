# The two commands: `make demo` and `make test`. All others: `make help`.

PREFIX ?= /usr/local
LIBDIR ?= lib
TRANSPORT ?= tcp
FUZZ_SECONDS ?= 60
MAKEFLAGS += --no-print-directory

BUILD := build
SO := target/release/liblosant.so
BUILD_PACKAGES := cmake pkg-config libssl-dev
TEST_PACKAGES := $(BUILD_PACKAGES) mosquitto mosquitto-clients g++ clang valgrind

# Debian keeps mosquitto where an ordinary user's PATH does not look.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

# CMake would adapt LIBDIR to another PREFIX, had it not to forget the last one.
CONFIGURE = cmake -S . -B $(BUILD) -U '_GNUInstallDirs_*' -DCMAKE_INSTALL_PREFIX="$(PREFIX)" \
	-DCMAKE_INSTALL_LIBDIR="$(LIBDIR)" -DLOSANT_CARGO_TARGET_DIR="$(CURDIR)/target" -DLOSANT_EXAMPLES=ON

.PHONY: help demo test soak check-deep lib install bench fuzz size msrv deps clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The simulator is a debug build: optimised it takes as long to build, and the tests need this one.
demo: ## the C example against the simulator; TRANSPORT=tcp, tls, ws or wss (installs what is missing)
	scripts/install-deps $(BUILD_PACKAGES)
	$(MAKE) lib
	cargo build --locked --target-dir target -p losant-simulator
	scripts/demo $(TRANSPORT) target/debug/losant-simulator $(BUILD)/examples-c/temperature

test: ## all tests (installs what is missing)
	scripts/install-deps $(TEST_PACKAGES)
	cargo test --locked
	cargo test --locked -p losant-simulator

soak: ## the long tests: 1,000 random runs against the simulator, a broker killed 100 times (some ten minutes)
	scripts/install-deps $(TEST_PACKAGES)
	LOSANT_RUNS=1000 cargo test --locked --test platform -- --nocapture
	LOSANT_RESTART_ROUNDS=25 cargo test --locked --test c_interface losses::broker_killed_and_restarted::shared -- --nocapture

check-deep: ## the C tests under valgrind and sanitizers, with a minute of stress in each; LANES=... (about an hour)
	scripts/install-deps $(TEST_PACKAGES)
	scripts/check-deep $(LANES)

lib: ## liblosant.so and liblosant.a in target/release, the C examples in build/examples-c
	$(CONFIGURE)
	cmake --build $(BUILD)

install: ## into DESTDIR and PREFIX (/usr/local), LIBDIR (lib); builds only what is not there yet
	test -e $(SO) || $(MAKE) lib
	$(CONFIGURE)
	cmake --install $(BUILD)

bench: ## CPU time of 100,000 states, beside libmosquitto (installs what is missing)
	scripts/install-deps $(BUILD_PACKAGES) mosquitto libmosquitto-dev
	$(MAKE) lib
	scripts/bench

fuzz: ## each fuzz target for FUZZ_SECONDS (60), with nightly Rust (installs what is missing)
	scripts/fuzz $(FUZZ_SECONDS)

size: lib ## bytes of the stripped library
	@wc -c $(SO)

msrv: ## check with the oldest supported Rust, taken from Debian's packages
	scripts/msrv

deps: ## install what is missing for all of these
	scripts/install-deps $(TEST_PACKAGES)

clean: ## remove all that was built
	rm -rf $(BUILD) target fuzz/target
