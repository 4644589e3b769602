#!/usr/bin/env bats
# What the manual pages say and what the programs do: options, keywords, log lines, examples.

bats_require_minimum_version 1.5.0

setup()
{
	ROOT=$BATS_TEST_DIRNAME/..
	BIN=${BIN:-$ROOT/bin}
	MAN=$ROOT/man
	PATH=$BIN:$PATH
	cd "$BATS_TEST_TMPDIR" || return
}

teardown()
{
	# A process that is left would keep bats waiting.
	[ -z "${relay:-}" ] || { kill "$relay" && wait "$relay"; } 2>/dev/null || :
	[ -z "${home:-}" ] || rm -rf "$home"
}

# PAGE NUMBER: that literal block of it.
block()
{
	awk -v n="$2" '/^\.Bd -literal/ { i++; on = i == n; next } /^\.Ed/ { on = 0 } on' "$MAN/$1"
}

# The options that begin a line of standard input, INDENT spaces or more into it; one a line.
options_of()
{
	sed -nE "s/^ {$1,}(-[A-Za-z-])/\1/p" | sed 's/  .*//' | grep -oE -- '(^|[ ,])--?[A-Za-z][A-Za-z-]*' |
	    tr -d ' ,' | sort -u
}

# PAGE WIDTH: as plain text.
plain()
{
	mandoc -T ascii -O width="$2" "$MAN/$1" | sed 's/.\x08//g'
}

same_options()
{
	local page=$1
	diff <("$BIN/${page%.*}" -h | options_of 2) <(plain "$page" 200 | options_of 5)
}

@test "usage and page have the same options" {
	for page in mkcert.1 tlsa-gen.1 tlscheck.1 relayq.1 smtp-relay.8; do
		[ "$("$BIN/${page%.*}" -h | options_of 2 | wc -l)" -ge 4 ]
		same_options $page || { echo "$page: < usage, > page"; return 1; }
	done
}

# The configuration of the page, with users and folders of this machine; and the identity that it names.
settle_conf()
{
	block smtp-relay.conf.5 "$1" | sed "s/_mtatlsq/daemon/; s/_mtatls/nobody/
	    s|/path/root.key|/usr/share/dns/root.key|; s|/etc/mtatls|$PWD/state|; s|^hostname.*|&\ndir $PWD/state|" | awk '!($1 == "dir" && seen++)' > conf
	mkcert -d state "$2" > /dev/null
}

@test "the first example of smtp-relay.conf(5)" {
	settle_conf 1 relay.example
	run --separate-stderr smtp-relay -n -c conf
	[ "$status" -eq 0 ] || { echo "$stderr"; cat conf; return 1; }
	[ -z "$stderr" ]
	diff - <(echo "$output") <<- END
		host name relay.example, identities in $PWD/state/certs, spool /var/spool/smtp-relay, 2 workers
		users nobody, and daemon for the queue
		messages of at most 52428800 octets
		tried again after 5m, then at most every 4h, for 5d, and mail from <> for 2d
		senders are told after 4h that a message waits
		resolver 127.0.0.1@5353, anchor /usr/share/dns/root.key, hosts of MX asked at port 25
		listener in on 127.0.0.1@2525: public, tls preferred, certificate relay.example, 1000 sessions, backlog 511, client-concurrency 100
		    takes mail for relay.example
		    hosts 127.0.0.0/8: relay
		destination default: tls preferred, dane opportunistic
		destination strict.test: tls required, dane mandatory
		route near.test: 127.0.0.1@2626
	END
}

@test "the second example of smtp-relay.conf(5)" {
	settle_conf 2 mx.relay.example
	run --separate-stderr smtp-relay -n -c conf
	[ "$status" -eq 0 ] || { echo "$stderr"; cat conf; return 1; }
	[ -z "$stderr" ]
	diff - <(echo "$output") <<- END
		host name mx.relay.example, identities in $PWD/state/certs, spool /var/spool/smtp-relay, 4 workers
		users nobody, and daemon for the queue
		messages of at most 104857600 octets
		tried again after 5m, then at most every 4h, for 5d, and mail from <> for 2d
		senders are told after 4h that a message waits
		limits: client-concurrency 50, message-rate 600/1h
		resolver of /etc/resolv.conf, anchor /usr/share/dns/root.key, hosts of MX asked at port 25
		listener mx on 203.0.113.1@25: public, tls preferred, certificate mx.relay.example, 1000 sessions, backlog 511
		    takes mail for relay.example
		    takes mail for .relay.example
		    hosts 198.51.100.0/24: tcprefuse
		    hosts .dialup.example: reject, text "Please use your provider's relay"
		    hosts mx2.relay.example: relay, tls required, message-rate none
		listener out on 10.0.0.1@25: private, tls required, certificate mx.relay.example, 1000 sessions, backlog 511
		    hosts 10.0.0.0/16: relay
		    hosts 10.0.99.0/24: reject
		    all other hosts: reject
	END
}

