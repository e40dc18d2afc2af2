# docker build -t pg2 . && docker run --rm -p 8888:8888 pg2            the CPU build of torch
# docker build -t pg2 --build-arg BUILD=cuda . && docker run --rm --gpus all -p 8888:8888 pg2
FROM python:3.11.7-slim-bookworm
ARG BUILD=cpu
WORKDIR /pg2
COPY requirements.lock tools/lock.py ./
RUN if [ "$BUILD" = cpu ]; then python lock.py cpu; else cat requirements.lock; fi > /tmp/locked.txt \
    && pip install --no-cache-dir --no-deps --require-hashes -r /tmp/locked.txt \
    && if [ "$BUILD" = cpu ]; then pip install --no-cache-dir --no-deps \
        --index-url https://download.pytorch.org/whl/cpu $(python lock.py torch); fi
COPY . .
RUN pip install --no-cache-dir --no-deps -e . \
    && useradd --create-home --uid 1000 pg2 && chown -R pg2 /pg2
USER pg2
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "notebooks"]
