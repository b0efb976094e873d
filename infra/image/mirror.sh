# Read by the build's steps that install: a mirror's certificate authority and address, which count during the build
# alone; nothing of them reaches the image.
# shellcheck shell=sh
for ca in /run/secrets/ca /build/extra-ca.pem; do
    if [ -s "$ca" ]; then
        export PIP_CERT="$ca" SSL_CERT_FILE="$ca" REQUESTS_CA_BUNDLE="$ca"
    fi
done
if [ -s /run/secrets/index_url ]; then
    PIP_INDEX_URL="$(cat /run/secrets/index_url)"
fi
if [ -n "${PIP_INDEX_URL:-}" ]; then
    export PIP_INDEX_URL UV_DEFAULT_INDEX="$PIP_INDEX_URL"
else
    unset PIP_INDEX_URL
fi
