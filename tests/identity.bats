#!/usr/bin/env bats
# What becomes of an identity where a command ends in the middle, or the disk is full: old or new, whole.

bats_require_minimum_version 1.5.0

setup() {
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return 1
	export MTATLS_DIR="$BATS_TEST_TMPDIR/work/state" MTATLS_SYSTEM_CA="$BATS_TEST_TMPDIR/work/system.pem"
	: > system.pem
	unset SSL_CERT_FILE OPENSSL_CONF
	# The sanitizers' run time wants to come first.
	export ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0
}

certstore() { "$BIN/certstore" "$@"; }

# What an identity is, without its version's number; "none" where there is none of that name.
whole() {
	if [ ! -L "$MTATLS_DIR/certs/$1" ]; then
		echo none
		return
	fi
	certstore show "$1" > /dev/null || return 1
	(cd "$MTATLS_DIR/certs/$1" && sha256sum ./*)
}

# Two versions of mx.example, and the answer to a request of the second.
make_state() {
	# Ed25519 signs the same alike, so that what is made twice can be compared.
	"$BIN/mkcert" -t ed25519 mx.example
	"$BIN/mkcert" -t ed25519 -f mx.example
	"$BIN/csrgen" mx.example > r.csr
	openssl x509 -req -in r.csr -signkey "$MTATLS_DIR/certs/mx.example/key.pem" -days 90 -set_serial 7 -copy_extensions copy \
	    -out c.pem 2> /dev/null
	cp -a "$MTATLS_DIR" before
}

# Every folder that has a number is a version that one can go back to.
numbered_are_whole() {
	local folder
	for folder in "$MTATLS_DIR"/certs/.versions/*/[0-9]*; do
		[ ! -e "$folder" ] || { openssl pkey -in "$folder/key.pem" -noout && openssl x509 -in "$folder/cert.pem" -noout; } ||
			return 1
	done
}

restore() {
	rm -rf "$MTATLS_DIR"
	cp -a before "$MTATLS_DIR"
}

# walk NAME... -- COMMAND...: kills the command at its first, second, third ... call on a file of the store,
# until it gets through.  Each time the names are as before or as after, and what is tried next works.
walk() {
	local names=() old new now n status
	while [ "$1" != -- ]; do names+=("$1"); shift; done
	shift
	restore
	old=$(for n in "${names[@]}"; do whole "$n"; done)
	"$@" > /dev/null
	new=$(for n in "${names[@]}"; do whole "$n"; done)
	[ "$old" != "$new" ]
	for ((n = 1; n < 200; n++)); do
		restore
		status=0
		LD_PRELOAD="$BUILD/lab/faults.so" FAULTS="any /certs $n kill" "$@" > /dev/null 2>&1 || status=$?
		for name in "${names[@]}"; do
			now=$(whole "$name") || { echo "step $n: $name is broken"; return 1; }
			[[ "$old$new" == *"$now"* ]] || { echo "step $n: $name is neither"; echo "$now"; return 1; }
		done
		numbered_are_whole || { echo "step $n: half a version"; find "$MTATLS_DIR"; return 1; }
		[ "$status" -ne 0 ] || break
		[ "$status" -eq 137 ] || { echo "step $n: status $status"; return 1; }
		# What the next change leaves has no remains of this one.
		"$BIN/mkcert" -f mx.example > /dev/null
		[ "$(find "$MTATLS_DIR/certs/.versions/mx.example" -mindepth 1 -maxdepth 1 | wc -l)" -le 2 ]
		[ -z "$(find "$MTATLS_DIR" -name '.link-*' -o -name '.tmp-*' -o -name .new -o -name .gone)" ] || { find "$MTATLS_DIR"; return 1; }
	done
	echo "$n steps"
	[ "$n" -gt 3 ] && [ "$n" -lt 200 ]
}

@test "killed at any step: mkcert, and the next one as it tidies up; roll-back finds what was shown before" {
	make_state
	local n status shown
	for ((n = 1; n < 200; n++)); do
		restore
		status=0
		LD_PRELOAD="$BUILD/lab/faults.so" FAULTS="any /certs $n kill" "$BIN/mkcert" -f mx.example > /dev/null 2>&1 || status=$?
		numbered_are_whole || { echo "step $n: half a version"; find "$MTATLS_DIR"; false; }
		[ "$status" -ne 0 ] || break
		[ "$status" -eq 137 ]
		shown=$(whole mx.example)
		status=0
		LD_PRELOAD="$BUILD/lab/faults.so" FAULTS="rename /certs/.versions/mx.example/.gone 1 kill" "$BIN/mkcert" -f mx.example \
		    > /dev/null 2>&1 || status=$?
		[ "$status" -eq 137 ] || { echo "step $n: the second: $status"; false; }
		if [ "$(whole mx.example)" != "$shown" ]; then
			certstore rollback mx.example
			[ "$(whole mx.example)" = "$shown" ] || { echo "step $n: another version"; find "$MTATLS_DIR"; false; }
		fi
	done
	[ "$n" -gt 10 ] && [ "$n" -lt 200 ]
}

@test "what somebody who was killed left of an identity goes with the next change of another" {
	make_state
	local leftover=$MTATLS_DIR/certs/.versions/mx.example
	LD_PRELOAD="$BUILD/lab/faults.so" FAULTS="fsync /certs 1 kill" run -137 "$BIN/certstore" remove mx.example
	[ ! -e "$MTATLS_DIR/certs/mx.example" ]
	[ -n "$(find "$leftover" -name key.pem)" ]
	"$BIN/mkcert" other.example
	[ ! -e "$leftover" ]
	[ -s "$MTATLS_DIR/certs/other.example/key.pem" ]
}

@test "a link in the place of a folder is not followed" {
	make_state
	local certs=$MTATLS_DIR/certs place
	for place in .versions .versions/mx.example; do
		restore
		mv "$certs/$place" away
		ln -s "$PWD/away" "$certs/$place"
		find away -type f -exec sha256sum {} + | sort > one
		for command in 'mkcert -f mx.example' 'csrgen mx.example' 'certstore rollback mx.example' \
		    'certstore rename mx.example new.example' 'certstore rename mx.example mx.example2' 'certstore remove mx.example'; do
			# shellcheck disable=SC2086
			run -2 "$BIN"/$command
			[[ "$output" == *"$place: expected a folder"* ]] || { echo "$command: $output"; false; }
			[ -L "$certs/$place" ] && [ -L "$certs/mx.example" ]
			find away -type f -exec sha256sum {} + | sort | cmp one -
		done
		rm -r away
	done
}

@test "killed at any step: csrgen" {
	make_state
	walk mx.example -- "$BIN/csrgen" -a mx2.example mx.example
}

@test "killed at any step: csrgen --next with a key" {
	make_state
	openssl genpkey -algorithm ED25519 -out k.pem
	walk mx.example -- "$BIN/csrgen" --next -k k.pem mx.example
}

@test "killed at any step: install" {
	make_state
	walk mx.example -- "$BIN/certstore" install mx.example c.pem
}

# A key that comes along, in PEM and in PKCS #12.
other_key() {
	openssl req -x509 -newkey ed25519 -nodes -subj /CN=mx.example -addext subjectAltName=DNS:mx.example -addext \
	    basicConstraints=CA:FALSE -days 30 -keyout o.key -out o.pem 2> /dev/null
	echo secret > pass
	openssl pkcs12 -export -inkey o.key -in o.pem -passout file:pass -out o.p12
}

@test "killed at any step: install with a key" {
	make_state
	other_key
	walk mx.example -- "$BIN/certstore" -f -k o.key install mx.example o.pem
}

@test "killed at any step: p12import" {
	make_state
	other_key
	walk mx.example -- "$BIN/p12import" -f --pass-file pass o.p12
}

@test "killed at any step: rollback" {
	make_state
	walk mx.example -- "$BIN/certstore" rollback mx.example
}

@test "killed at any step: remove" {
	make_state
	walk mx.example -- "$BIN/certstore" remove mx.example
}

@test "killed at any step: rename" {
	make_state
	walk mx.example new.example -- "$BIN/certstore" rename mx.example new.example
}

# In a mount namespace of its own, as root or in a user namespace.
on_small_disk() {
	local how=(unshare -m)
	[ "$(id -u)" -eq 0 ] || how=(unshare -rm)
	"${how[@]}" true 2> /dev/null || skip "no mount namespace here"
	# shellcheck disable=SC2016
	"${how[@]}" bash -c 'mount -t tmpfs -o size=48k,mode=755 tmpfs "$MTATLS_DIR" || exit 77; cp -a before/. "$MTATLS_DIR"
		cat /dev/zero > "$MTATLS_DIR/fill" 2> /dev/null
		find "$MTATLS_DIR/certs" -type l -printf "%p %l\n" -o -type f -exec sha256sum {} + | sort > one
		rc=0; "$@" > out 2> err || rc=$?
		find "$MTATLS_DIR/certs" -type l -printf "%p %l\n" -o -type f -exec sha256sum {} + | sort > two
		exit $rc' bash "$@"
}

@test "a small disk that is full: a clear error, the old state" {
	make_state
	other_key
	local command
	for command in 'csrgen mx.example' 'csrgen --next mx.example' 'csrgen other.example' 'mkcert -f mx.example' \
	    'mkcert other.example' 'certstore install mx.example c.pem' 'certstore rollback mx.example' \
	    'certstore rename mx.example new.example' 'certstore -f -k o.key install mx.example o.pem' \
	    'p12import -f --pass-file pass o.p12' 'p12import -n other --pass-file pass o.p12' \
	    "p12export --pass-file pass -o $MTATLS_DIR/certs/x.p12 mx.example" "mkcert -o $MTATLS_DIR/certs/x.pem mx.example" \
	    "certstore --with-key -o $MTATLS_DIR/certs/x.pem export mx.example"; do
		# shellcheck disable=SC2086
		run on_small_disk "$BIN"/$command
		[ "$status" -ne 77 ] || skip "no tmpfs here"
		[ "$status" -eq 2 ] || { echo "$command: $status"; cat err; false; }
		grep -q "^${command%% *}: .*: No space left on device$" err || { echo "$command"; cat err; false; }
		[ ! -s out ]
		cmp one two
	done
}

@test "root leaves the store of another user to that user" {
	[ "$(id -u)" -eq 0 ] || skip 'needs root'
	"$BIN/mkcert" mx.example
	chown -hR 65534:65533 "$MTATLS_DIR"
	"$BIN/mkcert" -f mx.example
	"$BIN/mkcert" new.example
	"$BIN/csrgen" --next new.example > /dev/null
	certstore rollback mx.example
	run -0 find "$MTATLS_DIR" ! '(' -uid 65534 -gid 65533 ')'
	[ -z "$output" ]
}
