FROM busybox
ONBUILD ARG V=default
ONBUILD RUN echo $V > /v
