FROM busybox
ENV A=1
LABEL a=1 b=1
EXPOSE 80
VOLUME /v
USER app
WORKDIR /srv
STOPSIGNAL SIGINT
SHELL ["/bin/sh", "-e", "-c"]
ENTRYPOINT ["/e"]
CMD ["c"]