@test "the example of routes of smtp-relay.conf(5)" {
	settle_conf 6 mx.relay.example
	cat >> conf <<- END
		hostname mx.relay.example
		dir $PWD/state
		user nobody
		queue-user daemon
		listen in 127.0.0.1@2525 type private
		hosts in 127.0.0.1 relay
	END
	(umask 077; echo 'provider user@provider.example password' > state/smtp-relay.credentials)
	run --separate-stderr smtp-relay -n -c conf
	[ "$status" -eq 0 ] || { echo "$stderr"; cat conf; return 1; }
	[ -z "$stderr" ]
	diff - <(sed -n '/^credentials/,$p' <<< "$output") <<- END
		credentials in $PWD/state/smtp-relay.credentials
		destination .partner.example: tls required-verify, dane opportunistic, cert mx.relay.example, concurrency 50
		destination slow.example: tls preferred, dane opportunistic, bind-address 203.0.113.9, message-rate 100/1h, max-messages 10
		route relay.example: unix:/var/run/dovecot/lmtp, protocol lmtp
		route .partner.example: gw1.partner.example@25, gw2.partner.example@25
		route default: smtp.provider.example@465, protocol smtps, credentials provider
	END
}

@test "the keywords of the program are those of smtp-relay.conf(5)" {
	cat "$ROOT"/common/conf.c "$ROOT"/common/conf_listen.c "$ROOT"/common/access.c "$ROOT"/common/limit.c \
	    "$ROOT"/common/controls.c "$ROOT"/common/hops.c > source
	source=source policy=$ROOT/common/policy.c
	sed -n '/struct table_row rows/,/^}/p' "$source" | sed -n 's/^\t{ "\([a-z-]*\)".*/\1/p' > keywords
	sed -n '/listen_options\[\]/,/;$/p' "$source" | grep -oE '\{ "[a-z-]+"' | grep -oE '[a-z-]+' > options
	sed -nE 's/^\t\[(LIMIT|CONTROLS)_[A-Z_]*\] = \{ "([a-z-]*)".*/\2/p; s/.*strcmp\(key, "([a-z-]+)"\).*/\1/p' source >> options
	[ "$(grep -c '^max-' options)" -ge 10 ]
	# The keys of a destination, and their words.
	sed -n "/^static const char .const tls_names/,/^static const char .const need_names/p" "$policy" | sed "/need_names/d" |
		grep -oE '"[a-z0-9.-]+"' | tr -d '"' >> options
	sed -n '/^} keys\[\]/,/^};/p' "$policy" | grep -oE '\{ "[a-z-]+"' | grep -oE '[a-z-]+' >> options
	[ "$(wc -l < keywords)" -ge 15 ]
	[ "$(wc -l < options)" -ge 60 ]
	grep -E '^\.(It )?Cm ' "$MAN/smtp-relay.conf.5" | tr -s ' ,|' '\n' > known
	while read -r word; do
		grep -qx -- "$word" known || { echo "not in smtp-relay.conf(5): $word"; return 1; }
	done < <(cat keywords options)
	# And none that the program does not know: each stands in its source.
	awk '$1 == ".It" { print $3 }' <(grep '^\.It Cm' "$MAN/smtp-relay.conf.5") > items
	while read -r word; do
		grep -q "\"$word\"" "$source" "$policy" || { echo "not in the source: $word"; return 1; }
	done < items
}

