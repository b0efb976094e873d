#!/bin/sh
# Starts SeaweedFS with three accounts: the root's, and one each for MLflow and the workers that reads and writes its own
# bucket and nothing else. Only the S3 port is open to other containers.
set -eu
umask 077

account() { # NAME KEY SECRET ACTIONS
    printf '{"name": "%s", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": [%s]}' "$1" "$2" "$3" "$4"
}
own() { # BUCKET
    printf '"Read:%s", "Write:%s", "List:%s", "Tagging:%s"' "$1" "$1" "$1" "$1"
}
{
    printf '{"identities": [\n'
    account root "$S3_ROOT_KEY" "$S3_ROOT_SECRET" '"Admin", "Read", "Write", "List", "Tagging"'
    printf ',\n'
    account mlflow "$S3_MLFLOW_KEY" "$S3_MLFLOW_SECRET" "$(own mlflow)"
    printf ',\n'
    account worker "$S3_WORKER_KEY" "$S3_WORKER_SECRET" "$(own trackyard)"
    printf '\n]}\n'
} > /tmp/s3.json

# A pause for the last volume heartbeat would only make a stop slower. The number of volumes is no measure of the disk:
# each bucket takes seven at once, which have no size until they are filled. Waiting for another master would take each
# start but the first 10 to 20 s.
exec weed -logtostderr server -dir=/data -ip=127.0.0.1 -ip.bind=127.0.0.1 -filer=true -filer.localSocket=/tmp/filer.sock \
    -s3=true -s3.ip.bind=0.0.0.0 -s3.port=9000 -s3.port.iceberg=0 -s3.port.lance=0 -s3.autoCreateBucket=false -s3.allowDeleteBucketNotEmpty=false \
    -s3.config=/tmp/s3.json -master.telemetry=false -master.electionTimeout=1s -master.volumeSizeLimitMB=1024 \
    -volume.max=10000 -volume.minFreeSpace=100MiB -volume.preStopSeconds=0
