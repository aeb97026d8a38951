#!/usr/bin/env bash
# run.sh DIR MODULE...: runs checks with the clients in DIR, where the names of their buckets resolve: in a mount
# namespace with an /etc/hosts of its own. Where that is not to be had, what needs the names is skipped.
set -euo pipefail

dir=$1
shift
export PATH="$dir/venv/bin:$PATH" S3GW_NODE_MODULES="$dir/node/node_modules"
run=("$dir/venv/bin/python" -m twisted.trial "$@")
if unshare --mount mount --bind "$dir/hosts" /etc/hosts 2>/dev/null; then
    # shellcheck disable=SC2016  # for the inner shell
    exec unshare --mount sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$dir/hosts" "${run[@]}"
fi
exec "${run[@]}"
