#!/usr/bin/env bats
# smtp-relay's options and configuration: what it says of errors, what -n prints, how it starts and goes to the background.

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup()
{
	relay_setup
}

teardown()
{
	relay_end
}

# STATUS TEXT [OPTION…]: the relay ends with it, and its last line on stderr is that.
fails_with()
{
	local want=$1 text=$2
	shift 2
	run --separate-stderr timeout 20 "$BIN/smtp-relay" -F -c "$RELAY/conf" "$@"
	[ "$status" -eq "$want" ] || { echo "status $status: $output $stderr"; return 1; }
	[[ $stderr == *"$text"* ]] || { echo "wanted: $text"; echo "got: $stderr"; return 1; }
	relay_is_gone
}

@test "help, version, usage" {
	run --separate-stderr smtp-relay -h
	[ "$status" -eq 0 ]
	[[ $output == usage:* && -z $stderr ]]
	run smtp-relay --version
	[ "$status" -eq 0 ]
	[[ $output == smtp-relay* ]]
	for args in -x '-c' 'operand' '-F operand'; do
		# shellcheck disable=SC2086
		run -2 --separate-stderr smtp-relay $args
		[[ $stderr == smtp-relay:*usage:* ]]
	done
}

@test "-n warns of an open relay" {
	local row
	for row in 'public domains x.example|default|1' 'public domains x.example|0.0.0.0/0|1' \
	    'public domains x.example|::/0|1' 'public domains x.example|10.0.0.0/8|0' 'private|default|0'; do
		printf 'user news\nqueue-user games\nlisten a 127.0.0.1@25 type %s\nhosts a %s relay\n' \
		    "${row%%|*}" "$(cut -d'|' -f2 <<< "$row")" > conf
		run -0 --separate-stderr smtp-relay -n -c conf
		[ "$(grep -c '^smtp-relay: conf: warning: listener a on 127.0.0.1@25: an open relay' <<< "$stderr")" -eq \
		    "${row##*|}" ] || { echo "$row: $stderr"; return 1; }
	done
	printf 'user news\nqueue-user games\nlisten a 0.0.0.0@25 type private\nhosts a default relay\n' > conf
	run -0 --separate-stderr smtp-relay -n -c conf
	[[ $stderr == *'an open relay'* ]]
	printf 'user news\nqueue-user games\nlisten a 0.0.0.0@25 domains x.example\nhosts a default accept\n' > conf
	run -0 --separate-stderr smtp-relay -n -c conf
	[ -z "$stderr" ]
}

@test "files that are not there are told with the line that names them, and what to do: by -n and at the start" {
	local row
	mkcert -d etc -n mine relay.example > /dev/null
	local rows=(
		"passwords $RELAY/none|conf:8: passwords: $RELAY/none: No such file or directory (smtp-relay --passwd USER makes it)"
		"recipients $RELAY/none|conf:8: recipients: $RELAY/none: No such file or directory (make it: a line \"user@domain\" or"
		"credentials $RELAY/none|conf:8: credentials: $RELAY/none: No such file or directory (make it, of mode 0600: "
		"alert-hook $RELAY/none|conf:8: alert-hook: $RELAY/none: No such file or directory (name a program, or take"
		"listen s $RELAY/no/s|conf:8: listen s: $RELAY/no: there is no such folder: make it, "
		"listen s $RELAY/conf/s|conf:8: listen s: $RELAY/conf is no folder"
		"listen s $RELAY/conf|conf:8: listen s: $RELAY/conf is there and is no socket: remove it, or name another path"
		"# none|passwords: $RELAY/etc/smtp-relay.passwd: No such file or directory (smtp-relay --passwd USER makes it) (the default path; no line passwords)"
	)
	for row in "${rows[@]}"; do
		relay_conf "listen in 127.0.0.1@$RELAY_PORT type private tls required cert mine auth required" "${row%%|*}" \
		    'alert-user daemon' 'route x.test y.test credentials z'
		[[ $row == passwords* || $row == '#'* ]] || { : > pw; echo "passwords $RELAY/pw" >> conf; }
		[[ $row == credentials* ]] ||
		    { echo 'z u p' > cred; chmod 600 cred; echo "credentials $RELAY/cred" >> conf; }
		sed -i "s|^dir.*|dir $RELAY/etc|" conf
		fails_with 1 "${row#*|}" -n
		fails_with 2 "${row#*|}"
	done
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type private tls required cert mine auth required" 'passwords /dev/null' \
	    'route x.test y.test credentials other' "credentials $RELAY/cred"
	fails_with 1 "conf:9: route x.test: no credentials other in $RELAY/cred" -n
	printf 'ann nonsense\n' > pw
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type private tls required cert mine auth required" "passwords $RELAY/pw"
	fails_with 1 "conf:8: passwords: $RELAY/pw:1: " -n
}

