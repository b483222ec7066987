#!/usr/bin/env bash
# Boot a real systemd in namespaces of its own, on a system made by debootstrap, and have it run the units as they are:
# what docs/systemd.md promises, checked from inside. Needs Linux, root and debootstrap. Repeatable; leaves nothing behind
# but the system in its cache. Not part of .ci/run, as few places let a systemd boot.
set -euo pipefail
cd "$(dirname "$0")/../.."
repository=$PWD
[ "$(id -u)" = 0 ] || exec sudo --preserve-env bash "$0" "$@"

suite=bookworm
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sidecar-systemd
work=$(mktemp -d /var/tmp/sidecar-systemd.XXXXXX)
root=$work/root
trap 'rm -rf --one-file-system "$work"' EXIT

say() { printf '%s\n' "systemd: $*"; }
inside() { chroot "$root" /usr/bin/env --ignore-environment PATH=/usr/sbin:/usr/bin HOME=/root "$@"; }

# -- a system with the daemon, the fake AWS beside it, and the units, as docs/systemd.md says

make_system() {
  if [ ! -e "$cache/$suite.tar" ]; then
    say "debootstrap $suite, once, into $cache"
    mkdir -p "$cache"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" | head -n 1)
    debootstrap --variant=minbase --include=python3,python3-venv,systemd,sudo "$suite" "$work/made" ${mirror:+"$mirror"} > "$work/log" 2>&1 ||
      { tail -n 20 "$work/log" >&2; exit 1; }
    tar --create --numeric-owner --file "$cache/$suite.tar.new" --directory "$work/made" .
    mv "$cache/$suite.tar.new" "$cache/$suite.tar"
    rm -rf "$work/made"
  fi
  mkdir "$root"
  tar --extract --file "$cache/$suite.tar" --directory "$root"
  cp /etc/resolv.conf /etc/hosts "$root/etc/"
}

install_daemon() {
  local python=$repository/.venv/bin/python ca settings
  ca=$("$python" -m pip config get :env:.cert 2> /dev/null || "$python" -m pip config get global.cert 2> /dev/null || echo /etc/ssl/certs/ca-certificates.crt)
  cp "$ca" "$root/ca.pem"
  mapfile -t settings < <(env | grep '^PIP_\(INDEX_URL\|EXTRA_INDEX_URL\|TRUSTED_HOST\|PROXY\)=' || true)
  cp requirements/fake.txt "$root/"
  "$python" -m build --quiet --wheel --no-isolation --outdir "$root/dist" . > "$work/log" 2>&1
  inside python3 -m venv /opt/sidecar
  inside PIP_CERT=/ca.pem "${settings[@]}" /opt/sidecar/bin/pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --require-hashes --no-deps --requirement /fake.txt
  inside sh -c '/opt/sidecar/bin/pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --no-index /dist/*.whl'
}

set_up() {
  local there=$root/etc/systemd/system
  inside groupadd --system sidecar-clients
  inside useradd --system --groups sidecar-clients shop
  cp deploy/systemd/sidecar.service deploy/systemd/sidecar.socket "$there/"
  mkdir -p "$root/etc/sidecar" "$root/etc/credstore" "$there/sidecar.service.d"
  "$repository/.venv/bin/python" - > "$root/etc/sidecar/sidecar.yaml" << 'END'
from tests.docs_markdown import doc
print(next(block.text for block in doc("systemd.md").blocks if block.mark == "config"))
print('files: [{path: /run/sidecar-files/pw, secret: db-password, group: sidecar-clients, mode: "0440"}]')
END
  printf '[default]\naws_access_key_id = 123456789012\naws_secret_access_key = made-up\n' > "$root/etc/credstore/aws-credentials"
  chmod 600 "$root/etc/credstore/aws-credentials"
  printf '[Service]\nEnvironment=AWS_ENDPOINT_URL=http://127.0.0.1:4566\n' > "$there/sidecar.service.d/fake.conf"
  printf 'account: "123456789012"\nregion: eu-west-1\nsecrets: {prod/db: {password: made-up-password-0001}}\n' > "$root/opt/seed.yaml"
  printf '[Service]\nExecStart=/opt/sidecar/bin/python -m sidecar.fakeaws --port 4566 --seed /opt/seed.yaml\n' > "$there/fake.service"
  printf '[Service]\nType=oneshot\nExecStart=/bin/bash /opt/inside.sh\n' > "$there/trial.service"
  printf '[Unit]\nRequires=basic.target fake.service sidecar.socket sidecar.service trial.service\nAfter=basic.target\n' > "$there/trial.target"
}

