#!/usr/bin/env bats
# The levels that verify by CAs, the fallback knob and MTA-STS on real servers: tlscheck -c and the relay come to
# the verdict and the clause of levels.rows, mail goes where it says, and in clear text nowhere else.
# shellcheck disable=SC2034,SC2154 # some variables are for lab/relay.bash, or bats' own

bats_require_minimum_version 1.5.0
load lab/relay.bash

setup_file()
{
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_start "$BATS_FILE_TMPDIR/lab"
	lab_peers
}

teardown_file()
{
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_stop
}

setup()
{
	. "$BATS_TEST_DIRNAME/lab/lab.bash"
	lab_opts
	relay_setup
	castore -d etc import "$LAB_CERTS/ca/cert.pem"
	castore -d etc disable system
	levels_conf
}

teardown()
{
	relay_end
}

# The rows: NUMBER|HOST|KEYS|STS|VERDICTS|CLAUSE, without blanks around the bars.
rows()
{
	grep -v '^#' "$BATS_TEST_DIRNAME/levels.rows" | grep . | sed 's/ *| */|/g' | awk '{ print NR "|" $0 }'
}

# NUMBER HOST
domain_of()
{
	case $2 in
	open) echo "r$1.pkix-open.test" ;;
	*) echo "r$1.$2.pkix.test" ;;
	esac
}

levels_conf()
{
	local n host keys rest
	RELAY_RETRY=1h relay_conf_to_lab
	rows | while IFS='|' read -r n host keys rest; do
		echo "destination $(domain_of "$n" "$host") $keys"
	done >> conf
}

# DOMAIN MODE MX: as if it had been fetched an hour ago.
keep_policy()
{
	cat > "$RELAY_SPOOL/sts/$1" <<-END
		domain $1
		id 1
		fetched $(date -u -d '-1 hour' +%Y-%m-%dT%H:%M:%SZ)
		max-age 604800
		mode $2
		mx $3
	END
	chown --reference="$RELAY_SPOOL/sts" "$RELAY_SPOOL/sts/$1"
}

# The folder is the relay's to make.
keep_policies()
{
	local n host keys sts rest
	relay_start
	relay_stop
	rows | while IFS='|' read -r n host keys sts rest; do
		# shellcheck disable=SC2086
		[ -z "$sts" ] || keep_policy "$(domain_of "$n" "$host")" $sts
	done
}

all_domains()
{
	local n host rest
	rows | while IFS='|' read -r n host rest; do domain_of "$n" "$host"; done
}

# DOMAIN: "HOST-VERDICT DOMAIN-VERDICT|CLAUSE" of tlscheck's JSON in file `judged`.
judged()
{
	jq -r --arg d "$1" 'select(.domain == $d) | .hosts[0].verdict + " " + .verdict + "|" + .hosts[0].rule' judged
}

# DOMAIN: "HOST-VERDICT|CLAUSE" of the relay's log; a host that was not connected to has no verdict there.
logged()
{
	grep -m 1 -E " (delivered to=u@$1|not-delivered domain=$1|tls-unusable condition=[a-z-]* domain=$1) " "$RELAY_LOG" |
	    sed -E '/ reached=/! s/ rule=/ reached=SKIP rule=/; s/.* reached=([A-Z]*) rule=("[^"]*"|[^ ]*).*/\1|\2/; s/"//g'
}

# Domains of whose mail nothing has become.
unsettled()
{
	comm -23 <(all_domains | sort) \
	    <(grep -oE ' (delivered|deferred|failed) to=u@[^ ]*' "$RELAY_LOG" | sed 's/.*@//' | sort -u)
}

all_settled() { [ -z "$(unsettled)" ]; }

# Says what differs for a row; nothing where all is as wanted.
judge_row()
{
	local domain=$1 verdicts=$2 clause=$3 host=${2%% *}
	[ "$(judged "$domain")" = "$verdicts|$clause" ] ||
	    echo "$domain: tlscheck: $(judged "$domain"), wanted $verdicts|$clause"
	[ "$(logged "$domain")" = "$host|$clause" ] || echo "$domain: the relay: $(logged "$domain"), wanted $host|$clause"
	case $host in
	SKIP) grep -q " deferred to=u@$domain " "$RELAY_LOG" || echo "$domain: not deferred" ;;
	*) grep -q " delivered to=u@$domain " "$RELAY_LOG" || echo "$domain: not delivered" ;;
	esac
}

