FROM busybox
WORKDIR /app
ONBUILD COPY a.txt .
