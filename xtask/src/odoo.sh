#!/usr/bin/env bash
# A real Odoo 19 in a folder of its own, for the demo and the tests. `cargo xtask odoo` is its only caller: it chooses
# the port, remembers it and waits for the server's first answer.
#
#   odoo.sh up|down|reset|purge DIR [PORT]
#
# DIR/root is a Debian trixie chroot: Odoo 19.0 needs a Python older than 3.14, which only the stable suite has. The
# package odoo-19 itself exists in sid alone, so sid is a second source pinned below everything else. PostgreSQL runs
# inside on a unix socket and has no port at all; Odoo listens on 127.0.0.1:PORT.
# Each finished step leaves a stamp in DIR/done and is skipped from then on, so an interrupted `up` goes on where it
# stopped. The packages come from the mirror that the machine's own apt uses.
set -euo pipefail

verb=${1:?usage: odoo.sh up|down|reset|purge DIR [PORT]}
dir=${2:?usage: odoo.sh up|down|reset|purge DIR [PORT]}
port=${3:-}

suite=trixie
database=odoo19
clean=${database}_clean
# What the processes of the warehouse touch: sales, stock, delivery, purchase, accounting, automation rules, the API.
modules=sale_management,sale_stock,stock_delivery,stock_account,purchase_stock,base_automation,contacts,rpc,api_doc

