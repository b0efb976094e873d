#!/bin/sh
# The bucket job for Silo and MinIO: two buckets, and for each a key that reads and writes it and nothing else. Running it
# again changes nothing but secrets that changed. Their images have little more than a shell and mc, so no other program
# is used; and no secret is an argument, which the whole machine could read in the process list.
set -eu
export MC_CONFIG_DIR=/tmp/mc MC_HOST_s3="http://$S3_ROOT_KEY:$S3_ROOT_SECRET@${S3_ENDPOINT#http://}"

give() { # BUCKET KEY SECRET
    mc mb --quiet --ignore-existing "s3/$1"
    printf '%s\n' '{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
   "Resource": ["arn:aws:s3:::'"$1"'"]},
  {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
   "s3:ListMultipartUploadParts"], "Resource": ["arn:aws:s3:::'"$1"'/*"]}]}' > "/tmp/$1.json"
    printf '%s\n%s\n' "$2" "$3" | mc admin user add s3 >/dev/null
    mc admin policy create s3 "only-$1" "/tmp/$1.json" >/dev/null
    # It fails where the policy is attached already; whether the user has it in the end is what counts.
    mc admin policy attach s3 "only-$1" --user "$2" >/dev/null 2>&1 || true
    case "$(mc admin user info s3 "$2")" in
        *"only-$1"*) echo "trackyard: bucket $1 has its key" ;;
        *) echo "trackyard: the store did not give the key of bucket $1 its policy" >&2; exit 1 ;;
    esac
}

give "$S3_MLFLOW_BUCKET" "$S3_MLFLOW_KEY" "$S3_MLFLOW_SECRET"
give "$S3_WORKER_BUCKET" "$S3_WORKER_KEY" "$S3_WORKER_SECRET"
