#!/usr/bin/env bats
# The pages come out whole from both programs that show them: mandoc, and groff, which man-db uses.

bats_require_minimum_version 1.5.0

setup()
{
	cd "$BATS_TEST_DIRNAME/../man" || return
}

# What ends a page from SEE ALSO on, in letters and digits alone: lines are broken differently.
end_of()
{
	sed 's/.\x08//g' | sed -n '/^SEE ALSO/,$p' | sed '$d' | LC_ALL=C tr -cd 'A-Za-z0-9'
}

@test "groff and mandoc have nothing to say of any page" {
	local page
	for page in *.[1-8]; do
		run --separate-stderr groff -mandoc -Tutf8 -ww "$page"
		echo "$page: $stderr"
		[ "$status" -eq 0 ]
		[ -z "$stderr" ]
		run -0 mandoc -Tlint -W warning "$page"
		[ -z "$output" ]
	done
}

@test "SEE ALSO and STANDARDS are whole in both" {
	local page last groff mandoc
	for page in *.[1-8]; do
		last=$(sed -n 's/\\(..//g; s/^\.[A-Z%][A-Za-z] *//; /./h; ${ x; p; }' "$page" | LC_ALL=C tr -cd 'A-Za-z0-9')
		groff=$(groff -mandoc -Tutf8 -P-cbou "$page" | end_of)
		mandoc=$(mandoc -Tutf8 "$page" | end_of)
		printf '%s\nlast:   %s\ngroff:  %s\nmandoc: %s\n' "$page" "$last" "$groff" "$mandoc"
		[ -n "$last" ]
		[[ "$mandoc" == *"$last" ]]
		[ "$groff" = "$mandoc" ]
	done
}
