# Completion of handsctl for bash, printed by `handsctl completion bash`.
_handsctl() {
    local rest=${COMP_LINE:0:COMP_POINT} word i
    local -a words=() answer=()
    # bash breaks words at = and :, which options, keys and contexts contain.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i == 0)); then
            words=("$word")
            rest=${rest#*"$word"}
            continue
        fi
        if [[ $rest == [[:space:]]* ]]; then
            words+=("")
            rest=${rest#"${rest%%[![:space:]]*}"}
        fi
        ((i == COMP_CWORD)) && word=$rest
        words[${#words[@]} - 1]+=$word
        rest=${rest#"$word"}
    done
    local current=${words[${#words[@]} - 1]}
    while IFS= read -r word; do
        answer+=("$word")
    done < <(command handsctl __complete bash "${words[@]:1}" </dev/null 2>/dev/null)
    COMPREPLY=()
    case ${answer[0]-} in
        files) compopt -o default 2>/dev/null ;;
        parts) compopt -o nospace 2>/dev/null ;;
    esac
    # bash replaces only what follows the last = or :.
    local kept=${current%"$2"}
    for word in "${answer[@]:1}"; do
        COMPREPLY+=("${word#"$kept"}")
    done
}
complete -o nosort -F _handsctl handsctl 2>/dev/null || complete -F _handsctl handsctl
