#!/usr/bin/env bash
# Build both images of the Dockerfile, and run them for real, where there is neither a registry nor an engine:
# a base made by debootstrap, buildah with its chroot isolation, and a mount namespace with a read-only root.
# Whatever is not as docs/image.md promises ends it. Repeatable; leaves nothing behind but the base in its cache.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$PWD/.venv/bin/python
[ "$(id -u)" = 0 ] || exec sudo --preserve-env bash "$0" "$@"  # debootstrap and mounts are root's

for tool in buildah debootstrap unshare nsenter; do
  command -v "$tool" > /dev/null || { echo "$tool is not installed: apt-get install buildah debootstrap util-linux" >&2; exit 1; }
done

suite=bookworm
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sidecar-image
epoch=1750000000
image_user=65532
work=$(mktemp -d /var/tmp/sidecar-image.XXXXXX)
chmod 755 "$work"  # the image's user goes through it to its volume
declare -A running=()
export BUILDAH_ISOLATION=chroot TMPDIR=$work

end_all() {
  for pid in "${running[@]}"; do kill "$pid" 2> /dev/null || true; done
  wait || true
  awk -v under="$work/" 'index($2, under) == 1 { print $2 }' /proc/self/mounts | tac | xargs --no-run-if-empty umount --lazy
  rm -rf --one-file-system "$work"
}
trap end_all EXIT
trap 'printf "%s\n" "image: line $LINENO failed" >&2' ERR

say() { printf '%s\n' "image: $*"; }
fail() { printf '%s\n' "image: WRONG: $*" >&2; exit 1; }
same() { [ "$2" = "$3" ] || fail "$1: want <$2>, got <$3>"; }

driver=overlay  # several times as fast as copying each layer whole
buildah() { command buildah --storage-driver "$driver" --root "$work/storage" --runroot "$work/runroot" "$@"; }
buildah info > /dev/null 2>&1 || { driver=vfs; rm -rf "$work/storage" "$work/runroot"; }
told() { buildah inspect --type image --format "$2" "$1"; }  # what an image's configuration says

# -- the base

