# lab.bash - functions of the lab; README.md says what they do.  For bash: bats tests, demo, benchmarks.
# shellcheck shell=bash

lab_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab_top=$(cd "$lab_here/../.." && pwd)
: "${BUILD:=$lab_top/build}"
PATH=$PATH:/usr/sbin:/sbin

lab_say()
{
	echo "lab: $*" >&2
}

# Processes ------------------------------------------------------------------------------------------------

lab_is_alive()
{
	local stat
	{ read -r stat < "/proc/$1/stat"; } 2>/dev/null || return 1
	stat=${stat##*) }
	[ "${stat%% *}" != Z ]
}

# NAME CMD…: CMD in the background, its words in logs/NAME, its pid in pids/NAME.
lab_spawn()
{
	local name=$1
	shift
	("$@") </dev/null >"$LAB_DIR/logs/$name" 2>&1 3>&- 4>&- 5>&- &
	echo $! > "$LAB_DIR/pids/$name"
	disown $! 2>/dev/null
}

# NAME CMD…: waits until CMD holds; 1 with the log where the process ends before or 10 s pass.
lab_await()
{
	local name=$1 pid i
	pid=$(< "$LAB_DIR/pids/$name")
	shift
	for ((i = 0; i < 500; i++)); do
		"$@" >/dev/null 2>&1 && return
		lab_is_alive "$pid" || break
		sleep 0.02
	done
	lab_say "$name did not start: $(tail -n 5 "$LAB_DIR/logs/$name")"
	return 1
}

lab_is_ready()
{
	grep -qs '^ready' "$LAB_DIR/logs/$1"
}

# NAME: ends it; 1 where it had ended by itself.
lab_end()
{
	local file=$LAB_DIR/pids/$1 pid i
	[ -e "$file" ] || return 0
	pid=$(< "$file")
	rm "$file"
	if ! lab_is_alive "$pid"; then
		lab_say "$1 had ended by itself: $(tail -n 5 "$LAB_DIR/logs/$1")"
		return 1
	fi
	kill "$pid" 2>/dev/null
	for ((i = 0; i < 250; i++)); do
		lab_is_alive "$pid" || return 0
		sleep 0.02
	done
	lab_say "$1 does not end; killed"
	kill -KILL "$pid"
	return 1
}

# Processes, not ours, that stand in the folder DIR or name something in it.
lab_leftovers()
{
	local pid
	{
		grep -alsF -- "$1/" /proc/[0-9]*/cmdline
		find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' \( -lname "$1" -o -lname "$1/*" \) 2>/dev/null
	} | sed -n 's,^/proc/\([0-9]*\)/.*,\1,p' | sort -u | while read -r pid; do
		case " $$ $BASHPID $PPID " in *" $pid "*) ;; *) ! lab_is_alive "$pid" || echo "$pid" ;; esac
	done
}

# DNS ------------------------------------------------------------------------------------------------------

# NAME ADDR@PORT ZONE…
lab_nsd_conf()
{
	local name=$1 zone
	cat <<-EOF
		server:
		  ip-address: $2
		  username: ""
		  chroot: ""
		  database: ""
		  zonesdir: "$LAB_DIR/zones"
		  pidfile: "$LAB_DIR/$name.pid"
		  xfrdfile: "$LAB_DIR/$name.xfrd"
		  xfrdir: "$LAB_DIR"
		  zonelistfile: "$LAB_DIR/$name.zonelist"
		  rrl-ratelimit: 0
		  server-count: 1
		  tcp-count: 100
		  do-ip6: no
		remote-control:
		  control-enable: no
	EOF
	for zone in "${@:3}"; do
		printf 'zone:\n  name: "%s"\n  zonefile: %s.signed\n' "${zone/#root/.}" "$zone"
	done
}

lab_nsd_started()
{
	grep -qs 'nsd started' "$LAB_DIR/logs/$1"
}

