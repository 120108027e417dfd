#!/usr/bin/env bash
# install - is everything where Debian expects it, and does it work from there, staged with
# DESTDIR and nothing else set?     tests/graphs/install.sh BUILD LIBDIR
set -euo pipefail
build=$(realpath "$1") libdir=$2
fail() { echo "install: $*" >&2; exit 1; }
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
unset LOOM_MODULE_PATH LD_LIBRARY_PATH CMAKE_PREFIX_PATH PKG_CONFIG_PATH

DESTDIR=$stage cmake --install "$build" --prefix /usr >/dev/null
usr=$stage/usr lib=$stage/usr/$libdir
segloom=$usr/bin/segloom

# ---- files
version=$("$segloom" --version | cut -d' ' -f2)
for file in "bin/segloom" "$libdir/libsegloom.so.$version" "$libdir/libsegloom.so" \
    "$libdir/segloom/modules/loss_dice.so" "$libdir/segloom/modules/stage_crop.so" \
    "$libdir/segloom/modules/transport_zmq.so" "$libdir/segloom/modules/collective_direct.so" \
    "$libdir/cmake/segloom/segloomConfig.cmake" "$libdir/pkgconfig/segloom.pc" \
    "include/loom/plugin.h" "include/loom/loom.h" "include/loom/loss_kit.h" \
    "include/loom/network.h" "share/segloom/configs/cluster/README.md" \
    "share/segloom/configs/cluster/slurm.sbatch" \
    "share/segloom/configs/smoke.yaml" "share/man/man1/segloom.1" \
    "share/bash-completion/completions/segloom"; do
    [ -e "$usr/$file" ] || fail "no $file"
done
[ "$(readlink "$lib/libsegloom.so.${version%%.*}")" = "libsegloom.so.$version" ] ||
    fail "libsegloom.so.${version%%.*} is no link to libsegloom.so.$version"
[ -z "$(find "$usr" -name '*test*' -o -name 'model_toy*' -o -name 'refused*')" ] ||
    fail "something of the tests was installed"

# ---- the program finds its library and its modules, and no others
"$segloom" inspect loss dice | grep -q 'loss_dice.so' || fail "inspect finds no dice"
if command -v readelf >/dev/null; then
    for file in "$segloom" "$lib"/segloom/modules/*.so "$lib/libsegloom.so"; do
        ! readelf -d "$file" | grep -E 'R(UN)?PATH' | grep -qF "$build" ||
            fail "$file looks into the build folder"
    done
fi

# ---- manual: every command
for command in $("$segloom" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    grep -q "^.SS \"segloom $command\"" "$usr/share/man/man1/segloom.1" ||
        fail "the manual has no '$command'"
done
for part in "plugin test" "bench allreduce" "bench train_step"; do
    grep -q "^.SS \"segloom $part\"" "$usr/share/man/man1/segloom.1" || fail "no $part"
done

# ---- completion: commands, options, plugins
completes() { # the words so far, the last one incomplete; then what must be offered
    local wanted=${!#}
    COMP_WORDS=("$segloom" "${@:1:$#-1}") COMP_CWORD=$(($# - 1))
    _segloom
    printf '%s\n' "${COMPREPLY[@]}" | grep -x -- "$wanted" >/dev/null ||
        fail "no '$wanted' for: ${COMP_WORDS[*]} (offered: ${COMPREPLY[*]})"
}
# shellcheck disable=SC1091
source "$usr/share/bash-completion/completions/segloom"
completes insp inspect
completes run --res --resume
completes plugin ne new
completes bench all allreduce
completes bench tr train_step
completes bench allreduce --mi --mib
completes plugin new lo loss
completes plugin new loss x --fo --form
completes inspect st stage
completes inspect loss di dice

# ---- the headers, each alone, where pkg-config says that they are
export PKG_CONFIG_PATH=$lib/pkgconfig
read -ra flags < <(pkg-config --cflags segloom)
for header in "$usr"/include/loom/*.h; do
    printf '#include <loom/%s>\nint main(void)\n{\n    return 0;\n}\n' "$(basename "$header")" |
        ${CC:-cc} -std=gnu11 -Wall -Wextra -Werror "${flags[@]}" -x c -fsyntax-only - ||
        fail "$(basename "$header") does not compile alone"
done
echo "install: all there"
