#!/usr/bin/env bats
# tests/lab/deps fetches the servers that are missing, and those alone.  An apt-get of our own hands out
# packages that hold one program each, and writes down which.

bats_require_minimum_version 1.5.0

setup()
{
	tree=$BATS_TEST_TMPDIR/tree
	mkdir -p "$tree/tests/lab" "$BATS_TEST_TMPDIR/bin"
	cp "$BATS_TEST_DIRNAME/lab/deps" "$BATS_TEST_DIRNAME/lab/libpath" "$tree/tests/lab/"
	cat > "$BATS_TEST_TMPDIR/bin/apt-get" <<-'SH'
		#!/bin/sh
		for name do :; done
		[ "$name" != update ] || exit 0
		[ "$name" != lab-none ] || { echo 'no such package' >&2; exit 100; }
		echo "$name" >> "$FETCHED"
		mkdir -p pkg/DEBIAN pkg/usr/sbin
		printf '%s\n' "Package: $name" 'Version: 1' 'Architecture: all' 'Maintainer: lab' \
		    'Description: lab' > pkg/DEBIAN/control
		printf '#!/bin/sh\n' > "pkg/usr/sbin/$name"
		dpkg-deb --build pkg "${name}_1_all.deb" >/dev/null && rm -r pkg
	SH
	chmod +x "$BATS_TEST_TMPDIR/bin/apt-get"
	export PATH=$BATS_TEST_TMPDIR/bin:$PATH FETCHED=$BATS_TEST_TMPDIR/fetched
	umask 022
}

# SERVERS FETCHED THERE: with these servers wanted deps fetches those packages, and those programs are there.
deps()
{
	: > "$FETCHED"
	run -0 env LAB_SERVERS="$1" sh "$tree/tests/lab/deps"
	echo "wanted $1; fetched $(tr '\n' ' ' < "$FETCHED"); said: $output"
	[ "$(tr '\n' ' ' < "$FETCHED")" = "$2" ]
	[ "$(cd "$tree/.peers/usr/sbin" && echo *)" = "$3" ]
	[ "$(cd "$tree" && echo .p*)" = .peers ]
}

@test "only what is missing is fetched, and nothing that is there is dropped" {
	deps 'lab-a:lab-a lab-b:lab-b' 'lab-a lab-b ' 'lab-a lab-b'
	deps 'lab-a:lab-a lab-b:lab-b' '' 'lab-a lab-b'
	[ -z "$output" ]
	deps 'lab-b:lab-b' '' 'lab-a lab-b'
	deps 'lab-a:lab-a lab-c:lab-c' 'lab-c ' 'lab-a lab-b lab-c'
	deps 'lab-a:lab-a lab-b:lab-b lab-c:lab-c' '' 'lab-a lab-b lab-c'
}

@test "a server that must not mix with the others lies apart" {
	deps 'lab-a:lab-a' 'lab-a ' lab-a
	deps 'lab-a:lab-a lab-b:lab-b:own' 'lab-b ' lab-a
	[ -e "$tree/.peers/own/lab-b/usr/sbin/lab-b" ]
	deps 'lab-a:lab-a lab-b:lab-b:own' '' lab-a
}

@test "what the system has is not fetched, and may go again" {
	: > "$BATS_TEST_TMPDIR/bin/lab-a"
	chmod +x "$BATS_TEST_TMPDIR/bin/lab-a"
	deps 'lab-a:lab-a lab-b:lab-b' 'lab-b ' lab-b
	deps 'lab-a:lab-a lab-b:lab-b' '' lab-b
	rm "$BATS_TEST_TMPDIR/bin/lab-a"
	deps 'lab-a:lab-a lab-b:lab-b' 'lab-a ' 'lab-a lab-b'
	: > "$BATS_TEST_TMPDIR/bin/lab-b"
	chmod +x "$BATS_TEST_TMPDIR/bin/lab-b"
	deps 'lab-a:lab-a lab-b:lab-b' '' 'lab-a lab-b'
}

@test "a package that cannot be fetched leaves all as it was" {
	deps 'lab-a:lab-a' 'lab-a ' lab-a
	run -1 env LAB_SERVERS='lab-a:lab-a lab-none:lab-none' sh "$tree/tests/lab/deps"
	[[ "$output" == *'deps: cannot fetch the package lab-none: no such package' ]]
	deps 'lab-a:lab-a' '' lab-a
}
