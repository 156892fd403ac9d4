#compdef handsctl
# Completion of handsctl for zsh, printed by `handsctl completion zsh`.
_handsctl() {
    local -a answer values
    answer=("${(@f)$(command handsctl __complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" </dev/null 2>/dev/null)}")
    values=("${(@)answer[2,-1]}")
    case ${answer[1]} in
        files)
            [[ $PREFIX == -*=* ]] && compset -P '*='
            _files
            ;;
        parts) _describe -V -t values 'handsctl' values -S '' ;;
        values) _describe -V -t values 'handsctl' values ;;
    esac
}
if [[ $funcstack[1] == _handsctl ]]; then
    _handsctl "$@"
else
    compdef _handsctl handsctl
fi
