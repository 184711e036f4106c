# What every script needs. Standard input is the script itself; what it works on comes on 3.
set -u
umask 077
place="$HOME/.cache/polyarch-builds"

# When a process began, in ticks since the machine did: with its number it means one process for ever. Fails for one that
# is gone, or waits for nothing but to be asked how it ended.
began() {
  stat=$(cat "/proc/$1/stat" 2> /dev/null) || return 1
  set -- ${stat##*) }
  case "$1" in Z | X) return 1 ;; esac
  echo "${20}"
}

# The first processes of the namespaces that were made for a work folder and are there still, one a line. The kernel lets
# none of them go before everything else in its namespace has gone. Namespaces have numbers too, but those are used again.
inhabitants() {
  for file in "$1"/runs/*.first; do
    read -r first start 2> /dev/null < "$file" || continue
    [ "$(began "$first")" = "$start" ] && echo "$first"
  done
}

# Ends everything that works in a folder, and removes it. Nothing is asked to end first: whatever a build could put in
# order is removed with the folder.
end_work() {
  rm -f "$1/open"
  for run in "$1"/runs/[0-9]*-[0-9]*; do
    [ -e "$run" ] || continue
    name=${run##*/}
    [ "$(began "${name%-*}")" = "${name#*-}" ] && kill -KILL -- "-${name%-*}" 2> /dev/null
  done
  waits=0
  while found=$(inhabitants "$1"); [ -n "$found" ]; do
    [ "$waits" -lt 400 ] || return 1
    waits=$((waits + 1))
    kill -KILL $found 2> /dev/null
    sleep 0.05
  done
  group=${1##*/}
  group=${group%-*-*}
  for top in /sys/fs/cgroup "/sys/fs/cgroup"/*; do
    [ -d "$top/$group" ] && find "$top/$group" -depth -type d -exec rmdir {} + 2> /dev/null
  done
  # A process that was killed outside the namespaces may have written until just now.
  rm -rf -- "$1" 2> /dev/null || { sleep 0.2; rm -rf -- "$1"; }
  [ ! -e "$1" ]
}

# Ends the work of those who are gone and could not do it themselves.
sweep() {
  for old in "$place"/polyarch-*-[0-9]*-[0-9]*; do
    [ -d "$old" ] && [ ! -L "$old" ] || continue
    keeper=${old%-*}
    [ "$(began "${keeper##*-}")" = "${old##*-}" ] || end_work "$old"
  done
}

# Makes a work folder that is this process's for as long as it lives.
begin_work() {
  mkdir -p "$place" && sweep
  work="$place/polyarch-$1-$$-$(began $$)"
  mkdir "$work" "$work/runs" "$work/tmp" && : > "$work/open"
}

# Enters a work folder that somebody holds. Whoever ends the work sees this process, or this process sees that it ended.
enter_work() {
  work=$1
  : > "$work/runs/$$-$(began $$)" && [ -e "$work/open" ] && cd "$work"
}

# Runs a script, with what follows as its arguments, in a pid and mount namespace of its own, which takes all of it along
# when it ends.
boxed() {
  script=$1
  shift
  unshare --mount --pid --fork --kill-child=KILL sh -c "
    # Its number for those outside, as long as it sees what they see.
    read -r stat < /proc/self/stat
    first=\${stat%% *}
    set -f
    (set -- \${stat##*) }; echo \"\$first \${20}\") > '$work/runs/$$.first'
    set +f
    mount -t proc proc /proc
    # crun refuses machines with version 1 and 2 of control groups at once. Without sight of the second it uses the first.
    [ -d /sys/fs/cgroup/unified ] && mount -t tmpfs -o ro none /sys/fs/cgroup/unified
    export TMPDIR='$work/tmp' XDG_RUNTIME_DIR='$work/tmp'
    $script" sh "$@"
}

