#!/usr/bin/env bash
# What deploy/Dockerfile installs, while an image is built.
#   install.sh uv                 uv itself, from requirements.lock
#   install.sh packages FILE...   every package of locks into /opt/venv, each checked by its hash
# Settings of the builder come as secrets and stay out of the image: `ca`, a bundle of
# certificates; `pip`, a pip.conf; `uv`, a uv.toml.
set -euo pipefail
secrets=/run/secrets
if [ -s "$secrets/ca" ]; then export SSL_CERT_FILE=$secrets/ca PIP_CERT=$secrets/ca; fi
if [ -s "$secrets/pip" ]; then export PIP_CONFIG_FILE=$secrets/pip; fi
if [ -s "$secrets/uv" ]; then export UV_CONFIG_FILE=$secrets/uv; fi

case ${1:?usage: install.sh uv | packages FILE...} in
uv)
    python3 -m venv /build/uv
    awk '/^uv==/ {p = 1} p {print} p && !/\\$/ {exit}' /build/requirements.lock > /build/uv.txt
    /build/uv/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
        --require-hashes -r /build/uv.txt
    ln -s /build/uv/bin/uv /usr/local/bin/uv
    ;;
packages)
    shift
    files=()
    for file in "$@"; do files+=(-r "$file"); done
    VIRTUAL_ENV=/opt/venv uv pip install --quiet --no-deps --require-hashes "${files[@]}"
    ;;
esac
