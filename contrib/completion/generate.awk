# The work of generate: options and commands into arrays, then out in the words of the shell.

# Which operands a program takes, where they are something that can be listed.
BEGIN {
	operand["tlsa-gen"] = operand["csrgen"] = operand["certstore"] = operand["p12export"] = "identity"
	operand["castore"] = operand["p12import"] = "file"
}

# What a word behind an option stands for.
function kind_of(word, long)
{
	if (word == "")
		return ""
	if (word ~ /^(DIR|SPOOL)$/)
		return "dir"
	if (word ~ /^(FILE|CONF|CHAIN|REQUEST)/)
		return "file"
	if (word == "CA" || long == "--signer" || (long == "--name" && tool != "mkcert"))
		return "identity"
	if (word == "TYPE" && (tool == "mkcert" || tool == "csrgen"))
		return "keytype"
	return "text"
}

function add(short, long, word, text)
{
	if (short == "" && long == "")
		return
	n++
	o_short[n] = short
	o_long[n] = long
	o_kind[n] = kind_of(word, long)
	o_word[n] = word
	o_text[n] = text
	if (short != "")
		seen[short] = 1
}

# "-a, --add NAME   text", "--org, --unit TEXT, --country CC": each with the first word that follows.
function option_line(line,    head, text, part, words, k, i, short, long, word, m, parts)
{
	sub(/^ +/, "", line)
	head = line
	text = ""
	if (match(line, /  +[^ ]/)) {
		head = substr(line, 1, RSTART - 1)
		text = substr(line, RSTART)
		sub(/^ +/, "", text)
	}
	m = split(head, parts, /, */)
	word = ""
	for (i = m; i >= 1; i--) {
		k = split(parts[i], words, " ")
		if (k > 1 && words[2] ~ /^[A-Z]/)
			word = words[2]
		else if (k > 1 && text == "") {
			# One blank only before the text.
			text = substr(parts[i], length(words[1]) + 2)
		}
		name[i] = words[1]
		takes[i] = word
	}
	if (m == 2 && name[1] ~ /^-[^-]$/ && name[2] ~ /^--/) {
		add(name[1], name[2], takes[2], text)
		return
	}
	for (i = 1; i <= m; i++)
		if (name[i] ~ /^--/)
			add("", name[i], takes[i], text)
		else if (name[i] ~ /^-/)
			add(name[i], "", takes[i], text)
}

function command_line(line,    head, parts, m, i)
{
	sub(/^ +/, "", line)
	head = line
	sub(/  .*/, "", head)
	m = split(head, parts, /, */)
	for (i = 1; i <= m; i++) {
		sub(/ .*/, "", parts[i])
		commands = commands (commands == "" ? "" : " ") parts[i]
	}
}

/^usage:/ { synopsis = 1 }
/^$/ { synopsis = 0 }
/^ ? ? ? ? ? ?-/ || /^      --/ { synopsis = 0; option_line($0); next }
synopsis && /^(usage:|  +)/ && !/^  [a-z]/ { head_text = head_text " " $0; next }
/^  [a-z]/ { command_line($0) }