# NAME ADDR@PORT ZONES [PREFIX…]: nsd there with some zones.
lab_nsd()
{
	local name=$1 zones
	read -ra zones <<< "$3"
	lab_nsd_conf "$name" "$2" "${zones[@]}" > "$LAB_DIR/$name.conf"
	lab_spawn "$name" "${@:4}" "$lab_here/run-peer" nsd -d -c "$LAB_DIR/$name.conf"
	lab_await "$name" lab_nsd_started "$name"
}

# NAME: ends it and waits for its children, which hold the socket a little longer.
lab_nsd_end()
{
	local i status=0
	lab_end "$1" || status=1
	for ((i = 0; i < 100; i++)); do
		grep -aqsF "$LAB_DIR/$1.conf" /proc/[0-9]*/cmdline || break
		sleep 0.02
	done
	return $status
}

# [NAME [PREFIX…]]: the one with all zones.
lab_nsd_all()
{
	lab_nsd "${1:-nsd}" "127.0.0.2@$LAB_PORT" "$(cut -d' ' -f1 "$LAB_DIR/zones/list" | tr '\n' ' ')" "${@:2}"
}

# NAME PORT [PREFIX…]: the relay with its addresses.
lab_relay()
{
	local name=$1 port=$2
	lab_spawn "$name" "${@:3}" "$BUILD/lab/dnsrelay" -u 127.0.0.2@0 ${port:+-p "$port"} \
	    -r "$LAB_DIR/rules" -l "$LAB_QUERIES" 127.0.0.1=pass 127.0.0.4=drop 127.0.0.5=strip \
	    127.0.0.6=servfail 127.0.0.7=refused
	lab_await "$name" lab_is_ready "$name"
}

lab_opts()
{
	# shellcheck disable=SC2034 # for the caller
	LAB_OPTS=(--resolver "$LAB_DNS" --anchor "$LAB_ANCHOR" --port "$LAB_PORT")
}

lab_name_things()
{
	export LAB_DNS=127.0.0.1@$LAB_PORT LAB_DNS_DEAD=127.0.0.3@$LAB_PORT LAB_DNS_SILENT=127.0.0.4@$LAB_PORT \
	    LAB_DNS_STRIP=127.0.0.5@$LAB_PORT LAB_DNS_SERVFAIL=127.0.0.6@$LAB_PORT \
	    LAB_DNS_REFUSED=127.0.0.7@$LAB_PORT
	export LAB_ANCHOR=$LAB_DIR/anchor LAB_ANCHOR_WRONG=$LAB_DIR/anchor-wrong
	grep -qs '^0\{31\}1 ' /proc/net/if_inet6 && export LAB_V6=1
	lab_opts
}

# Certificates and zones for LAB_PORT, made anew.
lab_make()
{
	"$lab_here/make-certs" "$LAB_CERTS" && "$lab_here/make-zones" all "$LAB_DIR" "$LAB_PORT"
}

# Where LAB_STOCK is a folder, labs that were made once are copied into the next ones: LAB_STOCK/PORT/lab, since the
# zones name the port.  A lock beside each says that a lab has it, for its port can be had only once.
lab_take_from_stock()
{
	local made
	for made in "$LAB_STOCK"/*/lab; do
		[ -d "$made" ] || continue
		mkdir "${made%/lab}/taken" 2>/dev/null || continue
		LAB_PORT=${made%/lab}
		LAB_PORT=${LAB_PORT##*/}
		lab_relay relay "$LAB_PORT" 2>/dev/null && cp -a "$made/." "$LAB_DIR/" && return
		# Somebody else has the port now: this one stays taken.
		lab_end relay 2>/dev/null || :
	done
	return 1
}

# The lab as it was made, before anybody changed it.
lab_put_into_stock()
{
	local at=$LAB_STOCK/$LAB_PORT
	mkdir "$at" "$at/taken" 2>/dev/null || return 0
	mkdir "$at/new" && (cd "$LAB_DIR" && cp -a certs zones keys rules anchor anchor-wrong rdata "$at/new/") &&
	    mv "$at/new" "$at/lab"
}

