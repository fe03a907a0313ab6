# The demo and the tests on a bare Debian 12, with the commands of the README.
#   docker build --tag eva-sim .
#   docker run --rm eva-sim ./run test

FROM debian:12 AS system
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates git python3.11 python3.11-venv \
        libegl1 libgl1 libgles2 libglib2.0-0 libxrender1 \
        gcc-avr avr-libc libsimavr-dev libelf-dev gcc make libc6-dev \
        chromium \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home eva
USER eva

FROM system
WORKDIR /home/eva/eva-sim
COPY --chown=eva:eva . .
RUN ./run setup
CMD ["./run", "demo"]