@test "defaults and ranges of smtp-relay.conf(5)" {
	page=$(plain smtp-relay.conf.5 500)
	rows=(
		'workers 64|' 'workers 0|bad' 'workers 65|bad' 'max-size 65536|' 'max-size 65535|bad'
		'max-size 1099511627776|' 'max-size 1099511627777|bad' 'max-size 64K|' 'max-size 1025G|bad' 'min-free 0|' 'min-free percent 90 5|' 'min-free percent 91|bad' 'min-free 64M 1000|' 'listen b 127.0.0.1@2 domains x.test|bad' 'mx-port 65535|' 'mx-port 0|bad'
		'listen b 127.0.0.1@1 domains x.test|' 'listen b 127.0.0.1 domains x.test|bad'
		'listen b 127.0.0.1@1 concurrency 100000 domains x.test|'
		'listen b 127.0.0.1@1 concurrency 100001 domains x.test|bad'
		'listen b 127.0.0.1@1 backlog 65535 domains x.test|' 'listen b 127.0.0.1@1 backlog 0 domains x.test|bad'
		'listen b 127.0.0.1@1 tls preferred domains x.test|' 'listen b 127.0.0.1@1 domains x.test tls preferred|bad' 'listen b 127.0.0.1@1|bad'
		'listen b 127.0.0.1@1 cert x domains x.test|bad' 'listen b 127.0.0.1@1 type private|'
		'listen b 127.0.0.1@1 type private domains x.test|bad' 'listen a 127.0.0.1@1 domains x.test|bad'
		'hosts a 10.0.0.0/8 accept|' 'hosts a 10.0.0.1/8 accept|bad' 'hosts a default reject|'
		'hosts a ::1 tcprefuse|' 'hosts a localhost accept|bad' 'hosts z default accept|bad'
		'hosts a mx.test relay|' 'hosts a .test relay|' 'hosts a localhost. relay|'
		'hosts a default reject text no|' 'hosts a default accept text no|bad'
		'hosts a default accept client-concurrency none|' 'hosts a default accept client-concurrency 100001|bad'
		'limit max-recipients 50000|' 'limit max-recipients 50001|bad' 'limit max-line 1000|' 'limit max-line 999|bad'
		'limit max-header 16K|' 'limit max-header 15K|bad' 'limit max-received 10|' 'limit max-received 9|bad'
		'limit max-received 1000|' 'limit max-received 1001|bad' 'limit session-time 10s|' 'limit session-time 9s|bad'
		'limit session-time 30d|' 'limit session-time 31d|bad' 'limit handshake-time 1h|'
		'limit handshake-time 2h|bad' 'limit message-rate 600/1h|' 'limit message-rate none|' 'limit max-errors none|bad'
		'listen b 127.0.0.1@1 client-names yes max-errors 5 domains x.test|' 'recipient-delimiter +|'
		'spool relative/path|bad' 'destination x.test tls no|' 'destination x.test tls no dane mandatory|bad'
		'loopback-mx yes|' 'loopback-mx no|' 'loopback-mx maybe|bad' 'own-address 192.0.2.1 2001:db8::1|'
		'own-address x.test|bad' 'own-address|bad'
		'resolver recursive|' 'resolver 127.0.0.1|' 'resolver localhost|bad' 'route .x.test host.test|'
	)
	for row in "${rows[@]}"; do
		printf 'user nobody\nqueue-user daemon\nlisten a 127.0.0.1@2 domains a.test\n%s\n' "${row%|*}" > conf
		run --separate-stderr env -u MTATLS_DIR smtp-relay -n -c conf
		case ${row#*|} in
		bad) [ "$status" -eq 1 ] && [[ $stderr == 'smtp-relay: conf:4: '* ]] ;;
		*) [ "$status" -eq 0 ] && [ -z "$stderr" ] ;;
		esac || { echo "$row: $status $stderr"; return 1; }
	done
	printf 'user nobody\nqueue-user daemon\nlisten a 127.0.0.1@2 domains a.test\n' > conf
	run env -u MTATLS_DIR smtp-relay -n -c conf
	[[ $output == *"identities in /etc/mtatls/certs, spool /var/spool/smtp-relay, 2 workers"* ]]
	[[ $output == *"public, tls no, 1000 sessions, backlog 511"* ]]
	for word in 52428800 'default is 64M 1000;' 65536 1099511627776 'default is 2\.' 'default is 1000\.' 'default is 511;'; do
		grep -q "$word" <<< "$page" || { echo "not in the page: $word"; return 1; }
	done
}

