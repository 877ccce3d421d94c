# Everything that is done with a checkout. `make help` lists it.
#
# Rules: cargo decides what is up to date; CARGO_TARGET_DIR is honoured; the C hosts are always target/c/proxy and
# target/c/proxy-epoll.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig

CARGO ?= $(shell command -v cargo || echo "$$HOME/.cargo/bin/cargo")
CC ?= cc
CFLAGS ?= -O2 -g
WARNINGS = -Wall -Wextra -Wpedantic -Werror
export CARGO

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
ABI := $(shell sed -n 's/^const ABI: u32 = \([0-9]*\);/\1/p' build.rs)
SONAME = libwsproxy.so.$(ABI)
OUT = $(or $(CARGO_TARGET_DIR),target)/release
SOURCES := Cargo.toml Cargo.lock build.rs $(shell find src -name '*.rs')

# What a static library of Rust needs on Linux (`rustc --print native-static-libs`), and the OpenSSL that ours speaks TLS with.
PRIVATE_LIBS = -lssl -lcrypto -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc

define PKGCONFIG
prefix=$(PREFIX)
libdir=$(LIBDIR)
includedir=$(INCLUDEDIR)

Name: wsproxy
Description: Embeddable reverse proxy for WebSocket frames
Version: $(VERSION)
Cflags: -I$${includedir}
Libs: -L$${libdir} -lwsproxy
Libs.private: $(PRIVATE_LIBS)
endef
export PKGCONFIG

.PHONY: all library examples demo bench bench-programs profile test test-python lint header install uninstall clean help

all: library ## build the library: shared, static, and for Rust (the default)

library: setup-build
	$(CARGO) build --release --locked --lib

# For `make install`, which must not need cargo when all is built.
$(OUT)/libwsproxy.so: $(SOURCES)
	$(CARGO) build --release --locked --lib

examples: target/c/proxy target/c/proxy-epoll ## build the C hosts, target/c/proxy and target/c/proxy-epoll

target/c/$(SONAME): library
	@mkdir -p target/c
	@cmp -s $(OUT)/libwsproxy.so $@ || install -m 755 $(OUT)/libwsproxy.so $@

C_HEADERS := $(wildcard bindings/c/*.h) include/wsproxy.h
EPOLL_SOURCES := bindings/c/proxy_epoll.c $(wildcard bindings/c/epoll_*.c)
LINK_HOST = $(CC) $(CFLAGS) -std=c99 -pthread $(WARNINGS) -Iinclude $(filter %.c,$^) -o $@ \
	$(LDFLAGS) target/c/$(SONAME) '-Wl,-rpath,$$ORIGIN'

target/c/proxy: bindings/c/proxy.c $(C_HEADERS) Makefile | target/c/$(SONAME)
	$(LINK_HOST)

target/c/proxy-epoll: $(EPOLL_SOURCES) $(C_HEADERS) Makefile | target/c/$(SONAME)
	$(LINK_HOST) -lssl -lcrypto

# What the benchmark needs besides, none of it a dependency of the library: its own programs, and the peers.
BENCH = $(or $(CARGO_TARGET_DIR),target)/bench
BENCH_CRATES = benches/rig benches/peers/message_proxy
each-bench-crate = $(foreach crate,$(BENCH_CRATES),$(CARGO) $(1) --manifest-path $(crate)/Cargo.toml $(2) &&) true
PUMPS = target/c/pump-threads target/c/pump-epoll
WEBSOCKETS = $(BENCH)/websockets

$(PUMPS): target/c/pump-%: benches/peers/pump_%.c benches/peers/pump.h Makefile
	@mkdir -p target/c
	$(CC) $(CFLAGS) -std=gnu11 -pthread $(WARNINGS) $< -o $@ $(LDFLAGS)

$(WEBSOCKETS)/installed: benches/peers/requirements.txt
	@rm -rf $(WEBSOCKETS)
	python3 -m venv $(WEBSOCKETS)
	$(WEBSOCKETS)/bin/python3 -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench-programs: setup-bench examples $(PUMPS) $(WEBSOCKETS)/installed
	$(call each-bench-crate,build --quiet --release --locked,--target-dir $(BENCH))

bench: bench-programs ## measure every host beside its peers (benches/README.md); ARGS="--rows a,b --peers pump,pass"
	$(BENCH)/release/bench $(ARGS)

profile: setup-profile bench-programs ## where a host's time goes; ARGS="--rows c --peers pass-serial"
	$(BENCH)/release/bench --profile --repeat 1 --seconds 3 $(ARGS)

demo: examples ## show frames as they cross the C host
	$(CARGO) run --quiet --locked --example demo

test: setup-test ## run every test: Rust, C, valgrind, Python, nginx, HAProxy, a browser, installation, demo
	@echo "== building the C hosts"
	@$(MAKE) --no-print-directory examples
	@echo "== the demo"
	@$(MAKE) --no-print-directory demo
	@echo "== the tests"
	$(CARGO) test --locked --no-fail-fast
	@echo "== the tests of the benchmark's own programs"
	$(CARGO) test --locked --manifest-path benches/rig/Cargo.toml --target-dir $(BENCH)
	@$(MAKE) --no-print-directory test-python

test-python: library ## run the tests of the Python binding alone; WSPROXY_PYTHON=python3
	@echo "== the Python binding"
	@tests/python.sh

# Advisories are not looked up here: their database is no package of a registry, and a test must not need more than that.
lint: setup-lint ## formatting, clippy, the documentation and luacheck, warnings as errors
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(call each-bench-crate,fmt,--check)
	$(call each-bench-crate,clippy --locked,--all-targets --target-dir $(BENCH) -- -D warnings)
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	cd bindings/lua && luacheck --quiet --no-color .

header: ## write include/wsproxy.h from src/ffi
	WSPROXY_UPDATE=1 $(CARGO) test --locked --test header

install: $(OUT)/libwsproxy.so ## install header, libraries and wsproxy.pc; PREFIX=/usr/local, DESTDIR=
	install -d $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(LIBDIR) $(DESTDIR)$(PKGCONFIGDIR)
	install -m 644 include/wsproxy.h $(DESTDIR)$(INCLUDEDIR)/wsproxy.h
	install -m 755 $(OUT)/libwsproxy.so $(DESTDIR)$(LIBDIR)/libwsproxy.so.$(VERSION)
	ln -sf libwsproxy.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libwsproxy.so
	install -m 644 $(OUT)/libwsproxy.a $(DESTDIR)$(LIBDIR)/libwsproxy.a
	printf '%s\n' "$$PKGCONFIG" > $(DESTDIR)$(PKGCONFIGDIR)/wsproxy.pc

uninstall: ## take away what install put there; the same PREFIX and DESTDIR
	rm -f $(DESTDIR)$(INCLUDEDIR)/wsproxy.h $(DESTDIR)$(PKGCONFIGDIR)/wsproxy.pc $(DESTDIR)$(LIBDIR)/libwsproxy.a \
		$(DESTDIR)$(LIBDIR)/libwsproxy.so $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/libwsproxy.so.$(VERSION)

clean: ## delete everything that was built
	rm -rf target/c
	$(CARGO) clean

help: ## list these
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

.PHONY: setup-build setup-lint setup-test setup-bench setup-profile
setup-build setup-lint setup-test setup-bench setup-profile: setup-%:
	@tests/setup.sh $*
