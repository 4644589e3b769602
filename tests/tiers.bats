#!/usr/bin/env bats
# The directions: a tier of common/ includes only itself and the tiers that common/TIERS names;
# a command includes the tiers that the Makefile gives it, and no other command; and programs link no more than that.

bats_require_minimum_version 1.5.0

# Sources, and headers that have none: what a header includes, its source does too.
files()
{
	local f
	for f in common/*.[ch] cmd/*/*.[ch]; do
		[[ $f == *.h && -e ${f%.h}.c ]] || echo "$f"
	done
}

# What each file includes, by itself or by way of others, a line each: FILE HEADER.
setup_file()
{
	cd "$BATS_TEST_DIRNAME/.." || return
	# shellcheck disable=SC2046 # names
	TIERS_FLAGS=$(pkg-config --cflags $(sed -n 's/^PKGS_[A-Z]* = //p' Makefile))
	export TIERS_FLAGS
	# shellcheck disable=SC2046,SC2086 # options, files
	cc -std=gnu11 -D_GNU_SOURCE -iquote common $TIERS_FLAGS -M $(files) > "$BATS_FILE_TMPDIR/rules"
	sed -e ':a' -e '/\\$/N; s/ *\\\n */ /; ta' "$BATS_FILE_TMPDIR/rules" |
	    awk '{ for (i = 3; i <= NF; i++) print $2, $i }' > "$BATS_FILE_TMPDIR/included"
	awk '$2 ~ /^common\/.*\.h$/ { sub(/^common\//, "", $2); sub(/\.h$/, "", $2); m[$1] = m[$1] " " $2 }
	    END { for (f in m) print f m[f] }' "$BATS_FILE_TMPDIR/included" > "$BATS_FILE_TMPDIR/modules"
}

setup()
{
	cd "$BATS_TEST_DIRNAME/.." || return
	: "${BIN:=$PWD/bin}" "${BUILD:=$PWD/build}"
	local module tier file modules tool tiers
	declare -gA tier_of_module=() modules_in=() tiers_of_tool=()
	while read -r module tier; do
		tier_of_module[$module]=$tier
	done < <(awk '/^[A-Z]/ { for (i = 3; i <= NF; i++) print $i, $1 }' common/TIERS)
	while read -r file modules; do
		modules_in[$file]=$modules
	done < "$BATS_FILE_TMPDIR/modules"
	while read -r tool tiers; do
		tiers_of_tool[$tool]=$tiers
	done < <(sed -n 's/^TIERS_\([^ ]*\) = /\1 /p' Makefile)
}

# Headers of the system that FILE includes, by itself or by way of ours, and that PATTERN names.
system_headers_in()
{
	sed -n "s,^$1 ,,p" "$BATS_FILE_TMPDIR/included" | grep -E "$2" || :
}

# Of setup's table: it is asked for each include of each file.
tier_of()
{
	[ -n "$1" ] && echo "${tier_of_module[$1]:-}"
}

tiers()
{
	awk '/^[A-Z]/ { print $1 }' common/TIERS
}

# The tiers that a tier may use, itself among them.
allowed_for()
{
	awk -v t="$1" '$1 == t { gsub(/,/, " ", $2); print $1, $2 }' common/TIERS
}

# FILE ALLOWED: says what FILE includes beyond the allowed tiers.
check_file()
{
	local m tier
	for m in ${modules_in[$1]:-}; do
		tier=${tier_of_module[$m]:-}
		case " $2 " in
		*" ${tier:-none} "*) ;;
		*) echo "$1 includes common/$m.h of tier ${tier:-(not in TIERS)}; it may use: $2" ;;
		esac
	done
}

@test "what each file includes is known" {
	[ "$(cut -d' ' -f1 "$BATS_FILE_TMPDIR/included" | sort -u | wc -l)" -ge "$(find common cmd -name '*.c' | wc -l)" ]
	[[ " ${modules_in[cmd/mkcert/mkcert.c]} " == *' tool '* ]]
	[ -n "$(system_headers_in common/tls.c '/openssl/ssl\.h')" ]
	grep -q '^cmd/mkcert/mkcert.c cmd/mkcert/mkcert.h$' "$BATS_FILE_TMPDIR/included"
}

@test "TIERS: a tier uses only tiers above it in the file, and each module has one" {
	run awk '/^[A-Z]/ {
		n = split($2, uses, ",")
		for (i = 1; i <= n; i++)
			if (uses[i] != "-" && !(uses[i] in seen))
				print $1 " uses " uses[i] " before it stands"
		seen[$1] = 1
		for (i = 3; i <= NF; i++)
			if (count[$i]++)
				print $i " stands twice"
	}' common/TIERS
	[ -z "$output" ]
}

