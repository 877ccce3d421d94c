# Everything that is done with a checkout. `make help` lists it.
#
# Rules: cargo decides what is up to date; CARGO_TARGET_DIR is honoured; the C host is always target/c/proxy.

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

.PHONY: all library examples demo test test-python lint header install uninstall clean help

all: library ## build the library: shared, static, and for Rust (the default)

library: setup-build
	$(CARGO) build --release --locked --lib

# For `make install`, which must not need cargo when all is built.
$(OUT)/libwsproxy.so: $(SOURCES)
	$(CARGO) build --release --locked --lib

examples: target/c/proxy ## build the C host, target/c/proxy

target/c/$(SONAME): library
	@mkdir -p target/c
	@cmp -s $(OUT)/libwsproxy.so $@ || install -m 755 $(OUT)/libwsproxy.so $@

target/c/proxy: bindings/c/proxy.c bindings/c/flags.h include/wsproxy.h Makefile | target/c/$(SONAME)
	$(CC) $(CFLAGS) -std=c99 -pthread $(WARNINGS) -Iinclude bindings/c/proxy.c -o $@ \
		$(LDFLAGS) target/c/$(SONAME) '-Wl,-rpath,$$ORIGIN'

demo: examples ## show frames as they cross the C host
	$(CARGO) run --quiet --locked --example demo

test: setup-test ## run every test: Rust, C, valgrind, Python, HAProxy, a browser, installation, demo
	@echo "== building the C host"
	@$(MAKE) --no-print-directory examples
	@echo "== the demo"
	@$(MAKE) --no-print-directory demo
	@echo "== the tests"
	$(CARGO) test --locked --no-fail-fast
	@$(MAKE) --no-print-directory test-python

test-python: library ## run the tests of the Python binding alone; WSPROXY_PYTHON=python3
	@echo "== the Python binding"
	@tests/python.sh

# Advisories are not looked up here: their database is no package of a registry, and a test must not need more than that.
lint: setup-build ## formatting, clippy and the documentation, warnings as errors
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

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

.PHONY: setup-build setup-test
setup-build:
	@tests/setup.sh build

setup-test:
	@tests/setup.sh test
