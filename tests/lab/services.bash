# services.bash - real servers beside mail's, for what tlscheck says of them: Dovecot (IMAP, POP3, ManageSieve,
# LMTP) and OpenLDAP.  Sourced after lab.bash; README.md says how they are called.
# shellcheck shell=bash

# The folder of what deps unpacked, where the system has no such program; else nothing.
services_root()
{
	command -v "$1" >/dev/null 2>&1 || echo "$lab_top/.peers"
}

# ADDR PORT: whether somebody listens there.
services_listens()
{
	(: < "/dev/tcp/$1/$2") 2>/dev/null
}

# ADDR CERT [ALTCERT]: what Dovecot reads; certificates are folders.
services_dovecot_conf()
{
	local certs
	certs="ssl_cert = <$2/fullchain.pem
ssl_key = <$2/key.pem"
	cat "$2/cert.pem" "$2/chain.pem" > "$2/fullchain.pem" 2>/dev/null || cp "$2/cert.pem" "$2/fullchain.pem"
	[ $# -lt 3 ] || certs="$certs
ssl_alt_cert = <$3/cert.pem
ssl_alt_key = <$3/key.pem"
	cat <<-EOC
		base_dir = $LAB_DIR/dovecot/base
		state_dir = $LAB_DIR/dovecot/base
		log_path = /dev/stderr
		default_internal_user = root
		default_internal_group = root
		default_login_user = nobody
		protocols = imap pop3 lmtp sieve
		ssl = yes
		$certs
		ssl_min_protocol = TLSv1.2
		listen = $1
		passdb {
		  driver = static
		  args = password=x
		}
		service anvil {
		  chroot =
		}
		service stats {
		  chroot =
		}
		service imap-login {
		  chroot =
		  inet_listener imap {
		    port = $LAB_IMAP
		  }
		  inet_listener imaps {
		    port = $LAB_IMAPS
		  }
		}
		service pop3-login {
		  chroot =
		  inet_listener pop3 {
		    port = $LAB_POP3
		  }
		  inet_listener pop3s {
		    port = 0
		  }
		}
		service managesieve-login {
		  chroot =
		  inet_listener sieve {
		    port = $LAB_SIEVE
		  }
		}
		service lmtp {
		  inet_listener lmtp {
		    port = $LAB_LMTP
		  }
		}
	EOC
}

# Dovecot has its own folders compiled in: where it was unpacked only, /usr is laid over for it alone.
services_dovecot()
{
	local root
	root=$(services_root dovecot)
	[ -n "$root" ] || exec dovecot -F -c "$1"
	exec unshare -m sh -c 'mount -t overlay -o "lowerdir=$1/usr:/usr" overlay /usr && exec dovecot -F -c "$2"' \
	    sh "$root" "$1"
}

# ADDR CERT [ALTCERT]: Dovecot there, with certificates of folders.
lab_dovecot()
{
	# shellcheck disable=SC2153 # LAB_PORT is lab.bash's
	export LAB_IMAP=$((LAB_PORT + 1)) LAB_IMAPS=$((LAB_PORT + 2)) LAB_POP3=$((LAB_PORT + 3)) \
	    LAB_SIEVE=$((LAB_PORT + 4)) LAB_LMTP=$((LAB_PORT + 5))
	mkdir -p "$LAB_DIR/dovecot/base"
	chmod 755 "$LAB_DIR" "$LAB_DIR/dovecot" "$LAB_DIR/dovecot/base"
	services_dovecot_conf "$@" > "$LAB_DIR/dovecot/conf"
	lab_spawn dovecot services_dovecot "$LAB_DIR/dovecot/conf"
	lab_await dovecot services_listens "$1" "$LAB_LMTP"
}

# ADDR CERT CA [never|try|demand]: slapd there; the last says whether it asks clients for a certificate.
lab_slapd()
{
	export LAB_LDAP=$((LAB_PORT + 6)) LAB_LDAPS=$((LAB_PORT + 7))
	mkdir -p "$LAB_DIR/slapd"
	cat > "$LAB_DIR/slapd/conf" <<-EOC
		pidfile $LAB_DIR/slapd/pid
		argsfile $LAB_DIR/slapd/args
		TLSCertificateFile $2/cert.pem
		TLSCertificateKeyFile $2/key.pem
		TLSCACertificateFile $3
		TLSVerifyClient ${4:-never}
	EOC
	lab_spawn slapd "$lab_here/run-peer" slapd -d 0 -h "ldap://$1:$LAB_LDAP ldaps://$1:$LAB_LDAPS" \
	    -f "$LAB_DIR/slapd/conf"
	lab_await slapd services_listens "$1" "$LAB_LDAP"
}

lab_slapd_stop()
{
	lab_end slapd
}

# ADDR PORT [WORDS…]: a server that reads a line, then says the next word (with \r\n and the like), for each; its
# first word is the greeting.  One connection after the other.
lab_scripted()
{
	lab_spawn "scripted-$2" python3 "$lab_here/scripted" "$@"
	lab_await "scripted-$2" services_listens "$1" "$2"
}

# exim|opensmtpd ADDR CERTFOLDER: that one, real, is the MX there.
lab_mta()
{
	lab_take "$2" || return 1
	mkdir -p "$LAB_DIR/$1"
	lab_spawn "$1" "$lab_here/mta" "$1" "$LAB_DIR/$1" "$2" "$LAB_PORT" "$3"
	lab_await "$1" services_listens "$2" "$LAB_PORT"
}

# exim|opensmtpd: what it has taken.
lab_mta_mail()
{
	cat "$LAB_DIR/$1/mail/all" 2>/dev/null
}