@test "without root the folder of a socket must be one that the user may write to" {
	mkdir shut
	chmod 755 shut
	printf 'dir %s\nspool %s\nlisten s %s\n' "$RELAY/etc" "$RELAY/nobody/spool" "$RELAY/shut/s" > conf
	install -d -o nobody nobody
	chmod 644 conf
	run --separate-stderr setpriv --reuid=nobody --clear-groups "$BIN/smtp-relay" -n -c conf
	[ "$status" -eq 1 ] && [[ $stderr == *"conf:3: listen s: $RELAY/shut: the relay cannot make a socket there: Permission"* ]] ||
	    { echo "$status $stderr"; return 1; }
	chown nobody shut
	run -0 --separate-stderr setpriv --reuid=nobody --clear-groups "$BIN/smtp-relay" -n -c conf
}

@test "values of another form are told what is expected, with an example" {
	local row
	local rows=(
		'max-size 50MB|max-size: expected 65536 to 1099511627776 octets, such as 65536, 50M or 1G, not "50MB"'
		'limit max-size 5|limit: max-size: expected 65536 to 1099511627776 octets, such as 65536, 50M or 1G, not "5"'
		'limit message-rate 100/min|limit: message-rate: expected 1 to 1000000 in a time of 1s to 1d, such as 100/1m'
		'destination x.test message-rate fast|destination: message-rate: expected 1 to 1000000 in a time of 1s to 1d, such as 100/1m'
		'delay-notice never|delay-notice: expected a time of 1m to 30d, such as 30m or 4h, or no, not "never"'
		'route x.test y.test:25|route: expected HOST, HOST@PORT, [ADDRESS], [ADDRESS]@PORT or unix:/PATH'
		'route x.test y.test@smtp|route: expected HOST, HOST@PORT, [ADDRESS], [ADDRESS]@PORT or unix:/PATH: y.test@smtp: port'
		'route x.test y.test z.test|route: unknown option "z.test": expected protocol, mx or credentials; hosts are one word'
	)
	for row in "${rows[@]}"; do
		relay_conf "${row%%|*}" "listen in 127.0.0.1@$RELAY_PORT type private"
		fails_with 1 "conf:7: ${row#*|}" -n
	done
}

@test "-n warns of reports and alerts to where no route leads" {
	local row
	for row in 'alert root@relay.example|1' 'alert root@localhost|1' 'alert a@[192.0.2.1]|0' 'alert a@far.test|0' \
	    'double-bounce-to postmaster@Relay.Example|1'; do
		relay_conf "listen in 127.0.0.1@$RELAY_PORT type private" "${row%|*}"
		run -0 --separate-stderr smtp-relay -n -c conf
		[ "$(grep -c "conf: warning: ${row%% *} .*: no route leads to .*, and aliases are not asked" <<< "$stderr")" -eq \
		    "${row#*|}" ] || { echo "$row: $stderr"; return 1; }
		echo 'route default smart.test' >> conf
		run -0 --separate-stderr smtp-relay -n -c conf
		[ -z "$stderr" ] || { echo "$row: $stderr"; return 1; }
	done
}

