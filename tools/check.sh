#!/bin/sh
# Says which tools are missing or too old before anything long starts; one message each.
# Arguments: cargo's components that are needed too (fmt, clippy).
set -u
cargo=${CARGO:-cargo}
python=${PYTHON:-python3}
status=0

missing() {
    echo "error: $1" >&2
    status=1
}

# at_least HAVE WANT: whether one dotted version is not below another.
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
rust=$($cargo --version 2>/dev/null | cut -d ' ' -f 2)
if [ -z "$rust" ]; then
    missing "no Rust toolchain ($cargo); install Rust $wanted or newer with rustup (https://rustup.rs)"
elif ! at_least "${rust%%-*}" "$wanted"; then
    missing "Rust $rust is too old, $wanted or newer is needed; run: rustup update stable"
else
    for component in "$@"; do
        $cargo "$component" --version >/dev/null 2>&1 || case $component in
            fmt) missing "cargo fmt is missing; run: rustup component add rustfmt" ;;
            *) missing "cargo $component is missing; run: rustup component add $component" ;;
        esac
    done
fi

# The native build compiles with CXX where that is set, else c++, and links with cc.
for compiler in "${CXX:-c++}" "${CC:-cc}"; do
    if ! command -v "${compiler%% *}" >/dev/null 2>&1; then
        missing "no C++ compiler ($compiler); install one (Debian, Ubuntu: apt install g++)"
        break
    fi
done

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
    missing "no Python 3.8 or newer ($python); install it (Debian, Ubuntu: apt install python3 python3-pip)"
elif ! "$python" -c 'from importlib.util import find_spec as f; f("pip") or exit(1)'; then
    missing "$python has no pip; install it (Debian, Ubuntu: apt install python3-pip)"
fi
exit $status
