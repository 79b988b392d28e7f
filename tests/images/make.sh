#!/usr/bin/env bash
# Makes images out of what this machine has installed, since the tests pull none.
#
#   make.sh rust NAME      Rust, a C compiler and all crates of Cargo.lock: a builder without network
#   make.sh runtime NAME   a shell
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The files of these Debian packages and of all that they depend on.
packages() {
    apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances "$@" |
        sed -n 's/^\([a-z0-9][^:]*\).*/\1/p' | sort -u |
        while read -r package; do dpkg -L "$package" 2>/dev/null || true; done |
        sed -E 's#^/(bin|sbin|lib|lib32|lib64|libx32)/#/usr/\1/#; s#^/##' |
        grep -vE '^(bin|sbin|lib|lib32|lib64|libx32|\.|)$|^usr/share/(doc|man|locale|info)/' |
        sort -u |
        while read -r file; do
            if [ -e "/$file" ] || [ -L "/$file" ]; then echo "$file"; fi
        done
    (cd / && ls -d bin sbin lib lib64 && find etc/alternatives etc/ssl/certs etc/passwd etc/group &&
        find usr/bin -lname '/etc/alternatives/*')
}

copy_packages() {
    packages "$@" | tar -C / --no-recursion -cf - -T - | tar -C "$folder" -xf -
}

# A registry in a folder, of what cargo has here already: its index is kept with zero bytes between
# the lines.
copy_crates() {
    local to=$folder/opt/registry home=${CARGO_HOME:-$HOME/.cargo}/registry name version lower at
    mkdir -p "$to/index"
    awk '/^name = /{n=$3} /^version = /{v=$3} /^source = /{print n, v}' Cargo.lock | tr -d '"' |
        while read -r name version; do
            cp "$home"/cache/*/"$name-$version.crate" "$to/"
            lower=${name,,}
            case ${#lower} in
                1 | 2) at=${#lower}/$lower ;;
                3) at=3/${lower:0:1}/$lower ;;
                *) at=${lower:0:2}/${lower:2:2}/$lower ;;
            esac
            mkdir -p "$to/index/$(dirname "$at")"
            cat "$home"/index/*/.cache/"$at" | tr '\0' '\n' | grep -a '^{' >"$to/index/$at"
        done
    mkdir -p "$folder/opt/cargo"
    cat >"$folder/opt/cargo/config.toml" <<-END
	[source.crates-io]
	replace-with = "here"
	[source.here]
	local-registry = "/opt/registry"
	END
}

import() {
    mkdir -p "$folder/tmp" && chmod 1777 "$folder/tmp"
    tar -C "$folder" -c . | docker import "${@:2}" - "$1" >/dev/null
}

case $1 in
    rust)
        copy_packages base-files bash dash coreutils findutils sed gcc libc6-dev ca-certificates
        rust=$(rustc --print sysroot)
        mkdir -p "$folder/opt/rust/bin" "$folder/opt/rust/lib/rustlib"
        cp "$rust"/bin/{cargo,rustc} "$folder/opt/rust/bin/"
        cp "$rust"/lib/*.so* "$folder/opt/rust/lib/"
        cp -r "$rust/lib/rustlib/$(rustc --print host-tuple)" "$folder/opt/rust/lib/rustlib/"
        copy_crates
        import "$2" -c 'ENV PATH=/opt/rust/bin:/usr/bin CARGO_HOME=/opt/cargo'
        ;;
    runtime)
        mkdir "$folder/bin"
        cp /bin/busybox "$folder/bin/"
        ln -s busybox "$folder/bin/sh"
        import "$2"
        ;;
esac
