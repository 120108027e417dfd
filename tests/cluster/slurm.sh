#!/usr/bin/env bash
# slurm - four ranks under a real Slurm of its own, as configs/cluster/slurm.sbatch starts them:
# trained, queued again, warned before their time is over, cancelled, robbed of a node.
#   tests/cluster/slurm.sh BUILD
# shellcheck disable=SC2317 # called by name
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/steps.sh"
source "$here/slurm_start.sh"
segloom_begin "$1"
[ "$(id -u)" -eq 0 ] || skip "not root: this Slurm was only tried as root"
for daemon in slurmctld slurmd; do
    needs $daemon "slurm-wlm"
done
needs srun slurm-client
folder_begin
config_begin
slurm_start
good "a controller and four nodes are up"

template=$(realpath "$here/../../configs/cluster/slurm.sbatch")
export SEGLOOM=$segloom

# submit NAME STEPS OPTION...: the template; $job is its number, $run its folder.
submit() {
    local name=$1 steps=$2
    shift 2
    run=$folder/$name
    job=$(sbatch --parsable --nodes=4 --cpus-per-task=1 --output="$folder/said-$name" "$@" \
        "$template" "$config" "$run" --set "run.steps=$steps")
}

of_job() { # KEY: as scontrol tells it
    scontrol -o show job "$job" | tr ' ' '\n' | sed -n "s/^$1=//p"
}

job_over() {
    case $(of_job JobState) in
    COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) ;;
    *) return 1 ;;
    esac
}

restarted() {
    [ "$(of_job Restarts)" -ge "$1" ]
}

# Only a run that resumed where it stopped counts up all the time: none of its steps twice.
counts_up() {
    sed -n 's/.*"kind":"step","step":\([0-9]*\).*/\1/p' "$run/log.jsonl" |
        awk '$1 <= last {exit 1} {last = $1}'
}

# ranks_of JOB [NODE]: pids of its ranks.
ranks_of() {
    local pid
    for pid in $(pgrep -f "$segloom run" || true); do
        grep -qzxF "SLURM_CONF=$SLURM_CONF" "/proc/$pid/environ" 2>/dev/null &&
            grep -qzxF "SLURM_JOB_ID=$1" "/proc/$pid/environ" &&
            grep -qzx "SLURMD_NODENAME=${2:-n.}" "/proc/$pid/environ" &&
            grep -qz "^SLURM_PROCID=" "/proc/$pid/environ" && echo "$pid"
    done
    true
}

node_down() {
    [[ $(sinfo -h -n "$1" -o %T) == down* ]]
}

no_ranks() {
    [ -z "$(ranks_of "$job")" ]
}

# ---- srun; how fast it trains decides how long the next runs are to be
run=$folder/plain
watch 90 srun -N4 -n4 --label "$segloom" run "$config" -o "$run" --set run.steps=60 \
    >"$folder/said" 2>&1 &
step=$!
started+=("$step")
until_true 60 at_step "$run" 10 || bad "srun -n 4: four ranks train"
began=$(date +%s%N)
wait $step || bad "srun -n 4 ends with $?, want 0"
[ "$(step_of "$run")" -eq 60 ] || bad "srun -n 4: 60 steps"
steps_in_10_s=$((50 * 1000000000 / ($(date +%s%N) - began) * 10))
good "srun -n 4: 60 steps, every rank ends with 0"

# ---- srun forgotten
job=$(sbatch --parsable -N4 -n4 --output="$folder/said-forgotten" --wrap \
    "$segloom run $config -o $folder/forgotten --set run.steps=20 --set cluster.wait=5")
until_true 60 job_over || bad "without srun: the job ends, it waits for nobody"
grep -q srun "$folder/said-forgotten" || bad "without srun: it says what was forgotten"
good "srun forgotten: it does not wait for ever, and says so"

# ---- scontrol requeue
submit requeue $((steps_in_10_s * 2))
until_true 40 at_step "$run" 20 || bad "requeue: the job comes to step 20"
scontrol requeue "$job"
until_true 60 restarted 1 || bad "requeue: Slurm restarts it"
until_true 90 job_over || bad "requeue: the job ends"
[ "$(of_job JobState)" = COMPLETED ] || bad "requeue: it ends $(of_job JobState)"
[ "$(step_of "$run")" -eq $((steps_in_10_s * 2)) ] || bad "requeue: all steps"
counts_up || bad "requeue: it resumes where it stopped"
good "scontrol requeue: saved, queued, resumed and completed"

# ---- a signal before the time is over; then scancel
submit warned 1000000 --time=1 --signal=B:USR1@20
until_true 90 restarted 1 || bad "signal: the job is queued again before its time is over"
grep -q "the ranks ended with 75" "$folder/said-warned" || bad "signal: the ranks end with 75"
[ -s "$run/checkpoint/seg.safetensors" ] || bad "signal: a checkpoint"
stopped=$(step_of "$run")
until_true 40 at_step "$run" $((stopped + 10)) || bad "signal: it goes on after step $stopped"
counts_up || bad "signal: it resumes where it stopped"
good "signal before the time is over: code 75 at step $stopped, queued again, resumed"
scancel "$job"
cancelled=$SECONDS
until_true 25 no_ranks || bad "scancel: the ranks end within 25 s"
took=$((SECONDS - cancelled)) stopped=$(step_of "$run")
until_true 10 job_over || bad "scancel: the job ends"
watch 60 srun -N4 -n4 "$segloom" run "$config" -o "$run" --resume \
    --set "run.steps=$((stopped / 10 * 10 + 20))" >"$folder/said" 2>&1 ||
    bad "scancel: the run resumes"
counts_up || bad "scancel: it resumes where it stopped"
good "scancel: saved within $took s, resumes after step $stopped"

# ---- a node dies: its daemon, the daemon of the step, the rank
submit lost $((steps_in_10_s * 4))
until_true 40 at_step "$run" 20 || bad "node lost: the job comes to step 20"
rank=$(ranks_of "$job" n4)
[ -n "$rank" ] || bad "node lost: there is a rank on node 4"
disown "${node_pid[4]}" # else bash reports its end
kill -KILL "${node_pid[4]}" "$(awk '{print $4}' "/proc/$rank/stat")" "$rank"
at=$(step_of "$run") died=$SECONDS
until_true 15 at_step "$run" $((at + 10)) || bad "node lost: the others go on within 15 s"
paused=$((SECONDS - died))
until_true 60 node_down n4 || bad "node lost: Slurm notices"
[ "$(of_job JobState)" = RUNNING ] || bad "node lost: Slurm ended the job ($(of_job JobState))"
until_true 90 job_over || bad "node lost: the job ends"
[ "$(step_of "$run")" -eq $((steps_in_10_s * 4)) ] || bad "node lost: the survivors finish"
good "node lost at step $at: 10 steps on after $paused s, Slurm notices, the survivors finish"
finish
