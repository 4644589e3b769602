# named.bash - a named with a zone that takes updates; for bash, beside lab.bash and behind `lab_ns true`.
# shellcheck shell=bash
#
# named_start puts it on port 53 of 127.0.0.58 in the lab's namespace: the primary of dyn.test, signed with the lab's
# key, so that the lab's resolver believes it.  Everything is in $LAB_DIR/named; keys in it:
#
#	k256, k384, k512	may change TLSA records, by that algorithm
#	other			may change nothing that is there
#
# It is one of the lab's processes (ns-named): lab_stop ends it.

NAMED_ADDR=127.0.0.58

# The file that tells named of a key that has long been in use as both KSK and ZSK.
named_key_state()
{
	local long_ago=20200101000000 what
	printf '; the state of a key\nAlgorithm: 13\nLength: 256\nLifetime: 0\nKSK: yes\nZSK: yes\n'
	for what in Generated Published Active DNSKEYChange ZRRSIGChange KRRSIGChange DSChange; do
		echo "$what: $long_ago"
	done
	for what in DNSKEYState ZRRSIGState KRRSIGState DSState GoalState; do
		echo "$what: omnipresent"
	done
}

# ldns' key under the name, and with the times, that named wants.
named_zone_key()
{
	local dir=$1 zone=$2 tag name
	tag=$(sed -n 's/.*id = \([0-9]*\).*/\1/p' "$LAB_DIR/keys/$zone.key")
	name=$dir/K$zone.+013+$(printf %05d "$tag")
	cp "$LAB_DIR/keys/$zone.key" "$name.key"
	{
		sed 's/v1\.2/v1.3/' "$LAB_DIR/keys/$zone.private"
		printf '%s: 20200101000000\n' Created Publish Activate
	} > "$name.private"
	named_key_state > "$name.state"
}

named_conf()
{
	local dir=$1
	cat <<-CONF
		include "$dir/k256.key";
		include "$dir/k384.key";
		include "$dir/k512.key";
		include "$dir/other.key";
		options {
			directory "$dir";
			pid-file "$dir/pid";
			session-keyfile none;
			lock-file none;
			managed-keys-directory "$dir";
			listen-on port 53 { $NAMED_ADDR; };
			listen-on-v6 { none; };
			recursion no;
			dnssec-validation no;
			notify no;
			max-udp-size 1232;
		};
		controls { };
		dnssec-policy one {
			keys { csk lifetime unlimited algorithm ecdsap256sha256; };
		};
		zone "dyn.test" {
			type primary;
			file "$dir/dyn.test.zone";
			dnssec-policy one;
			key-directory "$dir/keys";
			inline-signing no;
			update-policy {
				grant k256 zonesub TLSA;
				grant k384 zonesub TLSA;
				grant k512 zonesub TLSA;
				grant other name none.dyn.test. TLSA;
			};
		};
	CONF
}

named_answers()
{
	timeout 1 "${LAB_NS[@]}" drill -D dyn.test SOA "@$NAMED_ADDR" 2>/dev/null | grep -q 'RRSIG.*SOA'
}

named_start()
{
	local dir=$LAB_DIR/named bits
	mkdir -p "$dir/keys" || return 1
	for bits in 256 384 512; do
		(umask 077; "$lab_here/run-peer" tsig-keygen -a hmac-sha$bits k$bits > "$dir/k$bits.key") || return 1
	done
	(umask 077; "$lab_here/run-peer" tsig-keygen other > "$dir/other.key")
	named_zone_key "$dir/keys" dyn.test
	cp "$LAB_DIR/zones/dyn.test.zone" "$dir/dyn.test.zone"
	named_conf "$dir" > "$dir/named.conf"
	lab_ns_prefix
	# named listens on the addresses of interfaces alone.
	"${LAB_NS[@]}" ip addr add $NAMED_ADDR/32 dev lo || return 1
	lab_spawn ns-named "${LAB_NS[@]}" "$lab_here/run-peer" named -g -c "$dir/named.conf"
	lab_await ns-named named_answers
}