fail() { printf 'odoo: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail 'a chroot needs root: run this command as root, or use the demo with the twin (cargo xtask demo)'
mkdir -p "$dir/done" "$dir/log"
dir=$(cd "$dir" && pwd -P)
root=$dir/root
socket=/srv/pg
# One caller at a time; the servers started below do not inherit the lock.
exec 9>"$dir/lock"
flock -w 900 9 || fail "another command still works in \`$dir\`"

# --- running things inside -------------------------------------------------------------------------------------------
inside() {
  chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root \
    DEBIAN_FRONTEND=noninteractive "$@" 9>&-
}
as() { # as USER COMMAND...
  local user=$1; shift
  chroot --userspec="$user:$user" "$root" /usr/bin/env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 HOME=/var/lib/odoo "$@" 9>&-
}
pg() { # pg PROGRAM ARGS...: one of PostgreSQL's own programs
  local program=$1 version; shift
  version=$(find "$root/usr/lib/postgresql" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | tail -1)
  as postgres "/usr/lib/postgresql/$version/bin/$program" "$@"
}
sql() { as postgres psql -h "$socket" -d postgres -v ON_ERROR_STOP=1 -qAt "$@"; }

# once NAME FUNCTION: runs the step unless its stamp is there; its output goes to DIR/log/NAME.log.
once() {
  local name=$1 began=$EPOCHREALTIME
  [ ! -e "$dir/done/$name" ] || return 0
  printf 'odoo: %s ...\n' "$name" >&2
  # A subshell in its own right, so that `set -e` holds inside it.
  set +e; ( set -e; "$2" ) >"$dir/log/$name.log" 2>&1 </dev/null; local status=$?; set -e
  if [ "$status" != 0 ]; then
    # The mirror's address is nobody's business.
    tail -5 "$dir/log/$name.log" | sed -E 's#https?://[^ /]+#<mirror>#g' >&2
    fail "$name did not work; the whole output is in $dir/log/$name.log"
  fi
  touch "$dir/done/$name"
  awk -v a="$began" -v b="$EPOCHREALTIME" -v n="$name" 'BEGIN { printf "odoo: %s %.1f s\n", n, b - a }' >&2
}

# --- steps -----------------------------------------------------------------------------------------------------------
mirror() {
  local found
  found=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/*.sources 2>/dev/null || true)
  [ -n "$found" ] || found=$(awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print $i; exit } }' \
    /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true)
  [ -n "$found" ] || { echo 'no Debian mirror in the apt sources of this machine'; return 1; }
  printf '%s\n' "${found%/}"
}

bootstrap() {
  command -v debootstrap >/dev/null || { apt-get -q update; apt-get install -y -q --no-install-recommends debootstrap; }
  # Half a chroot of an interrupted try helps nobody.
  unmount; rm -rf --one-file-system "$root"
  debootstrap --variant=minbase "$suite" "$root" "$(mirror)"
}

packages() {
  mkdir -p "$root/etc/dpkg/dpkg.cfg.d" "$root/etc/postgresql-common"
  # Nothing may start by itself, no cluster is made, no documentation is unpacked, no fsync per file.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
  printf 'create_main_cluster = false\n' >"$root/etc/postgresql-common/createcluster.conf"
  printf '%s\n' force-unsafe-io 'path-exclude=/usr/share/doc/*' 'path-exclude=/usr/share/man/*' \
    'path-exclude=/usr/share/locale/*' >"$root/etc/dpkg/dpkg.cfg.d/wharf"
  # A mirror may be a snapshot whose index is past its date; the packages are signed all the same.
  printf 'Acquire::Languages "none";\nAcquire::Check-Valid-Until "false";\n' >"$root/etc/apt/apt.conf.d/90wharf"
  printf 'deb %s sid main\n' "$(mirror)" >"$root/etc/apt/sources.list.d/sid.list"
  printf 'Package: *\nPin: release n=sid\nPin-Priority: 50\n' >"$root/etc/apt/preferences.d/sid"
  inside apt-get -q update
  # tzdata-legacy: Odoo names old time zones while it is imported and dies without them.
  inside apt-get -y -q install --no-install-recommends odoo-19 postgresql tzdata tzdata-legacy ca-certificates
  inside apt-get clean
  rm -rf "$root"/var/lib/apt/lists/*
}

cluster() {
  rm -rf "${root:?}$socket"
  install -d -o "$(inside id -u postgres)" -g "$(inside id -g postgres)" -m 755 "$root$socket"
  # `peer`: the operating system says who connects, so there is no password to keep.
  pg initdb -D "$socket/data" -E UTF8 --locale=C.UTF-8 -A peer
  # Speed before durability: this server can be thrown away. mmap: no /dev/shm is mounted here.
  as postgres tee -a "$socket/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$socket'
dynamic_shared_memory_type = mmap
shared_buffers = 256MB
fsync = off
synchronous_commit = off
full_page_writes = off
CONF
}

database() {
  sql -c "DROP DATABASE IF EXISTS $database WITH (FORCE)" -c "DROP DATABASE IF EXISTS $clean WITH (FORCE)"
  sql -c "DO \$\$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'odoo') THEN CREATE ROLE odoo LOGIN CREATEDB; END IF; END \$\$"
  sql -c "CREATE DATABASE $database OWNER odoo TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
  configure
  as odoo odoo server -c /etc/odoo/odoo.conf -d "$database" -i "$modules" --with-demo --stop-after-init --no-http \
    --workers=0 --max-cron-threads=0
}

key() { # an API key of the administrator; attachments live in the database, so that a copy of it is everything
  rm -f "$dir/odoo.apikey"
  as odoo odoo shell -c /etc/odoo/odoo.conf -d "$database" --no-http >"$root/tmp/key" <<'PY'
from datetime import datetime, timedelta
env['ir.config_parameter'].sudo().set_param('ir_attachment.location', 'db')
env['ir.attachment'].sudo().force_storage()
admin = env.ref('base.user_admin')
keys = env(user=admin.id)['res.users.apikeys'].sudo()
print('KEY', keys._generate('rpc', 'xtask', datetime.now() + timedelta(days=360)))
env.cr.commit()
PY
  ( umask 077; sed -n 's/^KEY //p' "$root/tmp/key" >"$dir/odoo.apikey" )
  rm -f "$root/tmp/key"
  [ -s "$dir/odoo.apikey" ]
}

keep_clean() { # what `reset` goes back to; the key is inside, so it stays valid
  sql -c "CREATE DATABASE $clean TEMPLATE $database OWNER odoo"
}

# --- the two servers ---------------------------------------------------------------------------------------------------
configure() {
  install -d -o "$(inside id -u odoo)" -g "$(inside id -g odoo)" "$root/var/lib/odoo" "$root/var/lib/odoo/data"
  cat >"$root/etc/odoo/odoo.conf" <<CONF
[options]
db_host = $socket
db_user = odoo
db_name = $database
dbfilter = ^$database\$
list_db = False
data_dir = /var/lib/odoo/data
http_interface = 127.0.0.1
http_port = ${port:-8069}
workers = 0
max_cron_threads = 1
CONF
}

alive() { # alive PIDFILE: the process is there and lives in this chroot, so the number was not given to another since
  local pid
  [ -s "$1" ] && pid=$(head -1 "$1") && [ "$(readlink "/proc/$pid/root" 2>/dev/null)" = "$root" ]
}

stop() { # stop PIDFILE SIGNAL
  local pid waited=0
  alive "$1" || return 0
  pid=$(head -1 "$1")
  kill "-$2" "$pid" 2>/dev/null || true
  while alive "$1" && [ "$waited" -lt 150 ]; do sleep 0.1; waited=$((waited + 1)); done
  if alive "$1"; then kill -KILL "$pid" 2>/dev/null || true; fi
}
stop_odoo() { stop "$dir/odoo.pid" TERM; rm -f "$dir/odoo.pid"; }
stop_postgres() { stop "$root$socket/data/postmaster.pid" INT; }

start_postgres() {
  alive "$root$socket/data/postmaster.pid" && return 0
  rm -f "$root$socket/data/postmaster.pid"
  pg pg_ctl -D "$socket/data" -l "$socket/log" -w -t 60 start >/dev/null </dev/null || fail "PostgreSQL did not start, see $root$socket/log"
}

start_odoo() {
  alive "$dir/odoo.pid" && return 0
  [ -n "$port" ] || fail 'no port given'
  configure
  setsid chroot --userspec=odoo:odoo "$root" /usr/bin/env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 HOME=/var/lib/odoo \
    odoo server -c /etc/odoo/odoo.conf >"$dir/log/server.log" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/odoo.pid"
}

mounted() { mountpoint -q "$root/proc"; }
unmount() { if [ -d "$root/proc" ] && mounted; then umount "$root/proc"; fi; }
mount_proc() { mounted || mount -t proc proc "$root/proc" || fail 'cannot mount /proc in the chroot: this machine does not let root mount'; }

up() {
  once bootstrap bootstrap
  mount_proc
  once packages packages
  once cluster cluster
  start_postgres
  once database database
  once key key
  once keep-clean keep_clean
  start_odoo
}
down() {
  [ -d "$root" ] || return 0
  stop_odoo; stop_postgres; unmount
}

case "$verb" in
  up) up ;;
  down) down ;;
  reset)
    [ -e "$dir/done/keep-clean" ] || fail "nothing to reset in \`$dir\`: run \`cargo xtask odoo up\` first"
    mount_proc; stop_odoo; start_postgres
    sql -c "DROP DATABASE IF EXISTS $database WITH (FORCE)" -c "CREATE DATABASE $database TEMPLATE $clean OWNER odoo"
    start_odoo ;;
  purge)
    down
    if grep -q " $root/" /proc/mounts; then fail "something is still mounted below \`$root\`, not deleting it"; fi
    rm -rf --one-file-system "$dir" ;;
  *) fail "unknown verb \`$verb\`" ;;
esac
