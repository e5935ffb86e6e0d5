# One image for the API, the worker, retention and the migration job; the command decides which.
FROM python:3.11.14-slim-trixie AS build
WORKDIR /build
COPY requirements-uv.txt requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements-uv.txt \
 && python -m venv /venv \
 && uv pip install --no-cache --compile-bytecode --python /venv/bin/python --require-hashes -r requirements.txt

FROM python:3.11.14-slim-trixie
RUN useradd --system --uid 10001 --no-create-home journeys
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=build /venv /venv
COPY . .
USER journeys
EXPOSE 8000
CMD ["python", "-m", "cli", "serve", "--host", "0.0.0.0", "--port", "8000"]