lab_start()
{
	[ -x "$BUILD/lab/dnsrelay" ] || { lab_say "no $BUILD/lab/dnsrelay; run make aids"; return 1; }
	mkdir -p "$1" || return 1
	[ -z "$(ls -A "$1")" ] || { lab_say "$1 is not empty"; return 1; }
	LAB_DIR=$(cd "$1" && pwd)
	export LAB_DIR LAB_PORT LAB_QUERIES=$LAB_DIR/queries LAB_CAPTURE=$LAB_DIR/capture \
	    LAB_CERTS=$LAB_DIR/certs LAB_SITES=$LAB_DIR/sites
	mkdir "$LAB_DIR/pids" "$LAB_DIR/logs" "$LAB_DIR/taken" "$LAB_SITES"
	: > "$LAB_DIR/rules"
	: > "$LAB_CAPTURE"
	if [ -d "${LAB_STOCK:-}" ] && lab_take_from_stock; then
		lab_name_things
	else
		lab_relay relay '' || return 1
		LAB_PORT=$(sed -n 's/^ready //p' "$LAB_DIR/logs/relay")
		lab_name_things
		lab_make || return 1
		[ ! -d "${LAB_STOCK:-}" ] || lab_put_into_stock
	fi
	kill -HUP "$(< "$LAB_DIR/pids/relay")"
	lab_nsd_all
}

# ZONE: signs it again and lets the servers read it.
lab_resign()
{
	"$lab_here/make-zones" sign "$LAB_DIR" "$1" || return 1
	lab_nsd_end nsd || return 1
	lab_nsd_all || return 1
	[ -e "$LAB_DIR/pids/ns" ] || return 0
	lab_ns_prefix
	lab_nsd_end ns-nsd || return 1
	lab_nsd_all ns-nsd "${LAB_NS[@]}" || return 1
	lab_end ns-unbound
	lab_unbound
}

lab_zone_set()
{
	local zone=${1%.} owner=$2 type=$3 file rdata
	file=$LAB_DIR/zones/$zone.zone
	shift 3
	[ -e "$file" ] || { lab_say "no zone $zone"; return 1; }
	case $owner in
	@) owner=$zone. ;;
	*.) ;;
	*) owner=$owner.$zone. ;;
	esac
	awk -v owner="$owner" -v type="$type" '!($1 == owner && $2 == type)' "$file" > "$file.new"
	for rdata do
		echo "$owner	$type $rdata" >> "$file.new"
	done
	mv "$file.new" "$file"
	lab_resign "$zone"
}

# The lab's zone that holds a name: all its zones are two labels deep.
lab_zone_of()
{
	local name=${1%.} parent
	parent=${name%.*}
	echo "${parent##*.}.${name##*.}"
}

lab_tlsa()
{
	lab_zone_set "$(lab_zone_of "$1")" "_$LAB_PORT._tcp.${1%.}." TLSA "${@:2}"
}

# CERT U S M: CERT is a name in LAB_CERTS or a PEM file.
lab_rdata()
{
	local scratch status
	if [ -d "$LAB_CERTS/$1" ]; then
		"$lab_here/make-zones" rdata "$LAB_DIR" "$1" "$2$3$4"
		return
	fi
	scratch=$(mktemp -d "$LAB_DIR/rdata.XXXXXX")
	mkdir -p "$scratch/certs/x"
	openssl x509 -in "$1" -outform DER -out "$scratch/certs/x/cert.der" &&
	    openssl x509 -in "$1" -noout -pubkey |
	    openssl pkey -pubin -outform DER -out "$scratch/certs/x/spki.der" &&
	    "$lab_here/make-zones" rdata "$scratch" x "$2$3$4"
	status=$?
	rm -rf "$scratch"
	return $status
}

# Peers ----------------------------------------------------------------------------------------------------

# The words for peer: every row of hosts whose address is not taken; with `all` (for the namespace) those that
# Postfix took as well.  A file in taken/ holds the behaviour and certificate of lab_peer, nothing for Postfix.
lab_peer_words()
{
	local addr how cert
	while read -r addr how cert; do
		case $addr in ''|'#'*) continue ;; esac
		[ "$addr" != ::1 ] || [ -n "${LAB_V6:-}" ] || continue
		[ ! -s "$LAB_DIR/taken/$addr" ] || continue
		[ "${1:-}" = all ] || [ ! -e "$LAB_DIR/taken/$addr" ] || continue
		echo "$addr@$LAB_PORT=$how,$LAB_CERTS/$cert"
	done < "$lab_here/hosts"
}