function quote(s)
{
	gsub(/'/, "'\\''", s)
	return "'" s "'"
}

function words_of_kind(kind)
{
	if (kind == "dir")
		return "compgen -d -- \"$cur\""
	if (kind == "file")
		return "compgen -f -- \"$cur\""
	if (kind == "identity")
		return func_name "_identities \"$cur\""
	if (kind == "keytype")
		return "IFS=' '; compgen -W 'ec:p256 ec:p384 rsa:2048 rsa:3072 rsa:4096 ed25519' -- \"$cur\""
	return ""
}

# Identities of the folder that -d names, else of the usual one.  Not by compgen -W, which would carry out
# what a name may hold.
function identities()
{
	print func_name "_identities()"
	print "{"
	print "\tlocal i dir=${MTATLS_DIR:-/etc/mtatls}"
	print "\tfor ((i = 1; i < ${#COMP_WORDS[@]} - 1; i++)); do"
	print "\t\tcase ${COMP_WORDS[i]} in -d|--dir) dir=${COMP_WORDS[i + 1]} ;; esac"
	print "\tdone"
	print "\tfor i in \"$dir/certs/$1\"*; do"
	print "\t\t[ ! -e \"$i\" ] || printf '%s\\n' \"${i##*/}\""
	print "\tdone"
	print "}"
	print ""
}

function bash_out(    i, all, what)
{
	print "# bash completion for " tool ", made from its usage text by contrib/completion/generate"
	identities()
	print func_name "()"
	print "{"
	print "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}"
	print "\tlocal IFS=$'\\n'"
	print "\tCOMPREPLY=()"
	print "\tcase $prev in"
	for (i = 1; i <= n; i++) {
		all = all (o_short[i] != "" ? " " o_short[i] : "") (o_long[i] != "" ? " " o_long[i] : "")
		if (o_kind[i] == "")
			continue
		what = words_of_kind(o_kind[i])
		print "\t" o_short[i] (o_short[i] != "" && o_long[i] != "" ? "|" : "") o_long[i] ")"
		if (what != "")
			print "\t\tmapfile -t COMPREPLY < <(" what ")"
		print "\t\treturn ;;"
	}
	print "\tesac"
	print "\tcase $cur in"
	gsub(/^ /, "", all)
	print "\t-*) mapfile -t COMPREPLY < <(IFS=' '; compgen -W " quote(all) " -- \"$cur\") ;;"
	print "\t*)"
	if (commands != "")
		print "\t\tmapfile -t COMPREPLY < <(IFS=' '; compgen -W " quote(commands) " -- \"$cur\")"
	if (words_of_kind(operand[tool]) != "")
		print "\t\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(" words_of_kind(operand[tool]) ")"
	print "\t\t;;"
	print "\tesac"
	print "}"
	print "complete -o filenames -F " func_name " " tool
}

# In _arguments a colon ends a part, and brackets the explanation.
function explain(s)
{
	gsub(/\\/, "\\\\", s)
	gsub(/\[/, "\\[", s)
	gsub(/\]/, "\\]", s)
	gsub(/:/, "\\:", s)
	return s
}

function zsh_action(kind)
{
	if (kind == "dir")
		return "_files -/"
	if (kind == "file")
		return "_files"
	if (kind == "identity")
		return func_name "_identities"
	if (kind == "keytype")
		return "(ec\\:p256 ec\\:p384 rsa\\:2048 rsa\\:3072 rsa\\:4096 ed25519)"
	return " "
}

function zsh_spec(name, i)
{
	return name "[" explain(o_text[i]) "]" (o_kind[i] == "" ? "" : ":" tolower(o_word[i]) ":" zsh_action(o_kind[i]))
}

function zsh_out(    i)
{
	print "#compdef " tool
	print "# zsh completion for " tool ", made from its usage text by contrib/completion/generate"
	print func_name "_identities()"
	print "{"
	print "\tlocal dir=${opt_args[-d]:-${opt_args[--dir]:-${MTATLS_DIR:-/etc/mtatls}}}"
	print "\t_files -W \"$dir/certs\" -/"
	print "}"
	print ""
	print "_arguments -s -S \\"
	for (i = 1; i <= n; i++) {
		if (o_short[i] != "")
			print "\t" quote("*" zsh_spec(o_short[i], i)) " \\"
		if (o_long[i] != "")
			print "\t" quote("*" zsh_spec(o_long[i], i)) " \\"
	}
	if (commands != "")
		print "\t" quote("1:command:(" commands ")") " \\"
	print "\t" quote("*:operand:" zsh_action(operand[tool]))
}

# Options in brackets of the synopsis that no line below tells of: "[-fj]".
function synopsis_options(    rest, cluster, i, c)
{
	rest = head_text
	while (match(rest, /\[-[A-Za-z]+\]/)) {
		cluster = substr(rest, RSTART + 2, RLENGTH - 3)
		rest = substr(rest, RSTART + RLENGTH)
		for (i = 1; i <= length(cluster); i++) {
			c = "-" substr(cluster, i, 1)
			if (!(c in seen))
				add(c, "", "", "")
		}
	}
}

END {
	func_name = "_mtatls_" tool
	gsub(/-/, "_", func_name)
	synopsis_options()
	if (n == 0) {
		print "generate: no options in the usage text of " tool > "/dev/stderr"
		exit 1
	}
	if (shell == "bash")
		bash_out()
	else
		zsh_out()
}
