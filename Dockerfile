# The project with its environment from the lock, ready for `make repro`:
#     docker build --tag offset-autoencoder .
#     docker run --rm --volume "$PWD/out:/project/reports" offset-autoencoder
FROM python:3.13-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /project

# The environment first: an edit of the source leaves this layer as it is.
COPY requirements.lock ./
RUN python -m venv .venv \
    && .venv/bin/python -m pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY . .
RUN .venv/bin/python -m pip install --no-cache-dir --no-build-isolation --no-deps --editable . \
    && touch .venv/bin/.installed \
    && git init --quiet

CMD ["make", "repro"]