# NAME WORDS… -- [PREFIX…]
lab_peer_spawn()
{
	local name=$1 words=()
	shift
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	lab_spawn "$name" "$@" "$BUILD/lab/peer" -c "$LAB_CAPTURE" "${words[@]}"
	lab_await "$name" lab_is_ready "$name"
}

lab_peers()
{
	local words
	mapfile -t words < <(lab_peer_words)
	lab_end peers
	lab_peer_spawn peers "${words[@]}" -- && lab_ns_peers
}

# ADDR: the peer that lab_peer put there; with a prefix, in the namespace.
lab_peer_own()
{
	local how certs
	read -r how certs < "$LAB_DIR/taken/$1"
	lab_peer_spawn "${2:+ns-}peer-$1" "$1@$LAB_PORT=$how,$certs" -- "${@:2}"
}

# ADDR [BEHAVIOUR CERTFOLDER]: nobody else serves it from now on.
lab_take()
{
	lab_peer_stop "$1" || return 1
	echo "${*:2}" | sed '/^$/d' > "$LAB_DIR/taken/$1"
	if [ -e "$LAB_DIR/pids/peers" ]; then lab_peers; else lab_ns_peers; fi
}

lab_peer()
{
	local certs=${3:-$LAB_CERTS/good}
	[ -d "$certs" ] || certs=$LAB_CERTS/$certs
	lab_take "$1" "$2" "$certs" || return 1
	lab_peer_own "$1" || return 1
	[ ! -e "$LAB_DIR/pids/ns-peers" ] || lab_peer_own "$1" "${LAB_NS[@]}"
}

lab_peer_stop()
{
	local status=0
	rm -f "$LAB_DIR/taken/$1"
	lab_end "peer-$1" || status=1
	lab_end "ns-peer-$1" || status=1
	return $status
}

# The real Postfix --------------------------------------------------------------------------------------------

lab_postfix()
{
	local status
	lab_take 127.0.0.25 || return 1
	"$lab_here/postfix" start "$LAB_DIR/postfix" 127.0.0.25 "$LAB_PORT" "$LAB_CERTS/good" "$@" 3>&- 4>&- 5>&-
	status=$?
	[ $status -eq 0 ] || rm -f "$LAB_DIR/taken/127.0.0.25"
	return $status
}

lab_postfix_cert()
{
	"$lab_here/postfix" cert "$LAB_DIR/postfix" "$1"
}

lab_postfix_mail()
{
	cat "$LAB_DIR/postfix/mail/$1"
}

lab_postfix_stop()
{
	[ ! -e "$LAB_DIR/postfix" ] || "$lab_here/postfix" stop "$LAB_DIR/postfix"
}

# A namespace with port 53 ------------------------------------------------------------------------------------
#
# Here unbound asks root, tld and zones in turn, each on a server of its own: where one server had all three,
# it would take an unsigned zone's answers for the root's, without signatures.

# The root key is primed and an answer validates.
lab_ns_answers()
{
	grep -q 'start of service' "$LAB_DIR/logs/ns-unbound" &&
	    timeout 2 "${LAB_NS[@]}" drill -D good.test SOA @127.0.0.1 | grep -q 'rcode: NOERROR'
}

lab_unbound()
{
	cat > "$LAB_DIR/unbound.conf" <<-EOF
		server:
		  directory: "$LAB_DIR"
		  chroot: ""
		  username: ""
		  pidfile: ""
		  use-syslog: no
		  logfile: ""
		  verbosity: 1
		  interface: 127.0.0.1
		  port: 53
		  do-ip6: no
		  do-not-query-localhost: no
		  access-control: 127.0.0.0/8 allow
		  local-zone: "test." nodefault
		  root-hints: "$LAB_DIR/hints"
		  trust-anchor-file: "$LAB_DIR/anchor"
		  outbound-msg-retry: 1
		remote-control:
		  control-enable: no
	EOF
	printf '. 3600 IN NS root-ns.nic.test.\nroot-ns.nic.test. 3600 IN A 127.0.0.53\n' > "$LAB_DIR/hints"
	lab_spawn ns-unbound "${LAB_NS[@]}" "$lab_here/run-peer" unbound -d -c "$LAB_DIR/unbound.conf"
	lab_await ns-unbound lab_ns_answers
}