@test "every log line of the relay is in smtp-relay(8), with its keys" {
	sed -n '/^\.Sh LOG/,/^\.Sh EX/p' "$MAN/smtp-relay.8" > log
	cat "$ROOT"/cmd/smtp-relay/*.c | tr '\n' ' ' | sed 's/"master", //g' > source
	{
		grep -oE '(log_event|say|log_plain|log_message|log_host)\([^;"]*"[a-z-]+"' source
		# What becomes of a recipient is a verb too; spool's words for it stand there as well.
		sed -n '/^\t\[SMTP_RCPT_[A-Z]*\] = "/p' "$ROOT/cmd/smtp-relay/out.c"
		echo '"failed"'
	} | grep -oE '"[a-z-]+"' | tr -d '"' | sort -u > verbs
	{
		grep -oE 'log_key[a-z_]*\([^;"]*"[a-z-]+"' source
		grep -oE ' (say|log_message)\([^;"]*"[a-z-]+", *"[a-z-]+"' source
	} | sed 's/.*"\(.*\)"/\1/' | sort -u > keys
	[ "$(wc -l < verbs)" -ge 20 ]
	while read -r word; do
		grep -qE "^\.It Cm (.* )?$word( |\$)" log || { echo "verb $word"; return 1; }
	done < verbs
	while read -r word; do
		grep -qE "^\.Cm (.* )?$word( |\$)" log || { echo "key $word"; return 1; }
	done < keys
	grep '^\.It Cm' log | sed 's/^.It Cm //; s/ , /\n/g' | sort -u | diff verbs -
}

# As a user without rights, as the page says; what root may do is not shown by that.  With `exec` in place of the shell.
as_nobody()
{
	local how=()
	[ "$1" != exec ] || { how=(exec); shift; }
	[ "$(id -u)" -ne 0 ] || set -- setpriv --reuid nobody --regid nogroup --clear-groups "$@"
	"${how[@]}" "$@"
}

await_log()
{
	for ((i = 0; i < 1000; i++)); do
		! grep -q "$1" log || return 0
		sleep 0.02
	done
	cat log
	return 1
}

@test "the trial of smtp-relay(8), without root" {
	home=$(mktemp -d "${TMPDIR:-/tmp}/mtatls-docs.XXXXXX")
	[ "$(id -u)" -ne 0 ] || chown nobody:nogroup "$home"
	cp "$BIN/smtp-relay" "$BIN/relayq" "$home/"
	cd "$home"
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	block smtp-relay.8 3 | sed "s|/tmp/relay-trial|$home|; s/@2525/@$port/" > trial.conf
	run --separate-stderr as_nobody ./smtp-relay -n -c trial.conf
	[ "$status" -eq 0 ] || { echo "$stderr"; return 1; }
	[[ $output == *'certificate _demo (demonstration only)'* ]]
	(as_nobody exec ./smtp-relay -F -c trial.conf -p "$home/pid" 2> log 3>&-) &
	relay=$!
	await_log 'master ready'
	[ "$(< pid)" -eq $relay ]
	python3 - "$port" <<- 'END'
		import smtplib, ssl, sys
		s = smtplib.SMTP("127.0.0.1", int(sys.argv[1]))
		c = ssl.create_default_context()
		c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
		s.starttls(context=c)
		s.sendmail("a@x.test", ["b@relay.example"], "Subject: trial\r\n\r\ntext\r\n")
		try:
		    s.sendmail("a@x.test", ["b@elsewhere.test"], "")
		    sys.exit("relayed")
		except smtplib.SMTPRecipientsRefused as e:
		    assert e.recipients["b@elsewhere.test"][0] == 550, e
		s.quit()
	END
	run --separate-stderr as_nobody ./relayq -c trial.conf list
	[ "$status" -eq 0 ] || { echo "$stderr"; return 1; }
	[[ ${lines[0]} =~ ^([0-9A-Za-z]{14})' queue '.*' <a@x.test> <b@relay.example>'$ ]]
	kill "$relay"
	wait "$relay"
	relay=
	[ ! -e pid ]
	for line in 'master certificate .* identity=_demo warning=' 'master unprivileged ' 'queue started queued=0 ' \
	    ' connect listener=trial client=127.0.0.1 ' ' tls client=.* protocol=TLSv1.3 ' \
	    "${BASH_REMATCH[1]} accepted session=.* from=a@x.test recipients=1 size=[0-9]* tls=1" \
	    ' refused .* command=RCPT .* code=550 ' ' disconnect .* end=quit .* messages=1 ' 'master stopping' \
	    'master stopped'; do
		grep -q "$line" log || { echo "not in the log: $line"; cat log; return 1; }
	done
}

@test "exit statuses of smtp-relay(8) before it serves" {
	printf 'listen\nfrob\n' > conf
	run --separate-stderr smtp-relay -n -c conf
	[ "$status" -eq 1 ]
	[ "$(grep -c '^smtp-relay: conf:[0-9]*: ' <<< "$stderr")" -ge 2 ]
	run --separate-stderr smtp-relay -F -c conf
	[ "$status" -eq 2 ]
	run --separate-stderr smtp-relay -n -c nowhere
	[ "$status" -eq 2 ]
	[ "$stderr" = 'smtp-relay: nowhere: No such file or directory' ]
	run --separate-stderr smtp-relay -x
	[ "$status" -eq 2 ]
	[[ $stderr == *usage:* ]]
}
