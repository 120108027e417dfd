#!/usr/bin/env bash
# mpirun - four ranks of one run, started by Open MPI's mpirun: they find each other by what it
# leaves in the environment, and sum with the collective `direct`, then with `mpi`.
#   tests/cluster/mpirun.sh BUILD
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"
segloom_begin "$1"
needs mpirun openmpi-bin
folder_begin
config_begin

# What Open MPI does not free at its end is not ours to report.
export ASAN_OPTIONS=detect_leaks=0

job() { # RUN OPTION...: starts it; $job is mpirun's process, its ranks have their pids in RUN.pids
    local run=$1
    shift
    : >"$run.pids"
    # shellcheck disable=SC2016
    mpirun -n 4 "${mpirun_options[@]}" sh -c 'echo "$OMPI_COMM_WORLD_RANK $$" >>"$0"; exec "$@"' \
        "$run.pids" "$segloom" run "$config" -o "$run" "$@" >"$folder/said-$(basename "$run")" \
        2>&1 &
    job=$!
    started+=("$job")
}

job_ends() { # SECONDS: its code is in $code; false: it did not end
    until_true "$1" gone "$job" || return 1
    code=0
    wait "$job" || code=$?
}

for collective in direct mpi; do
    if [ $collective = mpi ] && [ ! -e "$1/modules/collective_mpi.so" ]; then
        good "# SKIP built without MPI: no collective 'mpi'"
        continue
    fi
    job "$folder/$collective" --set "cluster.collective.use=$collective" --set run.steps=30
    job_ends 60 || bad "$collective: ends within 60 s"
    [ "$code" -eq 0 ] || bad "$collective: mpirun ends with $code, want 0"
    [ "$(step_of "$folder/$collective")" -eq 30 ] || bad "$collective: 30 steps"
    good "mpirun -n 4, collective $collective: 30 steps, all end with 0"
done

# mpirun ends all ranks when one is killed: promptly, and so that a script notices.
for collective in direct mpi; do
    [ -e "$1/modules/collective_mpi.so" ] || continue
    run=$folder/kill-$collective
    job "$run" --set "cluster.collective.use=$collective" --set run.steps=100000
    until_true 40 at_step "$run" 10 || bad "$collective: comes to step 10"
    kill -KILL "$(awk '$1 == 2 {print $2}' "$run.pids")"
    job_ends 30 || bad "$collective: mpirun ends within 30 s of a rank that was killed"
    [ "$code" -ne 0 ] || bad "$collective: mpirun ends with 0 though rank 2 was killed"
    while read -r rank pid; do
        until_true 10 gone "$pid" || bad "$collective: rank $rank ends as well"
    done <"$run.pids"
    good "collective $collective, rank 2 killed: mpirun ends with $code, no rank is left"
    watch 60 "$segloom" run "$config" -o "$run" --resume \
        --set run.steps=$(($(step_of "$run") + 20)) >"$folder/said" 2>&1 ||
        bad "$collective: the run that was broken off resumes"
    good "collective $collective: the run that was broken off resumes, on one rank"
done
finish