@test "both programs: verdict, clause and what is done, and nothing in clear text where it is forbidden" {
	local n host keys sts verdicts clause wrong clear
	keep_policies
	# shellcheck disable=SC2046
	tlscheck -j -t 5 -c conf $(all_domains) > judged 2> judged.err || true
	[ ! -s judged.err ] || { cat judged.err; return 1; }
	: > "$LAB_CAPTURE"
	relay_start
	# shellcheck disable=SC2046
	mailer send "$RELAY_PORT" a@good.test $(all_domains | sed 's/^/u@/') > sent
	relay_await 60 all_settled || { unsettled; return 1; }
	wrong=$(rows | while IFS='|' read -r n host keys sts verdicts clause; do
		judge_row "$(domain_of "$n" "$host")" "$verdicts" "$clause"
	done)
	[ -z "$wrong" ] || { echo "$wrong"; return 1; }
	[ "$(wc -l < judged)" -eq "$(rows | wc -l)" ]
	# Whose mail was seen in clear text: those of the rows that say CLEAR, and no others.
	grep -ioE 'clear RCPT TO:<u@[^>]*' "$LAB_CAPTURE" | sed 's/.*<u@//' | sort -u > in-clear
	rows | while IFS='|' read -r n host keys sts verdicts clause; do
		[ "${verdicts%% *}" != CLEAR ] || domain_of "$n" "$host"
	done | sort > allowed
	diff allowed in-clear
}

@test "what a policy in mode testing would have refused is in the log and in the JSON" {
	keep_policies
	local domains
	domains=$(rows | while IFS='|' read -r n host keys sts rest; do
		[[ $sts != testing* ]] || domain_of "$n" "$host"
	done)
	# shellcheck disable=SC2086
	tlscheck -j -t 5 -c conf $domains > judged
	diff <(jq -r '.hosts[0].sts_testing' judged | LC_ALL=C sort) - <<-'END'
		no TLS: STARTTLS is not offered
		no mx pattern of the MTA-STS policy names it
		no name is that of mx.name.pkix.test; the names that count are: elsewhere.invalid
	END
	relay_start
	# shellcheck disable=SC2046,SC2001
	mailer send "$RELAY_PORT" a@good.test $(sed 's/^/u@/' <<< "$domains") > sent
	relay_await 30 grep -q 'connected .*sts-testing="no TLS: STARTTLS is not offered"' "$RELAY_LOG"
	relay_await 30 grep -q 'connected .*sts-testing="no mx pattern of the MTA-STS policy names it"' "$RELAY_LOG"
	relay_await 30 grep -q 'connected .*sts-testing="no name is that of mx.name.pkix.test' "$RELAY_LOG"
}

# DOMAIN: the trace of tlscheck -c, as -e prints it.
trace_of()
{
	tlscheck -j -t 5 -c conf "$1" | jq -r '.trace[] | "    \(.fact) [\(.rule)] -> \(.then)"'
}

@test "smtp-relay -e and tlscheck -c print the same trace" {
	local domain
	keep_policies
	for domain in $(all_domains | sed -n '1p;8p;24p;44p;45p;47p;50p;$p') good.test unusable.test multi-mx.test; do
		smtp-relay -c conf -e "u@$domain" > explained || [ $? -eq 1 ]
		grep -F '] -> ' explained > trace
		diff trace <(trace_of "$domain")
		[ "$(grep -c . trace)" -ge 2 ]
	done
}

@test "a list of CAs that is replaced holds from SIGHUP on, without a restart" {
	local domain
	domain=$(domain_of 1 good)
	cp etc/ca/custom.pem right.pem
	castore -d etc import "$LAB_CERTS/other-ca/cert.pem"
	relay_start
	mailer send "$RELAY_PORT" a@good.test "u@$domain" > sent
	relay_await 20 grep -q "tls-unusable condition=verification domain=$domain .*rule=\"RFC 5280 6.1\"" "$RELAY_LOG"
	castore -d etc import right.pem
	kill -HUP "$RELAY_PID"
	relay_await 10 grep -q 'master reloaded' "$RELAY_LOG"
	relay_await 10 grep -q 'retired-ended role=out-2' "$RELAY_LOG"
	# Not to the same domain, which is left alone for a while.
	domain=$(domain_of 2 good)
	mailer send "$RELAY_PORT" a@good.test "v@$domain" > sent
	relay_await 20 grep -q "delivered to=v@$domain .*wanted=pkix reached=AUTH" "$RELAY_LOG"
	run ! grep role-died "$RELAY_LOG"
}

@test "a list of CAs that cannot be read: no start, 2, and -n names it where a level needs it" {
	echo nonsense > etc/ca/state
	run -1 --separate-stderr smtp-relay -n -c conf
	[[ $stderr == *"etc/ca/state:1: "* ]]
	run -2 --separate-stderr smtp-relay -F -c conf
	[[ $stderr == *"etc/ca/state:1: "* ]]
	run -2 --separate-stderr tlscheck -t 5 -c conf "$(domain_of 1 good)"
	[[ $stderr == *"etc/ca/state:1: "* ]]
	[[ $output == *SKIP* ]]
	sed -i '/^destination/d' conf
	run -0 --separate-stderr smtp-relay -n -c conf
}
