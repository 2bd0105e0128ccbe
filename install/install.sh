#!/bin/sh
# Installs TotalMAP from this bundle. Uses no network.
#
#     sh install.sh FOLDER [PYTHON]
#
# FOLDER gets TotalMAP's files and its environment .venv; PYTHON is the interpreter, for example
# /usr/bin/python3.11, and has to be of the version for which the bundle was made.
set -eu

if [ $# -lt 1 ]; then
    echo "usage: sh install.sh FOLDER [PYTHON]" >&2
    exit 64
fi
bundle=$(cd "$(dirname "$0")" && pwd)
version=$(cat "$bundle/python-version")
target=$1
python=${2:-python$version}

command -v "$python" >/dev/null || {
    echo "$python is not installed; this bundle needs Python $version" >&2
    exit 1
}
"$python" "$bundle/totalmap/install/check_system.py"
found=$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info[:2]))')
if [ "$found" != "$version" ]; then
    echo "This bundle was made for Python $version, and $python is Python $found." >&2
    exit 1
fi

echo "Checking the files of the bundle ..."
(cd "$bundle" && sha256sum --quiet --check SHA256SUMS) || {
    echo "The bundle is damaged: the files above differ from SHA256SUMS." >&2
    exit 1
}

mkdir -p "$target"
target=$(cd "$target" && pwd)
cp -R "$bundle/totalmap/." "$target"
"$python" -m venv "$target/.venv" || {
    echo "The module venv is missing; on Debian: apt-get install python3-venv" >&2
    exit 1
}
echo "Installing into $target/.venv ..."
cd "$bundle"
pip() {
    PIP_CONFIG_FILE=/dev/null "$target/.venv/bin/python" -m pip install --quiet --no-index \
        --no-deps --no-build-isolation --no-compile --disable-pip-version-check "$@"
}
pip --require-hashes --requirement requirements.txt
pip --editable "$target"
# Holoscan's wheel makes links to its libraries when Python starts the first time.
"$target/.venv/bin/python" -c ""
(cd "$target" && .venv/bin/python -m install.trim_and_compile)
touch "$target/.venv/.torch-auto" "$target/.venv/.runtime"
echo "Installed. Try it: $target/.venv/bin/totalmap --help"
