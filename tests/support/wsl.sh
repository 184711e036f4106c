#!/bin/sh
# Stands in for wsl.exe: takes the arguments that it documents and no others, and says what it says itself in UTF-16.
mode='@MODE@'
words='@WORDS@'
wide() {
  printf '%s\r\n' "$1" | iconv -f UTF-8 -t UTF-16LE
}
wrong() {
  wide "Invalid command line argument: $1"
  exit 255
}
[ "${WSLENV-unset}" = "" ] || wrong WSLENV
[ "$mode" = refuses ] && { wide "$words"; exit 255; }
if [ "${1-}" = --list ]; then
  [ "$#" = 2 ] && [ "$2" = --quiet ] || wrong "$*"
  if [ "$mode" = empty ]; then
    wide 'Error code: Wsl/WSL_E_DEFAULT_DISTRO_NOT_FOUND'
    exit 255
  fi
  wide 'My Linux'
  wide 'Other'
  exit 0
fi
name='My Linux'
if [ "${1-}" = -d ]; then
  name=$2
  shift 2
fi
case "$name" in
  'My Linux' | Other) ;;
  *) wide 'Error code: Wsl/Service/WSL_E_DISTRO_NOT_FOUND'; exit 255 ;;
esac
[ "${1-}" = -u ] && [ "${2-}" = root ] && [ "${3-}" = --cd ] && [ "${4-}" = / ] && [ "${5-}" = --exec ] || wrong "$*"
shift 5
[ "$#" -gt 0 ] || wrong 'nothing to execute'
# What quotes, variables and ends of lines become on the way through Windows nobody should have to know.
for argument; do
  case "$argument" in
    *[!A-Za-z0-9\ ./=:_\;\<\>\&\|-]*) wrong "$argument" ;;
  esac
done
cd / || exit 255
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
for argument; do
  shift
  [ "$argument" = HOME=/root ] && argument='HOME=@HOME@'
  set -- "$@" "$argument"
done
# The probe, the hold, what is put in, the build, and what is got out.
echo call >> "$0.calls"
call="$mode $(wc -l < "$0.calls" | tr -d ' ')"
if [ "$call" = 'dies 4' ]; then
  # What runs in a distribution does not end with wsl.exe, whose own standard streams do.
  env -i "PATH=$PATH" "WSL_DISTRO_NAME=$name" "$@" 3<&0 <&3 > /dev/null 2>&1 &
  sleep 2
  wide 'The connection was lost. Error code: Wsl/Service/E_UNEXPECTED'
  exit 255
fi
if [ "$call" = 'deaf 2' ]; then
  mkfifo "$0.in" "$0.out"
  sleep 60 > "$0.in" &
  env -i "PATH=$PATH" "WSL_DISTRO_NAME=$name" "$@" < "$0.in" > "$0.out" 2> /dev/null &
  cat "$0.out" &
  out=$!
  cat > "$0.in"
  kill "$out"
  exit 255
fi
# Nothing of the environment reaches the distribution but what it sets itself.
exec env -i "PATH=$PATH" "WSL_DISTRO_NAME=$name" "$@"
