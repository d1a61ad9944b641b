# One image for all uses: `docker run -p 80:8080 -v banners:/data IMAGE` serves everything with its own
# PostgreSQL; `api`, `renderer`, `storage`, `migrate` and the other commands are run as `IMAGE COMMAND`.

FROM python:3.13-slim-bookworm AS build
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements-otel.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --quiet --require-hashes -r requirements-otel.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --quiet --no-deps --no-build-isolation . \
    # Build tools are not needed at run time.
    && pip uninstall --quiet --yes hatchling hatch-fancy-pypi-readme editables pathspec trove-classifiers pluggy \
    && rm -rf /venv/lib/python3.13/site-packages/pip /venv/lib/python3.13/site-packages/pip-*

FROM python:3.13-slim-bookworm
COPY --from=build /venv /venv
RUN useradd --system --uid 10001 --user-group --home-dir /data --shell /usr/sbin/nologin banners \
    && install -d -o banners -g banners /data /data/banners
USER 10001:10001
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    DATA_DIR=/data \
    BANNERS_STORAGE_URL=file:///data/banners
EXPOSE 8080
# For `serve` and `api`; compose has its own for each service.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:%s/healthz' % os.environ.get('PORT', 8080), timeout=2)"]
ENTRYPOINT ["github-banners"]
CMD ["serve"]
