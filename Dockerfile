# recolor in a container, for NVIDIA cards (default) or for processors only.
#   docker build -t recolor .                                      torch with CUDA, about 9 GB
#   docker build -t recolor --build-arg TORCH_INDEX=ADDRESS .      ADDRESS: a package index with torch for
#                                                                  processors only; about 1.5 GB
#   docker run --rm [--gpus all] -v "$PWD/photos:/photos:ro" -v "$PWD/colored:/colored" \
#       --user "$(id -u):$(id -g)" recolor colorize /photos -o /colored
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/recolor
ENV PATH=/opt/recolor/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Packages first, so that a change in the code alone does not download them again.
ARG TORCH_INDEX=""
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb')); \
        print(*p['project']['dependencies'], sep='\n')" > requirements.txt \
    && PIP_EXTRA_INDEX_URL="$TORCH_INDEX" pip install -c constraints.txt -r requirements.txt
# For the compiled part of the merge; the image below has no compiler.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY README.md LICENSE weights.json hatch_build.py ./
COPY recolor_cli recolor_cli
RUN pip install --no-deps .

FROM python:3.11-slim
COPY --from=build /opt/recolor /opt/recolor
ENV PATH=/opt/recolor/bin:$PATH HF_HOME=/tmp/huggingface
WORKDIR /work
USER 1000
ENTRYPOINT ["recolor"]
CMD ["--help"]
