# Completion of handsctl for fish, printed by `handsctl completion fish`.
function __handsctl_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l answer (command handsctl __complete fish $words[2..-1] "$current" </dev/null 2>/dev/null)
    if test "$answer[1]" = files
        set -l option (string match --regex -- '^-[^=]*=' "$current")
        for path in (__fish_complete_path (string replace --regex -- '^-[^=]*=' '' "$current"))
            echo "$option$path"
        end
    else if test (count $answer) -gt 1
        printf '%s\n' $answer[2..-1]
    end
end
complete --command handsctl --no-files --keep-order --arguments '(__handsctl_complete)'
