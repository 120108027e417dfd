# slurm_start.sh - a Slurm of its own on this host: one controller and four node daemons, no
# munge, no cgroups, everything in the folder of steps.sh and on free ports.  To be sourced.
# shellcheck shell=bash disable=SC2154,SC2034

nodes=4

slurm_config() {
    local port host
    port=$(free_ports $((nodes + 1))) || skip "no free ports"
    host=$(hostname -s)
    cat >"$folder/slurm.conf" <<END
ClusterName=loom
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/none
AuthInfo=cred_expire=6
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2
MpiDefault=none
MpiParams=ports=$((port + 1000))-$((port + 1199))
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=10
KillWait=30
MailProg=/bin/true
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/%n
SlurmdPidFile=$folder/%n.pid
SlurmdLogFile=$folder/%n.log
SlurmctldLogFile=$folder/slurmctld.log
SlurmctldPidFile=$folder/slurmctld.pid
SlurmctldPort=$port
SlurmdParameters=config_overrides
NodeName=n[1-$nodes] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + nodes))] CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
}

node_start() { # I
    slurmd -D -N "n$1" -f "$folder/slurm.conf" >"$folder/n$1.out" 2>&1 &
    node_pid[$1]=$!
    started+=("$!")
}

nodes_idle() {
    [ "$(sinfo -h -o %T 2>/dev/null | sort -u)" = idle ]
}

# Daemons of steps are no children of a node's daemon once that is gone: found by their name,
# which carries the job, and only those of this folder.
steps_pids() {
    local stat pid
    for stat in /proc/[0-9]*/cmdline; do
        pid=${stat#/proc/}
        pid=${pid%/cmdline}
        grep -qzF "slurmstepd: [" "$stat" 2>/dev/null || continue
        grep -qzF "SLURM_CONF=$folder/slurm.conf" "/proc/$pid/environ" 2>/dev/null || continue
        echo "$pid"
    done
}

no_jobs() {
    [ -z "$(squeue -h)" ]
}

slurm_stop() {
    scancel --signal=KILL --full -u root
    scancel -u root
    until_true 5 no_jobs
    kill "${started[@]}"
    # shellcheck disable=SC2046
    kill -KILL $(steps_pids)
    sleep 0.3
}

slurm_start() {
    local i
    mkdir -p "$folder/state"
    slurm_config
    export SLURM_CONF=$folder/slurm.conf
    at_the_end+=(slurm_stop)
    slurmctld -D -f "$SLURM_CONF" >"$folder/slurmctld.out" 2>&1 &
    started+=("$!")
    node_pid=()
    for ((i = 1; i <= nodes; i++)); do
        mkdir -p "$folder/n$i"
        node_start $i
    done
    until_true 40 nodes_idle || bad "four nodes are idle: $(sinfo 2>&1)"
}
