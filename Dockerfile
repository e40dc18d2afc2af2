# docker build -t pg2 . && docker run --rm -p 8888:8888 -v pg2-runs:/pg2/runs pg2
# That is the CPU build of torch. With CUDA: --build-arg BUILD=cuda, and docker run --gpus all.
FROM python:3.11.7-slim-bookworm
ARG BUILD=cpu
WORKDIR /pg2
COPY requirements.lock tools/lock.py ./
RUN if [ "$BUILD" = cpu ]; then python lock.py cpu; else cat requirements.lock; fi > /tmp/locked.txt \
    && pip install --no-cache-dir --no-deps --require-hashes -r /tmp/locked.txt \
    && if [ "$BUILD" = cpu ]; then pip install --no-cache-dir --no-deps \
        --index-url https://download.pytorch.org/whl/cpu $(python lock.py torch); fi
# For the dev container, which has a checkout with its history mounted at /pg2.
RUN apt-get -q update && apt-get -q install -y --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN pip install --no-cache-dir --no-deps -e . \
    && mkdir -p runs && useradd --create-home --uid 1000 pg2 && chown -R pg2 /pg2
USER pg2
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "notebooks"]
