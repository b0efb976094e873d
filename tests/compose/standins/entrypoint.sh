#!/bin/sh
# Becomes the server whose command this container was given: `postgres ...`, `server /data` (Silo, MinIO), none (Mailpit), or
# any command line (Redis, SeaweedFS, Caddy).
set -eu

start_postgres() {
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        # Official images answer on the socket alone until they are ready, and so does this.
        printf '%s' "$POSTGRES_PASSWORD" > /tmp/pw
        initdb -D "$PGDATA" -U postgres --pwfile=/tmp/pw --auth-local=trust --auth-host=scram-sha-256 -E UTF8 \
            --locale=C >/dev/null
        rm /tmp/pw
        echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    fi
    exec "$@" -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp
}

start_s3() {
    address="$(hostname -i | awk '{print $1}')"
    weed -logtostderr server -dir="$2" -ip="$address" -ip.bind=0.0.0.0 -filer=true -filer.localSocket=/tmp/f.sock \
        -master.telemetry=false -master.volumeSizeLimitMB=64 -volume.max=0 -volume.preStopSeconds=0 &
    # The root's account, as soon as there is somewhere to keep it; the S3 port opens once the accounts are known.
    until echo "s3.configure -user root -access_key $MINIO_ROOT_USER -secret_key $MINIO_ROOT_PASSWORD \
-actions Admin -apply" | timeout 10 weed shell -master="$address:9333" -filer="$address:8888" >/tmp/configure.log 2>&1 \
        && grep -q "$MINIO_ROOT_USER" /tmp/configure.log; do
        sleep 0.3
    done
    touch /tmp/ready
    exec weed -logtostderr s3 -filer="$address:8888" -ip.bind=0.0.0.0 -port=9000 -port.iceberg=0 -port.lance=0 \
        -autoCreateBucket=false
}

case "${1:-}" in
    postgres) start_postgres "$@" ;;
    server) start_s3 "$@" ;;
    "") exec python3 /mail_server.py ;;
    *) exec "$@" ;;
esac