@test "-n warns of a route whose port stands for another protocol" {
	local row want tls='port 465 speaks TLS first as a rule, and protocol is smtp: is protocol smtps meant?'
	local clear='speaks clear text first, with STARTTLS, as a rule, and protocol is smtps: is protocol smtp meant?'
	for row in "smart.test@465|$tls" "a.test,b.test@465,c.test@465 protocol smtp|$tls" \
	    "smart.test@25 protocol smtps|port 25 $clear" "smart.test@587 protocol smtps|port 587 $clear" \
	    'smart.test|' 'smart.test@587|' 'smart.test protocol smtps|' 'smart.test@465 protocol smtps|' \
	    'smart.test@2525 protocol smtps|' 'smart.test@465 protocol lmtp|' 'unix:/run/x protocol lmtp|'; do
		relay_conf "listen in 127.0.0.1@$RELAY_PORT type private" "route default ${row%|*}"
		run -0 --separate-stderr smtp-relay -n -c conf
		want=${row##*|}
		[ "$stderr" = "${want:+smtp-relay: conf: warning: route default: $want}" ] || { echo "$row: $stderr"; return 1; }
	done
}

@test "-n warns of a route that leads back to a listener" {
	local row
	for row in '127.0.0.1@2525 127.0.0.1@2525 1' '127.0.0.1@2525 127.0.0.1@2526 0' \
	    '127.0.0.1@2525 127.0.0.2@2525 0' '0.0.0.0@2525 127.0.0.1@2525 1' '::1@2525 [::1]@2525 1' \
	    '127.0.0.1@2525 mx.example@2525 0'; do
		# shellcheck disable=SC2086
		set -- $row
		printf 'user news\nqueue-user games\nlisten a %s type private\nhosts a 10.0.0.0/8 relay\nroute .x.example %s\n' \
		    "$1" "$2" > conf
		run -0 --separate-stderr smtp-relay -n -c conf
		[ "$(grep -c '^smtp-relay: conf: warning: mail for .x.example would come back to this relay: the route leads to ' \
		    <<< "$stderr")" -eq "$3" ] || { echo "$row: $stderr"; return 1; }
	done
}

@test "-n reads standard input, and no FIFO, which may never end" {
	printf 'user news\nqueue-user games\nlisten a 127.0.0.1@25 type private\nhosts a 10.0.0.0/8 relay\n' > conf
	mkfifo fifo
	run -1 --separate-stderr timeout 20 smtp-relay -n -c fifo
	[[ $stderr == *'fifo: not a regular file'* ]]
	for name in - /dev/stdin; do
		smtp-relay -n -c $name < conf | grep -q '^listener a on 127.0.0.1@25: private'
		# shellcheck disable=SC2002 # a pipe is what this is about
		cat conf | smtp-relay -n -c $name | grep -q '^listener a on 127.0.0.1@25: private'
	done
	smtp-relay -n -c <(cat conf) | grep -q '^listener a on'
}

# DOMAIN WANT: the destination's line of -n, with these destination lines in the file.
destination_is()
{
	printf 'user news\nqueue-user games\nlisten a 127.0.0.1@25 type private\nhosts a 10.0.0.0/8 relay\n' > conf
	printf 'destination %s\n' "${@:3}" >> conf
	run -0 --separate-stderr smtp-relay -n -c conf
	[ "$(sed -n "s/^destination $1: //p" <<< "$output")" = "$2" ] || { echo "$*"; echo "$output"; return 1; }
}

@test "what a destination line leaves open is as in the default line, and else as built in" {
	destination_is x.test 'tls preferred, dane opportunistic' 'x.test'
	destination_is x.test 'tls required, dane opportunistic' 'x.test' 'default tls required'
	destination_is x.test 'tls required-verify, dane none' 'x.test tls required-verify' 'default dane none tls required'
	destination_is x.test 'tls required, dane mandatory' 'x.test tls default dane mandatory' 'default tls required'
	destination_is x.test 'tls preferred-verify, dane opportunistic, sts none, requiretls no, fallback both, tls-min 1.3, fqdn-check yes' \
	    'x.test fallback both' 'default tls preferred-verify sts none requiretls no fallback never tls-min 1.3 fqdn-check yes'
	# Inherited, tls no switches DANE and MTA-STS off.
	destination_is x.test 'tls no, dane none, sts none' 'x.test tls no'
	destination_is x.test 'tls no, dane none, sts none' 'x.test tls no' 'default dane mandatory'
	destination_is x.test 'tls no, dane none, sts none' 'x.test dane opportunistic' 'default tls no'
	[[ $stderr == 'smtp-relay: conf: warning: destination x.test: dane opportunistic is without effect: tls no '* ]]
	destination_is x.test 'tls required, dane opportunistic' 'x.test tls required' 'default tls no'
}

@test "tls no beside DANE or MTA-STS on one line, a key twice, words that are none" {
	local row n=0
	while IFS='|' read -r row want; do
		printf 'user news\nqueue-user games\nlisten a 127.0.0.1@25 type private\nhosts a 10.0.0.0/8 relay\ndestination x.test %s\n' \
		    "$row" > conf
		run -1 --separate-stderr smtp-relay -n -c conf
		[[ $stderr == "smtp-relay: conf:5: $want"* ]] || { echo "$row: $stderr"; return 1; }
		n=$((n + 1))
	done <<-'END'
		tls no dane mandatory|tls no and dane mandatory contradict each other
		dane opportunistic tls no|tls no and dane opportunistic contradict each other
		tls no sts follow|tls no and sts follow contradict each other
		tls required tls no|destination: tls is given twice
		tls maybe|tls: expected no, preferred, preferred-verify, required, required-verify or required-verify-hosted, not "maybe"
		fallback after|fallback: expected before-220, after-220, both or never, not "after"
		sts enforce|sts: expected none or follow, not "enforce"
		requiretls yes|requiretls: expected no or honour, not "yes"
		fqdn-check maybe|fqdn-check: expected no or yes, not "maybe"
		tls-min 1|tls-min: expected 1.0, 1.1, 1.2 or 1.3, not "1"
		tls-max 1.2|destination: unknown option "tls-max"
		fallback|destination: no value behind "fallback"
	END
	[ "$n" -eq 12 ]
}

@test "all errors of a file in one run, as file:line" {
	cat > conf <<- 'END'
		hostname bad..name
		dir relative
		listen a 127.0.0.1@25 type publik domains x.example
		listen b host.example@25 type public domains x.example
		listen c 127.0.0.1@99999 type public domains x.example
		listen d 127.0.0.1@25 type public
		listen e 127.0.0.1@25 type private domains x.example
		listen f 127.0.0.1@25 type private tls no cert x
		listen f 127.0.0.1@26 type private
		hosts nobody 10.0.0.0/8 relay
		hosts f 10.0.0.1/8 relay
		hosts f 10.0.0.0/33 relay
		hosts f 10.0.0.0/8 relai
		frobnicate yes
		workers 0
		max-size 10
		mx-port 25x
		resolver name.example
		destination x.example tls sometimes
		route default 127.0.0.1@0
		loopback-mx perhaps
		own-address 192.0.2.1 mx.example
		user
	END
	run -2 --separate-stderr smtp-relay -F -c conf
	[ -z "$output" ]
	[ "$(grep -c '^smtp-relay: conf:[0-9]*: ' <<< "$stderr")" -eq 23 ] || { echo "$stderr"; return 1; }
	[ "$(grep -o 'conf:[0-9]*:' <<< "$stderr" | sort -u | wc -l)" -eq 23 ] || { echo "$stderr"; return 1; }
	[[ $stderr == *'conf: 2'[34]' errors' ]]	# as root also: no users
	run -1 smtp-relay -n -c conf
}

@test "no file, an empty file, a file of odd bytes" {
	run -2 --separate-stderr smtp-relay -F -c nowhere
	[[ $stderr == *'nowhere: No such file or directory' ]]
	: > conf
	run -2 --separate-stderr smtp-relay -F -c conf
	[[ $stderr == *listen* ]]
	head -c 3000 /dev/urandom > conf
	run -2 --separate-stderr smtp-relay -F -c conf
	[ -z "$(tr -d '\40-\176\n' <<< "$stderr")" ]
}

@test "-n prints what the file means, binds and makes nothing" {
	grep -E 'IN[[:space:]]+(DS|DNSKEY)' /usr/share/dns/root.key > anchor
	cat >> conf <<- END
		hostname relay.example
		dir $RELAY/etc
		spool $RELAY/spool
		user news
		queue-user games
		workers 3
		max-size 30M
		retry 2m 2h
		lifetime 30h
		delay-notice 30h
		bounce-size 1M
		double-bounce-to postmaster@a.example
		resolver 192.0.2.53@5353
		anchor $RELAY/anchor
		mx-port 2525
		listen in 127.0.0.1@$RELAY_PORT type public tls preferred concurrency 7 domains a.example .b.example
		listen sub ::1@587 type private tls required backlog 9
		hosts in 10.0.0.0/8 relay
		hosts in default reject
		hosts sub 192.0.2.1 relay
		destination strict.test tls required dane mandatory
		route default 127.0.0.1@2626
	END
	run -0 --separate-stderr smtp-relay -n -c conf
	diff - <(echo "$output") <<- END
		host name relay.example, identities in $RELAY/etc/certs, spool $RELAY/spool, 3 workers
		users news, and games for the queue
		messages of at most 31457280 octets
		tried again after 2m, then at most every 2h, for 30h, and mail from <> for 30h
		senders are not told that a message waits
		reports of failures have messages of at most 1048576 octets with them
		what cannot be told to a sender is told to postmaster@a.example
		resolver 192.0.2.53@5353, anchor $RELAY/anchor, hosts of MX asked at port 2525
		listener in on 127.0.0.1@$RELAY_PORT: public, tls preferred, certificate _demo (demonstration only), 7 sessions, backlog 511, client-concurrency 4
		    takes mail for a.example
		    takes mail for .b.example
		    hosts 10.0.0.0/8: relay
		    hosts default: reject
		listener sub on ::1@587: private, tls required, certificate _demo (demonstration only), 1000 sessions, backlog 9
		    hosts 192.0.2.1/32: relay
		    all other hosts: reject
		destination strict.test: tls required, dane mandatory
		route default: 127.0.0.1@2626
	END
	[ ! -e etc ]
	[ ! -e spool ]
}

# LINE REGEX: with this line more -n and the start say so, and nothing is begun.
line_fails()
{
	relay_conf
	echo "$1" >> conf
	run -1 --separate-stderr smtp-relay -n -c conf
	[[ $stderr =~ $2 ]] || { echo "-n with $1: $stderr"; return 1; }
	fails_with 2 ''
	[[ $stderr =~ $2 ]] || { echo "start with $1: $stderr"; return 1; }
	[ ! -e spool ]
}

@test "times and sizes of mail that waits, and what they must be" {
	line_fails 'retry 0s' 'retry: expected 1s to 1d'
	line_fails 'retry 10m 5m' 'retry: the longest wait is shorter than the first'
	line_fails 'retry 10m 8d' 'retry: expected 1s to 7d'
	line_fails 'lifetime 59s' 'lifetime: expected 1m to 30d'
	line_fails 'lifetime 31d' 'lifetime: expected 1m to 30d'
	line_fails 'bounce-lifetime soon' 'bounce-lifetime: expected a time such as'
	line_fails 'delay-notice 0' 'delay-notice: expected a time of 1m to 30d, such as 30m or 4h, or no, not "0"'
	line_fails 'bounce-size 17M' 'bounce-size'
	line_fails 'double-bounce-to postmaster' 'double-bounce-to: '
	line_fails 'double-bounce-to a@b@c' 'double-bounce-to: '
}

@test "what stands behind domains is a domain and no option" {
	line_fails "listen b 127.0.0.1@$RELAY_PORT2 domains x.example tls required" '"tls" is an option of listen: domains must come last'
	line_fails "listen b 127.0.0.1@$RELAY_PORT2 domains x.example domains y.example" '"domains" is an option of listen'
	line_fails "listen b 127.0.0.1@$RELAY_PORT2 domains x.example required" '"required" has no dot'
	line_fails "listen b 127.0.0.1@$RELAY_PORT2 domains default" '"default" has no dot'
	relay_conf "listen in 127.0.0.1@$RELAY_PORT domains localhost. x.example"
	run -0 smtp-relay -n -c conf
	[[ $output == *'takes mail for localhost'$'\n'* ]]
}

@test "-n finds what cannot start" {
	local at=127.0.0.1@$RELAY_PORT
	line_fails "listen b $at domains x.example" "listen b: $at is taken by listen in"
	line_fails "listen b 0.0.0.0@$RELAY_PORT domains x.example" 'is taken by listen in'
	relay_conf
	echo "listen b ::@$RELAY_PORT domains x.example" >> conf
	run -0 smtp-relay -n -c conf
	relay_conf
	echo "anchor $RELAY/nowhere" >> conf
	run -1 --separate-stderr smtp-relay -n -c conf
	[[ $stderr == *"$RELAY/nowhere: No such file"* ]] || { echo "$stderr"; return 1; }
	echo nonsense > nowhere
	run -1 --separate-stderr smtp-relay -n -c conf
	[[ $stderr == *"$RELAY/nowhere"*expected* ]] || { echo "$stderr"; return 1; }
}

@test "errors of the file and of what it names, in one run" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	relay_conf "listen in 127.0.0.1@$RELAY_PORT tls preferred cert nosuch domains relay.example" 'frobnicate yes' "anchor $RELAY/none"
	sed -i 's/^user .*/user nosuch/; s/^spool .*/spool relative/' conf
	run -1 --separate-stderr smtp-relay -n -c conf
	[[ $stderr == *'conf:4: spool: expected an absolute path'*'frobnicate'*'no user "nosuch"'*'listener in: '*nosuch*"$RELAY/none"*'conf: 5 errors' ]] ||
	    { echo "$stderr"; return 1; }
	fails_with 2 'no user "nosuch"'
	[[ $stderr == *frobnicate*'listener in: '* ]]
}

@test "max-size with units" {
	local size octets
	for size in 65536:65536 64K:65536 50M:52428800 1G:1073741824 1024G:1099511627776; do
		relay_conf
		octets=${size#*:} size=${size%:*}
		echo "max-size $size" >> conf
		run -0 smtp-relay -n -c conf
		[[ $output == *"at most $octets octets"* ]] || { echo "$size: $output"; return 1; }
	done
	for size in 63K 1025G 50MB 1T M 5.5M -1M 50m; do
		line_fails "max-size $size" 'max-size'
	done
}

@test "min-free in octets and percent, with inodes" {
	local row
	for row in '0:0 octets or 0 inodes' '10M:10485760 octets or 1000 inodes' 'percent 5:5 percent or 1000 inodes' \
		'1G 50:1073741824 octets or 50 inodes' 'percent 3 0:3 percent or 0 inodes' '0 7:0 octets or 7 inodes'; do
		relay_conf
		echo "min-free ${row%%:*}" >> conf
		run -0 smtp-relay -n -c conf
		[[ $output == *"no mail is taken where less than ${row#*:} of the spool's file system are free"* ]] ||
			{ echo "$row: $output"; return 1; }
	done
	for row in percent 'percent 91' 'percent -1' 'percent 5M' 'percent 5 1 2' '5 percent' '1M x' '1M -1' '1M 2 3' 1T -1; do
		line_fails "min-free $row" 'min-free'
	done
}

@test "users: missing, unknown, root, the same" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	relay_conf
	sed -i '/^user/d' conf
	fails_with 2 'user and queue-user must be named'
	echo 'user nosuchuser' >> conf
	fails_with 2 'no user "nosuchuser" on this system'
	sed -i 's/nosuchuser/root/' conf
	fails_with 2 'user "root" is root'
	sed -i 's/^user root/user games/' conf
	fails_with 2 'user and queue-user must differ'
	[ ! -e spool ]
}

@test "an identity that is missing, and one that is there" {
	relay_conf "listen in 127.0.0.1@$RELAY_PORT type public tls preferred cert mx domains relay.example"
	fails_with 2 'listener in: '
	[[ $stderr == *mx* ]]
	run -1 smtp-relay -n -c conf
	[ ! -e spool ]
	mkcert -d etc -n mx relay.example > made
	run -0 smtp-relay -n -c conf
	[[ $output == *'certificate mx,'* ]]
	relay_start
	run ! grep -qE 'master (certificate|key)' log
	relay_stop
	chmod 640 etc/certs/mx/key.pem
	relay_start
	relay_await 10 grep -q 'master key listener=in identity=mx warning="others than its owner may read key.pem"' log
	openssl s_client -starttls smtp -connect "127.0.0.1:$RELAY_PORT" < /dev/null > shown 2>&1
	grep -qx 'subject=CN = relay.example' shown
}

@test "a port in use, a privileged address that is not here" {
	relay_start
	cp conf conf2
	sed -i "s,spool .*,spool $RELAY/spool2," conf2
	run -2 --separate-stderr smtp-relay -F -c conf2
	[[ $stderr == *"listener in: 127.0.0.1@$RELAY_PORT: Address already in use"* ]] || { echo "$stderr"; return 1; }
	[ ! -e spool2 ]
	sed -i "s,127.0.0.1@,192.0.2.77@," conf2
	run -2 --separate-stderr smtp-relay -F -c conf2
	[[ $stderr == *'192.0.2.77@'*'Cannot assign requested address'* ]]
}

@test "a spool that cannot be made or used" {
	relay_conf
	: > spool
	fails_with 2 "$RELAY/spool"
	rm spool
	ln -s nowhere spool
	fails_with 2 "$RELAY/spool"
	rm spool
	mkdir -p spool/new
	: > spool/queue
	fails_with 2 "$RELAY/spool"
}

# A spool that is no spool: refused by start and -n with the text, and left as it was.
refuses_spool()
{
	find "$RELAY/spool" -printf '%p %u %m %s %T@\n' | sort > before
	fails_with 2 "$1"
	run -1 --separate-stderr smtp-relay -n -c conf
	[[ $stderr == *"$1"* ]] || { echo "-n: $stderr"; return 1; }
	find "$RELAY/spool" -printf '%p %u %m %s %T@\n' | sort | diff before -
}

@test "a directory in use is not taken for a spool" {
	relay_conf
	mkdir -p -m 1777 spool
	mkdir spool/new spool/cur
	touch spool/new/{1,2,3}.mail
	refuses_spool 'no spool of this relay'
	rm -r spool/cur
	refuses_spool 'new/'
	rm spool/new/*
	mkdir spool/queue
	echo mine > spool/queue/report.txt
	refuses_spool 'queue/report.txt is not a file of one'
	rm -r spool/queue spool/new
	echo mine > spool/.profile
	refuses_spool 'it has ".profile"'
	rm spool/.profile
	echo 'mtatls-spool 9' > spool/mtatls-spool
	refuses_spool 'mtatls-spool: expected "mtatls-spool 1"'
	rm -r spool
	: > spool
	refuses_spool 'Not a directory'
}

@test "a spool's parents are not made" {
	relay_conf
	sed -i "s,^spool .*,spool $RELAY/typo/spool," conf
	fails_with 2 'typo/spool'
	run -1 --separate-stderr smtp-relay -n -c conf
	[[ $stderr == *'typo/spool: its parent directory: No such file or directory'* ]] || { echo "$stderr"; return 1; }
	[ ! -e typo ]
}

@test "an empty directory, one with lost+found, and a spool from before the marker are taken" {
	mkdir -p spool/lost+found
	relay_start
	[ "$(cat spool/mtatls-spool)" = 'mtatls-spool 1' ]
	relay_stop
	rm spool/mtatls-spool
	mkspool spool/queue/8Qm3yLx0Z00b7K,1795305700,dest.test 8Qm3yLx0Z00b7K '<>' '<c@dest.test>' <<< x
	echo > spool/new/8QkZ2a1Bc00aaa
	echo > spool/bad/anything
	run -0 smtp-relay -n -c conf
	[ ! -e spool/mtatls-spool ]
	relay_start
	[ "$(cat spool/mtatls-spool)" = 'mtatls-spool 1' ]
	relay_await 10 grep -q 'queued=1 .*unfinished-removed=1 set-aside=0' log
	# What a crash left of the marker.
	relay_stop
	: > spool/mtatls-spool
	relay_start
	[ "$(cat spool/mtatls-spool)" = 'mtatls-spool 1' ]
}

@test "two relays on one spool: the second refuses, the first goes on" {
	relay_start
	cp pid pid.first
	sed "s/@$RELAY_PORT /@$RELAY_PORT2 /" conf > conf2
	run -2 --separate-stderr timeout 20 smtp-relay -F -c conf2
	[[ $stderr == *'another process works on this spool'* ]] || { echo "$stderr"; return 1; }
	run -2 --separate-stderr timeout 20 smtp-relay -c conf2
	[[ $stderr == *'another process works on this spool'* ]] || { echo "in the background: $stderr"; return 1; }
	# With the same pid file: it is still the first one's.
	run -2 --separate-stderr timeout 20 smtp-relay -F -c conf2 -p pid
	cmp pid pid.first
	smtpload -n 5 -L ledger 127.0.0.1 "$RELAY_PORT"
	smtpload -C spool ledger
}

@test "in the background: 0 when it serves, the pid file, an end by SIGTERM" {
	relay_conf
	cd /
	run -0 --separate-stderr timeout 20 smtp-relay -c "$RELAY/conf" -p "$RELAY/pid" 3>&-
	# What is said before it serves is on stderr, what comes later in the syslog.
	[[ $stderr == *'a demonstration certificate'* ]]
	[ -z "$output" ]
	RELAY_PID=$(< "$RELAY/pid")
	[ "$(cat "/proc/$RELAY_PID/comm")" = smtp-relay ]
	[ "$(readlink "/proc/$RELAY_PID/fd/2")" = /dev/null ]
	[ "$(ps -o sid= -p "$RELAY_PID" | tr -d ' ')" = "$RELAY_PID" ]
	[ "$(readlink "/proc/$RELAY_PID/cwd")" = / ]
	relay_says '221 closed' 'QUIT\r\n'
	kill -TERM "$RELAY_PID"
	relay_await 10 relay_is_gone
	[ ! -e "$RELAY/pid" ]
}

@test "a pid file: only one that is none, or a dead relay's, is written; only our own is removed" {
	relay_conf
	for text in 'my notes' '12 34' '' '99999999999999999999'; do
		printf '%s\n' "$text" > file
		cp file before
		fails_with 2 'file: not a pid file' -p file
		cmp file before
	done
	mkdir dir
	fails_with 2 'dir: not a pid file' -p dir
	ln -s before link
	fails_with 2 'link: not a pid file' -p link
	# Of a process that is dead, and of one that is no relay.
	bash -c 'echo $$' > dead
	smtp-relay -c "$RELAY/conf" -p "$RELAY/dead" 3>&- 2> err
	RELAY_PID=$(< dead)
	[ "$(cat "/proc/$RELAY_PID/comm")" = smtp-relay ]
	cp dead second
	sed "s/@$RELAY_PORT /@$RELAY_PORT2 /; s,^spool .*,spool $RELAY/spool2," conf > conf2
	run -2 --separate-stderr timeout 20 smtp-relay -F -c conf2 -p second
	[[ $stderr == *"second: the relay with number $RELAY_PID is running"* ]] || { echo "$stderr"; return 1; }
	[ ! -e spool2 ]
	# What somebody put there since is not ours to remove.
	echo mine > dead
	kill -TERM "$RELAY_PID"
	relay_await 10 relay_is_gone
	[ "$(< dead)" = mine ]
	echo $$ > pid
	smtp-relay -c "$RELAY/conf" -p "$RELAY/pid" 3>&- 2> err
	RELAY_PID=$(< pid)
	[ "$RELAY_PID" != $$ ]
	kill -TERM "$RELAY_PID"
	relay_await 10 relay_is_gone
	[ ! -e pid ]
}

@test "in the background: 2 with the reason where it cannot start" {
	relay_conf "listen in 192.0.2.77@$RELAY_PORT type public domains relay.example"
	run -2 --separate-stderr timeout 20 smtp-relay -c conf -p "$RELAY/pid" 3>&-
	[[ $stderr == *'Cannot assign requested address'* ]]
	[ ! -e pid ]
	relay_conf
	run -2 --separate-stderr timeout 20 smtp-relay -c conf -p "$RELAY/nowhere/pid" 3>&-
	[[ $stderr == *nowhere/pid* ]]
	relay_await 5 relay_is_gone
}

@test "in the background it logs to syslog" {
	[ "$(id -u)" -eq 0 ] || skip "needs root, for a /dev of its own"
	relay_conf
	mkdir dev
	cp -a /dev/null /dev/zero /dev/random /dev/urandom dev/
	/usr/bin/python3 -c 'import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("dev/log")
s.settimeout(20)
while True:
    line = s.recv(9000).decode()
    print(line, flush=True)
    if "master stopped" in line:
        break' > syslog 3>&- &
	job=$!
	relay_await 5 test -S dev/log
	unshare -m true 2>/dev/null || skip "no namespaces here"
	unshare -m sh -c 'mount --bind dev /dev && exec smtp-relay -c "$0" -p "$1"' "$RELAY/conf" "$RELAY/pid" 3>&-
	relay_says '221 closed' 'QUIT\r\n'
	kill -TERM "$(< pid)"
	relay_await 10 relay_is_gone
	wait $job
	# Facility mail, level info; what the roles say comes through the master.
	grep -q '^<22>.*smtp-relay\[[0-9]*\]: master ready' syslog || { cat syslog; return 1; }
	grep -q '^<22>.*smtp-relay\[[0-9]*\]: in-[12].1 disconnect .*end=quit' syslog
	grep -q '^<20>.*: master certificate' syslog
}
