# Builds, and leaves a note of how that ended where no step can write.
enter_work "$folder" || exit 1
cat <&3 > "$work/Dockerfile" || exit 1
boxed "$build" < /dev/null 3<&-
echo $? > "$work/status.new" && mv "$work/status.new" "$work/status"