make_base() {
  local rootfs=$cache/$suite.tar mirror
  if [ ! -e "$rootfs" ]; then
    say "debootstrap $suite, once, into $cache"
    mkdir -p "$cache"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" | head -n 1)  # where this machine gets it
    debootstrap --variant=minbase --include=python3,python3-venv "$suite" "$work/rootfs" ${mirror:+"$mirror"} > "$work/log" 2>&1 ||
      { tail -n 20 "$work/log" >&2; fail "debootstrap"; }
    rm -rf "$work"/rootfs/var/cache/apt/* "$work"/rootfs/var/lib/apt/lists/*
    tar --create --numeric-owner --file "$rootfs.new" --directory "$work/rootfs" .
    mv "$rootfs.new" "$rootfs"
    rm -rf "$work/rootfs"
  fi
  printf 'FROM scratch\nADD %s.tar /\nCMD ["python3"]\n' "$suite" > "$work/Base"
  buildah bud --quiet --timestamp "$epoch" --format docker --file "$work/Base" --tag base:try "$cache" > /dev/null
}

# -- how this machine reaches its index: pip's own configuration, with the CA where a build finds it

write_pip_conf() {
  local key value
  {
    echo "[global]"
    for key in index-url extra-index-url trusted-host proxy timeout default-timeout; do
      value=$("$python" -m pip config get ":env:.$key" 2> /dev/null || "$python" -m pip config get "global.$key" 2> /dev/null) || continue
      printf '%s = %s\n' "$key" "$value"
    done
    printf 'cert = /run/ca.pem\n'
  } > "$work/pip.conf"
  ca=$("$python" -m pip config get ":env:.cert" 2> /dev/null || "$python" -m pip config get "global.cert" 2> /dev/null || echo /etc/ssl/certs/ca-certificates.crt)
}

build() { # target, tag, context
  local started=$SECONDS
  buildah bud --quiet --no-cache --network host --format docker --timestamp "$epoch" --target "$1" --tag "$2" \
    --secret "id=pip,src=$work/pip.conf" --secret "id=ca,src=$ca" \
    --build-arg BASE=localhost/base:try --build-arg "SOURCE_DATE_EPOCH=$epoch" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" "$3" > "$work/log" 2>&1 ||
    { tail -n 40 "$work/log" >&2; fail "building $1"; }
  say "$2 built in $((SECONDS - started)) s"
}

# -- a container: the image's user, environment and command; a read-only root without a shell; a volume of its own

start() { # name, image, [variable=value…] -- [argument…]: sets running[name], since
  local name=$1 image=$2 root
  local -a environment command
  shift 2
  mapfile -t environment < <(told "$image" '{{range .Docker.Config.Env}}{{println .}}{{end}}' | grep .)
  while [ "$1" != -- ]; do environment+=("$1"); shift; done
  shift
  mapfile -t command < <(told "$image" '{{range .Docker.Config.Entrypoint}}{{println .}}{{end}}' | grep .)
  [ $# -gt 0 ] || mapfile -t -O "${#command[@]}" command < <(told "$image" '{{range .Docker.Config.Cmd}}{{println .}}{{end}}' | grep .)
  root=$(buildah mount "$(buildah from --pull-never "$image")")
  cp -a "$root/run/sidecar" "$work/$name"  # as an engine does that makes a volume
  since=$(date +%s.%N)
  # shellcheck disable=SC2016 -- the inner shell expands it
  unshare --mount --propagation private bash -euc '
    root=$1; volume=$2; shift 2
    mount --bind "$root" "$root"
    mount --bind "$volume" "$root/run/sidecar"
    mount --rbind /proc "$root/proc"
    mount --rbind /dev "$root/dev"
    for shell in "$root"/usr/bin/{bash,dash}; do mount --bind /dev/null "$shell"; done
    mount -o remount,bind,ro "$root"
    exec "$@"
  ' start "$root" "$work/$name" "$(command -v env)" --ignore-environment "${environment[@]}" \
    "$(command -v chroot)" --userspec="$image_user:$image_user" --groups= "$root" "${command[@]}" "$@" \
    > "$work/$name.out" 2> "$work/$name.log" < /dev/null &
  running[$name]=$!
}

inside() { # name, command…: as an engine runs a health check
  local name=$1
  shift
  env --ignore-environment PATH=/opt/sidecar/bin:/usr/bin "$(command -v nsenter)" --target "${running[$name]}" --mount --root \
    --setuid "$image_user" --setgid "$image_user" "$@"
}

await_ready() { # name: prints the milliseconds since $since until it is ready
  "$python" - "$work/$1/sidecar.sock" "${running[$1]}" "$since" << 'END' || { cat "$work/$1.log" >&2; fail "$1 does not become ready"; }
import os, sys, time
from sidecar.client import UnixConnection

socket, pid, since = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
while time.clock_gettime(time.CLOCK_REALTIME) < since + 60:
    os.kill(pid, 0)
    try:
        connection = UnixConnection(socket, 5)
        connection.request("GET", "/readyz")
        if connection.getresponse().status == 200:
            print(round(1000 * (time.clock_gettime(time.CLOCK_REALTIME) - since)))
            sys.exit()
    except OSError:
        pass
    time.sleep(0.01)
sys.exit("not within a minute")
END
}

end() { # name: SIGTERM ends it with 0, and it removes its socket
  kill -TERM "${running[$1]}"
  wait "${running[$1]}" || { cat "$work/$1.log" >&2; fail "$1 ends with $?"; }
  unset "running[$1]"
  [ ! -e "$work/$1/sidecar.sock" ] || fail "$1 leaves its socket behind"
}

# -- build

version=$("$python" -c 'import sidecar; print(sidecar.__version__)')
revision=$(git -c safe.directory='*' rev-parse HEAD 2> /dev/null || echo unknown)
make_base
write_pip_conf
build run run:try .
build dev dev:try .
mkdir "$work/again"
(umask 077 && tar --create --exclude-vcs --exclude=.venv . | tar --extract --touch --no-same-permissions --directory "$work/again")
build run run:again "$work/again"

# -- what they say of themselves

layers() { told "$1" '{{range .OCIv1.RootFS.DiffIDs}}{{println .}}{{end}}'; }
same "layers" 3 "$(layers run:try | grep --count sha256:)"
same "layers of two builds" "$(layers run:try)" "$(layers run:again)"

for target in run dev; do
  image=$target:try
  same "$target: user" "$image_user:$image_user" "$(told "$image" '{{.Docker.Config.User}}')"
  same "$target: volume" "map[/run/sidecar:{}]" "$(told "$image" '{{.Docker.Config.Volumes}}')"
  same "$target: entry point" "[sidecar]" "$(told "$image" '{{.Docker.Config.Entrypoint}}')"
  same "$target: health check" "[CMD sidecar status --ready]" "$(told "$image" '{{.Docker.Config.Healthcheck.Test}}')"
  same "$target: version" "$version" "$(told "$image" '{{index .Docker.Config.Labels "org.opencontainers.image.version"}}')"
  same "$target: revision" "$revision" "$(told "$image" '{{index .Docker.Config.Labels "org.opencontainers.image.revision"}}')"
  same "$target: licence" "Apache-2.0" "$(told "$image" '{{index .Docker.Config.Labels "org.opencontainers.image.licenses"}}')"
  root=$(buildah mount "$(buildah from --pull-never "$image")")
  same "$target: owner of the volume" "$image_user:$image_user 755" "$(stat --format '%u:%g %a' "$root/run/sidecar")"
  same "$target: files that anybody but root may change" "" "$(find "$root/opt/sidecar" ! -type l \( ! -user root -o -perm /022 \) | head)"
  same "$target: files that the image's user cannot read" "" "$(find "$root/opt/sidecar" ! -type l ! -perm -444 | head)"
  same "$target: sources that are not compiled" "" "$(find "$root/opt/sidecar" -name '*.py' -path '*/sidecar/*' | while read -r source; do
    ls "$(dirname "$source")/__pycache__/$(basename "$source" .py)".cpython-*.pyc > /dev/null 2>&1 || echo "$source"; done | head)"
  same "$target: what building left behind" "" "$(ls -d "$root"/{tools,wheels,src,volume,etc/pip.conf,run/ca.pem} "$root"/opt/sidecar/bin/pip* 2> /dev/null)"
  declare "${target}_root=$root"
done
[ ! -e "$(echo "$run_root"/opt/sidecar/lib/python3*/site-packages/moto)" ] || fail "run holds the fake AWS"
[ -e "$(echo "$dev_root"/opt/sidecar/lib/python3*/site-packages/moto)" ] || fail "dev lacks the fake AWS"
base_root=$(buildah mount "$(buildah from --pull-never base:try)")
size() { du --summarize --block-size=1M "$1" | cut -f 1; }
say "run is $(($(size "$run_root") - $(size "$base_root"))) MB beside its base, dev $(($(size "$dev_root") - $(size "$base_root"))) MB"