lab_ns_entered()
{
	[ "$(< "/proc/$1/comm")" = sleep ] && [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

# Sets LAB_NS, the prefix that runs a command in the namespace.
lab_ns_prefix()
{
	LAB_NS=(nsenter -t "$(< "$LAB_DIR/pids/ns")" -n -m -r)
	[ "$(id -u)" -eq 0 ] || LAB_NS+=(-U --preserve-credentials)
}

lab_ns_serve()
{
	local words
	mapfile -t words < <(lab_peer_words all)
	lab_peer_spawn ns-peers "${words[@]}" -- "${LAB_NS[@]}"
}

# Where there is a namespace: its peers once more, after a change of who serves what.
lab_ns_peers()
{
	[ -e "$LAB_DIR/pids/ns-peers" ] || return 0
	lab_ns_prefix
	lab_end ns-peers
	lab_ns_serve
}

lab_ns_start()
{
	local how=-nm f
	[ "$(id -u)" -eq 0 ] || how=-Urnm
	[ -e /etc/resolv.conf ] || { lab_say "no /etc/resolv.conf to cover"; return 1; }
	echo 'nameserver 127.0.0.1' > "$LAB_DIR/resolv.conf"
	lab_spawn ns unshare $how sleep infinity
	lab_await ns lab_ns_entered "$(< "$LAB_DIR/pids/ns")" || return 1
	lab_ns_prefix
	"${LAB_NS[@]}" sh -c "ip link set lo up && mount --bind '$LAB_DIR/resolv.conf' /etc/resolv.conf" || return 1
	lab_relay ns-relay "$LAB_PORT" "${LAB_NS[@]}" || return 1
	lab_spawn ns-relay53 "${LAB_NS[@]}" "$BUILD/lab/dnsrelay" -u "127.0.0.2@$LAB_PORT" -p 53 -r "$LAB_DIR/rules" \
	    127.0.0.55=pass
	lab_nsd_all ns-nsd "${LAB_NS[@]}" || return 1
	lab_nsd ns-root 127.0.0.53@53 root "${LAB_NS[@]}" || return 1
	lab_nsd ns-tld 127.0.0.54@53 test "${LAB_NS[@]}" || return 1
	lab_unbound || return 1
	lab_ns_serve || return 1
	for f in "$LAB_DIR"/taken/*; do
		[ ! -s "$f" ] || lab_peer_own "${f##*/}" "${LAB_NS[@]}" || return 1
	done
}

lab_ns()
{
	if [ -e "$LAB_DIR/pids/ns" ]; then
		lab_ns_prefix
	else
		lab_ns_start || return 1
	fi
	"${LAB_NS[@]}" "$@"
}

# Policy hosts ------------------------------------------------------------------------------------------------

# DOMAIN BEHAVIOUR CERT [LINE…]: how mta-sts.DOMAIN behaves from now on (https.c), and its policy's lines.
lab_site()
{
	{ echo "$2 $3"; [ $# -lt 4 ] || printf '%s\n' "${@:4}"; } > "$LAB_SITES/.new"
	mv "$LAB_SITES/.new" "$LAB_SITES/$1"
}

# All policy hosts, on port 443 in the namespace.
lab_sites()
{
	[ ! -e "$LAB_DIR/pids/ns-https" ] || return 0
	lab_ns true || return 1
	lab_spawn ns-https "${LAB_NS[@]}" "$BUILD/lab/https" -c "$LAB_CAPTURE" "$LAB_SITES" "$LAB_CERTS" 127.0.4.1@443
	lab_await ns-https lab_is_ready ns-https
}

# A reply's code: 4xx and what is no reply are temporary.
lab_finger_reply()
{
	case $1 in
	*': 5'[0-9][0-9]' '*) echo failed ;;
	*) echo temp ;;
	esac
}

# TLSA records were there and decide, as far as posttls-finger tells.
lab_finger_has_dane()
{
	case $1 in
	*'all TLSA records unusable'*) return 1 ;;
	*'DNSSEC-signed TLSA record'*) return 0 ;;
	esac
	return 1
}