@test "every file of common/ belongs to a tier" {
	local f m missing=
	for f in common/*.[ch]; do
		m=${f#common/}
		[ -n "$(tier_of "${m%.*}")" ] || missing="$missing $f"
	done
	echo "not in common/TIERS:$missing"
	[ -z "$missing" ]
}

@test "common/ includes only what its tier may" {
	local f m found=
	for f in $(files | grep '^common/'); do
		m=${f#common/}
		found=$found$(check_file "$f" "$(allowed_for "$(tier_of "${m%.*}")")")
	done
	echo "$found"
	[ -z "$found" ]
}

# What a tier must not know is a library, too: BASE and WIRE see neither TLS nor event loops nor the
# resolver, and WIRE no sockets; CRYPTO sees no event loop and no resolver.
@test "BASE, WIRE and CRYPTO stay clear of the libraries above them" {
	local f m tier pattern found=
	for f in common/*.c; do
		m=${f#common/}
		tier=$(tier_of "${m%.*}")
		case $tier in
		BASE) pattern='/(openssl|event2|ldns|unbound)[./]' ;;
		WIRE) pattern='/(openssl|event2|ldns|unbound)[./]|/sys/socket\.h' ;;
		CRYPTO) pattern='/(event2|ldns|unbound)[./]' ;;
		*) continue ;;
		esac
		[ -z "$(system_headers_in "$f" "$pattern")" ] ||
			found="$found $f: $(system_headers_in "$f" "$pattern" | head -n 1);"
	done
	echo "$found"
	[ -z "$found" ]
}

@test "every header of common/ compiles by itself" {
	local h
	for h in common/*.h; do
		# shellcheck disable=SC2086 # options
		cc -std=gnu11 -D_GNU_SOURCE -iquote common $TIERS_FLAGS -fsyntax-only -x c "$h"
	done
}

@test "commands include only the tiers that the Makefile gives them" {
	local f tool found=
	for f in $(files | grep '^cmd/'); do
		tool=${f#cmd/}
		tool=${tool%%/*}
		[ -n "${tiers_of_tool[$tool]:-}" ] || found="$found $f: no TIERS_$tool in the Makefile;"
		found=$found$(check_file "$f" "${tiers_of_tool[$tool]:-}")
	done
	echo "$found"
	[ -z "$found" ]
}

@test "no command includes another command" {
	local found
	found=$(awk '$2 ~ "^cmd/" { split($1, a, "/"); split($2, b, "/"); if (a[1] != "cmd" || a[2] != b[2]) print }' \
	    "$BATS_FILE_TMPDIR/included")
	echo "$found"
	[ -z "$found" ]
}

# Names that OBJECTS define for all to see.
defined_in()
{
	nm --defined-only "$@" 2>/dev/null | awk '$2 ~ /^[A-Z]$/ { print $3 }' | sort -u
}

# The linker takes a command's own and says nothing, and the library calls it with what it knows of another.
@test "no command defines a name of the library" {
	local f found=
	defined_in "$BUILD"/lib*.a > "$BATS_TEST_TMPDIR/library"
	[ -s "$BATS_TEST_TMPDIR/library" ]
	for f in cmd/*/*.c; do
		found=$found$(comm -12 <(defined_in "$BUILD/${f%.c}.o") "$BATS_TEST_TMPDIR/library" | sed "s,^, $f: ,")
	done
	echo "$found"
	[ -n "$(defined_in "$BUILD"/cmd/tlscheck/main.o "$BUILD"/libBASE.a)" ]
	[ -z "$found" ]
}

# TOOL PATTERN: the libraries it needs that match.
needs()
{
	readelf -d "$BIN/$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -E "$2" || :
}

@test "programs link only what their tiers need" {
	local tool program found=
	for program in "$BIN"/*; do
		tool=${program##*/}
		case " ${tiers_of_tool[$tool]:-} " in
		*' NET '*) ;;
		*) found="$found$(needs "$tool" 'libunbound|libcurl|libevent|libldns')" ;;
		esac
		case " ${tiers_of_tool[$tool]:-} " in
		*' CRYPTO '*) ;;
		*) found="$found$(needs "$tool" 'libssl|libcrypto|libidn2')" ;;
		esac
		echo "$tool: $(needs "$tool" . | tr '\n' ' ')"
	done
	echo "too much: $found"
	[ -z "$found" ]
}

@test "mkcert links neither libssl nor libunbound, libcurl, libevent" {
	run needs mkcert 'libssl|libunbound|libcurl|libevent|libldns'
	echo "$output"
	[ -z "$output" ]
}