# -- what they do

start version run:try -- version
wait "${running[version]}" || { cat "$work/version.log" >&2; fail "sidecar version ends with $?"; }
unset "running[version]"
same "sidecar version" "$version" "$(sed -E 's/[^0-9]*([0-9.]+).*/\1/' "$work/version.out")"

exec {said}< <(exec "$python" -m sidecar.fakeaws --seed sidecar/fakeaws/example.yaml < /dev/null)
running[fake]=$!
read -r line <&"$said"
url=$("$python" -c 'import json, sys; print(json.loads(sys.argv[1])["url"])' "$line")
start run run:try "AWS_ENDPOINT_URL=$url" AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=made-up AWS_SECRET_ACCESS_KEY=made-up \
  'SIDECAR_SECRETS=api-key=ssm:/dev/api-key' SIDECAR_LISTEN__OPS=127.0.0.1:0 --
say "run is ready $(await_ready run) ms after its start"
same "uid of run" "$image_user" "$(awk '/^Uid/ { print $2 }' "/proc/${running[run]}/status")"
same "the health check" "ready" "$(inside run sidecar status --ready)"
same "a value of the fake AWS" "made-up-api-key-0001" "$(inside run sidecar get api-key)"
if inside run sh -c true 2> /dev/null; then fail "there is a shell, so nothing shows that none is needed"; fi
if inside run /usr/bin/python3 -c 'open("/opt/sidecar/x", "w")' 2> /dev/null; then fail "the root file system can be written to"; fi
end run

start dev dev:try --
say "dev is ready $(await_ready dev) ms after its start"
same "a value of dev" "made-up-api-key-0001" "$(inside dev sidecar get api-key)"
same "the health check of dev" "ready" "$(inside dev sidecar status --ready)"
end dev
say "both do what docs/image.md promises"
