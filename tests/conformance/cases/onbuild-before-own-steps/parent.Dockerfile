FROM busybox
ONBUILD RUN echo trigger >> /order
