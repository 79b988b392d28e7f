#!/usr/bin/env bash
# clap_complete 4.6.12: the script for bash of a program whose name has a dash (`my-tool`) completes no
# option of any subcommand. The dash becomes `__subcmd__` in the labels of the script's `case`, as if it
# stood between two commands, and `__` where the words typed so far are looked up: no label fits.
# Zsh and fish are not touched; nor is a name without a dash.
#
# Guessed: `my-tool config check --no<TAB>` gives `--no-secrets`, as it does for `mytool`.
# Seen with clap 4.6.9, clap_complete 4.6.12 and bash 5.2 on 2026-11-30: nothing, beside `--no-secrets`.
# Why it matters: most programs of this field have a dash in their name; whoever ships completions made
# this way ships a file that looks right and stays silent, and no error says so.
#
# Needs cargo, crates.io and bash.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "complete"
version = "0.1.0"
edition = "2024"
[dependencies]
clap = { version = "=4.6.9", default-features = false, features = ["std", "help", "string"] }
clap_complete = "=4.6.12"
TOML
cat >src/main.rs <<'RUST'
use clap::{Arg, ArgAction, Command};

fn main() {
    let name = std::env::args().nth(1).unwrap();
    let option = Arg::new("no-secrets").long("no-secrets").action(ArgAction::SetTrue);
    let check = Command::new("check").arg(option);
    let config = Command::new("config").subcommand(check);
    let mut command = Command::new(name.clone()).subcommand(config);
    let mut out = std::io::stdout();
    clap_complete::generate(clap_complete::Shell::Bash, &mut command, name, &mut out);
}
RUST
cargo build --quiet

# What bash offers for `NAME config check --no`.
offered() {
    ./target/debug/complete "$1" >"$1.bash"
    bash -c '
        source "$0.bash"
        COMP_WORDS=("$0" config check --no) COMP_CWORD=3 COMPREPLY=()
        function=$(complete -p "$0" | sed "s/.*-F \([^ ]*\).*/\1/")
        "$function" "$0" --no check
        echo "${COMPREPLY[*]}"' "$1"
}

with=$(offered my-tool)
without=$(offered mytool)
echo "my-tool config check --no<TAB>: \`$with\`; mytool: \`$without\`"
[ "$with" != "--no-secrets" ] && [ "$without" = "--no-secrets" ] || {
    echo "this has changed: look at it again" >&2
    exit 1
}
