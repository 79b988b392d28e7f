#!/usr/bin/env bash
# Makes an image out of what this machine has installed, since the tests pull none, and prints its
# name. It is kept for the next time; former ones are removed.
#
#   make.sh rust      Rust, a C compiler and all crates of Cargo.lock: a builder without network
#   make.sh runtime   a shell
#   make.sh stack     Nginx, PostgreSQL, Redis and Python, each started as its own image would
set -euo pipefail
cd "$(dirname "$0")/../.."
kind=$1
repository=treasury-bot-test-$kind
name=$repository:$({
    cat tests/images/*
    case $kind in rust) cat Cargo.lock && rustc -vV ;; esac
} | sha256sum | cut -c1-16)
if docker image inspect "$name" >/dev/null 2>&1; then
    echo "$name"
    exit
fi
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
    cd / && ls -d bin sbin lib lib64 && find etc/alternatives etc/ssl/certs etc/passwd etc/group &&
        find usr/bin -lname '/etc/alternatives/*'
}

copy_packages() {
    (packages "$@") | tar -C / --no-recursion -cf - -T - | tar -C "$folder" -xf -
}

# A registry in a folder, of what cargo has here already: its index is kept with zero bytes between
# the lines.
copy_crates() {
    local to=$folder/opt/registry home=${CARGO_HOME:-$HOME/.cargo}/registry crate version lower at
    mkdir -p "$to/index"
    awk '/^name = /{n=$3} /^version = /{v=$3} /^source = /{print n, v}' Cargo.lock | tr -d '"' |
        while read -r crate version; do
            cp "$home"/cache/*/"$crate-$version.crate" "$to/"
            lower=${crate,,}
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

case $kind in
    rust)
        # All that a build for another system would take as well.
        cargo fetch --locked --quiet
        copy_packages base-files bash dash coreutils findutils sed gcc libc6-dev ca-certificates
        rust=$(rustc --print sysroot)
        mkdir -p "$folder/opt/rust/bin" "$folder/opt/rust/lib/rustlib"
        cp "$rust"/bin/{cargo,rustc} "$folder/opt/rust/bin/"
        cp "$rust"/lib/*.so* "$folder/opt/rust/lib/"
        cp -r "$rust/lib/rustlib/$(rustc --print host-tuple)" "$folder/opt/rust/lib/rustlib/"
        copy_crates
        change=(-c 'ENV PATH=/opt/rust/bin:/usr/bin CARGO_HOME=/opt/cargo')
        ;;
    runtime)
        mkdir "$folder/bin"
        cp /bin/busybox "$folder/bin/"
        ln -s busybox "$folder/bin/sh"
        change=()
        ;;
    stack)
        copy_packages base-files bash dash coreutils sed nginx-light redis-server \
            postgresql python3 busybox-static util-linux
        ln -s busybox "$folder/usr/bin/wget"
        mkdir -p "$folder"/usr/local/bin "$folder"/var/{log,lib}/nginx "$folder/run" "$folder/var/lib/postgresql/data"
        ln -sf /dev/stdout "$folder/var/log/nginx/access.log"
        ln -sf /dev/stderr "$folder/var/log/nginx/error.log"
        cp tests/images/postgres "$folder/usr/local/bin/docker-entrypoint.sh"
        bin=$(cd / && ls -d usr/lib/postgresql/*/bin | tail -1)
        change=(-c "ENV PATH=/usr/local/bin:/$bin:/usr/sbin:/usr/bin")
        ;;
esac
mkdir -p "$folder/tmp" && chmod 1777 "$folder/tmp"
former=$(docker images --quiet "$repository")
tar -C "$folder" -c . | docker import "${change[@]}" - "$name" >/dev/null
# shellcheck disable=SC2086
[ -z "$former" ] || docker rmi --force $former >/dev/null 2>&1 || true
echo "$name"
