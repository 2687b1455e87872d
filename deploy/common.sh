# shellcheck shell=bash
# What the scripts in this folder share. Sourced, not run.

# These work everywhere, also inside another container; "overlay" and "oci" are better where they work.
export BUILDAH_ISOLATION="${BUILDAH_ISOLATION:-chroot}"
buildah() { command buildah --storage-driver "${STORAGE_DRIVER:-vfs}" "$@"; }

# What deploy/stand-in-bases makes.
# shellcheck disable=SC2034 # Read by those that source this.
build_base=localhost/sealwright-build-base runtime_base=localhost/sealwright-runtime-base

say() { printf '\n== %s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Installs each named program that is missing, from the system's package of the same name.
need() {
    [ "$(id -u)" -eq 0 ] || die "must run as root: it makes file systems of other users"
    local missing=() program
    for program in "$@"; do
        type -P "$program" >/dev/null || missing+=("$program")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "needs ${missing[*]}: install it and run again"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

have_image() { buildah inspect --type image "$1" >/dev/null 2>&1; }
