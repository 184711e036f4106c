# Holds a work folder for as long as 3 is open.
trap '' HUP INT TERM PIPE
begin_work "$id" || exit 1
echo "folder $work"
cat <&3 > /dev/null
end_work "$work" && echo gone
