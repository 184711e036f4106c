# Says what there is for builds, a line each: a word and a text.
echo "distribution ${WSL_DISTRO_NAME:-}"
echo "kernel $(uname -r)"
echo "machine $(uname -m)"
echo "user $(id -u)"
for tool in dd find mount sed setsid tar unshare; do
  command -v "$tool" > /dev/null || echo "missing $tool"
done
command -v buildah > /dev/null || exit 0
echo "buildah $(buildah --version 2>&1 | head -n 1)"
[ -e /proc/sys/fs/binfmt_misc/status ] && echo "formats yes"
for file in /proc/sys/fs/binfmt_misc/*; do
  case "${file##*/}" in register | status) continue ;; esac
  [ -e "$file" ] && echo "format $(tr '\n' '|' < "$file")"
done
[ "$(id -u)" = 0 ] || exit 0
begin_work trial > /dev/null 2>&1 || { echo "problem cannot make a folder in $place"; exit 0; }
trap 'end_work "$work"' EXIT
said=$(boxed true 2>&1 < /dev/null) || { echo "unboxed $said"; exit 0; }

# A build with one RUN that needs no image: the programs are this system's own.
true=/bin/true
[ -x "$true" ] || true=/usr/bin/true
mkdir "$work/context"
printf 'FROM scratch\nRUN ["%s"]\n' "$true" > "$work/context/Dockerfile"
limited='cd /sys/fs/cgroup && grep -qxs 67108864 memory.max memory/memory.limit_in_bytes'
limited="$limited && grep -qs ^50000 cpu.max cpu/cpu.cfs_quota_us"
volumes=
for folder in /usr /bin /lib /lib64 /nix; do
  [ -d "$folder" ] && volumes="$volumes --volume $folder:$folder:ro"
done
for driver in overlay vfs; do
  storage="buildah --root '$work/root-$driver' --runroot '$work/run-$driver' --storage-driver=$driver"
  if ! said=$(boxed "$storage from --pull=never scratch" 2>&1 < /dev/null); then
    echo "problem storage driver $driver: $(echo "$said" | tail -n 1)"
    continue
  fi
  echo "driver $driver"
  for isolation in oci chroot; do
    flags="--no-cache --force-rm --pull=never --network=host --isolation $isolation"
    [ "$isolation" = oci ] && flags="$flags --runtime-flag root=$work/tmp/runtime --cgroup-parent /polyarch-trial"
    if said=$(boxed "$storage build $flags $volumes '$work/context'" 2>&1 < /dev/null); then
      echo "isolation $isolation"
      [ "$isolation" = oci ] || break
      # A runtime that cannot set limits may say nothing of it, so the step looks for them itself.
      printf 'FROM scratch\nRUN ["/bin/sh", "-c", "%s"]\n' "$limited" > "$work/context/Dockerfile"
      flags="$flags --memory=67108864 --cpu-quota=50000 --cpu-period=100000"
      boxed "$storage build $flags $volumes '$work/context'" > /dev/null 2>&1 < /dev/null && echo "limits yes"
      break
    fi
    reason=$(echo "$said" | sed -n 's/^error running container: //p' | head -n 1)
    echo "problem isolation $isolation: ${reason:-$(echo "$said" | tail -n 1)}"
  done
  break
done
