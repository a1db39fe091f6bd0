# shellcheck shell=bash disable=SC2034
# What the scripts of this folder share: words, settings, packages.

cross=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$cross")
# Libraries of the targets; may be thrown away at any time.
cache=${POCKETFTPD_CROSS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pocketftpd-cross}

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
die() {
  say "$*"
  exit 1
}

targets() { (cd "$cross/targets" && printf '%s\n' *); }

# settings TARGET: reads the target's file into variables.
settings() {
  local known
  known=$(targets | tr '\n' ' ')
  case " $known" in
    *" $1 "*) ;;
    *) die "no target $1; there are: $known" ;;
  esac
  # Not every target has these.
  arm='' float='' features='' small='' clang=()
  # shellcheck source-path=SCRIPTDIR source=targets/mipsel-unknown-linux-musl
  . "$cross/targets/$1"
}

installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

# packages NAME...: has Debian's packages installed, or says which are missing.
packages() {
  local name missing=()
  for name; do installed "$name" || missing+=("$name"); done
  [ "${#missing[@]}" -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "this is not Debian; it lacks: ${missing[*]}"
  [ "$(id -u)" -eq 0 ] || die "not root, and these packages are missing: ${missing[*]}"
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # One at a time: apt-get gives up where another is at work.
  flock /var/lib/apt apt-get update -qq >/dev/null || say 'apt-get update failed; going on with the lists that are there'
  flock /var/lib/apt apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || die "apt-get install failed"
}

# The linker: every lld links for every target.  rustup brings one.
linker() {
  local found sysroot
  if command -v rustc >/dev/null; then
    sysroot=$(rustc --print sysroot)
    for found in "$sysroot"/lib/rustlib/*/bin/rust-lld; do
      [ ! -x "$found" ] || { echo "$found" && return; }
    done
  fi
  packages lld-19
  echo /usr/lib/llvm-19/bin/ld.lld
}
