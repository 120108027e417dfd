#!/usr/bin/env bash
# tutorial - every command of plugins/README.md, as it stands there, in a home of its own.
#   tests/graphs/tutorial.sh BUILD LIBDIR    which take the places of build/release and lib
set -euo pipefail
build=$(realpath "$1") libdir=$2
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for tool in make pkg-config; do
    command -v "$tool" >/dev/null || { echo "no $tool here"; exit 77; }
done

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
awk '/^```sh$/ {on = 1; next} /^```$/ {on = 0} on' plugins/README.md |
    sed -e "s|build/release|$build|" -e "s|~/segloom/lib/|~/segloom/$libdir/|" >"$home/tutorial"
unset LOOM_MODULE_PATH CMAKE_PREFIX_PATH PKG_CONFIG_PATH DESTDIR LD_LIBRARY_PATH
HOME=$home bash -euo pipefail "$home/tutorial" | tee "$home/said"

fail() { echo "tutorial: $*" >&2; exit 1; }
[ "$(grep -c 'checks, all passed' "$home/said")" -eq 3 ] || fail "want three tests that pass"
for loss in my_tversky my_focal; do
    lines=$(wc -l <"$home/losses/$loss/$loss.c")
    [ "$lines" -le 20 ] || fail "$loss.c has $lines lines, want at most 20"
done
# The network learnt: without training its masks have a Dice of about 0.1.
dice=$(awk '$1 == "mean" {print $3}' "$home/said" | tail -n 1)
awk -v dice="$dice" 'BEGIN {exit !(dice > 0.6)}' || fail "mean Dice is '$dice', want above 0.6"

# What `segloom plugin new` writes builds without a warning and passes its own test, each of it.
HOME=$home bash -euo pipefail -s <<END >"$home/said" || { cat "$home/said"; fail "plugin new"; }
export PATH=~/segloom/bin:\$PATH PKG_CONFIG_PATH=~/segloom/$libdir/pkgconfig
for what in "loss a" "loss b --form voxel" "loss c --form eval" "metric d" "stage e"; do
    read -ra words <<<"\$what"
    cd ~
    segloom plugin new "\${words[@]}"
    cd "\${words[1]}"
    make CFLAGS="-O3 -Wall -Wextra -Wpedantic -Werror"
    make test
    segloom inspect "\${words[0]}" "\${words[1]}" --modules build
done
END

# So does the loss of README.md.
mkdir "$home/readme"
awk '/^```c$/ {on = 1; next} /^```$/ {on = 0} on' README.md >"$home/readme/mine.c"
HOME=$home bash -euo pipefail -s <<END >"$home/said" || { cat "$home/said"; fail "README.md"; }
export PATH=~/segloom/bin:\$PATH PKG_CONFIG_PATH=~/segloom/$libdir/pkgconfig
cd ~
segloom plugin new loss mine
mv readme/mine.c mine/mine.c
make -C mine CFLAGS="-O3 -Wall -Wextra -Wpedantic -Werror"
make -C mine test
END
echo "tutorial: mean Dice $dice; every template builds and passes"
