#!/usr/bin/env bash
# ceph.sh DIR PORT ACCESS SECRET: a Ceph cluster of one node, whose objects are in memory, and its S3 gateway on
# 127.0.0.1:PORT. Ends when its stdin does, and takes the daemons with it.
set -euo pipefail

dir=$1 port=$2 access=$3 secret=$4
mkdir -p "$dir"/{mon,osd,mgr,rgw,run,log}
monitor=$((port + 1))
id=$(cat /proc/sys/kernel/random/uuid)
keys=$dir/keyring

cat >"$dir/ceph.conf" <<CONF
[global]
fsid = $id
mon host = 127.0.0.1:$monitor
mon initial members = a
mon data avail warn = 2
mon data avail crit = 1
mon max pg per osd = 1000
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 4294967296
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
run dir = $dir/run
admin socket = $dir/run/\$name.asok
pid file = $dir/run/\$name.pid
log file = $dir/log/\$name.log
keyring = $keys
mon data = $dir/mon
osd data = $dir/osd
mgr data = $dir/mgr
[client.rgw]
rgw data = $dir/rgw
rgw dns name = localhost
rgw frontends = beast endpoint=127.0.0.1:$port
CONF
conf=(-c "$dir/ceph.conf")

stop() {
    for pid in "$dir"/run/*.pid; do
        kill -KILL "$(cat "$pid")" 2>/dev/null || true
    done
    true
}
trap stop EXIT

: >"$keys"
for each in "mon.|mon|allow *" "client.admin|mon|allow *|osd|allow *|mgr|allow *" \
    "client.rgw|mon|allow rwx|osd|allow rwx" "mgr.x|mon|allow profile mgr|osd|allow *" \
    "osd.0|mon|allow profile osd|osd|allow *|mgr|allow profile osd"; do
    IFS='|' read -ra words <<<"$each"
    name=${words[0]} caps=()
    for ((i = 1; i < ${#words[@]}; i += 2)); do caps+=(--cap "${words[i]}" "${words[i + 1]}"); done
    ceph-authtool "$keys" --gen-key -n "$name" "${caps[@]}"
done

monmaptool --create --fsid "$id" --add a "127.0.0.1:$monitor" "$dir/monmap"
ceph-mon "${conf[@]}" --mkfs -i a --monmap "$dir/monmap" --keyring "$keys"
ceph-mon "${conf[@]}" -i a
timeout 60 ceph "${conf[@]}" auth import -i "$keys"
timeout 60 ceph "${conf[@]}" osd create
ceph-osd "${conf[@]}" -i 0 --mkfs
ceph-osd "${conf[@]}" -i 0
ceph-mgr "${conf[@]}" -i x
timeout 120 radosgw-admin "${conf[@]}" -n client.rgw user create --uid=demo --display-name=demo \
    --access-key="$access" --secret-key="$secret" >/dev/null
timeout 120 radosgw "${conf[@]}" -n client.rgw
echo ready
cat >/dev/null
