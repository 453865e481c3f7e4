#!/usr/bin/env bash
# Signs drivers with a key that is thrown away: real Authenticode signatures by another hand than ours. Those who change
# them need the tools:
#
#     apt install openssl osslsigncode
#
# The key and its certificate are new each time, so the files are never the same twice.
set -euo pipefail
cd "$(dirname "$0")"

key=$(mktemp -d)
trap 'rm -rf "$key"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -days 36500 -subj "/CN=Callboard test" -addext extendedKeyUsage=codeSigning \
    -keyout "$key/key.pem" -out "$key/certificate.pem" 2>/dev/null

sign() { # FROM TO DIGEST
    rm -f "$2"
    osslsigncode sign -h "$3" -certs "$key/certificate.pem" -key "$key/key.pem" -in "$1" -out "$2" >/dev/null
}
sign mingw.sys signed-sha1.sys sha1
sign msvc.sys signed.sys sha256
sign ../../../../drivers/bin/minimal.sys signed-minimal.sys sha256
