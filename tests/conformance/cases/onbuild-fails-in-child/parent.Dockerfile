FROM busybox
ONBUILD RUN exit 5
