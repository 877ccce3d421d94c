#!/bin/sh
# Runs the tests of the Python binding against the package as it is installed, and ends with pytest's last line.
#
# Rules. Everything is made below the target directory: an environment for each interpreter and set of pinned packages,
# kept from run to run; the package itself is installed anew each time. WSPROXY_PYTHON names another interpreter than
# python3. What is given goes to pytest.
set -eu
cd "$(dirname "$0")/.."

python=${WSPROXY_PYTHON:-python3}
needs=bindings/python/tests/requirements.txt
version=$("$python" -c 'import sys; print(sys.implementation.cache_tag)')
home=${CARGO_TARGET_DIR:-target}/tmp/python-$version-$(cksum <$needs | cut -d ' ' -f 1)

if ! [ -e "$home/complete" ]; then
    "$python" -m venv --clear "$home"
    "$home/bin/pip" install --quiet --disable-pip-version-check --requirement $needs
    touch "$home/complete"
fi
# hatchling is there already: nothing is fetched for a build.
"$home/bin/pip" install --quiet --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall \
    ./bindings/python

PATH=$(cd "$home/bin" && pwd):$PATH
cd bindings/python
unset WSPROXY_LIB PYTHONPATH
exec python -m pytest --quiet "$@"
