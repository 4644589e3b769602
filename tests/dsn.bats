#!/usr/bin/env bats
# The messages of tests/unit/dsn.c, read back by a mail parser that is not ours.

bats_require_minimum_version 1.5.0

setup() {
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return 1
	"$BUILD/unit/dsn" . > log || { cat log; return 1; }
}

# FILE: its parts' types, the fields for each recipient, the original's header, faults.
parse() {
	python3 - "$1" <<-'PY'
	import sys, email, email.policy
	m = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.default)
	print("top:", *m.keys())
	print("type:", m.get_content_type(), m.get_param("report-type"), m["Auto-Submitted"])
	for p in m.walk():
	    if p.defects:
	        print("defect:", p.get_content_type(), *p.defects)
	parts = list(m.iter_parts())
	print("parts:", *(p.get_content_type() for p in parts))
	old = email.message_from_binary_file(open(sys.argv[1], "rb"))   # no structure forced on our fields
	for block in old.get_payload()[1].get_payload():
	    print("block:", *block.keys())
	    for k in ("Final-Recipient", "Action", "Status", "Remote-MTA"):
	        if k in block:
	            print(k + ":", block[k].rstrip())
	header = parts[2].get_payload(decode=True)
	print("header:", header.replace(b"\r\n", b"\n"))
	PY
}

@test "a report of all actions is read back as it was meant" {
	run -0 parse 0.eml
	diff <(printf '%s\n' "$output") - <<-'EOT'
	top: Date From To Subject Message-ID Auto-Submitted MIME-Version Content-Type
	type: multipart/report delivery-status auto-replied
	parts: text/plain message/delivery-status text/rfc822-headers
	block: Original-Envelope-Id Reporting-MTA Received-From-MTA Arrival-Date X-mtatls-Queue-ID
	block: Original-Recipient Final-Recipient Action Status Remote-MTA Diagnostic-Code Last-Attempt-Date Final-Log-ID
	Final-Recipient: rfc822; bob@example.com
	Action: failed
	Status: 5.1.1
	Remote-MTA: dns; mx1.example.com
	block: Final-Recipient Action Status Diagnostic-Code Last-Attempt-Date Final-Log-ID Will-Retry-Until
	Final-Recipient: rfc822; carol@example.net
	Action: delayed
	Status: 4.7.5
	block: Final-Recipient Action Status Diagnostic-Code Final-Log-ID
	Final-Recipient: rfc822; dave@example.com
	Action: failed
	Status: 4.4.7
	block: Final-Recipient Action Status Remote-MTA Diagnostic-Code Final-Log-ID
	Final-Recipient: rfc822; erin@example.org
	Action: delivered
	Status: 2.1.5
	Remote-MTA: dns; mx.example.org
	block: Final-Recipient Action Status Final-Log-ID
	Final-Recipient: rfc822; frank@example.org
	Action: relayed
	Status: 2.0.0
	header: b'From: Alice <alice@example.org>\nSubject: a\n\tfolded one\n'
	EOT
	run ! grep 'secret body' 0.eml
}

@test "hostile text adds no field, no part and no recipient" {
	run -0 parse 1.eml
	diff <(printf '%s\n' "$output") - <<-'EOT'
	top: Date From To Subject Message-ID Auto-Submitted MIME-Version Content-Type
	type: multipart/report delivery-status auto-replied
	parts: text/plain message/delivery-status text/rfc822-headers
	block: Original-Envelope-Id Reporting-MTA Received-From-MTA
	block: Final-Recipient Action Status Remote-MTA Diagnostic-Code
	Final-Recipient: rfc822; "a  b\""@example.com\x0d\x0aBcc: victim@example.com
	Action: failed
	Status: 5.0.0
	Remote-MTA: dns; mx --=_m1bhostexample_0
	block: Final-Recipient Action Status Will-Retry-Until
	Final-Recipient: rfc822;
	Action: delayed
	Status: 4.0.0
	block: Final-Recipient Action Status Diagnostic-Code
	Final-Recipient: rfc822; c@d
	Action: failed
	Status: 5.0.0
	block: Final-Recipient Action Status Diagnostic-Code
	Final-Recipient: rfc822; e@f
	Action: failed
	Status: 5.0.0
	header: b'Subject: caf\xe9 = \n--=_m1bhostexample_2\nno colon\n\x01 \nlast=_m1bhostexample_3\n'
	EOT
}
