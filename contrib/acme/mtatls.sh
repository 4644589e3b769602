#!/usr/bin/env sh
# A deploy hook for acme.sh, which reads it from its own folder deploy/:
#	acme.sh --deploy -d DOMAIN --deploy-hook mtatls
# It calls the function with domain, key, certificate, CA and full chain, each a file.

mtatls_deploy()
{
	"${MTATLS_DEPLOY:-/usr/local/share/mtatls/acme/mtatls-deploy}" "$1" "$2" "$5"
}
