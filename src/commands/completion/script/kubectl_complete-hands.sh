#!/bin/sh
# Completion of `kubectl hands`, printed by `handsctl completion kubectl`. kubectl runs it as the executable file
# kubectl_complete-hands of a folder of PATH.
exec kubectl-hands __complete kubectl "$@" </dev/null 2>/dev/null