# -- what is checked, by root of that system

cat > "$work/inside.sh" << 'END'
exec > /trial.out 2>&1
sidecar() { /opt/sidecar/bin/sidecar "$@"; }
show() { systemctl show sidecar --value --property "$1"; }
until_() { for _ in $(seq 100); do if "$@"; then return 0; fi; sleep 0.2; done; return 1; }
says() { case "$(show StatusText)" in $1) ;; *) return 1 ;; esac; }
check() { local what=$1; shift; if "$@"; then echo "ok: $what"; else echo "WRONG: $what"; journalctl --unit sidecar --no-pager | tail -n 5; fi; }
inode() { stat --format %i /run/sidecar/sidecar.sock; }
is_caged() { grep --quiet '^CapBnd:	0*$' "/proc/$(show MainPID)/status" && grep --quiet '^NoNewPrivs:	1' "/proc/$(show MainPID)/status" && grep --quiet '^Seccomp:	2' "/proc/$(show MainPID)/status"; }
is_nobody_known() { ! getent --service files passwd "$(stat --format %u "/proc/$(show MainPID)")" > /dev/null; }

check "it becomes active, and its status tells of its secrets" until_ says "ready: 1 fresh"
check "an app's user reads what it may" test "$(sudo -u shop /opt/sidecar/bin/sidecar get db-password)" = made-up-password-0001
check "another user may not connect" test "$(sudo -u nobody /opt/sidecar/bin/sidecar get db-password > /dev/null 2>&1; echo $?)" = 4
check "a file is in memory, for the group" test "$(stat --format '%G %a' /run/sidecar-files/pw) $(cat /run/sidecar-files/pw)" = "sidecar-clients 440 made-up-password-0001"
check "no capability, no new privilege, system calls filtered" is_caged
check "a user that exists only while it runs" is_nobody_known
check "a reload" systemctl reload sidecar
cp /etc/sidecar/sidecar.yaml /opt/good.yaml
echo 'nonsense: 1' >> /etc/sidecar/sidecar.yaml
systemctl reload sidecar
check "a configuration that is rejected is told in the status" until_ says "*rejected*"
cp /opt/good.yaml /etc/sidecar/sidecar.yaml
before=$(inode)
check "a restart" systemctl restart sidecar
check "after which the socket is the same" test "$(inode)" = "$before"
check "and serves" test "$(sudo -u shop /opt/sidecar/bin/sidecar get db-password)" = made-up-password-0001
stuck=$(show MainPID)
kill -STOP "$stuck"
sleep 33
check "one that is stuck is ended by the watchdog and started anew" until_ says "ready: 1 fresh"
check "as another process" test "$(show MainPID) $(show NRestarts)" != "$stuck 0"
kill -KILL "$(show MainPID)"
check "who asks while it is dead waits for the next one" test "$(sudo -u shop /opt/sidecar/bin/sidecar get db-password)" = made-up-password-0001
systemctl reset-failed sidecar
echo 'nonsense: 1' >> /etc/sidecar/sidecar.yaml
systemctl restart sidecar
check "a wrong configuration is not tried again and again" test "$(show NRestarts)" = 0
cp /opt/good.yaml /etc/sidecar/sidecar.yaml
systemctl reset-failed sidecar.service sidecar.socket
systemctl start sidecar.socket sidecar.service
check "and is served once it is right" until_ says "ready: 1 fresh"
check "the end" systemctl stop sidecar.service sidecar.socket
check "leaves no socket" test ! -e /run/sidecar/sidecar.sock
echo done
systemctl poweroff --force --force
END

cat > "$work/boot.sh" << 'END'
set -e
root=$1
ip link set lo up
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
cd "$root"
mkdir -p .old
pivot_root . .old
umount --lazy /.old
mount --make-rshared /
exec env --ignore-environment PATH=/usr/sbin:/usr/bin container=lxc /lib/systemd/systemd --system --unit=trial.target --show-status=false
END

make_system
install_daemon
set_up
cp "$work/inside.sh" "$root/opt/inside.sh"
say "booting"
timeout --signal KILL 180 unshare --net --mount --pid --fork --cgroup --uts --ipc --kill-child bash "$work/boot.sh" "$root" > "$work/log" 2>&1 < /dev/null || true
[ -e "$root/trial.out" ] || { cat "$work/log" >&2; say "it did not boot"; exit 1; }
cat "$root/trial.out"
! grep --quiet '^WRONG' "$root/trial.out" || exit 1
[ "$(tail -n 1 "$root/trial.out")" = done ] || { tail -n 20 "$work/log" >&2; exit 1; }
