# Reads hosts and zones; writes dir/zones/ZONE.zone with full owners, dir/zones/list, dir/rules.
# Variables: dir, port, rdata (a file "CERT:USM u s m hex").

function full(owner)
{
	gsub(/_PORT/, "_" port, owner)
	if (owner == "@")
		return zone "."
	return owner ~ /\.$/ ? owner : owner "." zone "."
}

function put(owner, text)
{
	gsub(/_PORT/, "_" port, text)
	print full(owner) "\t" text > file
}

# Flag primary=HOST: the name in the SOA and NS records.
function begin(name, flags,	primary)
{
	primary = "ns.nic.test."
	if (match(flags, /primary=[^ ]+/))
		primary = substr(flags, RSTART + 8, RLENGTH - 8)
	if (file != "")
		close(file)
	zone = name
	file = dir "/zones/" name ".zone"
	print name " " flags > (dir "/zones/list")
	print "$TTL 300" > file
	print "$ORIGIN " (name == "root" ? "." : name ".") > file
	if (name == "root")
		zone = ""
	put(zone == "" ? "." : "@", "SOA " primary " hostmaster.nic.test. 1 3600 600 86400 60")
	put(zone == "" ? "." : "@", "NS " (name == "root" ? "root-" : name == "test" ? "tld-" : "") (name ~ /^(root|test)$/ ? "ns.nic.test." : primary))
}

function tlsa(host, spec,	owner)
{
	owner = host == "@" ? "_PORT._tcp" : host ~ /^[_*]/ ? host : "_PORT._tcp." host
	if (host == "_dane")
		owner = host
	if (spec == "empty")
		spec = "TYPE52 \\# 3 030101"
	else if (spec in data)
		spec = "TLSA " data[spec]
	else if (spec ~ /:/)
		print "zones: no certificate for " spec > "/dev/stderr"
	else
		spec = "TLSA " spec
	put(owner, spec)
}

function host(pref, name, addr, first,	i)
{
	put("@", "MX " pref " " name)
	put(name, "A " addr)
	for (i = first; i <= NF; i++)
		tlsa(name, $i)
}

# N records more, of keys that nobody has.
function pad(name, n,	i)
{
	for (i = 1; i <= n; i++)
		tlsa(name, sprintf("3 1 1 %064x", i))
}

# The flags with break=OWNER/TYPE made full.
function flags_of(	i, out, parts)
{
	zone = $2
	for (i = 3; i <= NF; i++) {
		if ($i ~ /^break=/) {
			split(substr($i, 7), parts, "/")
			$i = "break=" full(parts[1]) "/" parts[2]
		}
		out = out (i > 3 ? " " : "") $i
	}
	return out
}

function behaviours(name, with_tlsa,	i, x)
{
	begin(name, "")
	for (i = 1; i <= nhosts; i++) {
		x = how[i]
		put(x, "MX 10 mx." x)
		put("mx." x, "A " at[i])
		if (with_tlsa)
			tlsa("mx." x, "good:311")
	}
}

BEGIN {
	while ((getline line < rdata) > 0) {
		spec = line
		sub(/ .*/, "", spec)
		sub(/^[^ ]* /, "", line)
		data[spec] = line
	}
	printf "" > (dir "/rules")
	begin("root", "")
	put("test.", "NS tld-ns.nic.test.")
	put("tld-ns.nic.test.", "A 127.0.0.54")
	put("root-ns.nic.test.", "A 127.0.0.53")
	begin("test", "")
	put("root-ns.nic.test.", "A 127.0.0.53")
	put("tld-ns.nic.test.", "A 127.0.0.54")
	put("ns.nic.test.", "A 127.0.0.55")
}

/^#/ || NF == 0 { next }

FILENAME ~ /hosts$/ {
	if ($1 ~ /^127\.0\.1\./) {
		at[++nhosts] = $1
		how[nhosts] = $2
	}
	next
}

!listed++ {
	behaviours("dane.test", 1)
	behaviours("plain.test", 0)
}

$1 == "zone" { f = flags_of(); begin($2, f); next }
$1 == "std" { host(10, "mx", $2, 3); next }
$1 == "mx" && $2 ~ /^[0-9]+$/ { host($2, $3, $4, 5); next }
$1 == "pkix" {
	put("*." $2, "MX 10 mx." $2)
	put("mx." $2, "A " $3)
	next
}
$1 == "sts" {
	n = $2
	put(n, "MX 10 mx.absent-nodata.test.")
	put("mta-sts." n, "A 127.0.4.1")
	if (sub(/^sts +[^ ]+ +/, ""))
		put("_mta-sts." n, "TXT " $0)
	next
}
$1 == "tlsa" {
	h = $2
	sub(/^tlsa +[^ ]+ +/, "")
	tlsa(h, $0)
	next
}
$1 == "pad" { pad($2, $3); next }
$1 == "fail" {
	print $2 " " ($4 == "TLSA" ? full("_PORT._tcp." $3) : full($3)) " " $4 > (dir "/rules")
	next
}
{ o = $1; sub(/^[^ \t]+[ \t]+/, ""); put(o, $0) }