# TLS was not tried: STARTTLS was not offered, or nobody was reached.
lab_finger_word_without_tls()
{
	case $1 in
	*'(nullMX)'*) echo nomail ;;
	*'TLSA lookup error for '*) echo skip ;;
	*'SMTP service not available: '*|*'EHLO rejected: '*) lab_finger_reply "$1" ;;
	*'try again'*|*'timed out'*|*'timeout'*|*'refused'*|*'lost connection'*) echo temp ;;
	*'address lookup failed'*) echo failed ;;
	*'DNSSEC-signed TLSA record'*|*'unsupported TLSA certificate usage'*) echo skip ;;
	*) echo none ;;
	esac
}

# What posttls-finger said, as one word.
lab_finger_word()
{
	case $1 in
	*'panic:'*) echo crash ;;
	*': Verified TLS connection established'*) echo verified ;;
	*': Trusted TLS connection established'*) echo trusted ;;
	*': Untrusted TLS connection established'*|*': Anonymous TLS connection established'*)
		if lab_finger_has_dane "$1"; then echo skip; else echo untrusted; fi ;;
	*'SSL_connect error'*) echo handshake ;;
	*'STARTTLS rejected: '*) echo rejected ;;
	*) lab_finger_word_without_tls "$1" ;;
	esac
}

lab_posttls_finger()
{
	local level=${2:-dane} said status as=() ca=()
	lab_ns true || return 1
	# With dane it would tell of a chain that nobody asked it to verify.
	[ "$level" = dane ] || ca=(-F "$LAB_CERTS/ca/cert.pem")
	if [ ! -e "$LAB_DIR/finger" ]; then
		mkdir -p "$LAB_DIR/finger"
		"$lab_here/postfix" users > "$LAB_DIR/finger/main.cf"
		touch -d '1 minute ago' "$LAB_DIR/finger/main.cf"	# Postfix waits for a younger one
	fi
	# As root it changes to Postfix's user, whom a namespace of an unprivileged user does not have.
	[ "$(id -u)" -eq 0 ] || as=(unshare -U --map-user=1 --map-group=1)
	said=$(MAIL_CONFIG=$LAB_DIR/finger lab_ns "${as[@]}" "$lab_here/run-peer" posttls-finger -c -l "$level" -t 5 -T 5 \
	    "${ca[@]}" -L summary,dane "$1:$LAB_PORT" 2>&1)
	status=$?
	printf '== %s %s\n%s\n' "$1" "$level" "$said" >> "$LAB_DIR/finger.log"
	case $status in 126|127) lab_say "$said"; return 1 ;; esac	# it was not run
	lab_finger_word "$said"
}

# The end ----------------------------------------------------------------------------------------------------

lab_end_leftovers()
{
	local pids
	mapfile -t pids < <(lab_leftovers "$@")
	[ "${#pids[@]}" -gt 0 ] || return 0
	lab_say "left running and now killed: $(ps -o pid=,args= -p "${pids[*]}" 2>/dev/null)"
	kill -KILL "${pids[@]}" 2>/dev/null
	return 1
}

lab_stop()
{
	local f status=0
	[ -n "${LAB_DIR:-}" ] && [ -d "$LAB_DIR/pids" ] || return 0
	lab_postfix_stop || status=1
	for f in "$LAB_DIR"/pids/ns-* "$LAB_DIR"/pids/*; do
		[ ! -e "$f" ] || lab_end "${f##*/}" || status=1
	done
	lab_end_leftovers "$LAB_DIR" || status=1
	rm -rf "$LAB_DIR"
	[ ! -d "${LAB_STOCK:-}/$LAB_PORT/taken" ] || rmdir "$LAB_STOCK/$LAB_PORT/taken"
	return $status
}
