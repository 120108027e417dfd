#!/usr/bin/env bash
# namespaces - four ranks, each in a network of its own with its own address, joined by a bridge
# and known to each other by a key; one is cut off for 30 s and comes back.
#   tests/cluster/namespaces.sh BUILD
# shellcheck disable=SC2317 # called by name
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/steps.sh"
segloom_begin "$1"
[ "$(id -u)" -eq 0 ] || skip "not root: cannot make network namespaces"
needs ip iproute2
ip netns add "loom-$$-try" 2>/dev/null || skip "this kernel or container allows no namespaces"
ip netns del "loom-$$-try"
folder_begin
ranks=4 name=loom$$ # of an interface: 15 characters at most

network_end() {
    local r pid
    for ((r = 0; r < ranks; r++)); do
        for pid in $(ip netns pids "$name-$r"); do
            kill -KILL "$pid"
        done
        ip netns del "$name-$r"
    done
    ip netns del "$name-b"
}

# The bridge stands in a namespace as well: nothing of this touches the host's network.
network_begin() {
    local r
    at_the_end+=(network_end)
    ip netns add "$name-b"
    ip -n "$name-b" link add bridge type bridge
    ip -n "$name-b" link set bridge up
    for ((r = 0; r < ranks; r++)); do
        ip netns add "$name-$r"
        ip -n "$name-$r" link set lo up
        ip -n "$name-$r" link add eth type veth peer name "port$r" netns "$name-b"
        ip -n "$name-b" link set "port$r" master bridge up
        ip -n "$name-$r" addr add "10.77.0.$((r + 1))/24" dev eth
        ip -n "$name-$r" link set eth up
    done
}

# Nobody listens there, but the host of rank 0 answers, namely so.
reaches_first() { # R
    local said
    said=$(ip netns exec "$name-$1" timeout 2 bash -c ': </dev/tcp/10.77.0.1/9' 2>&1 || true)
    [[ $said == *refused* ]]
}

# plug R, unplug R: the cable of rank R at the switch; its own end sees its link up all the time.
plug() {
    ip -n "$name-b" link set "port$1" master bridge
}
unplug() {
    ip -n "$name-b" link set "port$1" nomaster
}

rank() { # RUN STEPS R OPTION...: becomes that rank
    local run=$1 wanted=$2 r=$3
    shift 3
    exec ip netns exec "$name-$r" "$segloom" run "$config" -o "$run" --rank "$r" --size $ranks \
        --meet "tcp://10.77.0.1:$port" --set "run.steps=$wanted" "$@"
}

rank_start() { # as rank
    rank "$@" >"$folder/said-$3" 2>&1 &
    rank_pid[$3]=$!
    started+=("$!")
}

# Waits until rank R ended: $code.
rank_end() {
    code=0
    wait "${rank_pid[$1]}" || code=$?
}

all_end() { # SECONDS STEPS WHAT
    local r
    for ((r = 0; r < ranks; r++)); do
        until_true "$1" gone "${rank_pid[r]}" || bad "$3: rank $r ends within $1 s"
        rank_end $r
        [ "$code" -eq 0 ] || bad "$3: rank $r ends with $code, want 0"
    done
    [ "$(step_of "$run")" -eq "$2" ] || bad "$3: $2 steps, not $(step_of "$run")"
}

network_begin
config_begin
rank_pid=() port=$(free_ports 1)
until_true 10 reaches_first 3 || bad "rank 3 reaches 10.77.0.1 through the bridge"

# ---- without a key, no clear text beyond loopback
code=0
(rank "$folder/clear" 10 0) >"$folder/said" 2>&1 & # it has to end before the others are looked for
refused=$!
started+=("$refused")
until_true 20 gone "$refused" || bad "clear text between hosts is refused at once"
wait $refused || code=$?
[ $code -eq 2 ] || bad "clear text between hosts ends with $code, want 2"
grep -q -- "--insecure-network" "$folder/said" || bad "the refusal names --insecure-network"
good "clear text between hosts is refused, with the options there are"

# ---- with one, four ranks train; how fast decides how long the next run is to be
"$segloom" keygen -o "$folder/run.key" >"$folder/said"
secret=(--set "cluster.transport={use: zmq, secret: $folder/run.key}")
run=$folder/first
for ((r = 0; r < ranks; r++)); do
    rank_start "$run" 60 $r "${secret[@]}"
done
until_true 60 at_step "$run" 10 || bad "four ranks train between namespaces"
began=$(date +%s%N)
all_end 60 60 "four ranks train between namespaces"
steps_in_60_s=$((50 * 60 * 100000000 / ($(date +%s%N) - began) * 10))
good "four ranks train between namespaces, with keys: 60 steps"

# ---- one is cut off for 30 s
run=$folder/second wanted=$steps_in_60_s
for ((r = 0; r < ranks; r++)); do
    rank_start "$run" $wanted $r "${secret[@]}"
done
until_true 60 at_step "$run" 10 || bad "four ranks train once more"
# From now on rank 3 cannot write in the run's folder, which none but a rank that tries notices.
# shellcheck disable=SC2016
nsenter -t "${rank_pid[3]}" -m sh -c 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"' "$run"
unplug 3
cut=$SECONDS before=$(step_of "$run")
until_true 15 at_step "$run" $((before + 15)) ||
    bad "the three others go on within 15 s: step $before, now $(step_of "$run")"
good "rank 3 was cut off at step $before; 15 steps on after $((SECONDS - cut)) s"
until_true 30 gone "${rank_pid[3]}" || bad "the rank that was cut off ends within 30 s"
rank_end 3
[ "$code" -eq 75 ] || bad "the rank that was cut off ends with $code, want 75"
good "the rank that was cut off ends with 75 after $((SECONDS - cut)) s, and wrote nothing"

# ---- and comes back
while [ $((SECONDS - cut)) -lt 30 ]; do
    sleep 0.5
done
plug 3
rank_start "$run" $wanted 3 "${secret[@]}" --resume
all_end 120 $wanted "after the return of rank 3"
good "rank 3 joined again; all four ended with 0 after $wanted steps"
finish
