# Completion of lamina for bash: verbs, then the options that `lamina help VERB` names, then files and subjects.
_lamina() {
    local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]}
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "run check inspect bench serve tune convert quantize cache trace logd info help --version" -- "$word")
    elif [ "$verb" = help ]; then
        mapfile -t COMPREPLY < <(compgen -W "run check inspect bench serve tune convert quantize cache trace logd info" -- "$word")
    elif [[ $word == -* ]]; then
        local options
        options=$(lamina help "$verb" 2> /dev/null | grep -o -- '--[a-z][a-z-]*' | sort -u)
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        [ "$verb" != bench ] ||
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$(lamina bench --list 2> /dev/null | awk '{print $1}')" -- "$word")
    fi
}
complete -o filenames -F _lamina lamina
