#!/bin/sh
# Makes the secrets of docker-compose.yml, each in a file: compose/make-secrets.sh FOLDER
#
# What is there is left as it is. The folder itself is closed to everybody else on this machine; the files in it are open,
# because each is read in a container whose user has another number. A container sees only its own part of the folder.
set -eu
folder=${1:?name the folder that is to hold the secrets}
umask 022
mkdir -p "$folder"
chmod 700 "$folder"

keep() {
    mkdir -p "$folder/${1%/*}"
    [ -e "$folder/$1" ] || printf '%s\n' "$2" >"$folder/$1"
}

random() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

# The superuser, the owner of the tables and the application each have a password.
keep postgres/superuser_password "$(random)"
keep postgres/owner_password "$(random)"
keep postgres/application_password "$(random)"
keep owner/database_url "postgresql://journeys:$(cat "$folder/postgres/owner_password")@postgres:5432/journeys"
keep app/database_url "postgresql://journeys_app:$(cat "$folder/postgres/application_password")@postgres:5432/journeys"
keep app/link_secrets "$(random)"
for gateway in sms push whatsapp telegram viber; do
    keep "app/${gateway}_webhook_secret" "whsec_$(head -c 32 /dev/urandom | base64 | tr -d '\n')"
done
keep temporal/postgres_password "$(random)"
