# An image that runs gptflow as a user without rights, for work pools and compose.yaml:
#   docker build --build-arg COMMIT="$(git rev-parse HEAD)" --tag gptflow .
# On machines without a GPU, TORCH_INDEX with the URL of PyTorch's CPU builds saves gigabytes.
FROM python:3.11-slim

ARG EXTRAS=server,lora
ARG TORCH_INDEX=""

RUN useradd --system --uid 10001 --create-home gptflow && install -d -o gptflow /data
WORKDIR /opt/gptflow

# The modules are compiled here, because the user of the image cannot write them later.
ENV PYTHONDONTWRITEBYTECODE=1
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY .ci/install.py .ci/hashes.txt .ci/
RUN python -m venv .venv \
    && if [ -n "$TORCH_INDEX" ]; then \
        awk '/^torch==/ {found = 1} found {print} found && !/\\$/ {exit}' .ci/hashes.txt > /tmp/torch.txt \
        && .venv/bin/pip install --no-cache-dir --require-hashes --no-deps \
            --index-url "$TORCH_INDEX" --requirement /tmp/torch.txt; \
    fi
COPY gpt_core gpt_core
COPY tasks tasks
COPY flows flows
COPY mlflow mlflow
COPY data data
RUN UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1 .venv/bin/python .ci/install.py "$EXTRAS"

ARG COMMIT=""
ENV GPTFLOW_COMMIT=$COMMIT \
    GPTFLOW_HOME=/data \
    GIT_PYTHON_REFRESH=quiet \
    PATH=/opt/gptflow/.venv/bin:$PATH
USER 10001
WORKDIR /data
VOLUME /data
CMD ["gptflow", "--help"]
