#!/usr/bin/env bash
# Makes images of real size out of Debian packages, once, into a cache folder.
#   make-real.sh [OUTDIR]          default: ${XDG_CACHE_HOME:-$HOME/.cache}/wherry-images
# Runs on Debian 12 as root; needs debootstrap, dpkg, apt-get, tar, gzip, flock and crane in PATH. A few minutes and 1 GB.
# Makes docker archives with gzip layers:
#   app-v1.tar, app-v2.tar   an application stack before and after the security updates of its packages (amd64, 7 layers, ~145 MB)
#   app-v1-arm64.tar         a small base and the net layer for arm64 (3 layers, ~12 MB)
#   big.tar                  the same stack with a compiler and a JDK (amd64, 8 layers, ~310 MB)
# and OUTDIR/layers/*.tar.gz, the layers they are made of. big.tar comes last: where it is, all are.
set -euo pipefail
out=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/wherry-images}
mkdir -p "$out/layers"
for tool in debootstrap dpkg apt-get tar gzip flock crane; do
  command -v "$tool" >/dev/null || { echo "make-real.sh: $tool is needed" >&2; exit 2; }
done
exec 9>"$out/.lock"
flock 9 # a second run waits for the first, then finds everything made
[ -s "$out/big.tar" ] && { ls -l "$out"/*.tar; exit 0; }
if ! dpkg --print-foreign-architectures | grep -qx arm64; then
  dpkg --add-architecture arm64
  apt-get -qq update
fi

pack() { # DIR FILE: a deterministic layer, compressed as GNU gzip does; what a base image should not carry is left out, not deleted
  tar -C "$1" --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner \
    --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
    --exclude='./usr/share/info/*' --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./var/log/*' \
    -cf - . | gzip -6n >"$2.part" && mv "$2.part" "$2"
}
layer() { # NAME SUITE ARCH PACKAGE...: the newest version of each package in that suite, else the candidate
  local name=$1 suite=$2 arch=$3 dir wanted=() p v; shift 3
  [ -s "$out/layers/$name.tar.gz" ] && return
  dir=$(mktemp -d)
  mkdir "$dir/deb" "$dir/root"
  for p in "$@"; do
    v=$(apt-cache madison "$p:$arch" | awk -F'|' -v s=" $suite/" 'index($3, s) { gsub(/ /, "", $2); print $2; exit }')
    wanted+=("$p:$arch${v:+=$v}")
  done
  (cd "$dir/deb" && apt-get -qq -o APT::Sandbox::User=root download "${wanted[@]}")
  for p in "$dir"/deb/*.deb; do dpkg -x "$p" "$dir/root"; done
  pack "$dir/root" "$out/layers/$name.tar.gz"
  rm -rf --one-file-system "$dir"
}
image() { # FILE REFERENCE PLATFORM LAYER...
  local file=$1 ref=$2 platform=$3 args=() n; shift 3
  for n; do args+=(-f "$out/layers/$n.tar.gz"); done
  crane append --platform "$platform" --oci-empty-base "${args[@]}" -t "$ref" -o "$out/$file.part" 2>/dev/null
  mv "$out/$file.part" "$out/$file"
}

if [ ! -s "$out/layers/base.tar.gz" ]; then
  root=$(mktemp -d)
  debootstrap --variant=minbase bookworm "$root" >"$out/debootstrap.log" 2>&1
  pack "$root" "$out/layers/base.tar.gz"
  rm -rf --one-file-system "$root"
fi
for v in 1 2; do
  suite=bookworm; [ $v = 2 ] && suite=bookworm-security
  layer "net-v$v"    $suite amd64 ca-certificates curl libcurl4 openssl libssl3 libnghttp2-14
  layer "python-v$v" $suite amd64 python3.11 python3.11-minimal libpython3.11-minimal libpython3.11-stdlib
  layer "jre-v$v"    $suite amd64 openjdk-17-jre-headless
  layer "nginx-v$v"  $suite amd64 nginx nginx-common
  layer "git-v$v"    $suite amd64 git git-man perl-base perl-modules-5.36 libperl5.36
  app=$(mktemp -d); mkdir -p "$app/srv/app"; printf '{"version": %s}\n' "$v" >"$app/srv/app/version.json"
  pack "$app" "$out/layers/app-v$v.tar.gz"; rm -rf --one-file-system "$app"
  image "app-v$v.tar" "example.test/app:v$v" linux/amd64 base "net-v$v" "python-v$v" "jre-v$v" "nginx-v$v" "git-v$v" "app-v$v"
done
layer base-arm64 bookworm arm64 bash coreutils dash libacl1 libattr1 libc6 libgcc-s1 libgmp10 libpcre2-8-0 libselinux1 libstdc++6 libtinfo6 libzstd1 perl-base sed tar zlib1g
layer net-v1-arm64 bookworm arm64 curl libcurl4 openssl libssl3 libnghttp2-14
image app-v1-arm64.tar example.test/app:v1-arm64 linux/arm64 base-arm64 net-v1-arm64 app-v1
layer gcc bookworm amd64 gcc-12 cpp-12 g++-12 libstdc++-12-dev libgcc-12-dev libllvm14
layer jdk bookworm amd64 openjdk-17-jdk-headless
image big.tar example.test/big:v1 linux/amd64 base net-v1 python-v1 jre-v1 nginx-v1 git-v1 gcc jdk
ls -l "$out"/*.tar
