FROM busybox
ONBUILD RUN echo t > /trigger
