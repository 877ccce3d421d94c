#!/bin/sh
# Installs what this machine lacks for building (`setup.sh build`), linting (`lint`), testing (`test`), measuring (`bench`)
# or profiling (`profile`) libwsproxy.
#
# Rules. Asks nothing, touches nothing and needs no network when nothing is missing. Installs through apt, as root or
# through a sudo that needs no password; where it may not, it says what to install and stops with status 1.
set -eu

kind=${1:-test}
case $kind in
build | lint | test | bench | profile) ;;
*)
    echo "usage: $0 [build|lint|test|bench|profile]" >&2
    exit 2
    ;;
esac

has() {
    command -v "$1" >/dev/null 2>&1
}

# Whether `$1` (cc or c++) makes a program of C with the standard headers, in language $2.
compiles() {
    has "$1" || return 1
    scratch=$(mktemp -d)
    printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' >"$scratch/probe"
    status=0
    "$1" -x "$2" "$scratch/probe" -o "$scratch/out" >/dev/null 2>&1 || status=1
    rm -rf "$scratch"
    return $status
}

# Whether there is a Chromium, by one of the names that tests/browser knows. Ubuntu has it as a snap only, which sees
# no files of the tests': install Google's package there.
has_browser() {
    has chromium || has chromium-browser || has google-chrome || has google-chrome-stable || has chrome
}

# The packages of Debian and Ubuntu that are missing.
missing() {
    packages=""
    compiles cc c || packages="$packages gcc libc6-dev"
    has make || packages="$packages make"
    # TLS: the system's OpenSSL, and what finds it.
    has pkg-config || packages="$packages pkg-config"
    pkg-config --exists openssl 2>/dev/null || packages="$packages libssl-dev"
    if [ "$kind" = lint ]; then
        has luacheck || packages="$packages lua-check"
    fi
    if [ "$kind" = test ]; then
        compiles c++ c++ || packages="$packages g++"
        has openssl || packages="$packages openssl"
        has valgrind || packages="$packages valgrind"
        { has nm && has readelf; } || packages="$packages binutils"
        # As a program: the shells have a kill of their own.
        { [ -x /bin/kill ] || [ -x /usr/bin/kill ]; } || packages="$packages procps"
        has prlimit || packages="$packages util-linux"
        has script || packages="$packages bsdutils"
        { has haproxy || [ -x /usr/sbin/haproxy ]; } || packages="$packages haproxy"
        has_browser || packages="$packages chromium"
        # OpenResty's module in nginx, and WebSocket peers in Lua that are not ours.
        { has nginx || [ -x /usr/sbin/nginx ]; } || packages="$packages nginx"
        [ -e /usr/share/lua/5.1/resty/core.lua ] || packages="$packages lua-resty-core"
        [ -e /usr/share/lua/5.1/nginx/websocket/client.lua ] || packages="$packages lua-nginx-websocket"
        # Not the package luajit: it and the library that nginx's module needs push each other out.
        { has luajit && [ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ]; } ||
            packages="$packages libnginx-mod-http-lua luajit2"
        # For the browser's database of authorities.
        has certutil || packages="$packages libnss3-tools"
        # The interpreter that the tests use may be another than the system's; it needs venv and pip in any case.
        python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || packages="$packages python3 python3-venv"
    fi
    if [ "$kind" = bench ] || [ "$kind" = profile ]; then
        has openssl || packages="$packages openssl"
        { has setpriv && has taskset; } || packages="$packages util-linux"
        [ -x /usr/sbin/nginx ] || packages="$packages nginx"
        [ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] || packages="$packages libnginx-mod-http-lua"
        [ -x /usr/sbin/haproxy ] || packages="$packages haproxy"
        python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || packages="$packages python3 python3-venv"
    fi
    if [ "$kind" = profile ]; then
        # On Ubuntu it is linux-tools-generic.
        has perf || packages="$packages linux-perf"
    fi
    echo "$packages"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

may_install() {
    has apt-get || return 1
    [ "$(id -u)" -eq 0 ] || { has sudo && sudo -n true >/dev/null 2>&1; }
}

install_packages() {
    echo "installing:$1"
    as_root apt-get update -qq
    # shellcheck disable=SC2086 # one word per package
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $1
}

# Libraries of the tests and of the benchmark ask for a newer Rust than the crate itself does.
check_rust() {
    case $kind in
    build | lint) oldest=85 ;;
    *) oldest=88 ;;
    esac
    cargo=${CARGO:-cargo}
    if ! has "$cargo"; then
        echo "cargo is missing: install Rust 1.$oldest or newer (https://rustup.rs), then run this again" >&2
        exit 1
    fi
    version=$("$cargo" --version | sed -n 's/^cargo 1\.\([0-9]*\)\..*/\1/p')
    if [ "${version:-$oldest}" -lt "$oldest" ]; then
        echo "$("$cargo" --version) is too old: install Rust 1.$oldest or newer (https://rustup.rs)" >&2
        exit 1
    fi
}

packages=$(missing)
if [ -n "$packages" ]; then
    if may_install; then
        install_packages "$packages"
    else
        echo "these packages are missing:$packages" >&2
        echo "install them, then run this again:" >&2
        echo "    sudo apt-get install -y$packages" >&2
        exit 1
    fi
    packages=$(missing)
    if [ -n "$packages" ]; then
        echo "still missing after the installation:$packages" >&2
        exit 1
    fi
fi
check_rust
