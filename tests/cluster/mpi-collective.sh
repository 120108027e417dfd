#!/usr/bin/env bash
# mpi-collective - the collective `mpi` among 1 to 4 ranks of a real mpirun, no training.
#   tests/cluster/mpi-collective.sh BUILD
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"
build=$(realpath "$1")
needs mpirun "openmpi-bin"
[ -x "$build/test-mpi-collective" ] || skip "built without MPI: no collective 'mpi'"
folder_begin

# What Open MPI does not free, and how its own threads agree, is not ours to report.
export ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS="ignore_noninstrumented_modules=1 ${TSAN_OPTIONS:-}"

ranks() { # N WHAT
    watch 60 mpirun -n "$1" "${mpirun_options[@]}" "$build/test-mpi-collective" "$2" \
        >"$folder/said" 2>&1
}

for n in 1 2 3 4; do
    ranks $n good || bad "sums, gathers, broadcasts among $n ranks"
    good "sums, gathers, broadcasts among $n ranks: $(grep -c '^ok' "$folder/said") checks"
done
# A rank that did something else, or nothing: mpirun ends the job, which is what MPI can do.
for what in desync abort; do
    if ranks 3 $what; then
        bad "$what: mpirun was content, want a code other than 0"
    fi
    [ "$(grep -c '^ok' "$folder/said")" -eq 2 ] || bad "$what: not said what was expected"
    good "$(sed -n "s/^ok - //p" "$folder/said" | tail -n 1)"
done
watch 60 "$build/test-mpi-collective" alone >"$folder/said" 2>&1 || bad "without mpirun"
good "$(sed -n "s/^ok - //p" "$folder/said" | tail -n 1)"
finish
