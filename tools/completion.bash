# bash completion for segloom: commands, options and plugins, as the program itself lists them.
_segloom_words() { # the first word of each line of a table that is indented by two spaces
    sed -n 's/^  \([a-z][a-z0-9_]*\) .*/\1/p'
}

_segloom() {
    local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]}
    local command=${COMP_WORDS[1]-} part=${COMP_WORDS[2]-} words=
    local IFS=$' \t\n'

    COMPREPLY=()
    if [[ $COMP_CWORD -eq 1 ]]; then
        words="$("$program" --help 2>/dev/null | sed -n '/^Commands:/,/^$/p' | _segloom_words)"
        words+=" --help --version"
    elif [[ $current == -* ]]; then
        [[ $command =~ ^(plugin|bench)$ && $COMP_CWORD -gt 2 ]] && command+=" $part"
        # shellcheck disable=SC2086 # "plugin new" is two words
        words=$("$program" $command --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*' | sort -u)
    elif [[ $command =~ ^(plugin|bench)$ && $COMP_CWORD -eq 2 ]]; then
        words=$("$program" "$command" --help 2>/dev/null | sed -n '/^Commands:/,/^$/p' \
            | _segloom_words)
    elif [[ $command == plugin && $part == new && $COMP_CWORD -eq 3 ]]; then
        words="loss metric stage"
    elif [[ $command == inspect && $COMP_CWORD -eq 2 ]]; then
        words=$("$program" inspect 2>/dev/null | grep -E '^[a-z]+$')
    elif [[ $command == inspect && $COMP_CWORD -eq 3 ]]; then
        words=$("$program" inspect "$part" 2>/dev/null | _segloom_words)
    fi
    if [[ -n $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -o filenames -F _segloom segloom
