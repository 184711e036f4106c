# Takes an archive with everything that a build needs, and brings its base images into the storage.
enter_work "$folder" || exit 1
tar -xpf - -C "$work" <&3 || exit 1
boxed "$pulls" < /dev/null 3<&- || exit 1
echo done
