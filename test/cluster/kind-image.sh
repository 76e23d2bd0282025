#!/bin/sh
# kind-image.sh NAME:TAG DIR [flags of docker build]: builds a Dockerfile and loads the image into the kind cluster.
set -eu
tag=$1 directory=$2
shift 2
docker build --quiet --tag "$tag" "$@" "$directory"
kind load docker-image "$tag"
