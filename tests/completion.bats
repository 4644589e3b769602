#!/usr/bin/env bats
# The completions that contrib/completion/generate makes, against each program's --help.

bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	GENERATE="$BATS_TEST_DIRNAME/../contrib/completion/generate"
	export MTATLS_DIR="$PWD/state"
}

tools() { find "$BIN" -maxdepth 1 -type f -perm -u+x -printf '%f\n' | sort; }

# Every option that the usage text names anywhere: long ones, short ones, and those in clusters ("[-fj]").
options_of() {
	"$BIN/$1" --help > help
	grep -oE -- '(^|[^a-zA-Z0-9-])--[a-z][a-z0-9-]*' help | sed 's/^[^-]*//'
	grep -oE -- '(^|[^a-zA-Z0-9-])-[A-Za-z]($|[^a-zA-Z-])' help | sed 's/^[^-]*//; s/\(..\).*/\1/'
	grep -oE -- '\[-[A-Za-z]+\]' help | tr -d '][-' | sed 's/./-&\n/g' | sed '/^$/d'
}

# complete TOOL WORD... : what bash offers for the last word.
complete_bash() {
	"$GENERATE" bash "$BIN/$1" > "$1.bash"
	bash -c '
		. "./$1.bash"
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		function=$(complete -p "$1" | sed "s/.*-F \([^ ]*\).*/\1/")
		$function
		[ ${#COMPREPLY[@]} -eq 0 ] || printf "%s\n" "${COMPREPLY[@]}"
	' bash "$@"
}

@test "bash: every option of every program's --help is offered" {
	[ "$(tools | wc -l)" -ge 5 ]
	for tool in $(tools); do
		options_of "$tool" | sort -u > want
		[ "$(wc -l < want)" -ge 6 ]
		complete_bash "$tool" - | sort -u > got
		run -0 comm -23 want got
		[ -z "$output" ] || { echo "$tool: not offered: $output"; false; }
		# Nor is anything offered that the program does not know.
		while read -r option; do
			grep -qF -- "$option" help || grep -qE -- "\[-[A-Za-z]*${option#-}" help
		done < got
	done
}

@test "zsh: every option of every program's --help is there" {
	for tool in $(tools); do
		options_of "$tool" | sort -u > want
		"$GENERATE" zsh "$BIN/$tool" > "_$tool"
		[ "$(head -1 "_$tool")" = "#compdef $tool" ]
		sed -n "s/^\t'\*\(-[^[]*\)\[.*/\1/p" "_$tool" | sort -u > got
		run -0 comm -23 want got
		[ -z "$output" ] || { echo "$tool: not there: $output"; false; }
		! command -v zsh > /dev/null || zsh -n "_$tool"
	done
}

@test "what an option takes" {
	"$BIN/mkcert" -d "$PWD/other" -n 'a b' a.example > log
	"$BIN/mkcert" mx1.example > log
	"$BIN/mkcert" mx2.example > log
	mkdir folder
	: > file.pem
	[ "$(complete_bash mkcert -k file)" = file.pem ]
	[ "$(complete_bash mkcert --dir fo)" = folder ]
	[ "$(complete_bash mkcert --signer mx)" = $'mx1.example\nmx2.example' ]
	[ "$(complete_bash mkcert -d "$PWD/other" --signer '')" = 'a b' ]
	[ "$(complete_bash mkcert -t e)" = $'ec:p256\nec:p384\ned25519' ]
	[ -z "$(complete_bash mkcert --days '')" ]
	[ "$(complete_bash mkcert --se)" = --server-only ]
	[ "$(complete_bash tlsa-gen mx1)" = mx1.example ]
	[ "$(complete_bash relayq sh)" = show ]
}

@test "a name is not carried out" {
	mkdir -p 'state/certs/$(touch carried-out)'
	[ "$(complete_bash tlsa-gen '')" = '$(touch carried-out)' ]
	[ ! -e carried-out ]
}

@test "make install puts them where the shells look" {
	cd "$BATS_TEST_DIRNAME/.." || return 1
	root=$BATS_TEST_TMPDIR/root
	# Not by other flags than those that the programs under test were built with.
	run -0 make -o "$BUILD/flags" BUILD="$BUILD" BIN="$BIN" DESTDIR="$root" PREFIX=/usr install
	[[ "$output" != *' -c -o '* ]]
	for tool in $(tools); do
		bash -n "$root/usr/share/bash-completion/completions/$tool"
		[ -s "$root/usr/share/zsh/site-functions/_$tool" ]
		[ -x "$root/usr/bin/$tool" ]
	done
	for hook in mtatls-deploy certbot dehydrated lego mtatls.sh; do
		[ -x "$root/usr/share/mtatls/acme/$hook" ]
	done
	[ -e "$root/usr/share/man/man1/mkcert.1" ]
	make -s -o "$BUILD/flags" BUILD="$BUILD" BIN="$BIN" DESTDIR="$root" PREFIX=/usr uninstall
	[ -z "$(find "$root" -type f)" ]
}

@test "what cannot be completed says so" {
	run -2 "$GENERATE" fish "$BIN/mkcert"
	[ "$output" = 'generate: fish: bash or zsh expected' ]
	run -2 "$GENERATE" bash
	printf '#!/bin/sh\necho nothing\n' > none
	chmod 755 none
	run -1 "$GENERATE" bash ./none
	[ "$output" = 'generate: no options in the usage text of none' ]
}
