#!/usr/bin/env bash
# sqlx 0.9.0: the feature `macros` (wanted for `migrate!` alone) has cargo build SQLite's C, and sqlx's
# driver over it, a second time in a release build: once for the program, once for the compiler's own
# use, because the macro crate depends on the drivers as well, and host code has its own profile.
# The migrations can be listed in code instead (`Migrator::with_migrations`), without the feature.
#
# Guessed: one build of libsqlite3-sys, since both want the same features.
# Seen with cargo 1.95.0 on 2026-11-29: 2 units with `macros`, 1 without.
# Why it matters: SQLite's C was among the longest units of a cold build (80 s at level 3 on two
# cores); whoever adds the feature for one line doubles that, and sqlx's own crates with it.
#
# Needs cargo and crates.io's index; builds nothing (it reads cargo's plan of units).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
echo 'fn main() {}' >src/main.rs

units() {
    cat >Cargo.toml <<TOML
[package]
name = "plan"
version = "0.1.0"
edition = "2024"
[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = [$1] }
TOML
    RUSTC_BOOTSTRAP=1 cargo build --release --unit-graph -Z unstable-options 2>/dev/null |
        python3 -c '
import json, sys
units = json.load(sys.stdin)["units"]
lib = lambda one: "lib" in one["target"]["kind"] and one["mode"] == "build"
print(sum("libsqlite3-sys" in one["pkg_id"] and lib(one) for one in units))'
}

with=$(units '"runtime-tokio", "sqlite", "migrate", "macros"')
without=$(units '"runtime-tokio", "sqlite", "migrate"')
echo "libsqlite3-sys is built $with times with \`macros\`, $without times without"
[ "$with" = 2 ] && [ "$without" = 1 ] || {
    echo "this has changed: look at it again" >&2
    exit 1
}
