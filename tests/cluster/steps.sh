# steps.sh - what the scripts of this folder share: TAP lines, a temporary folder, an end that
# leaves no process behind.  To be sourced.
# shellcheck shell=bash disable=SC2034

steps=0
folder=
started=()    # process ids, ended by `clean`, the latest first
at_the_end=() # commands, carried out by `clean`, the latest first

skip() {
    echo "1..0 # SKIP $*"
    exit 77
}

# needs COMMAND PACKAGE
needs() {
    command -v "$1" >/dev/null || skip "no $1 here (Debian: $2)"
}

good() {
    steps=$((steps + 1))
    echo "ok $steps - $*"
}

# Shows what may tell why, and ends.
bad() {
    local file lines
    steps=$((steps + 1))
    echo "not ok $steps - $*"
    for file in "$folder"/said* "$folder"/*.log; do
        [ -s "$file" ] || continue
        lines=30
        [[ $file == *.log ]] && lines=6
        echo "# --- $(basename "$file")"
        tail -n $lines "$file" | sed 's/^/# /'
    done
    exit 1
}

finish() {
    echo "1..$steps"
    exit 0
}

clean() {
    local i
    set +e
    trap '' INT TERM
    for ((i = ${#at_the_end[@]} - 1; i >= 0; i--)); do
        ${at_the_end[i]} >/dev/null 2>&1
    done
    for ((i = ${#started[@]} - 1; i >= 0; i--)); do
        kill -KILL "${started[i]}" 2>/dev/null
    done
    wait 2>/dev/null
    if [ -n "${LOOM_KEEP:-}" ]; then
        echo "# kept: $folder"
    else
        rm -rf "$folder"
    fi
}

folder_begin() {
    folder=$(mktemp -d /tmp/loom-cluster.XXXXXX)
    trap clean EXIT
    trap 'exit 1' INT TERM HUP
}

# watch SECONDS COMMAND...: its exit code; 124: it took longer, and was killed.
watch() {
    timeout --kill-after=5 "$@"
}

# until_true SECONDS COMMAND...: tries until it succeeds.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}

# gone PID: has it ended?
gone() {
    ! kill -0 "$1" 2>/dev/null
}

# free_ports N: the first of N ports, one after the other, on which nobody listens; they lie below
# those that the kernel gives away by itself.
free_ports() {
    local first port
    for _ in $(seq 100); do
        first=$((10000 + RANDOM % 20000))
        for ((port = first; port < first + $1; port++)); do
            (: </dev/tcp/127.0.0.1/$port) 2>/dev/null && continue 2
        done
        echo $first
        return
    done
    return 1
}

# ---- segloom

# segloom_begin BUILD: $segloom is its binary.
segloom_begin() {
    segloom=$(realpath "$1")/segloom
    [ -x "$segloom" ] || skip "no $segloom: build it first"
}

# Data and config, in the temporary folder: $config.
config_begin() {
    cp "$(dirname "${BASH_SOURCE[0]}")/spheres.yaml" "$folder/spheres.yaml"
    config=$folder/spheres.yaml
    "$segloom" phantom "$folder/data" --kind spheres --cases 8 --size 32,32,32 \
        >"$folder/said" 2>&1 || bad "eight cases of spheres"
}

# step_of RUN: the last step in its log; 0: none.
step_of() {
    local step
    step=$(sed -n 's/.*"kind":"step","step":\([0-9]*\).*/\1/p' "$1/log.jsonl" 2>/dev/null | tail -n 1)
    echo "${step:-0}"
}

# at_step RUN N: has it come that far?
at_step() {
    [ "$(step_of "$1")" -ge "$2" ]
}

# As many ranks as wanted on any machine, also for root, without a complaint about containers.
mpirun_options=(--oversubscribe --allow-run-as-root --bind-to none
    --mca btl_vader_single_copy_mechanism none --mca btl_base_warn_component_unused 0)
